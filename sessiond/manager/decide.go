package manager

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"ninefold/namespaces/plan"
	"ninefold/roots/compat"
	"ninefold/roots/image"
	"ninefold/roots/store"
)

// ErrIncompatible says that a profile asks for a merge that would not work.
var ErrIncompatible = errors.New("the runtime does not fit on this base")

// decider decides one stack. It reads the store, and the host's libraries.
type decider struct {
	m     *Manager
	store *store.Store
	q     question
	base  []*image.Manifest // empty: the host
	run   []*image.Manifest
}

func (m *Manager) decide(ctx context.Context, s *store.Store, q question) (*stack, error) {
	d := &decider{m: m, store: s, q: q}
	var err error
	if !q.base.IsZero() {
		if d.base, err = s.Chain(q.base); err != nil {
			return nil, err
		}
	}
	if !q.runtime.IsZero() {
		if d.run, err = s.Chain(q.runtime); err != nil {
			return nil, err
		}
	}
	out := &stack{Version: stackVersion, Environment: map[string]string{}}
	if err := d.join(ctx, out); err != nil {
		return nil, err
	}
	if err := d.components(out); err != nil {
		return nil, err
	}
	if err := d.removed(out); err != nil {
		return nil, err
	}
	return out, d.facts(ctx, out)
}

// removed notes what the pieces remove of the host.
func (d *decider) removed(out *stack) error {
	if !out.OnHost {
		return nil // the layers of images say it themselves
	}
	for _, p := range out.Pieces {
		chain, err := d.store.Chain(p.Image)
		if err != nil {
			return err
		}
		own := slices.IndexFunc(chain, func(m *image.Manifest) bool { return m.ID() == p.Above }) + 1
		for _, m := range chain[own:] {
			for _, path := range m.Removed {
				out.Removed = append(out.Removed, "/"+path)
			}
		}
	}
	slices.Sort(out.Removed)
	out.Removed = slices.Compact(out.Removed)
	if n := len(out.Removed); n > plan.MaxWithout {
		return fmt.Errorf("%w: the images remove %d paths, and on the host at most %d can be hidden", ErrIncompatible, n, plan.MaxWithout)
	}
	return nil
}

// join decides how runtime and base come together.
func (d *decider) join(ctx context.Context, out *stack) error {
	whole := func(chain []*image.Manifest) piece {
		top := chain[len(chain)-1]
		return piece{Image: top.ID(), Name: top.Name}
	}
	out.OnHost = len(d.base) == 0
	switch {
	case len(d.run) == 0 && out.OnHost:
		out.Decision = Decision{Kind: "host", Reason: "the profile has no runtime"}
		return nil
	case len(d.run) == 0:
		out.Decision = Decision{Kind: "image", Reason: "the profile has no runtime"}
		out.Pieces = []piece{whole(d.base)}
		return nil
	}
	full := func(why Decision) {
		why.Kind = "full"
		out.Decision, out.Pieces, out.OnHost = why, []piece{whole(d.run)}, false
	}
	solved := d.run[0].Host != "" // against a host, and without a base of its own
	switch {
	case !out.OnHost && slices.ContainsFunc(d.run, func(m *image.Manifest) bool { return m.ID() == d.q.base }):
		out.Decision = Decision{Kind: "merge", Reason: "the runtime was built on this very base"}
		out.Pieces = []piece{whole(d.run)}
		return nil
	case d.q.compose == "full" && solved:
		return fmt.Errorf("%w: the runtime %s has no base of its own (from = \"host\"), so it cannot be used in full", ErrIncompatible, d.top())
	case d.q.compose == "full":
		full(Decision{Reason: "the profile says so"})
		return nil
	case d.q.compose == "auto" && len(d.run) == 1 && !solved:
		full(Decision{Reason: "the runtime is an image without a parent, and brings everything itself"})
		return nil
	}
	over := whole(d.run)
	if len(d.run) > 1 && !solved {
		over.Above = d.run[0].ID()
	}
	fits, err := d.fits(ctx, out, solved)
	if err != nil {
		return err
	}
	if fits.Kind != "merge" && d.q.compose == "auto" && !solved {
		full(fits)
		return nil
	}
	if fits.Kind != "merge" {
		return fmt.Errorf("%w: %s%s", ErrIncompatible, fits.Reason, firstOf(fits))
	}
	out.Decision = fits
	out.Pieces = []piece{over}
	if !out.OnHost {
		out.Pieces = append(out.Pieces, whole(d.base))
	}
	return nil
}

func (d *decider) top() string { return d.run[len(d.run)-1].Name }

// firstOf words the first things in the way, for an error.
func firstOf(f Decision) string {
	text := ""
	for i, m := range f.Missing {
		if i == 3 {
			return text + fmt.Sprintf("\nand %d more; see sessionctl explain", len(f.Missing)-i)
		}
		text += "\nmissing " + m.String()
	}
	for i, p := range f.Hidden {
		if i == 3 {
			return text + fmt.Sprintf("\nand %d more; see sessionctl explain", len(f.Hidden)-i)
		}
		text += "\nwould hide the base's /" + p
	}
	return text
}

// components put their own parts on top: what lies above the nearest image
// that they share with what is there already.
func (d *decider) components(out *stack) error {
	below := d.run
	if len(below) == 0 {
		below = d.base
	}
	var pieces []piece
	for _, id := range d.q.components {
		chain, err := d.store.Chain(id)
		if err != nil {
			return err
		}
		top := chain[len(chain)-1]
		shared := -1
		for i, m := range chain {
			if i < len(below) && below[i].ID() == m.ID() {
				shared = i
			}
		}
		switch {
		case shared < 0 && chain[0].Host != "" && out.OnHost:
			pieces = append(pieces, piece{Image: id, Name: top.Name})
		case shared < 0:
			return fmt.Errorf("%w: the component %s stands on %s, which neither the runtime nor the base stands on", ErrIncompatible, top.Name, chain[0].Name)
		case shared < len(chain)-1:
			pieces = append(pieces, piece{Image: id, Name: top.Name, Above: chain[shared].ID()})
		}
		for _, m := range chain[shared+1:] {
			maps.Copy(out.Environment, m.Environment)
		}
	}
	out.Pieces = append(pieces, out.Pieces...)
	return nil
}

// facts reads what a session start must know of the topmost whole image.
func (d *decider) facts(ctx context.Context, out *stack) error {
	chain := d.run
	if len(chain) == 0 {
		chain = d.base
	}
	own := map[string]string{}
	for _, m := range chain {
		maps.Copy(own, m.Environment)
	}
	maps.Copy(own, out.Environment) // the components' counts
	out.Environment = own
	if len(chain) == 0 {
		out.Facts = &imageFacts{Version: imageFactsVersion}
		return nil
	}
	built, err := d.store.Built(ctx, chain)
	if err != nil {
		return err
	}
	tree, err := image.Flatten(built)
	if err != nil {
		return err
	}
	out.Facts, err = factsOf(tree, d.store)
	return err
}

var _ compat.Objects = (*store.Store)(nil)
