package manager

import (
	"context"
	"os"

	"ninefold/namespaces/plan"
	"ninefold/roots/image"
	"ninefold/roots/store"
	"ninefold/sessiond/profile"
)

// composition is what a session stands on.
type composition struct {
	layers []plan.Layer
	// onHost says that the last layer is the host's root.
	onHost bool
	// image is what is known of the image that is seen at /etc; nil when that
	// is the host's.
	image       *imageFacts
	environment map[string]string
	stack       *stack
	pieces      []piece
	images      []image.ID // that the profile names
	file        string     // the image file that is the base; "" is none
	context     *standing  // the context that is the base; nil is none
	parts       []plan.Part
	admission   admission
	// requires says that an image needs something of the machine.
	requires bool
	leases   []interface{ Close() error }
}

func (c *composition) release() {
	for _, l := range c.leases {
		l.Close()
	}
}

// files are what the leases are held by.
func (c *composition) files() (out []*os.File) {
	for _, l := range c.leases {
		switch l := l.(type) {
		case *store.Lease:
			out = append(out, l.File())
		case *os.File:
			out = append(out, l)
		}
	}
	return out
}

// hasShell reports whether a program is there, as far as it is known without
// mounting anything.
func (c *composition) hasShell(name string) bool {
	below := func(name string) bool {
		if c.image == nil || c.context != nil && c.onHost {
			_, err := os.Stat(name)
			return err == nil
		}
		return c.image.has(name)
	}
	if c.context != nil {
		return c.context.has(name, below)
	}
	return below(name)
}

func (c *composition) hasLocale(name string) bool {
	if c.image == nil || c.context != nil && c.context.record.Stands.Image == "" {
		return true // as the machine
	}
	return c.image.hasLocale(name)
}

// compose decides what a session of p stands on, and makes sure that it stays
// there until the composition is released when claim is set.
func (m *Manager) compose(ctx context.Context, p *profile.Profile, claim bool) (*composition, error) {
	if p.Base == profile.HostBase && p.Runtime == "" && len(p.Components) == 0 {
		return &composition{layers: []plan.Layer{{Kind: plan.LayerDir, Source: "/"}}, onHost: true,
			stack: &stack{Decision: Decision{Kind: "host", Reason: "the profile has no runtime"}}}, nil
	}
	if file, ok := profile.ImageFile(p.Base); ok {
		return m.composeFile(p, file)
	}
	if name, ok := profile.Context(p.Base); ok {
		return m.composeContext(ctx, p, name, claim)
	}
	return m.composeImages(ctx, p, claim)
}
