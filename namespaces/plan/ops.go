package plan

// Op is one step of a plan. The steps are executed in order by package
// namespaces; each prints as one line of a namespace file and is read back
// from it unchanged.
//
// Paths called Target, and those of Mkdir, Link, File and Unmount, are absolute names inside
// the session's root, resolved without leaving it (openat2 RESOLVE_IN_ROOT).
// A symbolic link on the way to one is followed only if root owns it: the
// session's user may own directories on that way, and could otherwise choose
// what a step hides (/etc, say, behind a line that names $home/x).
// Paths called Source are names on the host, opened before the session's root
// exists. A Target of Mount and Bind that does not exist is made: a directory
// (0755), or an empty file for a Bind whose Source is none.
type Op interface{ op() }

// Flags restrict a mount.
type Flags struct {
	ReadOnly, NoSuid, NoDev, NoExec bool
}

// LayerKind says how a Layer is mounted.
type LayerKind string

// The kinds of layer.
const (
	// LayerDir is a directory tree: the host's "/", a hard-link farm, a kept upper.
	LayerDir LayerKind = "dir"
	// LayerUpper is a directory that the overlay on / of another root wrote: what it
	// hides of the layers below stays hidden. It is no layer of other overlays.
	LayerUpper LayerKind = "upper"
	// LayerComposefs is a metadata-only erofs file, mounted without a loop
	// device, whose content lies in Data as a data-only lower.
	LayerComposefs LayerKind = "composefs"
	// LayerLoop is the same erofs on a loop device, with Data as an ordinary
	// lower that a whiteout layer hides (kernels before 6.5).
	LayerLoop LayerKind = "loop"
	// LayerErofs is an erofs file with its content, on a loop device.
	LayerErofs LayerKind = "erofs"
)

// Layer is one lower of an overlay.
type Layer struct {
	Kind LayerKind
	// Source is the directory or the erofs file.
	Source string
	// Data is the object directory; empty for LayerDir, LayerUpper and LayerErofs.
	Data string
	// Sub is a directory inside the layer that serves as its root: "" or "usr".
	// An overlay leaves out a layer that has no such directory.
	Sub string
	// Without are paths in a LayerDir, absolute below Source, that an image
	// above it removes: they are not seen.
	Without []string
	// Reader, if it is set, is who has to be allowed to read what a LayerDir shows:
	// what that user could not read there, nobody can read in the overlay, whatever
	// they are in the session.
	Reader *Reader
	// Origin says who had a hand in the layer.
	Origin Origin
}

// Reader is a user by the ids that the layer has on disk.
type Reader struct {
	UID, GID uint32
	Groups   []uint32
}

// Origin is the uid whose configuration or key brought a thing in. Zero is
// root: configuration that root alone can write, or a key that root trusts.
type Origin uint32

// Upper is the writable layer of an overlay.
type Upper struct {
	// Dir holds "upper" and "work" when the layer is kept; empty means a tmpfs
	// that is gone with the session. The overlays of one plan may share a
	// tmpfs.
	Dir string
	// Name keeps the uppers of a plan's overlays apart: "upper" and "work" lie
	// in the directory Name below Dir or the tmpfs, or in that itself when Name
	// is empty. It is a single path element.
	Name string
	// Size bounds a tmpfs in bytes; 0 is the kernel's default (half the memory).
	Size   int64
	Origin Origin
}

// NetMode is what a session's network is.
type NetMode string

// The network modes.
const (
	NetHost NetMode = "host" // the host's own network namespace
	NetNone NetMode = "none" // a namespace with lo alone
)

// UserMode says whether the session has a user namespace.
type UserMode string

// The user namespace modes.
const (
	UserHost   UserMode = "host"   // none
	UserMapped UserMode = "mapped" // its own, ids as on the host
	// UserRange is a namespace of its own whose ids 0 to 65535 are others on the
	// host, from Namespaces.First on. Layers are mounted with their ids mapped, so
	// that on disk the ids are those inside.
	UserRange UserMode = "range"
)

type (
	// Namespaces is always the first step: what is unshared. The mount
	// namespace always is.
	Namespaces struct {
		PID, IPC, UTS, Cgroup bool
		Net                   NetMode
		User                  UserMode
		First                 uint32 // with UserRange: what uid and gid 0 are on the host
		Hostname              string // with UTS; empty keeps the host's
	}

	// Overlay mounts the union of Lowers (topmost first) with Upper on Target.
	// A nil Upper makes it read-only.
	Overlay struct {
		Target string
		Lowers []Layer
		Upper  *Upper
		Flags  Flags
	}

	// Mount mounts a kernel file system: tmpfs, proc, sysfs, devpts, mqueue,
	// cgroup2, or dev (Ninefold's minimal /dev with Options naming extra host devices,
	// e.g. "dri/renderD128").
	Mount struct {
		Type    string
		Target  string
		Flags   Flags
		Options []string // "size=64m", "mode=1777"
	}

	// Bind makes the host's Source visible at Target. Source is opened, and a
	// missing Target made, with the credentials of Origin; Source is not
	// reached through one of /proc's links (RESOLVE_NO_MAGICLINKS).
	Bind struct {
		Source, Target string
		// Recursive takes the mounts below Source too, all with Flags.
		Recursive bool
		// AsUser opens Source with the credentials of the session's user
		// (Identity) though Origin is root: a home directory.
		AsUser bool
		// Optional skips a Source that does not exist.
		Optional bool
		// Make makes a Source that does not exist, and its missing parents, as
		// directories of whom it is opened as (0700, parents 0755). On the way a
		// symbolic link is followed only if root owns it, as to a Target.
		Make bool
		// Where says how Target's own content and Source's are joined.
		Where Where
		// Create sends what is written in the union to Source; without it a
		// union is read-only. It needs Where == Before: an overlay writes to
		// its topmost tree.
		Create bool
		Flags  Flags
		Origin Origin
	}

	// Disk mounts the ext4 file system in the host's regular file Source, which is
	// root's, on Target. One session at a time has it, until its last mount is
	// gone. What is DiskOwner's on it is UID's and GID's inside, and what these
	// make is DiskOwner's; nobody else's id can be on it. It has been made before,
	// with Size bytes at most.
	Disk struct {
		Source, Target string
		Size           int64
		UID, GID       uint32
		Flags          Flags
	}

	// Unmount takes the topmost mount off Target.
	Unmount struct{ Target string }

	// Chdir names the working directory for the first command; the last one
	// counts, and "/" takes the place of one that cannot be entered.
	Chdir struct{ Dir string }

	// Mkdir makes a directory that is not there yet, with its parents (0755 root).
	Mkdir struct {
		Path     string
		Mode     uint32
		UID, GID uint32
	}

	// Link makes a symbolic link at Path, in place of what is there unless
	// that is a non-empty directory.
	Link struct{ Text, Path string }

	// File writes a small file at Path, in place of what is there.
	File struct {
		Path     string
		Mode     uint32
		UID, GID uint32
		Content  string
	}

	// ReadOnly makes the mount at Target read-only, after everything inside has been made.
	ReadOnly struct{ Target string }

	// Identity is who the first command runs as, by the ids inside.
	Identity struct {
		UID, GID uint32
		Groups   []uint32
	}

	// Privileges is what the first command holds, and what it and everything
	// it starts can gain. Capabilities are names as in capabilities(7), lower
	// case.
	Privileges struct {
		// Capabilities the first command holds; they are in the bounding set.
		Capabilities []string
		// Bounding are those that it does not hold and a program that is setuid
		// or has file capabilities (sudo, ping) can give it. What is in neither
		// list leaves the bounding set.
		Bounding   []string
		NoNewPrivs bool
		// Seccomp names a filter: "" none, "default".
		Seccomp string
	}

	// Limit is an rlimit by its name in prlimit(1) ("nofile"), or a cgroup
	// limit ("memory", "tasks"), in the unit of its interface; Unlimited is no
	// limit. In an untrusted plan no rlimit is raised above the launcher's own.
	Limit struct {
		Name  string
		Value uint64
	}

	// Environment sets one variable of the first command's environment,
	// which is built from nothing; of several with one Name the last counts.
	Environment struct{ Name, Value string }
)

// Unlimited is the Limit.Value that takes a limit away.
const Unlimited = ^uint64(0)

// Where is the place of a bound tree in a union with what is there. A union
// is a deep overlay: directories that both trees have are merged at every
// depth. (Plan 9's union is one level deep.)
type Where string

// The places.
const (
	Replace Where = ""       // hides what is there
	After   Where = "after"  // bind -a: what is there wins
	Before  Where = "before" // bind -b: the new tree wins
)

func (Namespaces) op()  {}
func (Overlay) op()     {}
func (Mount) op()       {}
func (Bind) op()        {}
func (Disk) op()        {}
func (Unmount) op()     {}
func (Chdir) op()       {}
func (Mkdir) op()       {}
func (Link) op()        {}
func (File) op()        {}
func (ReadOnly) op()    {}
func (Identity) op()    {}
func (Privileges) op()  {}
func (Limit) op()       {}
func (Environment) op() {}
