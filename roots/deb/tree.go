package deb

import (
	"errors"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// errLinkToExcluded asks for another pass: a hard link that stays leads to a
// file that was left out before its content was read.
var errLinkToExcluded = errors.New("a hard link leads to a file that is left out; leave out both or neither")

// node is an entry on its way into a package.
type node struct {
	pkg.Entry
	// first is the node that holds the content, for a hard link.
	first *node
	// moved is set when the merged /usr changed the path.
	moved    bool
	excluded bool
}

// tree collects entries by their path in the merged /usr.
type tree struct {
	nodes map[string]*node
	bytes int // of all paths
	// last lets the last of several entries for one path count; below is where
	// hard links find what this tree has not.
	last  bool
	below *tree
}

func newTree() *tree { return &tree{nodes: map[string]*node{}} }

// place decides where an entry goes. An empty path means nowhere: the root
// itself, and the links of a merged /usr, which the layout package holds.
func place(path string, kind pkg.Kind, target string) (string, error) {
	if path == "" {
		if kind != pkg.Dir {
			return "", malformed("the root is no directory")
		}
		return "", nil
	}
	if kind == pkg.Symlink && slices.Contains(pkg.UsrMerged, path) {
		if lexical(path, target) == "usr/"+path {
			return "", nil
		}
		return "", malformed("%s: a link to %s does not go with a merged /usr", path, short(target))
	}
	return merged(path), nil
}

// add puts a node at its final path. Two directories for one path are one if
// they agree; any other second entry for a path is refused, but for a link that
// the merged /usr made lead to itself.
func (t *tree) add(n *node) error {
	t.bytes += len(n.Path) + len(n.Target)
	if len(t.nodes) >= pkg.MaxEntries || t.bytes > pkg.MaxEncoded {
		return malformed("too many entries")
	}
	old := t.nodes[n.Path]
	switch {
	case n.moved && loops(n):
		return nil
	case t.last:
	case old == nil || old.moved != n.moved && loops(old):
	case loops(n) && old.moved != n.moved:
		return nil
	case old.Kind != pkg.Dir || n.Kind != pkg.Dir:
		return malformed("%s: two entries for one path", short(n.Path))
	case old.moved != n.moved:
		if n.moved { // what was written for usr/ counts
			return nil
		}
	case old.Mode != n.Mode || old.UID != n.UID || old.GID != n.GID:
		return malformed("%s: the directory is listed twice with different modes or owners", short(n.Path))
	}
	t.nodes[n.Path] = n
	return nil
}

func loops(n *node) bool {
	return n.Kind == pkg.Symlink && merged(lexical(n.Path, n.Target)) == n.Path
}

// link adds a hard link to an entry that came before it. A link to a symbolic
// link becomes an equal symbolic link: a package keeps no identity of those.
func (t *tree) link(path, target string, moved, excluded bool) error {
	if path == target {
		return nil // both names are one in the merged /usr
	}
	f := t.nodes[target]
	if f == nil && t.below != nil {
		f = t.below.nodes[target]
	}
	if f == nil {
		return malformed("%s: hard link to %s, which does not come before it", short(path), short(target))
	}
	if f.first != nil {
		f = f.first
	}
	n := &node{Entry: f.Entry, moved: moved, excluded: excluded}
	n.Path = path
	switch f.Kind {
	case pkg.File:
		n.first = f
		if f.Digest.IsZero() && !excluded {
			return errLinkToExcluded
		}
	case pkg.Symlink:
	default:
		return malformed("%s: hard link to %s, which is no file", short(path), short(target))
	}
	return t.add(n)
}

// entries returns what is left after exclusion, sorted, with hard-link groups
// in canonical form.
func (t *tree) entries(x *excluder) []pkg.Entry {
	var kept []*node
	emptied, filled := map[string]bool{}, map[string]bool{}
	for _, n := range t.nodes {
		switch {
		case n.Kind == pkg.Dir:
			continue
		case n.excluded:
			above(n.Path, emptied)
		default:
			kept = append(kept, n)
			above(n.Path, filled)
		}
	}
	for _, n := range t.nodes {
		if n.Kind == pkg.Dir && (filled[n.Path] || !emptied[n.Path] && !x.byPattern(n.Path)) {
			kept = append(kept, n)
		}
	}
	slices.SortFunc(kept, func(a, b *node) int { return strings.Compare(a.Path, b.Path) })
	groups := map[*node]string{} // by the node with the content: the first path
	out := make([]pkg.Entry, 0, len(kept))
	for _, n := range kept {
		e := n.Entry
		content := n
		if n.first != nil {
			content = n.first
			path := e.Path
			e = content.Entry
			e.Path = path
		}
		if e.Kind == pkg.File {
			if first, ok := groups[content]; ok {
				e.Link = first
			} else {
				groups[content] = e.Path
			}
		}
		out = append(out, e)
	}
	return out
}

// above marks every directory above a path. It stops at one that is marked:
// those above it are as well.
func above(path string, marks map[string]bool) {
	for i := strings.LastIndexByte(path, '/'); i > 0; i = strings.LastIndexByte(path, '/') {
		path = path[:i]
		if marks[path] {
			return
		}
		marks[path] = true
	}
}
