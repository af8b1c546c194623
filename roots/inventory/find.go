package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// Set is all images of a store, read once.
type Set struct {
	store  *store.Store
	images map[image.ID]*image.Manifest
	names  map[image.ID][]string
}

// Match is one package of one image that answers a question.
type Match struct {
	// Names are the tags of the image, sorted; none for one that has none.
	Names []string `json:"names"`
	// Image is what the image's recipe calls it.
	Image   string   `json:"image"`
	ID      image.ID `json:"id"`
	Package string   `json:"package"`
	Version string   `json:"version"`
	// By is the image of the chain that brought the package in.
	By string `json:"by"`
	// Hole is what was asked for and the package has, Source the source package
	// that it was found by, Fixed the first version of that without it, "" when there is none yet.
	Hole   string `json:"hole,omitempty"`
	Source string `json:"source,omitempty"`
	Fixed  string `json:"fixed,omitempty"`
}

// Load reads the images of s. One that is deleted meanwhile is left out.
func Load(ctx context.Context, s *store.Store) (*Set, error) {
	tags, err := s.Tags()
	if err != nil {
		return nil, err
	}
	ids, err := s.Images()
	if err != nil {
		return nil, err
	}
	w := &Set{store: s, images: make(map[image.ID]*image.Manifest, len(ids)), names: map[image.ID][]string{}}
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		m, err := s.Image(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		w.images[id] = m
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		w.names[tags[name]] = append(w.names[tags[name]], name)
	}
	return w, nil
}

// Packages lists every package that q asks for, by the names of the images.
func (w *Set) Packages(q Query) []Match {
	out := []Match{}
	for id := range w.images {
		for _, m := range w.chain(id) {
			for _, p := range m.Packages {
				if q.Matches(p.Name, p.Version) {
					out = append(out, w.match(id, p.Name, p.Version, m))
				}
			}
		}
	}
	return sorted(out)
}

// File lists the packages that hold the file at the absolute path name, as they
// hold it: a path in a directory that a merged /usr links to is looked for below
// /usr, other links are not followed, and diversions are not applied. A file that a
// later image of a chain has, too, is the later one's; a directory belongs to all
// that have it. What finishing steps deleted is not there.
func (w *Set) File(ctx context.Context, name string) ([]Match, error) {
	if !path.IsAbs(name) {
		return nil, fmt.Errorf("%w %q: a path begins with a slash", ErrQuery, name)
	}
	name = strings.TrimPrefix(path.Clean(name), "/")
	if first, _, below := strings.Cut(name, "/"); below && slices.Contains(pkg.UsrMerged, first) {
		name = "usr/" + name
	}
	if err := pkg.CheckPath(name); err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrQuery, name, err)
	}
	known := map[pkg.Digest]*pkg.Package{}
	var ids []pkg.Digest
	for _, m := range w.images {
		for _, d := range m.Digests() {
			if _, ok := known[d]; !ok {
				known[d] = nil
				ids = append(ids, d)
			}
		}
	}
	holding, err := w.store.Holding(ctx, ids, name)
	if err != nil {
		return nil, err
	}
	for i, d := range ids {
		known[d] = holding[i]
	}
	out := []Match{}
	for id := range w.images {
		out = append(out, w.holders(id, name, known)...)
	}
	return sorted(out), nil
}

// holders returns the packages of image id that hold name, in the order in
// which an image is put together: packages, removals, finishing.
func (w *Set) holders(id image.ID, name string, holding map[pkg.Digest]*pkg.Package) []Match {
	var out []Match
	for _, m := range w.chain(id) {
		lower := len(out)
		hold := func(p *pkg.Package) {
			if p == nil {
				return
			}
			if p.Entry(name).Kind != pkg.Dir {
				out, lower = slices.Delete(out, 0, lower), 0
			}
			out = append(out, w.match(id, p.Name, p.Version, m))
		}
		for _, r := range m.Packages {
			hold(holding[r.Digest])
		}
		if removes(m, name) {
			out = nil
		}
		lower = len(out)
		hold(holding[m.Finishing])
	}
	return out
}

// removes reports whether m deletes name, or a directory that it lies in, from
// its ancestors.
func removes(m *image.Manifest, name string) bool {
	for ; name != "."; name = path.Dir(name) {
		if _, ok := slices.BinarySearch(m.Removed, name); ok {
			return true
		}
	}
	return false
}

// chain returns the manifests of id and its ancestors, root first. The store
// does not take a record whose parent is not there; a longer chain than it reads
// is cut.
func (w *Set) chain(id image.ID) []*image.Manifest {
	var chain []*image.Manifest
	for m := w.images[id]; m != nil && len(chain) < 64; m = w.images[m.Parent] {
		chain = append(chain, m)
	}
	slices.Reverse(chain)
	return chain
}

func (w *Set) match(id image.ID, name, version string, by *image.Manifest) Match {
	return Match{Names: append([]string{}, w.names[id]...), Image: w.images[id].Name, ID: id, Package: name, Version: version, By: by.Name}
}

func sorted(l []Match) []Match {
	slices.SortFunc(l, func(a, b Match) int {
		return cmp.Or(slices.Compare(a.Names, b.Names), strings.Compare(a.Image, b.Image), slices.Compare(a.ID[:], b.ID[:]), strings.Compare(a.Package, b.Package))
	})
	return l
}
