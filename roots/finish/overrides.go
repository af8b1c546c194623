package finish

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ninefold/roots/pkg"
)

// overridesStep gives files the owner, the mode (dpkg-statoverride) and the
// capabilities (setcap) that are declared for them.
var overridesStep = step{
	name: "overrides", summary: "declared owners, modes and file capabilities", revision: 1,
	reads: func(v *View, p *Params) inputs {
		c := collect(v)
		for _, o := range slices.Concat(p.Recipe.Overrides, p.Declared.Overrides) {
			c.path(o.Path)
		}
		for _, o := range slices.Concat(p.Recipe.Capabilities, p.Declared.Capabilities) {
			c.path(o.Path)
		}
		if len(c.list) == 0 && len(p.Recipe.Overrides)+len(p.Recipe.Capabilities) == 0 {
			return inputs{}
		}
		c.path("etc/passwd")
		c.path("etc/group")
		in := c.inputs()
		in.always = true
		in.extra, _ = json.Marshal([]any{p.Declared.Overrides, p.Declared.Capabilities, p.Recipe.Overrides, p.Recipe.Capabilities})
		return in
	},
	do: func(j *job) error {
		a, err := readAccounts(j.view)
		if err != nil {
			return err
		}
		changed := map[string]pkg.Entry{}
		change := func(p string, must bool, f func(e *pkg.Entry) error) error {
			e, ok := j.view.Stat(p)
			if !ok {
				if must {
					return fmt.Errorf("%s is not in the image; add the package that holds it or take the line out of the recipe", p)
				}
				return nil
			}
			if c, ok := changed[e.Path]; ok {
				e = c
			}
			if err := f(&e); err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
			changed[e.Path] = e
			return nil
		}
		// The recipe's come last: they win.
		for i, list := range [][]pkg.Override{j.params.Declared.Overrides, j.params.Recipe.Overrides} {
			for _, o := range list {
				err := change(o.Path, i == 1, func(e *pkg.Entry) error { return applyOverride(a, e, o) })
				if err != nil {
					return err
				}
			}
		}
		for i, list := range [][]pkg.Capability{j.params.Declared.Capabilities, j.params.Recipe.Capabilities} {
			for _, o := range list {
				err := change(o.Path, i == 1, func(e *pkg.Entry) error { return applyCapability(e, o) })
				if err != nil {
					return err
				}
			}
		}
		for _, p := range sortedKeys(changed) {
			e := changed[p]
			// The other names of a hard link keep what they had: the changed
			// name becomes a file of its own.
			e.Link = ""
			j.out.set(e)
		}
		return nil
	},
}

func applyOverride(a *accounts, e *pkg.Entry, o pkg.Override) error {
	uid, err := lookupID(o.User, func(n string) (int, bool) {
		if u := a.user(n); u != nil {
			return u.uid, true
		}
		return 0, false
	})
	if err != nil {
		return fmt.Errorf("user %q: %w", o.User, err)
	}
	gid, err := lookupID(o.Group, func(n string) (int, bool) {
		if g := a.group(n); g != nil {
			return g.gid, true
		}
		return 0, false
	})
	if err != nil {
		return fmt.Errorf("group %q: %w", o.Group, err)
	}
	if o.Mode > 0o7777 {
		return fmt.Errorf("mode %#o has more than permission bits", o.Mode)
	}
	e.UID, e.GID = uint32(uid), uint32(gid)
	if e.Kind != pkg.Symlink {
		e.Mode = o.Mode
	}
	return nil
}

// lookupID takes a name or, as dpkg-statoverride does, a number after "#".
func lookupID(s string, byName func(string) (int, bool)) (int, error) {
	if num, ok := strings.CutPrefix(s, "#"); ok {
		return parseID(num)
	}
	if n, ok := byName(s); ok {
		return n, nil
	}
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return n, nil
	}
	return 0, fmt.Errorf("the image does not know it; declare it in the recipe")
}

func applyCapability(e *pkg.Entry, c pkg.Capability) error {
	if e.Kind != pkg.File {
		return fmt.Errorf("capabilities %s: only a regular file has them", c.Caps)
	}
	value, err := pkg.CapabilityXattr(c.Caps)
	if err != nil {
		return err
	}
	x := slices.DeleteFunc(slices.Clone(e.Xattrs), func(x pkg.Xattr) bool { return x.Name == pkg.CapabilityAttribute })
	x = append(x, pkg.Xattr{Name: pkg.CapabilityAttribute, Value: value})
	slices.SortFunc(x, func(a, b pkg.Xattr) int { return strings.Compare(a.Name, b.Name) })
	e.Xattrs = x
	return nil
}
