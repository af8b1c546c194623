package image

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// maxChain bounds the depth of inheritance; a longer one is a mistake.
const maxChain = 64

// Flatten joins a chain of images, root first, into one tree.
//
// The packages of the whole chain form one set without order: two that hold
// one path must agree on it (equal entries; directories may differ in time,
// and root:root 0755 yields to anything special), or a *ConflictError names both. Diversions are
// applied first. Over the packages of an image and of its ancestors come, in
// this order, the removals and the finishing package of that image; what a finishing
// package holds is not changed by the packages of a descendant.
//
// The packages must have been validated (pkg.Decode does). The tree refers to
// their strings and does not change them.
func Flatten(chain []Built) (*Tree, error) {
	if len(chain) == 0 || len(chain) > maxChain {
		return nil, fmt.Errorf("%w: a chain of %d images, want 1 to %d", ErrInvalid, len(chain), maxChain)
	}
	f := &flattener{tree: &Tree{}}
	size := 1
	for level, b := range chain {
		if len(b.Packages) != len(b.Manifest.Packages) {
			return nil, fmt.Errorf("%w: image %s names %d packages and comes with %d", ErrInvalid, b.Manifest.Name, len(b.Manifest.Packages), len(b.Packages))
		}
		for i, p := range b.Packages {
			f.tree.Owners = append(f.tree.Owners, Owner{Package: p.Name, Version: p.Version,
				Digest: b.Manifest.Packages[i].Digest, Image: b.Manifest.Name, Level: level})
			size += len(p.Entries)
		}
		if p := b.Finishing; p != nil {
			f.tree.Owners = append(f.tree.Owners, Owner{Package: p.Name, Version: p.Version,
				Digest: b.Manifest.Finishing, Image: b.Manifest.Name, Level: level, Finishing: true})
			size += len(p.Entries)
		}
	}
	var err error
	if f.diverted, err = newDiversions(chain, f.tree.Owners); err != nil {
		return nil, err
	}
	f.nodes = make([]node, 1, size+size/8)
	f.nodes[0] = node{owner: noOwner, claimOwner: noOwner, need: math.MaxInt32}
	f.byPath = make(map[string]int32, size)
	f.byPath[""] = 0
	owner := int32(0)
	for level, b := range chain {
		f.level = int32(level)
		for _, p := range b.Packages {
			if err := f.packageEntries(p, owner); err != nil {
				return nil, err
			}
			owner++
		}
		for _, path := range b.Manifest.Removed {
			f.remove(path)
		}
		if b.Finishing != nil {
			f.finish(b.Finishing, owner)
			owner++
		}
	}
	return f.result()
}

// node is one path during flattening. Times are steps: see at.
type node struct {
	path   string
	parent int32
	// entry is what is visible since step set, nil if nothing was said or it
	// was removed; fixed when a finishing package said it.
	entry *pkg.Entry
	owner int32
	set   int32
	fixed bool
	// claim is what packages say, visible or not: conflicts are found here.
	claim      *pkg.Entry
	claimOwner int32
	// need is the last step at which something below was put, so that a
	// directory must be here; gone the last at which everything below was hidden.
	need, gone int32
}

type flattener struct {
	tree     *Tree
	diverted diversions
	nodes    []node
	byPath   map[string]int32
	level    int32
	lastDir  string // the parent that was looked up last, and its node
	lastAt   int32
}

// at numbers the steps: for each level packages, removals, finishing.
func at(level int32, phase int32) int32 { return 3*level + phase }

const (
	phasePackages  = 1
	phaseRemovals  = 2
	phaseFinishing = 3
)

// get returns the node of path, and makes it and its parents if need be.
// step marks the parents as needed.
func (f *flattener) get(path string, step int32) int32 {
	i, ok := f.byPath[path]
	if ok && f.nodes[f.nodes[i].parent].need >= step {
		return i
	}
	up := f.parentOf(path, step)
	if !ok {
		i = int32(len(f.nodes))
		f.nodes = append(f.nodes, node{path: path, parent: up, owner: noOwner, claimOwner: noOwner})
		f.byPath[path] = i
	}
	return i
}

func (f *flattener) parentOf(path string, step int32) int32 {
	dir := parent(path)
	if dir == f.lastDir && f.nodes[f.lastAt].need >= step {
		return f.lastAt
	}
	i := int32(0)
	if dir != "" {
		i = f.get(dir, step)
	}
	f.nodes[i].need = max(f.nodes[i].need, step)
	f.lastDir, f.lastAt = dir, i
	return i
}

func (f *flattener) packageEntries(p *pkg.Package, owner int32) error {
	step := at(f.level, phasePackages)
	for i := range p.Entries {
		e := &p.Entries[i]
		if IsWhiteout(e) {
			return fmt.Errorf("package %s: /%s is device 0:0, which hides what lies below it in an overlay: %w", p.Name, e.Path, ErrInvalid)
		}
		e = f.diverted.apply(p.Name, e)
		at := f.get(e.Path, step)
		n := &f.nodes[at]
		if n.claim == nil {
			n.claim, n.claimOwner = e, owner
		} else {
			both, second, why := reconcile(n.claim, e)
			if why != "" {
				return &ConflictError{Path: e.Path, A: f.tree.Owners[n.claimOwner], B: f.tree.Owners[owner], Why: why}
			}
			n.claim = both
			if second {
				n.claimOwner = owner
			}
		}
		if !n.fixed {
			n.entry, n.owner, n.set = n.claim, n.claimOwner, step
		}
	}
	return nil
}

func (f *flattener) remove(path string) {
	if i, ok := f.byPath[path]; ok {
		n := &f.nodes[i]
		n.entry, n.fixed = nil, false
		n.gone = at(f.level, phaseRemovals)
	}
}

func (f *flattener) finish(p *pkg.Package, owner int32) {
	step := at(f.level, phaseFinishing)
	for i := range p.Entries {
		e := &p.Entries[i]
		at := f.get(e.Path, step)
		n := &f.nodes[at]
		n.entry, n.owner, n.set, n.fixed = e, owner, step, true
		if e.Kind != pkg.Dir {
			n.gone = step
		}
	}
}

// implied stands for the directories that nobody lists.
var implied = pkg.Entry{Kind: pkg.Dir, Mode: 0o755}

// result keeps the nodes that are still visible after all steps.
func (f *flattener) result() (*Tree, error) {
	order := make([]int32, 0, len(f.nodes)-1)
	for i := range f.nodes[1:] {
		order = append(order, int32(i+1))
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(f.nodes[a].path, f.nodes[b].path) })

	t := f.tree
	t.Entries = make([]pkg.Entry, 0, len(order))
	t.owner = make([]int32, 0, len(order))
	t.level = make([]int32, 0, len(order))
	for _, i := range order {
		n := &f.nodes[i]
		up := &f.nodes[n.parent]
		// A parent stands before its children, so its own state is final.
		hidden := up.gone
		e := n.entry
		if n.set <= hidden {
			e = nil
		}
		if e == nil && n.need > hidden && n.need > n.gone {
			e = &implied
			n.owner, n.set = noOwner, n.need
		}
		n.gone = max(n.gone, hidden)
		n.entry = e
		if e == nil {
			continue
		}
		if n.parent != 0 && (up.entry == nil || up.entry.Kind != pkg.Dir) {
			return nil, f.below(up, n)
		}
		t.Entries = append(t.Entries, *e)
		t.Entries[len(t.Entries)-1].Path = n.path
		t.owner = append(t.owner, n.owner)
		t.level = append(t.level, (n.set-1)/3)
	}
	relink(t)
	return t, nil
}

// below is the error for a path whose parent is no directory.
func (f *flattener) below(up, n *node) error {
	e := &ConflictError{Path: up.path, Why: "no directory, though one is needed for /" + n.path}
	if up.owner != noOwner {
		e.A = f.tree.Owners[up.owner]
	}
	if n.owner != noOwner {
		e.B = f.tree.Owners[n.owner]
	} else if n.claimOwner != noOwner {
		e.B = f.tree.Owners[n.claimOwner]
	}
	if up.entry != nil {
		e.Why = kindName(up.entry.Kind) + ", where a directory is needed for /" + n.path
	}
	return e
}

// relink makes the bytewise first member of each hard-link group that is still
// there its first one: diversions, removals and finishing may have taken
// members away.
func relink(t *Tree) {
	type group struct {
		owner int32
		first string
	}
	groups := map[group]int32{}
	for i := range t.Entries {
		if l := t.Entries[i].Link; l != "" {
			groups[group{t.owner[i], l}] = -1
		}
	}
	if len(groups) == 0 {
		return
	}
	for i := range t.Entries {
		e := &t.Entries[i]
		if e.Kind != pkg.File {
			continue
		}
		key := group{t.owner[i], e.Link}
		if e.Link == "" {
			key.first = e.Path
		}
		first, ok := groups[key]
		switch {
		case !ok:
		case first < 0:
			groups[key] = int32(i)
			e.Link = ""
		default:
			e.Link = t.Entries[first].Path
		}
	}
}
