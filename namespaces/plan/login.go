package plan

import (
	"errors"
	"fmt"
	"path"
	"slices"
)

// ErrLogin says that a spec asks for what a login session cannot have.
var ErrLogin = errors.New("not possible in a login")

// checkLogin refuses what the processes of a login would not get, rather than
// giving them less isolation than the profile says. They are started by the
// host's PAM applications and user manager, and join a mount, ipc and uts
// namespace alone; those of an untrusted view a user namespace too, without
// privileges, since ninefold-enter is what joins it.
func (c *compiler) checkLogin() error {
	s := &c.spec
	if !s.Login {
		return nil
	}
	no := func(format string, args ...any) error {
		return &problem{fmt.Sprintf("profile %s: ", s.Profile) + fmt.Sprintf(format, args...), ErrLogin}
	}
	n, p := s.Namespaces, s.Privileges
	switch {
	case s.Guest:
		return no("a guest's session is begun by sessionctl run, and no login has one")
	case n.PID:
		return no("a login has no PID namespace of its own; set isolation.pid = false")
	case n.Cgroup:
		return no("a login has no cgroup namespace of its own; set isolation.cgroup = false")
	case n.Net == NetNone:
		return no("a login has the host's network; set isolation.net = \"host\"")
	case n.User == UserMapped && c.plan.Class == Trusted, n.User == UserRange:
		return no("a login has no user namespace of its own; set isolation.user = \"host\"")
	case p.NoNewPrivs && c.plan.Class == Trusted:
		return no("a login has no no_new_privs; take it out of the profile's isolation")
	case p.Seccomp != "":
		return no("a login has no filter; take it out of the profile's isolation")
	}
	for _, l := range s.Lines {
		if target := targetOf(l.Op); belowAny(target, liveDirs[:]) {
			return no("the line %q would change the host, whose %s a login shares", PrintOp(l.Op), path.Dir(target))
		}
	}
	return nil
}

// liveDirs are the host's own in a login: what is made in them is made on the
// host.
var liveDirs = [...]string{"/run", "/dev", "/sys", "/proc"}

// targetOf is where a line makes or mounts something, "" if nowhere.
func targetOf(op Op) string {
	switch o := op.(type) {
	case Bind:
		return o.Target
	case Mount:
		return o.Target
	case Unmount:
		return o.Target
	case Mkdir:
		return o.Path
	case File:
		return o.Path
	case Link:
		return o.Path
	case ReadOnly:
		return o.Target
	}
	return ""
}

// loginKernel mounts /proc, /sys and /dev of a login: the host's own. Its
// terminals were opened on the host, its user manager keeps a part of
// /sys/fs/cgroup, and logind gives it the devices of its seat. What the user
// may do there is decided by owner and mode, as on the host.
func (c *compiler) loginKernel() {
	c.add(
		Bind{Source: "/proc", Target: "/proc", Recursive: true, Flags: inert},
		Bind{Source: "/sys", Target: "/sys", Recursive: true, Flags: inert},
		Bind{Source: "/dev", Target: "/dev", Recursive: true, Flags: Flags{NoSuid: true}},
	)
	if c.spec.Namespaces.IPC {
		c.add(
			Mount{Type: "tmpfs", Target: "/dev/shm", Flags: Flags{NoSuid: true, NoDev: true}, Options: []string{"mode=1777"}},
			Mount{Type: "mqueue", Target: "/dev/mqueue", Flags: inert},
		)
	}
}

// devicesOfHost reports whether b is the host's /dev in its own place, the one
// bind of an untrusted login with devices: its terminals are there. It is
// root's step, since no line can name that target, and what the user may open
// is decided as on the host.
func devicesOfHost(b Bind) bool {
	return b.Origin == 0 && b.Source == "/dev" && b.Target == b.Source && b.Where == Replace
}

// FollowsHost reports whether mounts that the host makes later below the
// source of b appear in an untrusted view too: in /run of a login, where logind
// mounts the user's directory after the view is made, and in MediaDirs. They
// come with the host's flags, and no_new_privs takes the use out of a setuid
// file there.
func FollowsHost(b Bind) bool {
	return b.Origin == 0 && (b.Source == "/run" || slices.Contains(MediaDirs[:], b.Source)) &&
		b.Target == b.Source && b.Recursive && b.Where == Replace
}

// Door is where the host's processes ask for namespaces; so do those of a
// login, for su and sudo inside.
const Door = "/run/ninefold/door"

// Broker is the directory of the socket by which a session has commands run on
// the host.
const Broker = "/run/ninefold/broker"

// loginVolatile mounts /run and /tmp of a login. /run is the host's, mounts that come
// later included: the user manager, the system bus and /run/user/UID are
// there. /run/ninefold alone is the view's own, with a way to the host's; and
// /run/user/UID, where the view has a user manager of its own.
func (c *compiler) loginVolatile() {
	own := path.Dir(Door)
	c.add(
		Bind{Source: "/run", Target: "/run", Recursive: true, Flags: Flags{NoSuid: true, NoDev: true}},
		Mount{Type: "tmpfs", Target: own, Flags: inert, Options: []string{"mode=0755", "size=1m"}},
		Bind{Source: own, Target: MachineDir + own, Flags: Flags{ReadOnly: true, NoSuid: true, NoDev: true, NoExec: true}},
		Link{Text: MachineDir + Door, Path: Door},
	)
	if c.spec.NoBroker {
		c.add(Mount{Type: "tmpfs", Target: MachineDir + Broker, Flags: inert, Options: []string{"mode=0755", "size=4k"}})
	} else {
		c.add(Link{Text: MachineDir + Broker, Path: Broker})
	}
	if c.spec.OwnRuntime {
		u := c.spec.User
		// As user-runtime-dir@.service makes it.
		c.add(Mount{Type: "tmpfs", Target: fmt.Sprintf("/run/user/%d", u.UID), Flags: Flags{NoSuid: true, NoDev: true},
			Options: []string{"mode=0700", fmt.Sprintf("uid=%d", u.UID), fmt.Sprintf("gid=%d", u.GID), "size=10%"}})
	}
	flags := Flags{NoSuid: true, NoDev: true}
	if c.spec.Tmp == "shared" {
		c.add(Bind{Source: "/tmp", Target: "/tmp", Flags: flags})
		return
	}
	c.add(Mount{Type: "tmpfs", Target: "/tmp", Flags: flags, Options: []string{"mode=1777"}})
	// Display managers run on the host, and X sockets have no other place.
	for _, d := range []string{"/tmp/.X11-unix", "/tmp/.ICE-unix"} {
		c.add(Bind{Source: d, Target: d, Optional: true, Flags: flags})
	}
}

// inLive reports whether a projected path is the host's in a login anyway.
func (c *compiler) inLive(p string) bool {
	return c.spec.Login && belowAny(p, liveDirs[:])
}
