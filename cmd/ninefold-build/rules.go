package main

import (
	"errors"

	"ninefold/cmd/internal/exit"
	"ninefold/internal/tomlfile"
	"ninefold/namespaces"
	"ninefold/roots/boot"
	"ninefold/roots/build"
	"ninefold/roots/deb"
	"ninefold/roots/debian"
	"ninefold/roots/export"
	"ninefold/roots/foreign"
	"ninefold/roots/image"
	"ninefold/roots/languages"
	"ninefold/roots/layer"
	"ninefold/roots/lock"
	"ninefold/roots/oci"
	"ninefold/roots/osv"
	"ninefold/roots/rebuild"
	"ninefold/roots/recipe"
	"ninefold/roots/recipe/recipefile"
	"ninefold/roots/registry"
	"ninefold/roots/sign"
	"ninefold/roots/store"
	"ninefold/roots/trust"
	"ninefold/sessiond/manager"
)

const relock = "sessionctl image build --relock asks the package source anew"

// rules give the errors of a build their exit codes; the first that an error
// wraps counts.
var rules = []exit.Rule{
	{Is: manager.ErrNotRoot, Code: exit.NotPermitted, Hint: "run it as root, or through sudo"},
	{Is: manager.ErrForeign, Code: exit.NotPermitted, Hint: "install it: sudo make install, or Ninefold's package"},
	{Is: manager.ErrIncomplete, Code: exit.NotSupported, Hint: "run make build, or install Ninefold's package again"},
	{Is: boot.ErrImage, Code: exit.NotSupported, Hint: "install a kernel that the image has modules of, or build the image with those of this machine's"},
	{Is: boot.ErrBusy, Code: exit.Busy},
	{Is: errors.ErrUnsupported, Code: exit.NotSupported},
	{Is: recipe.ErrNotFound, Code: exit.NotFound},
	{Is: recipe.ErrInvalid, Code: exit.BadInput},
	{Is: recipe.ErrCycle, Code: exit.BadInput},
	{Is: recipe.ErrDuplicate, Code: exit.BadInput},
	{Is: tomlfile.ErrTooLarge, Code: exit.BadInput},
	{Is: recipefile.ErrReference, Code: exit.Usage},
	{Is: recipefile.ErrGit, Code: exit.Failed, Hint: "look at the URL, at the network, and at whether root may read the repository"},
	{Is: lock.ErrStale, Code: exit.BadInput, Hint: relock},
	{Is: lock.ErrInvalid, Code: exit.BadInput, Hint: relock},
	{Is: lock.ErrVersion, Code: exit.BadInput, Hint: "a newer Ninefold wrote it: install that, or take the lock away to solve again"},
	{Is: languages.ErrLock, Code: exit.BadInput},
	{Is: languages.ErrHash, Code: exit.Integrity, Hint: "whoever serves it changed it, or the lock file was changed: find out which before you make the lock file anew"},
	{Is: languages.ErrGone, Code: exit.NotFound, Hint: "say in [[fetch]] by url which registry has it, or take a version that is there"},
	{Is: debian.ErrBadSignature, Code: exit.Integrity, Hint: "do not use this mirror until you know why"},
	{Is: debian.ErrUnknownKey, Code: exit.Integrity, Hint: "name the archive's keyring in the recipe (source.keyring)"},
	{Is: debian.ErrExpired, Code: exit.Integrity, Hint: "look at the clock of this machine, or choose another mirror"},
	{Is: debian.ErrWrongSuite, Code: exit.Integrity},
	{Is: debian.ErrHash, Code: exit.Integrity, Hint: "try again, or choose another mirror"},
	{Is: debian.ErrGone, Code: exit.NotFound, Hint: relock + "; snapshot.debian.org as mirror has what an archive no longer has"},
	{Is: debian.ErrNoPackage, Code: exit.NotFound},
	{Is: debian.ErrNotKept, Code: exit.NotFound, Hint: "ask once without --offline"},
	{Is: debian.ErrNoKeyring, Code: exit.NotFound, Hint: "install debian-archive-keyring, or name a keyring in the recipe (source.keyring)"},
	{Is: debian.ErrUnsatisfiable, Code: exit.BadInput},
	{Is: debian.ErrReplacesParent, Code: exit.BadInput},
	{Is: debian.ErrNoSource, Code: exit.BadInput},
	{Is: debian.ErrNoApt, Code: exit.NotSupported, Hint: "install apt, or build from a lock file"},
	{Is: debian.ErrNetwork, Code: exit.Failed, Hint: "look at the network, and at source.mirror in the recipe"},
	{Is: build.ErrOffline, Code: exit.Failed, Hint: "build without --offline"},
	{Is: foreign.ErrUnusable, Code: exit.Integrity, Hint: "whoever made it has to make it without that"},
	{Is: foreign.ErrLayer, Code: exit.NotFound},
	{Is: foreign.ErrForm, Code: exit.BadInput},
	{Is: foreign.ErrTool, Code: exit.NotSupported, Hint: "install it, or make a directory or a tar of the file, which can be imported"},
	{Is: registry.ErrNameless, Code: exit.Usage, Hint: "--name NAME says what to call it"},
	{Is: registry.ErrPlatform, Code: exit.NotSupported},
	{Is: oci.ErrRefused, Code: exit.Integrity, Hint: "the file is damaged, or not what it says it is"},
	{Is: deb.ErrChecksum, Code: exit.Integrity, Hint: "get the tarball again; if it is meant to be another one, change source.sha256"},
	{Is: build.ErrSource, Code: exit.BadInput, Hint: "change what source.directory or source.tarball names"},
	{Is: deb.ErrMalformed, Code: exit.Integrity, Hint: "the archive gives it like this; leave the package out, or take another version"},
	{Is: deb.ErrUndeclared, Code: exit.BadInput, Hint: "say what it is in the recipe ([declare])"},
	{Is: image.ErrConflict, Code: exit.BadInput, Hint: "leave one of the packages out, or the path (exclude.paths)"},
	{Is: rebuild.ErrDiffers, Code: exit.Integrity, Hint: "what a step's command makes must not depend on time, machine or order: see docs/finishing-steps.md"},
	{Is: sign.ErrKey, Code: exit.BadInput, Hint: "sessionctl key new makes one"},
	{Is: trust.ErrRefused, Code: exit.Integrity},
	{Is: trust.ErrInvalid, Code: exit.BadInput},
	{Is: layer.ErrRefused, Code: exit.BadInput},
	{Is: export.ErrForm, Code: exit.Usage},
	{Is: export.ErrExists, Code: exit.BadInput},
	{Is: export.ErrTool, Code: exit.NotSupported, Hint: "install it, or export to erofs, which needs no program"},
	{Is: registry.ErrNotOurs, Code: exit.BadInput, Hint: "image pull brings what image push sent"},
	{Is: registry.ErrOther, Code: exit.BadInput, Hint: "pull it, and build the same lock: a signature is over one image alone"},
	{Is: registry.ErrOvertaken, Code: exit.Busy, Hint: "try again"},
	{Is: registry.ErrVersion, Code: exit.NotSupported},
	{Is: registry.ErrRefused, Code: exit.Integrity, Hint: "do not use this registry until you know why"},
	{Is: osv.ErrNothing, Code: exit.BadInput, Hint: "records of Debian are what osv.dev has under Debian"},
	{Is: osv.ErrArchive, Code: exit.BadInput},
	{Is: osv.ErrTooMuch, Code: exit.BadInput},
	{Is: store.ErrNotFound, Code: exit.NotFound},
	{Is: store.ErrDamaged, Code: exit.Integrity, Hint: "sessionctl image verify --discard removes what is damaged"},
	{Is: store.ErrBusy, Code: exit.Busy},
	{Is: store.ErrVersion, Code: exit.NotSupported},
	{Is: store.ErrNotStore, Code: exit.BadInput},
	{Is: namespaces.ErrUnsupported, Code: exit.NotSupported, Hint: "sessionctl doctor says what this machine can do"},
}
