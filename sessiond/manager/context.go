package manager

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/profile"
)

// ContextSpec is what decides the root of a host context.
type ContextSpec struct {
	Name string
	// Upper is the directory of the writable layer.
	Upper string
	// First is the first of the ids on the host that stand for those inside.
	First uint32
	// Files, Links and Binds are the context's own, put into the finished root.
	Files []plan.File
	Links []plan.Link
	Binds []plan.Bind
	// Facts are files of which the caller decided by whether they are there.
	Facts []string
	// Path is put before the directories where programs are looked for.
	Path string
}

// Context returns the plan of a host context: the host's root under a layer that
// is kept, with root inside a nobody outside. /run is its own, so no socket of
// the host's services is in it but what names are looked up by; the state
// directory, where the layers lie, is hidden.
func (m *Manager) Context(c ContextSpec) (*plan.Plan, error) {
	initDir, err := m.InitDir()
	if err != nil {
		return nil, err
	}
	mounts, err := m.host.hostMounts()
	if err != nil {
		return nil, err
	}
	mounts = slices.DeleteFunc(mounts, func(h plan.HostMount) bool { return inside(h.Path, m.state) || !layered(h.Path) })
	live, _, err := m.host.projections(Projected{Resolv: true, Network: true, ZoneInfo: true, CA: "image"})
	if err != nil {
		return nil, err
	}
	root := identity.User{Name: "root", Home: "/root", Shell: "/bin/bash"}
	if !m.host.exists(root.Shell) {
		root.Shell = "/bin/sh"
	}
	env := environment(root, "", root.Shell, cmp.Or(m.host.language(), "C.UTF-8"), nil)
	// The terminal is that of whoever enters.
	env = slices.DeleteFunc(env, func(e plan.Environment) bool {
		return slices.Contains([]string{"NINEFOLD_PROFILE", "XDG_RUNTIME_DIR", "TERM"}, e.Name)
	})
	env = append(env,
		plan.Environment{Name: "PATH", Value: c.Path + ":" + searchPath},
		plan.Environment{Name: "NINEFOLD_CONTEXT", Value: c.Name},
		plan.Environment{Name: "debian_chroot", Value: c.Name}, // what Debian's shells show before the prompt
		plan.Environment{Name: "SYSTEMD_OFFLINE", Value: "1"})
	s := plan.Spec{
		Profile: "context:" + c.Name, User: planUser(root),
		Layers: []plan.Layer{{Kind: plan.LayerDir, Source: "/"}}, HostBase: true, HostMounts: mounts,
		Upper: &plan.Upper{Dir: c.Upper},
		Namespaces: plan.Namespaces{PID: true, IPC: true, UTS: true, Cgroup: true, Net: plan.NetHost,
			User: plan.UserRange, First: c.First},
		Privileges: plan.Privileges{Capabilities: profile.DefaultCapabilities()},
		Home:       "layer", InitDir: initDir, Environment: env,
		Files: c.Files,
	}
	// What /etc/resolv.conf leads to in /run, at its own place.
	for _, p := range live {
		if strings.HasPrefix(p.Dir, "/run/") {
			s.Lines = append(s.Lines, plan.Line{Op: plan.Bind{Source: p.Dir, Target: p.Dir, Optional: true,
				Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true, NoExec: true}}})
		}
	}
	s.Lines = append(s.Lines,
		plan.Line{Op: plan.Mkdir{Path: "/run/systemd/system", Mode: 0o755}},
		plan.Line{Op: plan.Mkdir{Path: "/run/lock", Mode: 0o1777}},
		plan.Line{Op: plan.Mount{Type: "tmpfs", Target: m.state, Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true, NoExec: true},
			Options: []string{"mode=0700", "size=4k"}}})
	for _, l := range c.Links {
		s.Lines = append(s.Lines, plan.Line{Op: l})
	}
	for _, b := range c.Binds {
		s.Lines = append(s.Lines, plan.Line{Op: b})
	}
	p, err := plan.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("context %s: %w", c.Name, err)
	}
	return p, nil
}

// ContextSize is what ninefold.toml bounds new contexts to, in bytes; 0 is nothing.
func (m *Manager) ContextSize() (int64, error) {
	c, err := m.configuration()
	return c.Contexts.Bytes(), err
}

func inside(name, dir string) bool {
	return name == dir || strings.HasPrefix(name, path.Clean(dir)+"/")
}

// layered reports whether the file system at name can be a layer with mapped
// ids: those without owners (a boot partition's vfat) cannot, and are left out.
func layered(name string) bool {
	var st unix.Statfs_t
	if unix.Statfs(name, &st) != nil {
		return false
	}
	const exfat, ntfs = 0x2011BAB0, 0x5346544e
	return st.Type != unix.MSDOS_SUPER_MAGIC && st.Type != exfat && st.Type != ntfs
}
