package plan

import (
	"cmp"
	"fmt"
	"slices"
)

// inert is what a mount gets that holds neither programs nor devices.
var inert = Flags{NoSuid: true, NoDev: true, NoExec: true}

// kernel mounts what comes from the kernel: /proc, /sys and /dev.
func (c *compiler) kernel() {
	if c.spec.Login {
		c.loginKernel()
		return
	}
	n := c.spec.Namespaces
	if n.PID {
		c.add(Mount{Type: "proc", Target: "/proc", Flags: inert})
	} else {
		c.add(Bind{Source: "/proc", Target: "/proc", Recursive: true, Flags: inert})
	}
	readOnly := inert
	readOnly.ReadOnly = true
	if n.Net == NetNone {
		// The host's sysfs would show the host's network devices.
		c.add(Mount{Type: "sysfs", Target: "/sys", Flags: readOnly})
	} else {
		// Of what is mounted in there, only the cgroup hierarchy: tracing,
		// debugging and BPF are for the machine's keeper.
		c.add(
			Bind{Source: "/sys", Target: "/sys", Flags: readOnly},
			Bind{Source: "/sys/fs/cgroup", Target: "/sys/fs/cgroup", Optional: true, Flags: readOnly},
		)
	}
	shm := []string{"mode=1777"}
	if c.spec.Guest {
		shm = c.sized(shm...)
	}
	c.add(
		Mount{Type: "dev", Target: "/dev", Flags: Flags{NoSuid: true, NoExec: true}, Options: someOf(c.spec.Devices)},
		// The group tty is 5 in Debian, Fedora and in systemd.
		Mount{Type: "devpts", Target: "/dev/pts", Flags: Flags{NoSuid: true, NoExec: true},
			Options: []string{"newinstance", "gid=5", "mode=0620", "ptmxmode=0666"}},
		Mount{Type: "tmpfs", Target: "/dev/shm", Flags: Flags{NoSuid: true, NoDev: true}, Options: shm},
	)
	if n.IPC {
		c.add(Mount{Type: "mqueue", Target: "/dev/mqueue", Flags: inert})
	}
}

// volatile mounts /run and /tmp.
func (c *compiler) volatile() {
	if c.spec.Login {
		c.loginVolatile()
		return
	}
	u := c.spec.User
	runtime := fmt.Sprintf("/run/user/%d", u.UID)
	c.add(
		Mount{Type: "tmpfs", Target: "/run", Flags: Flags{NoSuid: true, NoDev: true}, Options: []string{"mode=0755"}},
		// The directory stays when the host has none to bind over it.
		Mkdir{Path: runtime, Mode: 0o700, UID: u.UID, GID: u.GID},
	)
	if c.spec.Namespaces.User != UserRange && !c.spec.Guest { // what is the host's user's is nobody's there
		c.add(Bind{Source: runtime, Target: runtime, Recursive: true, AsUser: u.UID != 0, Optional: true, Flags: Flags{NoSuid: true, NoDev: true}})
	}
	if c.spec.Guest {
		c.add(Mount{Type: "tmpfs", Target: "/tmp", Flags: Flags{NoSuid: true, NoDev: true}, Options: c.sized("mode=1777")})
	} else if c.spec.Tmp == "shared" {
		c.add(Bind{Source: "/tmp", Target: "/tmp", Flags: Flags{NoSuid: true, NoDev: true}})
	} else {
		c.add(Mount{Type: "tmpfs", Target: "/tmp", Flags: Flags{NoSuid: true, NoDev: true}, Options: []string{"mode=1777"}})
	}
}

// systemDirs are where the homes of system users lie that are no homes: bin's
// is /bin, daemon's /usr/sbin.
var systemDirs = [...]string{
	"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/n",
	"/proc", "/run", "/sbin", "/sys", "/usr",
}

// ownHome reports whether the user's home is a directory of the user's own,
// which can be mounted without hiding a part of the system.
func (c *compiler) ownHome() bool {
	home := c.spec.User.Home
	return home != "" && !slices.Contains([]string{"/", "/home", "/tmp", "/var", "/nonexistent"}, home) &&
		!belowAny(home, systemDirs[:])
}

func (c *compiler) home() {
	u := c.spec.User
	if c.spec.Guest {
		c.mask()
	}
	if !c.ownHome() {
		c.add(Chdir{"/"})
		return
	}
	flags := Flags{NoSuid: true, NoDev: true}
	owner := []string{fmt.Sprintf("uid=%d", u.UID), fmt.Sprintf("gid=%d", u.GID)}
	switch c.spec.Home {
	case "private":
		c.add(Mount{Type: "tmpfs", Target: u.Home, Flags: flags, Options: c.sized(append([]string{"mode=0700"}, owner...)...)})
	case "kept":
		c.keptHome(flags)
	case "layer":
	case "none":
		// Read-only at the end, after the profile's lines have made mount points.
		c.add(Mount{Type: "tmpfs", Target: u.Home, Flags: inert, Options: append([]string{"mode=0700", "size=64k"}, owner...)})
		c.readOnly = append(c.readOnly, u.Home)
	default:
		c.add(Bind{Source: u.Home, Target: u.Home, Recursive: true, AsUser: u.UID != 0, Optional: true, Flags: flags})
	}
	if c.spec.Home == "dotfiles" {
		c.dotfiles(flags)
	}
	c.add(Chdir{u.Home})
}

// sized adds the bound of what is thrown away to the options of a tmpfs.
func (c *compiler) sized(options ...string) []string {
	if up := c.spec.Upper; up != nil && up.Size > 0 {
		options = append(options, fmt.Sprintf("size=%d", up.Size))
	}
	return options
}

// machine projects the machine and the user into the root.
func (c *compiler) machine() {
	flags := inert
	flags.ReadOnly = true
	var bound []string
	for _, p := range c.spec.Projections {
		if !slices.Contains(bound, p.Dir) {
			flags.ReadOnly = !p.Writable
			c.add(Bind{Source: p.Dir, Target: MachineDir + p.Dir, Optional: p.Optional, Flags: flags})
			bound = append(bound, p.Dir)
		}
		for _, l := range p.Links {
			if !c.inLive(l.Path) {
				c.add(l)
			}
		}
	}
	for _, f := range c.spec.Files {
		c.add(f)
	}
	for _, l := range c.spec.Links {
		c.add(l)
	}
}

// own puts in what a session has of Ninefold: the programs that run inside,
// and a record by which they know where they are.
func (c *compiler) own() {
	if c.spec.InitDir != "" {
		c.add(Bind{Source: c.spec.InitDir, Target: LibDir, Flags: Flags{ReadOnly: true, NoSuid: true, NoDev: true}})
	}
	c.add(File{Path: SessionFile, Mode: 0o444,
		Content: fmt.Sprintf("profile=%s\nclass=%s\nuser=%s\nhome=%s\n", c.spec.Profile, c.plan.Class, c.spec.User.Name, cmp.Or(c.spec.Home, "shared"))})
}
