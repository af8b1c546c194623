package deb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// Names by which a layer speaks of the layers below it (OCI image spec, layer.md).
const (
	whiteout = ".wh."
	opaque   = whiteout + whiteout + ".opq"
)

// Layer is one layer of a container's image.
type Layer struct {
	// Name is how messages call it.
	Name string
	// Open opens its tar, plain or compressed as FromTar takes it.
	Open func(context.Context) (io.ReadCloser, error)
	// Sum is the sha256 of the tar when it is not compressed; zero asks for none.
	Sum pkg.Digest
}

// Notes are what was left out of a package, and what somebody may stumble over.
type Notes struct {
	// Removed are paths that the layers remove and none of them holds, sorted: they
	// are meant for what lies below.
	Removed []string
	// Devices are the device nodes below dev/, where every session has its own.
	Devices int
	// Collisions are paths that differ in nothing but the case of letters from
	// the one before, the first few in order.
	Collisions []string
}

// maxRemoved bounds what the layers of an image remove.
const maxRemoved = 1 << 20

// FromLayers makes one package of the layers of a container's image, lowest
// first, as their union: what a layer removes or replaces of those below is gone. Paths
// and links are as they are written, without a merged /usr. Devices below dev/
// are left out; for everything else the rules of FromTar hold. In addition a layer cannot
// write through a link of a layer below: where engines do not agree, it is refused.
// Of several entries for one path in a layer the last one counts.
//
// All layers together are bounded as one package is.
func FromLayers(ctx context.Context, layers []Layer, as Identity, into Objects, o Options) (*pkg.Package, *Notes, error) {
	o.AsIs = true
	notes := &Notes{}
	union := newTree()
	removed := map[string]bool{}
	left := int64(maxContent)
	if o.MaxContent > 0 {
		left = min(left, o.MaxContent)
	}
	for _, l := range layers {
		im, err := newImporter(ctx, into, o)
		if err != nil {
			return nil, nil, err
		}
		im.below, im.devices, im.t.last, im.t.below = &hidden{}, &notes.Devices, true, union
		n, err := im.layer(ctx, l, left, o)
		if err == nil {
			left -= n
			err = im.t.over(union, im.below, removed)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("layer %s: %w", l.Name, err)
		}
		union = im.t
	}
	for path := range removed {
		notes.Removed = append(notes.Removed, path)
	}
	slices.Sort(notes.Removed)
	p, err := asIs(union, as)
	if err != nil {
		return nil, nil, fmt.Errorf("image %s: %w", as.Name, err)
	}
	notes.collisions(p)
	return p, notes, nil
}

// asIs is the package of a tree without anything that scripts would declare.
func asIs(t *tree, as Identity) (*pkg.Package, error) {
	p := &pkg.Package{Name: as.Name, Version: as.Version, Arch: as.Arch, Entries: t.entries(&excluder{})}
	p.Sort()
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return p, nil
}

// layer reads one layer and returns how many bytes it has unpacked.
func (im *importer) layer(ctx context.Context, l Layer, limit int64, o Options) (int64, error) {
	r, err := l.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	head := make([]byte, 6)
	k, err := io.ReadFull(r, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return 0, err
	}
	h := sha256.New()
	n := int64(0)
	err = unpack(ctx, "tar"+compression(head[:k]), "tar", io.MultiReader(bytes.NewReader(head[:k]), r), limit, o, func(r io.Reader) error {
		counted := io.TeeReader(r, countTo{h, &n})
		if err := im.tar(counted); err != nil {
			return err
		}
		return zeros(counted)
	})
	if err != nil {
		return 0, err
	}
	if !l.Sum.IsZero() {
		return n, compare(pkg.Digest(h.Sum(nil)), l.Sum)
	}
	return n, nil
}

type countTo struct {
	w io.Writer
	n *int64
}

func (c countTo) Write(p []byte) (int, error) {
	*c.n += int64(len(p))
	return c.w.Write(p)
}

// hidden is what a layer says of those below it.
type hidden struct {
	paths   []string // that are not there any more
	opaque  []string // directories that are empty but for the layer's own; "" is the root
	written int
}

// hide notes a whiteout. Whatever it is besides does not count.
func (im *importer) hide(path string) error {
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	for up := range strings.SplitSeq(dir, "/") {
		if strings.HasPrefix(up, whiteout+whiteout) {
			return nil // notes of AUFS for itself
		}
		if strings.HasPrefix(up, whiteout) {
			return malformed("%s: it lies below a whiteout", short(path))
		}
	}
	h := im.below
	if h.written++; h.written > maxRemoved {
		return malformed("more than %d whiteouts", maxRemoved)
	}
	if name == opaque {
		h.opaque = append(h.opaque, dir)
		return nil
	}
	target := strings.TrimPrefix(name, whiteout)
	if strings.HasPrefix(target, whiteout) {
		return nil
	}
	if target == "" || target == "." || target == ".." {
		return malformed("%s: a whiteout of nothing", short(path))
	}
	if dir != "" {
		target = dir + "/" + target
	}
	h.paths = append(h.paths, target)
	return nil
}

// over lays the layer t over the union of those below it: t becomes the union.
// removed are the paths that layers removed in vain.
func (t *tree) over(union *tree, h *hidden, removed map[string]bool) error {
	gone, emptied := map[string]bool{}, map[string]bool{}
	for _, p := range h.paths {
		gone[p] = true
		if union.nodes[p] == nil {
			removed[p] = true
		}
	}
	for _, p := range h.opaque {
		emptied[p] = true
	}
	if len(removed) > maxRemoved {
		return malformed("more than %d whiteouts", maxRemoved)
	}
	own := make([]string, 0, len(t.nodes))
	for p := range t.nodes {
		own = append(own, p)
		delete(removed, p)
	}
	for p, n := range union.nodes {
		if t.nodes[p] != nil || gone[p] || emptied[""] {
			continue
		}
		stays := true
		for dir := parentOf(p); dir != "" && stays; dir = parentOf(dir) {
			up := t.nodes[dir]
			stays = !gone[dir] && !emptied[dir] && (up == nil || up.Kind == pkg.Dir)
		}
		if !stays {
			delete(removed, p)
			continue
		}
		t.nodes[p] = n
		t.bytes += len(n.Path) + len(n.Target)
	}
	if len(t.nodes) > pkg.MaxEntries || t.bytes > pkg.MaxEncoded {
		return malformed("too many entries")
	}
	for _, p := range own {
		for dir := parentOf(p); dir != ""; dir = parentOf(dir) {
			if up := t.nodes[dir]; up != nil && up.Kind != pkg.Dir {
				return malformed("%s: it is written through %s, which is no directory", short(p), short(dir))
			}
		}
	}
	t.below = nil
	return nil
}

func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}

func (n *Notes) collisions(p *pkg.Package) {
	const most = 20
	seen := make(map[string]bool, len(p.Entries))
	for i := range p.Entries {
		folded := strings.ToLower(p.Entries[i].Path)
		if seen[folded] && len(n.Collisions) < most {
			n.Collisions = append(n.Collisions, p.Entries[i].Path)
		}
		seen[folded] = true
	}
}
