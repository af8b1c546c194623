package finish

import (
	"cmp"

	"ninefold/roots/pkg"
)

// changes leaves out of list, sorted, what changes nothing where was tells what
// is there. Hard links are kept or left out together, because a name can only be
// linked to another of the same package: of a new link to a file that is there
// already, both names are kept. The links of list are among itself.
func changes(list []pkg.Entry, was func(p string) (pkg.Entry, bool)) []pkg.Entry {
	type group struct {
		before  string // the first name of what is there
		changed bool
	}
	groups := map[string]*group{} // by first name
	for i := range list {
		if e := &list[i]; e.Link != "" {
			groups[e.Link] = &group{}
		}
	}
	changed := func(e *pkg.Entry) (pkg.Entry, bool) {
		w, there := was(e.Path)
		if IsWhiteout(e) {
			return w, there
		}
		return w, !there || !same(&w, e)
	}
	for i := range list {
		e := &list[i]
		g := groups[cmp.Or(e.Link, e.Path)]
		if g == nil {
			continue
		}
		w, differs := changed(e)
		before := cmp.Or(w.Link, w.Path)
		if e.Link == "" {
			g.before = before
		}
		g.changed = g.changed || differs || before != g.before
	}
	kept := list[:0:0]
	for i := range list {
		e := &list[i]
		if g := groups[cmp.Or(e.Link, e.Path)]; g != nil {
			if g.changed {
				kept = append(kept, *e)
			}
		} else if _, differs := changed(e); differs {
			kept = append(kept, *e)
		}
	}
	return kept
}

// relink gives the hard links of list, sorted, the first name that is left of
// their file where top replaced or hid the one they had. The entries of top are
// as they should be.
func relink(list, top []pkg.Entry) {
	fresh := make(map[string]bool, len(top))
	for i := range top {
		fresh[top[i].Path] = true
	}
	first := map[string]string{} // by the first name of before
	for i := range list {
		e := &list[i]
		if e.Kind != pkg.File || fresh[e.Path] {
			continue
		}
		was := cmp.Or(e.Link, e.Path)
		if now, ok := first[was]; ok {
			e.Link = now
		} else {
			first[was], e.Link = e.Path, ""
		}
	}
}
