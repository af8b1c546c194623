package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"ninefold/internal/regular"
	"ninefold/namespaces/plan"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/profile"
)

// composeImages finds the images that p names, decides how they are put
// together, or reads what was decided before, and returns their layers.
func (m *Manager) composeImages(ctx context.Context, p *profile.Profile, claim bool) (*composition, error) {
	s, err := m.Store()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	c := &composition{}
	if err := m.stackUp(ctx, s, p, c, claim); err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

func (m *Manager) stackUp(ctx context.Context, s *store.Store, p *profile.Profile, c *composition, claim bool) error {
	q, err := questionOf(s, p)
	if err != nil {
		return err
	}
	c.images = q.all()
	if claim {
		// Before anything is read of the images, so that nothing is collected
		// in between. A lease covers the ancestors too.
		for _, id := range q.all() {
			l, err := s.Lease(id)
			if err != nil {
				return err
			}
			c.leases = append(c.leases, l)
		}
	}
	if err := m.admit(ctx, s, p, c); err != nil {
		return err
	}
	if err := m.suits(ctx, s, c); err != nil {
		return err
	}
	k := m.readStack(q)
	if k == nil {
		if k, err = m.decide(ctx, s, q); err != nil {
			return err
		}
		_ = m.keepStack(q, k) // kept to save time alone
	}
	c.stack, c.pieces, c.onHost, c.environment = k, k.Pieces, k.OnHost, k.Environment
	if len(k.Pieces) > 0 {
		c.image = k.Facts
	}
	for _, piece := range k.Pieces {
		layers, err := m.layersOf(ctx, s, piece)
		if err != nil {
			return err
		}
		if slices.Contains(c.admission.untrusted, piece.Image) {
			for i := range layers {
				layers[i].Origin = outsider
			}
		}
		c.layers = append(c.layers, layers...)
	}
	if c.onHost {
		c.layers = append(c.layers, plan.Layer{Kind: plan.LayerDir, Source: "/", Without: k.Removed})
	}
	return nil
}

// questionOf resolves the names in p.
func questionOf(s *store.Store, p *profile.Profile) (question, error) {
	q := question{compose: p.Compose}
	resolve := func(what, name string) (image.ID, error) {
		id, err := s.Resolve(name)
		if err != nil {
			return id, fmt.Errorf("%s: %w", what, &unbuilt{name, err})
		}
		return id, nil
	}
	var err error
	if p.Base != profile.HostBase {
		if q.base, err = resolve("base", p.Base); err != nil {
			return q, err
		}
	}
	if p.Runtime != "" {
		if q.runtime, err = resolve("runtime", p.Runtime); err != nil {
			return q, err
		}
	}
	for _, name := range p.Components {
		id, err := resolve("component", name)
		if err != nil {
			return q, err
		}
		q.components = append(q.components, id)
	}
	return q, nil
}

// unbuilt is an image that a profile names and the store does not have.
type unbuilt struct {
	name string
	err  error
}

func (e *unbuilt) Error() string { return e.err.Error() }
func (e *unbuilt) Unwrap() error { return e.err }

// Hint says how to get the image.
func (e *unbuilt) Hint() string {
	if errors.Is(e.err, store.ErrNotFound) {
		return "sessionctl image build " + e.name
	}
	return ""
}

// Forget removes what was kept about images and packages that the store no
// longer has.
func (m *Manager) Forget(s *store.Store) error {
	err := m.sweepRecords("stacks", func(file string) bool {
		b, err := regular.Read(file, maxRecord)
		if err != nil {
			return false
		}
		k, err := decodeStack(b)
		if err != nil {
			return false
		}
		for _, p := range k.Pieces {
			if !s.HasImage(p.Image) {
				return false
			}
		}
		return true
	})
	return errors.Join(err, m.sweepRecords("packages", func(file string) bool {
		id, err := pkg.ParseDigest(nameOf(file))
		return err == nil && s.HasPackage(id)
	}), m.sweepRecords(decisions, func(file string) bool {
		b, err := regular.Read(file, maxRecord)
		return err == nil && decided.Holds(b)
	}))
}
