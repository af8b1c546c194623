package manager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/config"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/profile"
)

// ContextSpec is what decides the root of a host context.
type ContextSpec struct {
	Name string
	// Upper is the directory of the writable layer; "" is for a look at what it lies
	// over, which cannot be written.
	Upper string
	// First is the first of the ids on the host that stand for those inside; 0 is for
	// a look, with the host's.
	First uint32
	// Image is the id of the image that it stands on, and Pin the directory with the
	// host as it was; "" are for none. With neither it stands on the host.
	Image, Pin string
	// Reader is the user whose context it is, by the host's ids: nobody in it, root
	// neither, reads of the host what that user could not. Nil is root, who may.
	Reader *plan.Reader
	// Shade is a directory with what is seen in the place of what the reader may not
	// read; "" is for nothing.
	Shade string
	// Parts are mount points that the layer has a layer of its own for.
	Parts []string
	// Files, Links and Binds are the context's own, put into the finished root.
	Files []plan.File
	Links []plan.Link
	Binds []plan.Bind
	// Facts are files of which the caller decided by whether they are there.
	Facts []string
	// Path is put before the directories where programs are looked for.
	Path string
}

// Context returns the plan of a context: the host's root, or another one, under a
// layer that is kept, with root inside a nobody outside. /run is its own, so no
// socket of the host's services is in it but what names are looked up by; the state
// directory, where the layers lie, is hidden. An image stays in the store for as
// long as one of the files is open, which are the caller's.
func (m *Manager) Context(ctx context.Context, c ContextSpec) (_ *plan.Plan, hold []*os.File, err error) {
	initDir, err := m.InitDir()
	if err != nil {
		return nil, nil, err
	}
	below, err := m.ground(ctx, c)
	if err != nil {
		return nil, nil, fmt.Errorf("context %s: %w", c.Name, err)
	}
	defer func() {
		if err != nil {
			below.release()
		}
	}()
	live, _, err := m.host.projections(Projected{Resolv: true, Network: true, ZoneInfo: true, CA: "image"})
	if err != nil {
		return nil, nil, err
	}
	root := identity.User{Name: "root", Home: "/root", Shell: "/bin/bash"}
	if !below.hasShell(root.Shell) {
		root.Shell = "/bin/sh"
	}
	language := cmp.Or(m.host.language(), "C.UTF-8")
	if !below.hasLocale(language) {
		language = "C.UTF-8"
	}
	env := environment(root, "", root.Shell, language, below.environment)
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
		Layers: below.layers, HostBase: below.onHost, HostMounts: below.mounts, Parts: below.parts,
		Namespaces: plan.Namespaces{PID: true, IPC: true, UTS: true, Cgroup: true, Net: plan.NetHost},
		Privileges: plan.Privileges{Capabilities: profile.DefaultCapabilities()},
		Home:       "layer", InitDir: initDir, Environment: env,
		Files: c.Files,
	}
	if c.Upper != "" {
		s.Upper = &plan.Upper{Dir: c.Upper}
	}
	if c.First != 0 {
		s.Namespaces.User, s.Namespaces.First = plan.UserRange, c.First
	}
	if !below.onHost {
		s.Projections = live // as the machine has it now
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
		plan.Line{Op: plan.Mkdir{Path: "/run/lock", Mode: 0o1777}})
	if below.onHost {
		s.Lines = append(s.Lines, plan.Line{Op: plan.Mount{Type: "tmpfs", Target: m.state, Flags: plan.Flags{ReadOnly: true, NoSuid: true, NoDev: true, NoExec: true},
			Options: []string{"mode=0700", "size=4k"}}})
	}
	for _, l := range c.Links {
		s.Lines = append(s.Lines, plan.Line{Op: l})
	}
	for _, b := range c.Binds {
		s.Lines = append(s.Lines, plan.Line{Op: b})
	}
	p, err := plan.Compile(s)
	if err != nil {
		return nil, nil, fmt.Errorf("context %s: %w", c.Name, err)
	}
	return p, below.files(), nil
}

// ContextSize is what ninefold.toml bounds new contexts to, in bytes; 0 is nothing.
func (m *Manager) ContextSize() (int64, error) {
	c, err := m.configuration()
	return c.Contexts.Bytes(), err
}

// ErrNoContexts says that somebody may have no contexts.
var ErrNoContexts = errors.New("no contexts for this user")

// UserContexts is what ninefold.toml says of the contexts of a user who is not root, and
// ErrNoContexts if there are to be none: contexts are for people who may log in.
func (m *Manager) UserContexts(uid uint32) (config.Contexts, error) {
	c, err := m.configuration()
	switch {
	case err != nil:
		return c.Contexts, err
	case !c.Contexts.Users:
		return c.Contexts, fmt.Errorf("%w: contexts.users in ninefold.toml says so", ErrNoContexts)
	case !identity.ReadLimits(identity.LimitsFile).Enters(uid, c.Login.Ranges()):
		return c.Contexts, fmt.Errorf("%w: uid %d is nobody who logs in", ErrNoContexts, uid)
	}
	return c.Contexts, nil
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
