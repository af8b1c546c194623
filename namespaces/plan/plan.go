// Package plan turns what a session should be (a Spec) into the ordered list
// of steps that makes it (a Plan). It is pure: no syscall, no clock, no disk.
// A Plan prints as a namespace file and reads back to the same Plan.
package plan

// Class says whether root's configuration alone made a composition.
type Class string

// The trust classes.
const (
	// Trusted: every layer, bind and line comes from root.
	Trusted Class = "trusted"
	// Untrusted: somebody else had a hand in it. It gets a user namespace,
	// nosuid, nodev and no_new_privs, and no flag overrides that.
	Untrusted Class = "untrusted"
)

// Plan is what package namespaces executes.
type Plan struct {
	Class Class
	Ops   []Op
}

// User is who the session is for.
type User struct {
	Name     string
	UID, GID uint32
	Groups   []uint32
	// GroupNames names GID and Groups where the host knows a name.
	GroupNames map[uint32]string
	Home       string
	Shell      string
}

// HostMount is a file system of the host mounted below "/", which an overlay
// of "/" alone would miss: "/usr", "/var". Flags are the host's own: a stick that
// the host mounts nosuid has no setuid program in a session either. ReadOnly
// counts for nothing, since what is written goes to the session's layer.
type HostMount struct {
	Path  string
	Flags Flags
}

// Part is a directory below "/" whose layers are its own: Top, which are what lies at
// Path themselves, over the directories Path of Layers, each topmost first; without
// Layers those of the root are below.
type Part struct {
	Path   string
	Top    []Layer
	Layers []Layer
	Flags  Flags
}

// Spec is everything that decides a session's view.
type Spec struct {
	Profile string
	User    User
	// Layers are topmost first; the last one is the base.
	Layers []Layer
	// Upper is the writable layer; nil makes the root read-only once it is
	// complete.
	Upper *Upper
	// Login is set for the view of a login, whose processes are the host's PAM
	// applications and user manager: /run, /dev and /sys are then the host's.
	// Compile refuses with ErrLogin what such processes would not get.
	Login bool
	// NoBroker keeps the way to commands on the host out of a login. Sessions that
	// are no logins never have it.
	NoBroker bool
	// Guest is set for a user that exists for this session alone: see guest.
	Guest bool
	// Others are the homes of other people, which a guest is not to see.
	Others []string
	// OwnRuntime gives a login a /run/user/UID of its own, which has to be there on
	// the host: for a user manager besides the one of user@UID.service.
	OwnRuntime bool
	// HostBase is set when the last layer is the host's "/"; then HostMounts
	// are overlaid one by one, but those at or below what Compile mounts
	// itself (/proc, /sys, /dev, /run, /tmp, the home).
	HostBase   bool
	HostMounts []HostMount

	// Parts are directories that have an overlay of their own, with Layers or layers
	// of their own below, and an upper that is kept apart as a mount point's is.
	Parts []Part

	// Over are directories of the host that lie over the same ones of images:
	// a file of the host's wins, and what is written goes to the session's layer.
	Over []string

	Namespaces Namespaces
	// Privileges.Capabilities are the most that any process of the session can
	// have. Root's first command holds them; another user's holds none and can
	// gain them as on the host.
	Privileges Privileges
	Limits     []Limit
	// Home: "shared" (or "") binds the user's home from the host, "dotfiles"
	// too, with the profile's own directories in the place of DotDirs;
	// "kept", a guest's in a profile of root's, is the file system in HomeDisk, of
	// Upper.Size bytes; "private" is a tmpfs, "none" an empty directory that nothing
	// can be written to, "layer" what the layers have there.
	Home     string
	HomeDisk string
	// Tmp: "private" (or "") is a tmpfs, "shared" the host's /tmp.
	Tmp string
	// Media lets in what the host has mounted below MediaDirs, and mounts there
	// later. Without it none of that is seen, on the host's root neither.
	Media bool
	// Devices are names below /dev to bind from the host.
	Devices []string
	// Project lists what of the machine is projected: see Projection.
	Projections []Projection
	// Files are written into the root: passwd, group.
	Files []File
	// Links are made in the root.
	Links []Link
	// InitDir is the host directory that holds ninefold-init; it is bound
	// read-only at /run/ninefold/lib.
	InitDir string
	// Lines are a profile's own namespace file, applied after everything else
	// is in place, with whose they are.
	Lines []Line
	// Environment of the first command.
	Environment []Environment
	// ProfileOrigin is whose the profile file is.
	ProfileOrigin Origin
}

// Projection makes a piece of the machine visible at the same name through a
// live directory: Dir is bound below /run/ninefold/machine, and Link (if any)
// becomes a symbolic link into it, so that a rename on the host is seen. The
// links are made even if an Optional Dir does not exist.
type Projection struct {
	Dir      string // "/etc"
	Links    []Link // {Text: "/run/ninefold/machine/etc/resolv.conf", Path: "/etc/resolv.conf"}
	Optional bool
	// Writable leaves Dir as the host has it, for records that are appended to.
	Writable bool
}

// Line is one parsed line of a namespace file with its origin.
type Line struct {
	Op     Op
	Origin Origin
}
