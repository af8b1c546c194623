package finish

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"slices"

	"ninefold/roots/pkg"
)

const alternativesDir = "etc/alternatives"

// alternativesStep makes the links that update-alternatives(1) would in
// automatic mode: the candidate with the highest priority that exists, of
// equal ones the first by path.
var alternativesStep = step{
	name: "alternatives", summary: "links of /etc/alternatives, the highest priority wins", revision: 2,
	reads: func(v *View, p *Params) inputs {
		all := slices.Concat(p.Recipe.Alternatives, p.Declared.Alternatives)
		if len(all) == 0 {
			return inputs{}
		}
		// What lies behind the links of other alternatives counts, too.
		if links, err := settle(v, p, 0); err == nil {
			v = with(v, links)
		}
		c := collect(v)
		for _, a := range all {
			c.path(a.Path)
			for _, l := range append(sortedKeys(a.Slaves), a.Link) {
				if p, err := clean(l); err == nil {
					if e, ok := v.Lookup(resolveParent(v, p)); ok {
						c.add(e)
					}
				}
			}
			for _, s := range sortedKeys(a.Slaves) {
				c.path(a.Slaves[s])
			}
		}
		in := c.inputs()
		in.extra, _ = json.Marshal([]any{p.Recipe.Alternatives, p.Declared.Alternatives})
		in.always = len(p.Recipe.Alternatives) > 0
		return in
	},
	do: func(j *job) error {
		links, err := settle(j.view, j.params, j.out.mtime)
		if err != nil {
			return err
		}
		seen := with(j.view, links)
		for _, a := range j.params.Recipe.Alternatives {
			if !seen.Has(a.Path) {
				return fmt.Errorf("alternative %s: %s is not in the image; add the package that holds it or take the line out of the recipe", a.Name, a.Path)
			}
		}
		for _, e := range links {
			j.out.set(e)
		}
		return nil
	},
}

// maxRounds bounds how far alternatives stand on each other; two is the most that
// Debian has.
const maxRounds = 8

// settle makes the links of all alternatives, sorted. One may lead through the link
// of another (a theme's pictures through the link to the theme), so it goes on
// until nothing changes.
func settle(v *View, p *Params, mtime int64) ([]pkg.Entry, error) {
	groups := map[string][]pkg.Alternative{}
	for _, a := range slices.Concat(p.Recipe.Alternatives, p.Declared.Alternatives) {
		groups[a.Name] = append(groups[a.Name], a)
	}
	var links []pkg.Entry
	for range maxRounds {
		seen := with(v, links)
		o := &output{mtime: mtime, entries: make(map[string]pkg.Entry)}
		for _, name := range sortedKeys(groups) {
			if err := chooseAlternative(seen, v, o, name, groups[name]); err != nil {
				return nil, err
			}
		}
		before := links
		if links = o.sorted(); slices.EqualFunc(before, links, func(a, b pkg.Entry) bool { return a.Path == b.Path && same(&a, &b) }) {
			break
		}
	}
	return links, nil
}

// with is v with entries on top; v stays as it is.
func with(v *View, entries []pkg.Entry) *View {
	w := *v
	w.Apply(entries)
	return &w
}

// chooseAlternative makes the links of one name by what exists in seen; what is not a link
// is found in v, which has none of this step's.
func chooseAlternative(seen, v *View, o *output, name string, of []pkg.Alternative) error {
	best, ok := bestAlternative(seen, of)
	if !ok {
		return nil
	}
	if err := placeAlternative(v, o, name, best.Link, best.Path); err != nil {
		return err
	}
	for _, link := range sortedKeys(best.Slaves) {
		target := best.Slaves[link]
		if !seen.Has(target) {
			continue
		}
		if err := placeAlternative(v, o, path.Base(link), link, target); err != nil {
			return err
		}
	}
	return nil
}

func bestAlternative(v *View, of []pkg.Alternative) (pkg.Alternative, bool) {
	of = slices.DeleteFunc(slices.Clone(of), func(a pkg.Alternative) bool { return !v.Has(a.Path) })
	if len(of) == 0 {
		return pkg.Alternative{}, false
	}
	slices.SortStableFunc(of, func(a, b pkg.Alternative) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Path, b.Path))
	})
	return of[0], true
}

// placeAlternative makes LINK -> /etc/alternatives/NAME -> target. A real file
// at LINK stays, as update-alternatives leaves it.
func placeAlternative(v *View, o *output, name, link, target string) error {
	at, err := clean(link)
	if err != nil {
		return fmt.Errorf("alternative %s: %w", name, err)
	}
	if path.Base(name) != name || name == "." || name == ".." {
		return fmt.Errorf("alternative %q: the name is not one path component", name)
	}
	at = resolveParent(v, at)
	if e, ok := v.Lookup(at); ok && e.Kind != pkg.Symlink {
		return nil
	}
	o.link(path.Join(alternativesDir, name), target)
	o.link(at, "/"+path.Join(alternativesDir, name))
	return nil
}

// resolveParent follows the links in the directory part of p: an entry cannot
// lie below a link such as /bin.
func resolveParent(v *View, p string) string {
	dir, ok := v.Stat(parent(p))
	if !ok || dir.Kind != pkg.Dir {
		return p
	}
	return path.Join(dir.Path, path.Base(p))
}
