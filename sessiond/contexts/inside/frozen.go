package inside

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ninefold/namespaces/plan"
	"ninefold/roots/contexts"
)

// freeze has those overlays of a plan that lie over the machine's file systems lie
// over snapshots of them: then a change of the machine is not seen by who is in the
// context meanwhile. That is all that packages bring, or nothing: what is half old
// is worse than what changes. It reports whether it did so.
func (i *Roots) freeze(r contexts.Record, p *plan.Plan) (bool, error) {
	if r.Stands.Elsewhere() {
		return false, nil
	}
	ops := slices.Clone(p.Ops)
	for n, op := range ops {
		o, ok := op.(plan.Overlay)
		if !ok {
			continue
		}
		o.Lowers = slices.Clone(o.Lowers)
		for k, l := range o.Lowers {
			if l.Kind != plan.LayerDir || l.Source != "/" {
				continue
			}
			snapshot, err := i.store.Freeze(r, filepath.Join(l.Source, l.Sub))
			if err != nil {
				return false, fmt.Errorf("context %s: %w", r.Name, err)
			}
			if snapshot == "" && ofPackages(o.Target) {
				return false, i.store.Thaw(r)
			}
			if snapshot != "" {
				l.Source, l.Sub = snapshot, ""
				o.Lowers[k] = l
			}
		}
		ops[n] = o
	}
	p.Ops = ops
	return true, nil
}

// ofPackages reports whether dpkg writes below a directory, and programs read what
// it has written there while they run.
func ofPackages(dir string) bool {
	for _, top := range []string{"/", "/usr", "/etc", "/var", "/opt"} {
		if dir == top || top != "/" && strings.HasPrefix(dir, top+"/") {
			return true
		}
	}
	return false
}

// settle keeps, behind the last one in a context, those of the machine's files that
// were changed in it, and then removes the snapshots that it lay over.
func (i *Roots) settle(ctx context.Context, r contexts.Record) error {
	keep := func(root string) error { return i.store.KeepOriginals(ctx, r, root, time.Now()) }
	var err error
	switch {
	case r.Stands.Elsewhere(): // an image or a pin has them itself
	case r.Owner == 0:
		err = keep("/")
	default:
		err = i.over(ctx, r, keep)
	}
	if err != nil {
		return err
	}
	return i.store.Thaw(r)
}

// thaw settles what one left that was killed.
func (i *Roots) thaw(r contexts.Record) error {
	if !i.store.Frozen(r) {
		return nil
	}
	now, err := i.store.Again(r)
	if err != nil {
		return err
	}
	return i.settle(context.Background(), now)
}
