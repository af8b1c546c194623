package inventory

import (
	"context"
	"errors"

	"ninefold/roots/image"
	"ninefold/roots/osv"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Holes lists the packages that have one of the holes, in every image. An
// image whose chain does not say of which release it is counts as of each that
// a hole is known of: rather one too many than one too few.
func (w *Set) Holes(ctx context.Context, holes []*osv.Hole) ([]Match, error) {
	found := map[pkg.Digest]Source{}
	releases := map[image.ID]string{}
	out := []Match{}
	for id := range w.images {
		for _, m := range w.chain(id) {
			if err := ctx.Err(); err != nil {
				return nil, context.Cause(ctx)
			}
			for _, p := range m.Packages {
				src, ok := found[p.Digest]
				if !ok {
					var err error
					src, err = SourceOf(w.store, p.Digest)
					if err != nil && !errors.Is(err, store.ErrNotFound) { // an image that is deleted meanwhile
						return nil, err
					}
					found[p.Digest] = src
				}
				hole, fixed, err := w.hole(ctx, id, src, holes, releases)
				if err != nil {
					return nil, err
				}
				if hole != "" {
					one := w.match(id, p.Name, p.Version, m)
					one.Hole, one.Source, one.Fixed = hole, src.Name, fixed
					out = append(out, one)
				}
			}
		}
	}
	return sorted(out), nil
}

// hole returns the first of holes that a source package has in an image.
func (w *Set) hole(ctx context.Context, id image.ID, src Source, holes []*osv.Hole, releases map[image.ID]string) (hole, fixed string, err error) {
	for _, h := range holes {
		for i := range h.Affected {
			a := &h.Affected[i]
			if src.Name == "" || a.Source != src.Name {
				continue
			}
			release, known := releases[id]
			if !known {
				if release, err = w.release(ctx, id); err != nil {
					return "", "", err
				}
				releases[id] = release
			}
			if release != "" && a.Release != "" && release != a.Release {
				continue
			}
			if has, fixed := a.Has(src.Version); has {
				return h.ID, fixed, nil
			}
		}
	}
	return "", "", nil
}
