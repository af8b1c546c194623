package deb

import (
	"fmt"
	"slices"
	"strings"

	"ninefold/roots/deb/script"
	"ninefold/roots/pkg"
)

// finish puts a package together: entries, conffiles and declared state.
func (im *importer) finish(c *control) (*pkg.Package, error) {
	p := &pkg.Package{Name: c.name, Version: c.version, Arch: c.arch, Entries: im.t.entries(im.ex)}
	groups := linkGroups(p)
	for _, name := range c.conffiles {
		path, err := cleanName(strings.TrimPrefix(name, "/"))
		if err != nil {
			return nil, fmt.Errorf("conffiles: %w", err)
		}
		// An obsolete one may be listed and not be there.
		if t := p.Entry(merged(path)); t != nil && t.Kind == pkg.File {
			for _, u := range groups.of(t) {
				u.Conffile = true
			}
		}
	}
	c.scripts.Has = func(path string) bool { return im.t.nodes[strings.TrimPrefix(path, "/")] != nil }
	r := script.Read(c.scripts)
	p.Declared = r.Declared
	p.Declared.Overrides = append(p.Declared.Overrides, im.overrides...)
	unread := append(r.Unread, applyPermissions(p, groups, r.Permissions)...)
	for _, f := range im.sysusers {
		unread = append(unread, readSysusers(f, &p.Declared)...)
	}
	if len(unread) > 0 && !slices.Contains(im.o.Accept, c.name) {
		return nil, undeclared(c.name, unread)
	}
	p.Declared.Users = oneEach(p.Declared.Users)
	p.Declared.Groups = oneGroupEach(p.Declared.Groups)
	p.Sort()
	if err := p.ApplyCapabilities(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return p, nil
}

func undeclared(name string, unread []script.Unread) error {
	const most = 5
	var l []string
	for i, u := range unread {
		if i == most {
			l = append(l, fmt.Sprintf("and %d more", len(unread)-most))
			break
		}
		l = append(l, u.String())
	}
	return fmt.Errorf("%w: %s; write what it does into the recipe's [declare] table and add %q to accept there",
		ErrUndeclared, strings.Join(l, "; "), name)
}

// groups finds the members of hard-link groups.
type groups struct {
	p     *pkg.Package
	links map[string][]int // by the first path, the others' indexes
}

func linkGroups(p *pkg.Package) groups {
	g := groups{p, map[string][]int{}}
	for i := range p.Entries {
		if l := p.Entries[i].Link; l != "" {
			g.links[l] = append(g.links[l], i)
		}
	}
	return g
}

// of returns all entries that share their attributes with t, t among them.
func (g groups) of(t *pkg.Entry) []*pkg.Entry {
	first := t.Path
	if t.Link != "" {
		first = t.Link
	}
	out := []*pkg.Entry{g.p.Entry(first)}
	for _, i := range g.links[first] {
		out = append(out, &g.p.Entries[i])
	}
	return out
}

// oneEach merges declarations of one user. Later ones, which come from
// sysusers.d, count; the groups are put together.
func oneEach(l []pkg.User) []pkg.User {
	var out []pkg.User
	at := map[string]int{}
	for _, u := range l {
		i, ok := at[u.Name]
		if !ok {
			at[u.Name] = len(out)
			out = append(out, u)
			continue
		}
		o := &out[i]
		u.Groups = append(u.Groups, o.Groups...)
		if u.UID < 0 {
			u.UID = o.UID
		}
		for _, f := range []struct{ to, from *string }{{&u.Group, &o.Group}, {&u.Home, &o.Home}, {&u.Shell, &o.Shell}, {&u.Comment, &o.Comment}} {
			if *f.to == "" {
				*f.to = *f.from
			}
		}
		*o = u
	}
	return out
}

func oneGroupEach(l []pkg.Group) []pkg.Group {
	var out []pkg.Group
	at := map[string]int{}
	for _, g := range l {
		i, ok := at[g.Name]
		switch {
		case !ok:
			at[g.Name] = len(out)
			out = append(out, g)
		case out[i].GID < 0:
			out[i].GID = g.GID
		}
	}
	return out
}
