package pkg

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

const maxDeclared = 1 << 16 // items of one list

// Sort brings p into the order that Validate demands: entries by path,
// attributes by name, declarations by their keys. It removes declarations that
// are equal to another one, and nothing else.
func (p *Package) Sort() {
	slices.SortFunc(p.Entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	for i := range p.Entries {
		slices.SortFunc(p.Entries[i].Xattrs, func(a, b Xattr) int { return strings.Compare(a.Name, b.Name) })
	}
	p.Declared.Sort()
}

// Sort brings every list into its canonical order and drops repeated items.
func (d *Declared) Sort() {
	for i := range d.Users {
		slices.Sort(d.Users[i].Groups)
		d.Users[i].Groups = slices.Compact(d.Users[i].Groups)
	}
	d.Users = sorted(d.Users, compareUser)
	d.Groups = sorted(d.Groups, compareGroup)
	d.Alternatives = sorted(d.Alternatives, compareAlternative)
	d.Diversions = sorted(d.Diversions, compareDiversion)
	d.Overrides = sorted(d.Overrides, compareOverride)
	d.Capabilities = sorted(d.Capabilities, compareCapability)
}

func sorted[T any](l []T, order func(a, b T) int) []T {
	slices.SortStableFunc(l, order)
	return slices.CompactFunc(l, func(a, b T) bool { return order(a, b) == 0 })
}

func compareUser(a, b User) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID), strings.Compare(a.Group, b.Group),
		strings.Compare(a.Home, b.Home), strings.Compare(a.Shell, b.Shell), strings.Compare(a.Comment, b.Comment),
		slices.Compare(a.Groups, b.Groups))
}

func compareGroup(a, b Group) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.GID, b.GID))
}

func compareAlternative(a, b Alternative) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Path, b.Path), strings.Compare(a.Link, b.Link),
		cmp.Compare(a.Priority, b.Priority), slices.Compare(pairs(a.Slaves), pairs(b.Slaves)))
}

func pairs(m map[string]string) []string {
	var l []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		l = append(l, k, m[k])
	}
	return l
}

func compareDiversion(a, b Diversion) int {
	return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To), strings.Compare(a.By, b.By))
}

func compareOverride(a, b Override) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.User, b.User), strings.Compare(a.Group, b.Group),
		cmp.Compare(a.Mode, b.Mode))
}

func compareCapability(a, b Capability) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Caps, b.Caps))
}

func (d *Declared) validate() error {
	for _, u := range d.Users {
		if err := checkAccount("user", u.Name, u.UID); err != nil {
			return err
		}
		for _, s := range []string{u.Group, u.Home, u.Shell, u.Comment} {
			// These end up between colons on one line of passwd(5).
			if len(s) > MaxPath || strings.ContainsAny(s, ":\n\x00") {
				return fmt.Errorf("user %s: %q: want at most %d bytes without colon, line break or NUL", u.Name, s, MaxPath)
			}
		}
		for i, g := range u.Groups {
			if err := checkAccount("group", g, -1); err != nil {
				return err
			}
			if i > 0 && u.Groups[i-1] >= g {
				return fmt.Errorf("user %s: groups are not sorted and unique at %q", u.Name, g)
			}
		}
	}
	for _, g := range d.Groups {
		if err := checkAccount("group", g.Name, g.GID); err != nil {
			return err
		}
	}
	for _, o := range d.Overrides {
		if o.Mode > 0o7777 {
			return fmt.Errorf("override of %s: mode %#o has more than permission bits", o.Path, o.Mode)
		}
	}
	for _, c := range d.Capabilities {
		if _, err := CapabilityXattr(c.Caps); err != nil {
			return fmt.Errorf("capabilities of %s: %w", c.Path, err)
		}
	}
	if err := checkPaths(d); err != nil {
		return err
	}
	return cmp.Or(inOrder("users", d.Users, compareUser), inOrder("groups", d.Groups, compareGroup),
		inOrder("alternatives", d.Alternatives, compareAlternative), inOrder("diversions", d.Diversions, compareDiversion),
		inOrder("overrides", d.Overrides, compareOverride), inOrder("capabilities", d.Capabilities, compareCapability))
}

func inOrder[T any](what string, l []T, order func(a, b T) int) error {
	if len(l) > maxDeclared {
		return fmt.Errorf("%d declared %s, the limit is %d", len(l), what, maxDeclared)
	}
	for i := 1; i < len(l); i++ {
		if order(l[i-1], l[i]) >= 0 {
			return fmt.Errorf("declared %s are not in canonical order (Declared.Sort)", what)
		}
	}
	return nil
}

func checkAccount(what, name string, id int) error {
	if name == "" || !plain(name) || strings.ContainsAny(name, ":,") {
		return fmt.Errorf("%s name %q is not usable in passwd and group", what, name)
	}
	if id < -1 || id >= math.MaxUint32 {
		return fmt.Errorf("%s %s: id %d is out of range", what, name, id)
	}
	return nil
}

// checkPaths demands absolute clean paths, which is what dpkg's tools take.
func checkPaths(d *Declared) error {
	check := func(what, s string) error {
		if !strings.HasPrefix(s, "/") {
			return fmt.Errorf("%s: path %q is not absolute", what, s)
		}
		if err := CheckPath(s[1:]); err != nil {
			return fmt.Errorf("%s: %q: %w", what, s, err)
		}
		return nil
	}
	for _, a := range d.Alternatives {
		if a.Name == "" || !plain(a.Name) || a.Name == "." || a.Name == ".." {
			return fmt.Errorf("alternative %q: the name must be a plain file name", a.Name)
		}
		if err := cmp.Or(check("alternative "+a.Name, a.Link), check("alternative "+a.Name, a.Path)); err != nil {
			return err
		}
		for link, path := range a.Slaves {
			if err := cmp.Or(check("alternative "+a.Name, link), check("alternative "+a.Name, path)); err != nil {
				return err
			}
		}
	}
	for _, v := range d.Diversions {
		if err := cmp.Or(check("diversion", v.From), check("diversion", v.To)); err != nil {
			return err
		}
		if !plain(v.By) {
			return fmt.Errorf("diversion of %s: %q is no package name", v.From, v.By)
		}
	}
	for _, o := range d.Overrides {
		if err := check("override", o.Path); err != nil {
			return err
		}
		if o.User == "" || o.Group == "" || !plain(o.User) || !plain(o.Group) {
			return fmt.Errorf("override of %s: owner %q:%q is not usable", o.Path, o.User, o.Group)
		}
	}
	for _, c := range d.Capabilities {
		if err := check("capability", c.Path); err != nil {
			return err
		}
	}
	return nil
}
