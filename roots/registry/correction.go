package registry

import (
	"slices"
	"strings"

	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// correction returns the entries of a layer that, laid over the layers of
// stack, gives tree.
func correction(stack []*pkg.Package, tree *image.Tree) []pkg.Entry {
	have := map[string]*pkg.Entry{}
	for _, p := range stack {
		lay(have, p)
	}
	emit := map[string]bool{}
	for i := range tree.Entries {
		e := &tree.Entries[i]
		if old, ok := have[e.Path]; ok && old != nil && image.SameEntry(old, e) {
			continue
		}
		emit[group(e)] = true
	}
	var out []pkg.Entry
	for i := range tree.Entries {
		// The names of one file travel together: a link reaches into no other layer.
		if e := &tree.Entries[i]; emit[group(e)] {
			out = append(out, *e)
		}
	}
	for p := range have {
		if _, ok := tree.Index(p); ok {
			continue
		}
		// A path below one that is hidden, or is no directory any more, needs nothing.
		dir, below := "", strings.LastIndexByte(p, '/')
		if below >= 0 {
			dir = p[:below]
			if i, ok := tree.Index(dir); !ok || tree.Entries[i].Kind != pkg.Dir {
				continue
			}
		}
		out = append(out, pkg.Entry{Path: p, Kind: pkg.Char})
	}
	slices.SortFunc(out, func(a, b pkg.Entry) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// lay notes what a container engine has after it laid p over what it had. A
// directory that p only implies gets attributes of the engine's choice, noted as nil.
func lay(have map[string]*pkg.Entry, p *pkg.Package) {
	own := make(map[string]bool, len(p.Entries))
	for i := range p.Entries {
		e := &p.Entries[i]
		own[e.Path] = true
		if old, ok := have[e.Path]; ok && e.Kind != pkg.Dir && (old == nil || old.Kind == pkg.Dir) {
			for q := range have {
				if strings.HasPrefix(q, e.Path+"/") {
					delete(have, q)
				}
			}
		}
		have[e.Path] = e
		for dir := e.Path; ; {
			i := strings.LastIndexByte(dir, '/')
			if i < 0 {
				break
			}
			if dir = dir[:i]; own[dir] {
				break
			}
			own[dir] = true
			have[dir] = nil
		}
	}
}

// group is the first name of the file that e is a name of.
func group(e *pkg.Entry) string {
	if e.Link != "" {
		return e.Link
	}
	return e.Path
}
