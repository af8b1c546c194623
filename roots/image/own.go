package image

import (
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// installed is dpkg's list of what is installed. It speaks of a whole root.
const installed = "var/lib/dpkg/status"

// Above returns the part of t that its chain adds to the first n images of it,
// of which base is the tree: laid over base as an overlay's layer it gives t, but
// for dpkg's list of packages, which stays base's. It holds
// what those above have or changed, the directories that lead there as they
// are in t, and a whiteout (IsWhiteout) for each path of base that is gone.
//
// Such a part is laid over other bases, too, the machine itself among them. There
// its list would name packages that are not there and hide all that are.
func (t *Tree) Above(base *Tree, n int) *Tree { return t.above(base, n, installed) }

// Over is Above with dpkg's list in it: laid over base it gives t itself. It is
// for that base alone.
func (t *Tree) Over(base *Tree, n int) *Tree { return t.above(base, n, "") }

func (t *Tree) above(base *Tree, n int, without string) *Tree {
	parents := t.Parents()
	keep := make([]bool, len(t.Entries))
	var gone []int // indices of base
	j := 0
	for i := range t.Entries {
		e := &t.Entries[i]
		for j < len(base.Entries) && base.Entries[j].Path < e.Path {
			gone = append(gone, j)
			j++
		}
		both := j < len(base.Entries) && base.Entries[j].Path == e.Path
		keep[i] = e.Path != without && (t.level[i] >= int32(n) || !both || !SameEntry(&base.Entries[j], e))
		if both {
			j++
		}
	}
	for ; j < len(base.Entries); j++ {
		gone = append(gone, j)
	}
	for i := len(t.Entries) - 1; i >= 0; i-- {
		if keep[i] {
			// A parent stands before its children, so going backwards reaches the top.
			if up := parents[i]; up >= 0 {
				keep[up] = true
			}
		}
	}
	part := &Tree{Owners: t.Owners}
	for i := range t.Entries {
		if keep[i] {
			part.add(t.Entries[i], t.owner[i], t.level[i])
		}
	}
	part.whiteouts(t, base, gone)
	relink(part)
	return part
}

func (t *Tree) add(e pkg.Entry, owner, level int32) {
	t.Entries = append(t.Entries, e)
	t.owner = append(t.owner, owner)
	t.level = append(t.level, level)
}

// whiteouts adds what hides the topmost of base's entries that are gone from
// full, and the directories of full that lead to them.
func (t *Tree) whiteouts(full, base *Tree, gone []int) {
	extra := &Tree{}
	seen := map[string]bool{}
	for _, j := range gone {
		dir := parent(base.Entries[j].Path)
		if dir != "" {
			if i, ok := full.Index(dir); !ok || full.Entries[i].Kind != pkg.Dir {
				continue // hidden with its directory
			}
		}
		extra.add(pkg.Entry{Path: base.Entries[j].Path, Kind: pkg.Char}, noOwner, 0)
		for ; dir != "" && !seen[dir]; dir = parent(dir) {
			seen[dir] = true
			if _, ok := t.Index(dir); ok {
				break
			}
			i, _ := full.Index(dir)
			extra.add(full.Entries[i], full.owner[i], full.level[i])
		}
	}
	if len(extra.Entries) == 0 {
		return
	}
	order := make([]int, 0, len(t.Entries)+len(extra.Entries))
	for i := range cap(order) {
		order = append(order, i)
	}
	n := len(t.Entries)
	for i := range extra.Entries {
		t.add(extra.Entries[i], extra.owner[i], extra.level[i])
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(t.Entries[a].Path, t.Entries[b].Path) })
	sorted := Tree{Entries: make([]pkg.Entry, 0, n+len(extra.Entries))}
	for _, i := range order {
		sorted.add(t.Entries[i], t.owner[i], t.level[i])
	}
	t.Entries, t.owner, t.level = sorted.Entries, sorted.owner, sorted.level
}

// SameEntry reports whether a and b, at one path, look the same to a process.
func SameEntry(a, b *pkg.Entry) bool {
	return a.Kind == b.Kind && a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID && a.MTime == b.MTime &&
		a.Size == b.Size && a.Digest == b.Digest && a.Target == b.Target && a.Major == b.Major && a.Minor == b.Minor &&
		a.Link == b.Link && sameXattrs(a.Xattrs, b.Xattrs)
}
