package inventory

import (
	"context"

	"ninefold/roots/debversion"
	"ninefold/roots/image"
	"ninefold/roots/lock"
	"ninefold/roots/osv"
	"ninefold/roots/pkg"
)

// Outdated is a package of an image of which its archive has a newer version.
type Outdated struct {
	Match
	Newest string `json:"newest"`
	// Mends are the holes that the package has and the newer one does not, as
	// far as they are known.
	Mends []string `json:"mends"`
}

// Outdated compares the packages of an image and its ancestors with what is
// available, by the digest of the lock that each was built from: packages of a
// lock that is not there are left out. known may be nil.
func (w *Set) Outdated(ctx context.Context, id image.ID, available map[pkg.Digest]map[string]lock.Available, known *osv.Database) ([]Outdated, error) {
	out := []Outdated{}
	sources := map[int]Source{}
	names := map[string]bool{}
	for _, m := range w.chain(id) {
		for _, p := range m.Packages {
			now, ok := available[m.Lock][p.Name]
			if !ok || debversion.Compare(now.Version, p.Version) <= 0 {
				continue
			}
			src, err := SourceOf(w.store, p.Digest)
			if err != nil {
				return nil, err
			}
			one := Outdated{Match: w.match(id, p.Name, p.Version, m), Newest: now.Version, Mends: []string{}}
			one.Source, one.Fixed = src.Name, now.Source
			sources[len(out)] = src
			names[src.Name] = true
			out = append(out, one)
		}
	}
	if known == nil || len(out) == 0 {
		return out, nil
	}
	holes, err := known.Of(names)
	if err != nil {
		return nil, err
	}
	release, err := w.release(ctx, id)
	if err != nil {
		return nil, err
	}
	for i := range out {
		for _, h := range holes[sources[i].Name] {
			if mended(h, sources[i], out[i].Fixed, release) {
				out[i].Mends = append(out[i].Mends, h.ID)
			}
		}
	}
	return out, nil
}

// mended reports whether a source package has a hole that a later version of
// it has not.
func mended(h *osv.Hole, src Source, later, release string) bool {
	for i := range h.Affected {
		a := &h.Affected[i]
		if a.Source != src.Name || release != "" && a.Release != "" && release != a.Release {
			continue
		}
		has, _ := a.Has(src.Version)
		still, _ := a.Has(later)
		if has && !still {
			return true
		}
	}
	return false
}
