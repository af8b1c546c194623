// Package profile reads what a login chooses: a base, a runtime, and how the
// session on them is isolated, kept and joined to the machine. A profile is a
// TOML file; reading one (Parse) is pure. Load finds profiles in directories
// and determines whose they are.
package profile

import (
	"errors"
	"fmt"

	"ninefold/internal/tomlfile"
	"ninefold/namespaces/plan"
)

// The errors a caller tells apart.
var (
	// ErrInvalid says that a profile cannot be used as it is written.
	ErrInvalid = errors.New("invalid profile")
	// ErrNotFound says that there is no profile of a name.
	ErrNotFound = errors.New("no such profile")
)

// HostBase is the base that is the running machine itself.
const HostBase = "host"

// Dynamic is the user of a guest.
const Dynamic = "dynamic"

// Kept is the home of a guest that the next one of the profile finds.
const Kept = "kept"

// Profile is one profile. The comments give the default of a key that the
// file leaves out.
type Profile struct {
	// Version of the format: 1. It has to be there.
	Version int `toml:"version"`
	// Name is [a-z0-9][a-z0-9._-]*, at most 64 bytes; a file called x.toml
	// holds the profile x. Default: the file's name.
	Name string `toml:"name"`
	// Summary is one line for people.
	Summary string `toml:"summary"`
	// Base is what the session stands on: "host" (the default), an image, "file:"
	// and the absolute path of an erofs file, or "context:" and the name of one of
	// root's contexts.
	Base string `toml:"base"`
	// Runtime is an image over the base. Default: none.
	Runtime string `toml:"runtime"`
	// Components are images over the runtime, topmost first. Default: none.
	Components []string `toml:"components"`
	// Compose is how a runtime joins the base: "merge" (its own packages over
	// the base), "full" (its whole chain, in place of the base), or "auto"
	// (the default: merge when that is known to work).
	Compose string `toml:"compose"`
	// Namespace holds lines of a namespace file (plan.ParseLines), and
	// NamespaceFile names one, relative to the profile's directory; at most
	// one of the two. Default: none.
	Namespace     string `toml:"namespace"`
	NamespaceFile string `toml:"namespace_file"`
	// Home is the user's home: "shared" with the host (the default), "dotfiles"
	// (shared, with settings and data of the profile's own), "kept" (a guest's, which
	// the profile's next guest finds, in profiles of root's), "private" (empty, gone
	// with the session), or "none" (nothing can be written).
	Home string `toml:"home"`
	// Tmp is /tmp: "private" (the default) or "shared" with the host.
	Tmp string `toml:"tmp"`
	// Devices are names below /dev that the session has besides null, zero,
	// full, random, urandom, tty and its terminals. Default: none.
	Devices []string `toml:"devices"`
	// Command is what runs when no command is given. Default: the user's shell.
	Command []string `toml:"command"`
	// Environment is added to the session's. Default: nothing.
	Environment map[string]string `toml:"environment"`
	// Limits are rlimits by their names in prlimit(1), and "memory" and
	// "tasks" of the whole session: whole numbers, sizes ("2G"), "unlimited".
	// Default: those of whoever starts the session.
	Limits map[string]any `toml:"limits"`

	Isolation Isolation `toml:"isolation"`
	Keep      Keep      `toml:"keep"`
	Project   Project   `toml:"project"`

	// File is where the profile was read; empty for a built-in one.
	File string `toml:"-"`
	// Origin is whose the profile is: root's, or that of the first uid that
	// can change the file or a directory above it.
	Origin plan.Origin `toml:"-"`

	lines  source
	limits []plan.Limit
}

// Isolation says which namespaces of its own the session has, and what its
// processes may do. A mount namespace it always has.
type Isolation struct {
	// PID, IPC, UTS and Cgroup namespaces. Default: false.
	PID    bool `toml:"pid"`
	IPC    bool `toml:"ipc"`
	UTS    bool `toml:"uts"`
	Cgroup bool `toml:"cgroup"`
	// Net is "host" (the default) or "none": a network with lo alone.
	Net string `toml:"net"`
	// User is "host" (the default), "mapped": a user namespace with the
	// host's ids, or "dynamic": that too, and a user made for the session alone,
	// which is a guest's (plan.Spec.Guest). An untrusted session is always mapped.
	User string `toml:"user"`
	// Hostname of a session with UTS. Default: the host's.
	Hostname string `toml:"hostname"`
	// Seccomp is "none" (the default) or "default": a filter that refuses the
	// system calls of system administration.
	Seccomp string `toml:"seccomp"`
	// Capabilities that the session's processes can have at most, by their
	// names in capabilities(7). "default" stands for what programs of a
	// distribution need to run as root in a container, "all" for every one.
	// Default: ["default"].
	Capabilities []string `toml:"capabilities"`
	// NoNewPrivs keeps setuid programs (sudo) from gaining anything. Default:
	// false. An untrusted session always has it.
	NoNewPrivs bool `toml:"no_new_privs"`
	// Broker gives the session the socket by which sessionctl host asks for
	// commands on the host, of which the host policy then decides. Default: true.
	Broker bool `toml:"broker"`
}

// Keep says what of the session stays.
type Keep struct {
	// Root: "no" (the default) throws away what is written outside the home;
	// "user" keeps it for the next session of this user in this profile.
	Root string `toml:"root"`
	// Size bounds what is thrown away, as it lies in memory: "512M". Default:
	// half of the memory.
	Size string `toml:"size"`
	// Park keeps what a logout throws away for a while, to be brought back.
	// Default: true. With a home that is thrown away it means nothing.
	Park bool `toml:"park"`

	size int64
}

// Project says what of the machine shows in a root that comes from an image.
// On the base "host" it is there anyway.
type Project struct {
	Identity  bool `toml:"identity"`   // the user in passwd and group; default true
	Resolv    bool `toml:"resolv"`     // /etc/resolv.conf; default true
	Hosts     bool `toml:"hosts"`      // /etc/hosts; default true
	MachineID bool `toml:"machine_id"` // /etc/machine-id; default true
	Timezone  bool `toml:"timezone"`   // /etc/localtime; default true
	Locale    bool `toml:"locale"`     // /etc/default/locale, /etc/locale.conf; default true
	CA        bool `toml:"ca"`         // the certificates the machine trusts; default true
	Fonts     bool `toml:"fonts"`      // the host's fonts; default false
	// Media is what is plugged in and mounted below /media and /run/media, as it
	// comes and goes, on every base; default false.
	Media bool `toml:"media"`
	// Screen is the X server that a guest sits at who logs in by lightdm; default
	// false. It means nothing to other sessions.
	Screen bool `toml:"screen"`
}

// source is where the lines of a profile come from.
type source struct {
	file   string
	first  int // the line of file on which text begins
	text   string
	origin plan.Origin
}

// defaults is a profile whose file says nothing.
func defaults() *Profile {
	return &Profile{
		Version:   1,
		Base:      HostBase,
		Compose:   "auto",
		Home:      "shared",
		Tmp:       "private",
		Isolation: Isolation{Net: "host", User: "host", Seccomp: "none", Capabilities: []string{"default"}, Broker: true},
		Keep:      Keep{Root: "no", Park: true},
		Project:   Project{Identity: true, Resolv: true, Hosts: true, MachineID: true, Timezone: true, Locale: true, CA: true},
	}
}

// host is the built-in profile: the running machine with a layer over it that
// is thrown away. Its PID and IPC namespaces end with the command, so that
// nothing it leaves running or in shared memory outlives it.
func host() *Profile {
	p := defaults()
	p.Name = "host"
	p.Summary = "this machine, with a layer over it that is thrown away"
	p.Isolation.PID = true
	p.Isolation.IPC = true
	return p
}

// guest is the built-in profile of a guest: this machine's programs, and nothing
// of its people.
func guest() *Profile {
	p := defaults()
	p.Name = "guest"
	p.Summary = "this machine's programs for a user that exists for one session, and leaves nothing"
	p.Home = "private"
	p.Isolation.User = Dynamic
	return p
}

// Guest reports whether the user of p's sessions exists for them alone.
func (p *Profile) Guest() bool { return p.Isolation.User == Dynamic }

// KeepsHome reports whether the home of p's guests is there again for the next one.
func (p *Profile) KeepsHome() bool { return p.Guest() && p.Home == Kept }

// ForGuest returns p as that of a guest: the user exists for one session, whose home
// is in memory and of which nothing is kept.
func (p *Profile) ForGuest() *Profile {
	g := *p
	g.Isolation.User = Dynamic
	g.Keep.Root = "no"
	if g.Home != "none" {
		g.Home = "private"
	}
	return &g
}

// OnFile is a profile of root's that stands on an image file, an absolute path.
// Like the built-in one it takes everything down with its command.
func OnFile(file string) (*Profile, error) {
	p := host()
	p.Name, p.Summary, p.Base = "file", "the image in "+file, "file:"+file
	if _, ok := ImageFile(p.Base); !ok {
		return nil, fmt.Errorf("%w: %q is no clean absolute path", ErrInvalid, file)
	}
	return p, nil
}

// Parse reads a profile; file is its name, for errors and as the name of the
// profile. The error is everything wrong that could be found, with file and
// line, and is ErrInvalid. A NamespaceFile is not read: that is Load's.
func Parse(file string, data []byte) (*Profile, error) {
	p, findings, err := parse(file, data)
	if err != nil {
		return nil, err
	}
	if len(findings) > 0 {
		return nil, &Error{findings}
	}
	return p, nil
}

// Check returns everything wrong with a profile, in the order of its lines.
func Check(file string, data []byte) tomlfile.Errors {
	_, err := Parse(file, data)
	return Findings(err)
}

// Findings takes the single errors out of one of this package's: nil for nil,
// one without a position for an error that is not about a line.
func Findings(err error) tomlfile.Errors {
	var all tomlfile.Errors
	switch {
	case err == nil:
		return nil
	case errors.As(err, &all):
		return all
	}
	return tomlfile.Errors{{Msg: err.Error(), Err: err}}
}

// Error is everything wrong with a profile. It is ErrInvalid.
type Error struct{ tomlfile.Errors }

// Is reports whether target is ErrInvalid.
func (e *Error) Is(target error) bool { return target == ErrInvalid }

// Unwrap returns e.Errors.
func (e *Error) Unwrap() error { return e.Errors }
