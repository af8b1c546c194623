package session

import (
	"ninefold/cmd/internal/exit"
	"ninefold/internal/diskfile"
	"ninefold/internal/tomlfile"
	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/roots/sign"
	"ninefold/roots/store"
	"ninefold/roots/trust"
	"ninefold/sessiond/guestpam"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/profile"
)

// Rules give the errors of the domain their exit codes; the first that an
// error wraps counts.
var Rules = []exit.Rule{
	{Is: manager.ErrNotRoot, Code: exit.NotPermitted, Hint: "run it as root, or through sudo"},
	{Is: manager.ErrKeptInUse, Code: exit.Busy, Hint: "end the other session, or run without keeping"},
	{Is: manager.ErrForeign, Code: exit.NotPermitted, Hint: "install it: sudo make install, or Ninefold's package"},
	{Is: manager.ErrIncomplete, Code: exit.NotSupported, Hint: "run make build, or install Ninefold's package again"},
	{Is: manager.ErrFileBase, Code: exit.BadInput, Hint: "a file that root alone can change, made by image export --to erofs, will do; image import brings others into the store"},
	{Is: manager.ErrConfig, Code: exit.BadInput},
	{Is: manager.ErrIncompatible, Code: exit.NotSupported, Hint: "set compose = \"auto\" or \"full\" in the profile"},
	{Is: manager.ErrRequires, Code: exit.NotSupported, Hint: "sessionctl image show says what an image requires"},
	{Is: manager.ErrNoDriver, Code: exit.NotSupported, Hint: "sessionctl doctor says what this machine can do"},
	{Is: manager.ErrGuest, Code: exit.Usage, Hint: "leave --user and --keep out"},
	{Is: guests.ErrFull, Code: exit.Busy, Hint: "sessionctl guest sweep frees the ids of guests that are gone"},
	{Is: guests.ErrMany, Code: exit.Busy, Hint: "end one; guests.each in ninefold.toml says how many"},
	{Is: guests.ErrHomeInUse, Code: exit.Busy, Hint: "wait until that guest has left; sessionctl guest list shows who is in"},
	{Is: guests.ErrHomeOthers, Code: exit.NotPermitted, Hint: "sessionctl run --guest gives a session without it"},
	{Is: guests.ErrHomeWaits, Code: exit.Usage, Hint: "name a profile that keeps no home"},
	{Is: guests.ErrNoHome, Code: exit.NotFound, Hint: "sessionctl guest homes shows those that are kept"},
	{Is: diskfile.ErrProgram, Code: exit.NotSupported, Hint: "a home that is kept needs e2fsprogs and loop devices (modprobe loop)"},
	{Is: guests.ErrBroken, Code: exit.Failed, Hint: "this is a fault of Ninefold, of the kernel or of the profile; sessionctl guest report shows all that was tried"},
	{Is: guests.ErrRemains, Code: exit.Failed, Hint: "its id stays taken; remove what is named, then run sessionctl guest sweep"},
	{Is: guests.ErrNoGuest, Code: exit.NotFound, Hint: "sessionctl guest list shows those that there are"},
	{Is: guestpam.ErrNoService, Code: exit.NotFound, Hint: "install the login program, or name another with --service"},
	{Is: guestpam.ErrFile, Code: exit.NotSupported, Hint: "write its lines yourself, see pam_ninefold(8)"},
	{Is: identity.ErrNoUser, Code: exit.NotFound},
	{Is: profile.ErrNotFound, Code: exit.NotFound, Hint: "sessionctl profile list shows those that there are"},
	{Is: profile.ErrInvalid, Code: exit.BadInput},
	{Is: tomlfile.ErrTooLarge, Code: exit.BadInput},
	{Is: plan.ErrRootUntrusted, Code: exit.NotPermitted, Hint: "name a user with --user"},
	{Is: plan.ErrForbidden, Code: exit.NotPermitted},
	{Is: plan.ErrInvalid, Code: exit.BadInput},
	{Is: plan.ErrVersion, Code: exit.BadInput},
	{Is: namespaces.ErrUnsupported, Code: exit.NotSupported, Hint: "sessionctl doctor says what this machine can do"},
	{Is: namespaces.ErrRefused, Code: exit.Failed, Hint: "this is a fault of Ninefold or of the kernel; nothing was run"},
	{Is: trust.ErrRefused, Code: exit.Integrity},
	{Is: trust.ErrInvalid, Code: exit.BadInput},
	{Is: sign.ErrKey, Code: exit.BadInput, Hint: "sessionctl key new makes one"},
	{Is: sign.ErrEnvelope, Code: exit.BadInput},
	{Is: sign.ErrStatement, Code: exit.BadInput},
	{Is: trust.ErrUnsigned, Code: exit.Integrity},
	{Is: store.ErrFull, Code: exit.Failed},
	{Is: store.ErrDamaged, Code: exit.Integrity, Hint: "sessionctl image verify says what is damaged; image build makes it anew"},
	{Is: store.ErrBusy, Code: exit.Busy},
	{Is: store.ErrNotFound, Code: exit.NotFound, Hint: "sessionctl image list shows those that there are"},
	{Is: store.ErrAmbiguous, Code: exit.Usage},
	{Is: store.ErrVersion, Code: exit.NotSupported},
	{Is: store.ErrNotStore, Code: exit.BadInput},
}
