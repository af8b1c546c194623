package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ninefold/internal/regular"
	"ninefold/namespaces/plan"
	"ninefold/roots/contexts"
	"ninefold/roots/image"
	"ninefold/roots/store"
	"ninefold/sessiond/profile"
)

// ground is what a context stands on.
type ground struct {
	*composition
	mounts []plan.HostMount
	parts  []plan.Part
}

// ground finds the layers below a context, and which directories have their own.
func (m *Manager) ground(ctx context.Context, c ContextSpec) (_ *ground, err error) {
	host := []plan.Layer{{Kind: plan.LayerDir, Source: "/", Reader: c.Reader}}
	g := &ground{composition: &composition{layers: c.shaded(host), onHost: true}}
	switch {
	case c.Image != "" && c.Reader != nil:
		err = fmt.Errorf("%w: a user's context stands on the machine, and not on an image", errors.ErrUnsupported)
	case c.Image != "":
		g.composition, err = m.contextImage(ctx, c.Image)
	case c.Pin != "":
		g.composition = &composition{layers: c.shaded([]plan.Layer{{Kind: plan.LayerDir, Source: c.Pin, Reader: c.Reader}})}
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			g.release()
		}
	}()
	var mounts []plan.HostMount
	if g.onHost || c.Pin != "" {
		if mounts, err = m.host.hostMounts(); err != nil {
			return nil, err
		}
		mounts = slices.DeleteFunc(mounts, func(h plan.HostMount) bool { return inside(h.Path, m.state) || !layered(h.Path) })
	}
	taken := map[string]bool{"/": true}
	if g.onHost {
		g.mounts = mounts
		for _, h := range mounts {
			taken[h.Path] = true
		}
	}
	// The layer says which directories have a layer of their own.
	for _, name := range c.Parts {
		if st, err := os.Stat(name); taken[name] || err != nil || !st.IsDir() {
			continue
		}
		taken[name] = true
		p := plan.Part{Path: name}
		if c.Pin != "" && !pinned(name) {
			p.Layers = host
		}
		g.parts = append(g.parts, p)
	}
	if c.Pin == "" {
		return g, nil
	}
	if !taken[contexts.Homes] {
		g.parts = append(g.parts, plan.Part{Path: contexts.Homes, Layers: host})
	}
	for _, h := range mounts {
		if !taken[h.Path] && h.Path != contexts.Homes && !pinned(h.Path) && !inside(h.Path, "/tmp") {
			g.parts = append(g.parts, plan.Part{Path: h.Path, Layers: host, Flags: h.Flags})
		}
	}
	return g, nil
}

// shaded puts what a reader sees instead over layers.
func (c ContextSpec) shaded(layers []plan.Layer) []plan.Layer {
	if c.Shade == "" {
		return layers
	}
	return append([]plan.Layer{{Kind: plan.LayerDir, Source: c.Shade}}, layers...)
}

// contextImage composes an image that a context stands on: alone, or over the host
// when it was made over that.
func (m *Manager) contextImage(ctx context.Context, id string) (*composition, error) {
	s, err := m.Store()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	onHost, err := imageOnHost(s, id)
	if err != nil {
		return nil, err
	}
	p := &profile.Profile{Base: id, Compose: "auto"}
	if onHost {
		p.Base, p.Runtime = profile.HostBase, id
	}
	c := &composition{}
	if err := m.stackUp(ctx, s, p, c, true); err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

// imageOnHost reports whether an image was made over the host.
func imageOnHost(s *store.Store, name string) (bool, error) {
	id, err := s.Resolve(name)
	if err != nil {
		return false, &unbuilt{name, err}
	}
	chain, err := s.Chain(id)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(chain, func(m *image.Manifest) bool { return m.Host != "" }), nil
}

// ContextImage is what a context that is made on the image called name stands on:
// its id, and whether the host is below it. It is an error if it may not be used.
func (m *Manager) ContextImage(ctx context.Context, name string) (id string, onHost bool, err error) {
	c, err := m.contextImage(ctx, name)
	if err != nil {
		return "", false, err
	}
	defer c.release()
	return c.images[0].String(), c.onHost, nil
}

// HoldImages keeps images in the store for as long as what it returns is not
// called. Those that are not there are left out.
func (m *Manager) HoldImages(s *store.Store, ids []string) (release func()) {
	c := &composition{}
	for _, name := range ids {
		if id, err := s.Resolve(name); err == nil {
			if l, err := s.Lease(id); err == nil {
				c.leases = append(c.leases, l)
			}
		}
	}
	return c.release
}

// systemDirs are the directories that make the machine what it is: file systems
// there are part of a pin.
var systemDirs = []string{"/boot", "/etc", "/opt", "/root", "/srv", "/usr", "/var"}

func pinned(name string) bool {
	return slices.ContainsFunc(systemDirs, func(dir string) bool { return inside(name, dir) })
}

// wholeSystems are where programs keep images and roots of their own, which are no
// part of the machine: they are empty in a pin, as is what nobody relies on.
var wholeSystems = []string{"/var/lib/docker", "/var/lib/containers", "/var/lib/containerd", "/var/lib/lxc", "/var/lib/lxd", "/var/lib/machines",
	"/var/lib/libvirt/images", "/var/lib/portables", "/var/lib/snapd/snaps", "/var/tmp", "/var/cache/apt/archives"}

// Pin says what of the machine a context that is pinned now stands on.
func (m *Manager) Pin() (contexts.Pin, error) {
	p := contexts.Pin{Root: m.host.root, Without: append([]string{m.state, contexts.Homes, "/proc", "/sys", "/dev", "/run", "/tmp", "/mnt", "/media", "/n", "/lost+found"}, wholeSystems...)}
	mounts, err := m.host.hostMounts()
	if err != nil {
		return p, err
	}
	for _, h := range mounts {
		if pinned(h.Path) && !inside(h.Path, m.state) && layered(h.Path) {
			p.Across = append(p.Across, h.Path)
		}
	}
	swaps, err := regular.Read("/proc/swaps", 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // a kernel without any
	}
	for line := range strings.Lines(string(swaps)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "file" {
			p.Without = append(p.Without, filepath.Clean(f[0]))
		}
	}
	return p, err
}
