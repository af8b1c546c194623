package image

import (
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// Built is an image with the packages that its manifest names, in the order in which it
// names them. Finishing is nil when there is none.
type Built struct {
	Manifest  *Manifest
	Packages  []*pkg.Package
	Finishing *pkg.Package
}

// Tree is what a chain of images holds, or a part of it. It is not changed
// after it has been made.
type Tree struct {
	// Entries are sorted bytewise by path, each path once. Every parent
	// directory is listed. Link names the bytewise first member of a group
	// within this tree.
	Entries []pkg.Entry
	// Owners are the packages that entries come from.
	Owners []Owner

	owner []int32 // per entry: index of Owners, noOwner for an implied directory
	level []int32 // per entry: the last image of the chain that has it
}

const noOwner = -1

// Owner says which package an entry comes from.
type Owner struct {
	Package, Version string
	Digest           pkg.Digest
	// Image is the name of the image that brought the package in, and Level
	// its place in the chain, 0 for the root.
	Image string
	Level int
	// Finishing is set for an image's finishing package.
	Finishing bool
}

// String is how an error message names the owner.
func (o *Owner) String() string {
	switch {
	case o == nil:
		return "no package"
	case o.Finishing:
		return "the finishing steps of image " + o.Image
	case o.Version == "":
		return o.Package
	}
	return o.Package + " " + o.Version
}

// Owner returns where entry i comes from; nil for a directory that only its
// content implies.
func (t *Tree) Owner(i int) *Owner {
	if t.owner[i] == noOwner {
		return nil
	}
	return &t.Owners[t.owner[i]]
}

// Index finds the entry at exactly path; it does not follow links.
func (t *Tree) Index(path string) (int, bool) {
	return slices.BinarySearchFunc(t.Entries, path, func(e pkg.Entry, p string) int { return strings.Compare(e.Path, p) })
}

// Lookup returns the entry at exactly path, which may have a leading slash, and its owner.
func (t *Tree) Lookup(path string) (*pkg.Entry, *Owner, bool) {
	i, ok := t.Index(strings.TrimPrefix(path, "/"))
	if !ok {
		return nil, nil, false
	}
	return &t.Entries[i], t.Owner(i), true
}

// Parents returns for each entry the index of its parent directory, -1 for
// what lies in the root.
func (t *Tree) Parents() []int32 {
	parents := make([]int32, len(t.Entries))
	dirs := make(map[string]int32, len(t.Entries)/8)
	last, lastAt := "", int32(-1)
	for i := range t.Entries {
		e := &t.Entries[i]
		if d := parent(e.Path); d != last {
			last, lastAt = d, -1
			if d != "" {
				lastAt = dirs[d]
			}
		}
		parents[i] = lastAt
		if e.Kind == pkg.Dir {
			dirs[e.Path] = int32(i)
		}
	}
	return parents
}

// IsWhiteout reports whether e says "nothing here" to the layers below, as an
// overlay's device 0:0 does.
func IsWhiteout(e *pkg.Entry) bool {
	return e.Kind == pkg.Char && e.Major == 0 && e.Minor == 0
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}
