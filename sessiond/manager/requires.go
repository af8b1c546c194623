package manager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ninefold/roots/debversion"
	"ninefold/roots/image"
	"ninefold/roots/requires"
	"ninefold/roots/requires/detect"
	"ninefold/roots/store"
)

// ErrRequires says that an image needs what this machine does not have.
var ErrRequires = errors.New("this machine is not what it needs")

// Unfit is an image that needs what the machine does not have with a kernel.
type Unfit struct {
	Image string          `json:"image"`
	Lacks []requires.Lack `json:"lacks"`
	// Nearest is the installed kernel that is nearest to the one that was asked
	// for and has all that the image needs; "" where none has.
	Nearest string `json:"nearest,omitempty"`
}

// suits is an error that wraps ErrRequires when an image of c needs what the
// machine does not have. It looks at the machine only for images that need something.
func (m *Manager) suits(ctx context.Context, s *store.Store, c *composition) error {
	for _, id := range c.images {
		chain, err := s.Chain(id)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(chain, func(i *image.Manifest) bool { return !i.Requires.IsZero() }) {
			continue
		}
		c.requires = true
		if lacks := lacking(chain, m.having(ctx, s, detect.Running())); len(lacks) > 0 {
			said := make([]string, len(lacks))
			for i, l := range lacks {
				said[i] = l.String()
			}
			return fmt.Errorf("image %s: %w: %s", chain[len(chain)-1].Name, ErrRequires, strings.Join(said, "; "))
		}
	}
	return nil
}

// having is what the machine has with a kernel.
func (m *Manager) having(ctx context.Context, s *store.Store, kernel string) requires.Machine {
	has := detect.Machine(ctx, m.host.root, kernel)
	has.Image = func(ref string) bool {
		_, err := s.Resolve(ref)
		return err == nil
	}
	return has
}

// lacking is what an image and its ancestors need and the machine does not have, each once.
func lacking(chain []*image.Manifest, has requires.Machine) []requires.Lack {
	var out []requires.Lack
	for _, i := range chain {
		for _, l := range i.Requires.On(has) {
			if !slices.Contains(out, l) {
				out = append(out, l)
			}
		}
	}
	return out
}

// Lacks is what the image needs and this machine does not have.
func (m *Manager) Lacks(ctx context.Context, s *store.Store, id image.ID) ([]requires.Lack, error) {
	chain, err := s.Chain(id)
	if err != nil {
		return nil, err
	}
	return lacking(chain, m.having(ctx, s, detect.Running())), nil
}

// Unfit lists the named images that need what the machine would not have with a kernel,
// which need not be installed: then it has no modules.
func (m *Manager) Unfit(ctx context.Context, s *store.Store, kernel string) ([]Unfit, error) {
	tags, err := s.Tags()
	if err != nil {
		return nil, err
	}
	var nearest []requires.Machine
	for _, version := range nearestFirst(detect.Installed(m.host.root), kernel) {
		nearest = append(nearest, m.having(ctx, s, version))
	}
	has := m.having(ctx, s, kernel)
	out := []Unfit{}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		chain, err := s.Chain(tags[name])
		if err != nil {
			return nil, err
		}
		u := Unfit{Image: name, Lacks: lacking(chain, has)}
		if len(u.Lacks) == 0 {
			continue
		}
		if i := slices.IndexFunc(nearest, func(other requires.Machine) bool { return len(lacking(chain, other)) == 0 }); i >= 0 {
			u.Nearest = nearest[i].Kernel
		}
		out = append(out, u)
	}
	return out, nil
}

// nearestFirst orders kernels: those before the wanted one, the newest first, and then
// those after it, the oldest first.
func nearestFirst(installed []string, wanted string) []string {
	var before, after []string
	for _, v := range installed {
		switch c := debversion.Compare(v, wanted); {
		case c < 0:
			before = append(before, v)
		case c > 0:
			after = append(after, v)
		}
	}
	slices.SortFunc(before, func(a, b string) int { return debversion.Compare(b, a) })
	slices.SortFunc(after, debversion.Compare)
	return append(before, after...)
}
