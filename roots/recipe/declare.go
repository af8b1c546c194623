package recipe

import (
	"path"
	"strconv"
	"strings"
)

// maxID is the largest id of a declared user or group: what lies above is
// given out to people, containers and dynamic users of the machine.
const maxID = 59999

// complete gives ids that the text leaves out the value -1, so that a
// forgotten key never means root, and makes exclude patterns relative.
func (r *Recipe) complete() {
	for i := range r.Declare.Users {
		if !r.places.Has("declare", "users", strconv.Itoa(i), "uid") {
			r.Declare.Users[i].UID = -1
		}
	}
	for i := range r.Declare.Groups {
		if !r.places.Has("declare", "groups", strconv.Itoa(i), "gid") {
			r.Declare.Groups[i].GID = -1
		}
	}
	for i, p := range r.Exclude.Paths {
		r.Exclude.Paths[i] = strings.TrimLeft(p, "/")
	}
}

func (c *checker) declare() {
	d := c.r.Declare
	for i, name := range d.Accept {
		if c.at("declare", "accept", strconv.Itoa(i)); !packageRule.MatchString(name) {
			c.add("%q is not the name of a package", name)
		}
	}
	for i, u := range d.Users {
		c.at("declare", "users", strconv.Itoa(i))
		c.account(u.Name, u.UID)
		if u.Group != "" && !userRule.MatchString(u.Group) {
			c.add("user %q: %q is not the name of a group", u.Name, u.Group)
		}
		for _, g := range u.Groups {
			if !userRule.MatchString(g) {
				c.add("user %q: %q is not the name of a group", u.Name, g)
			}
		}
		for _, p := range []string{u.Home, u.Shell} {
			if p != "" && !plainPath(p) {
				c.add("user %q: %q is not an absolute, clean path", u.Name, p)
			}
			c.passwdField(u.Name, p)
		}
		c.passwdField(u.Name, u.Comment)
	}
	for i, g := range d.Groups {
		c.at("declare", "groups", strconv.Itoa(i))
		c.account(g.Name, g.GID)
	}
	for i, a := range d.Alternatives {
		c.at("declare", "alternatives", strconv.Itoa(i))
		if a.Name == "" || strings.ContainsAny(a.Name, "/\x00") {
			c.add("%q is not the name of an alternative", a.Name)
		}
		c.absolute("link", a.Link)
		c.absolute("path", a.Path)
		for link, target := range a.Slaves {
			c.absolute("link of a slave", link)
			c.absolute("path of a slave", target)
		}
	}
	for i, x := range d.Capabilities {
		c.at("declare", "capabilities", strconv.Itoa(i))
		c.absolute("path", x.Path)
		if !capsRule.MatchString(x.Caps) {
			c.add("caps %q: write them as setcap takes them, such as cap_net_raw+ep", x.Caps)
		}
	}
	for i, o := range d.Overrides {
		c.at("declare", "overrides", strconv.Itoa(i))
		c.absolute("path", o.Path)
		for _, name := range []string{o.User, o.Group} {
			if !userRule.MatchString(name) {
				c.add("override of %s: %q is not the name of a user or group", o.Path, name)
			}
		}
		if o.Mode > 0o7777 {
			c.add("override of %s: mode %#o is more than 0o7777", o.Path, o.Mode)
		} else if c.r.File != "" && !c.r.places.Has("declare", "overrides", strconv.Itoa(i), "mode") {
			c.add("override of %s: mode is missing", o.Path)
		}
	}
}

func (c *checker) account(name string, id int) {
	switch {
	case !userRule.MatchString(name):
		c.add("%q is not the name of a user or group", name)
	case id == 0 && name != "root":
		c.add("%q must not have the id of root", name)
	case id < -1 || id > maxID:
		c.add("%q: id %d is not between 0 and %d", name, id, maxID)
	}
}

// passwdField refuses what would break out of a field of passwd(5).
func (c *checker) passwdField(user, text string) {
	if strings.ContainsAny(text, ":\n\x00") {
		c.add("user %q: %q holds a colon, a line end or a NUL byte", user, text)
	}
}

func (c *checker) absolute(what, p string) {
	if !plainPath(p) {
		c.add("%s %q has to be an absolute path without . and ..", what, p)
	}
}

func plainPath(p string) bool {
	return path.IsAbs(p) && path.Clean(p) == p && !strings.ContainsRune(p, 0)
}
