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
	name: "alternatives", summary: "links of /etc/alternatives, the highest priority wins", revision: 1,
	reads: func(v *View, p *Params) inputs {
		all := slices.Concat(p.Recipe.Alternatives, p.Declared.Alternatives)
		if len(all) == 0 {
			return inputs{}
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
		for _, a := range j.params.Recipe.Alternatives {
			if !j.view.Has(a.Path) {
				return fmt.Errorf("alternative %s: %s is not in the image; add the package that holds it or take the line out of the recipe", a.Name, a.Path)
			}
		}
		groups := map[string][]pkg.Alternative{}
		for _, a := range slices.Concat(j.params.Recipe.Alternatives, j.params.Declared.Alternatives) {
			groups[a.Name] = append(groups[a.Name], a)
		}
		for _, name := range sortedKeys(groups) {
			best, ok := bestAlternative(j.view, groups[name])
			if !ok {
				continue
			}
			if err := placeAlternative(j.view, j.out, name, best.Link, best.Path); err != nil {
				return err
			}
			for _, link := range sortedKeys(best.Slaves) {
				target := best.Slaves[link]
				if !j.view.Has(target) {
					continue
				}
				if err := placeAlternative(j.view, j.out, path.Base(link), link, target); err != nil {
					return err
				}
			}
		}
		return nil
	},
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
