package finish

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ninefold/roots/pkg"
)

// The range of ids for system accounts (Debian policy 9.2.2).
const (
	firstSystemID = 100
	lastSystemID  = 999
)

const (
	passwdMaster = "usr/share/base-passwd/passwd.master"
	groupMaster  = "usr/share/base-passwd/group.master"
)

// usersStep writes passwd, group, shadow and gshadow: what the parent has, or
// base-passwd's masters, and the system accounts that packages declare. An id
// follows from the sorted names alone. Every account is locked.
var usersStep = step{
	name: "users", summary: "passwd, group, shadow and gshadow from base-passwd and declared users", revision: 1, machine: true,
	reads: func(v *View, p *Params) inputs {
		c := collect(v)
		have := c.path("etc/passwd")
		have = c.path(passwdMaster) || have
		c.path("etc/group")
		c.path(groupMaster)
		if !have {
			return inputs{}
		}
		in := c.inputs()
		in.extra, _ = json.Marshal([]any{p.Declared.Users, p.Declared.Groups, p.Recipe.Users, p.Recipe.Groups})
		return in
	},
	do: func(j *job) error {
		a, err := readAccounts(j.view)
		if err != nil {
			return err
		}
		users := slices.Concat(j.params.Recipe.Users, j.params.Declared.Users)
		groups := slices.Concat(j.params.Recipe.Groups, j.params.Declared.Groups)
		if err := a.declare(users, groups); err != nil {
			return err
		}
		shadow := uint32(0)
		if g := a.group("shadow"); g != nil {
			shadow = uint32(g.gid)
		}
		return errors.Join(
			j.out.file("etc/passwd", 0o644, a.passwd()),
			j.out.file("etc/group", 0o644, a.groupText()),
			j.out.fileOwned("etc/shadow", 0o640, 0, shadow, a.shadow()),
			j.out.fileOwned("etc/gshadow", 0o640, 0, shadow, a.gshadow()))
	},
}

// readAccounts reads the image's own databases, or the masters in their place.
func readAccounts(v *View) (*accounts, error) {
	a := &accounts{}
	for _, f := range []struct {
		own, master string
		parse       func(string, []byte) error
	}{
		{"etc/passwd", passwdMaster, a.parsePasswd},
		{"etc/group", groupMaster, a.parseGroup},
	} {
		name := f.own
		if !v.Has(name) {
			name = f.master
		}
		if !v.Has(name) {
			continue
		}
		text, err := v.Read(name)
		if err != nil {
			return nil, err
		}
		if err := f.parse(name, text); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// declare adds what is not there yet. Of two declarations of one name the
// first counts, and one with a fixed id before one without.
func (a *accounts) declare(users []pkg.User, groups []pkg.Group) error {
	want := map[string]int{} // group -> gid, -1 for any
	add := func(name string, gid int) {
		if old, ok := want[name]; !ok || old < 0 {
			want[name] = gid
		}
	}
	for _, g := range groups {
		add(g.Name, g.GID)
	}
	byName := map[string]pkg.User{}
	for _, u := range users {
		if err := checkAccount(u); err != nil {
			return err
		}
		if u.Group == "" {
			u.Group = u.Name
		}
		for _, g := range append([]string{u.Group}, u.Groups...) {
			add(g, -1)
		}
		if old, ok := byName[u.Name]; ok {
			u, old = old, u
			if u.UID < 0 {
				u.UID = old.UID
			}
			u.Groups = append(slices.Clone(u.Groups), old.Groups...)
		}
		byName[u.Name] = u
	}
	if err := a.addGroups(want, byName); err != nil {
		return err
	}
	return a.addUsers(byName)
}

func checkAccount(u pkg.User) error {
	for _, s := range []string{u.Name, u.Group, u.Home, u.Shell, u.Comment} {
		if strings.ContainsAny(s, ":\n\x00") {
			return fmt.Errorf("user %q: %q holds a colon or a line end, which passwd(5) cannot", u.Name, s)
		}
	}
	return nil
}

// addGroups gives fixed ids first, and then, by name, the lowest free one; a
// user's own group gets an id that is free for both.
func (a *accounts) addGroups(want map[string]int, users map[string]pkg.User) error {
	names := sortedKeys(want)
	reserved := map[int]bool{}
	for _, u := range users {
		reserved[u.UID] = u.UID >= 0
	}
	for name, u := range users {
		// A fixed user's own group has its number, if nobody else has.
		if u.UID >= 0 && u.Group == name && want[name] < 0 && a.group(name) == nil && !a.gidTaken(u.UID) && !wanted(want, u.UID) {
			want[name] = u.UID
		}
	}
	for _, fixed := range []bool{true, false} {
		for _, name := range names {
			gid := want[name]
			if a.group(name) != nil || fixed != (gid >= 0) {
				continue
			}
			if strings.ContainsAny(name, ":,\n\x00") || name == "" {
				return fmt.Errorf("group name %q: group(5) cannot hold it", name)
			}
			_, own := users[name]
			switch {
			case fixed && a.gidTaken(gid) && own:
				// sysusers.d(5) "u name uid:gid": the group is there under
				// another name.
				u := users[name]
				u.Group = a.groupOf(gid)
				users[name] = u
				continue
			case fixed && a.gidTaken(gid):
				return fmt.Errorf("group %q wants gid %d, which another group has; declare another gid in the recipe", name, gid)
			case fixed:
			default:
				var err error
				gid, err = free(func(n int) bool {
					return a.gidTaken(n) || own && a.user(name) == nil && (a.uidTaken(n) || reserved[n])
				})
				if err != nil {
					return fmt.Errorf("group %q: %w", name, err)
				}
			}
			a.groups = append(a.groups, group{name: name, gid: gid})
		}
	}
	return nil
}

func wanted(groups map[string]int, gid int) bool {
	for _, g := range groups {
		if g == gid {
			return true
		}
	}
	return false
}

func (a *accounts) addUsers(users map[string]pkg.User) error {
	names := sortedKeys(users)
	for _, fixed := range []bool{true, false} {
		for _, name := range names {
			u := users[name]
			if fixed != (u.UID >= 0) {
				continue
			}
			if a.user(name) == nil {
				n, err := a.newAccount(u)
				if err != nil {
					return err
				}
				a.users = append(a.users, n)
			}
			for _, g := range u.Groups {
				if e := a.group(g); e != nil && !slices.Contains(e.members, name) {
					e.members = append(e.members, name)
				}
			}
		}
	}
	return nil
}

func (a *accounts) newAccount(u pkg.User) (account, error) {
	gid := a.group(u.Group).gid
	n := account{u.Name, u.UID, gid, u.Comment, u.Home, u.Shell}
	if n.home == "" {
		n.home = "/nonexistent"
	}
	if n.shell == "" {
		n.shell = nologin
	}
	switch {
	case n.uid >= 0:
		if a.uidTaken(n.uid) {
			return n, fmt.Errorf("user %q wants uid %d, which another user has; declare another uid in the recipe", u.Name, n.uid)
		}
	case u.Group == u.Name && gid >= firstSystemID && gid <= lastSystemID && !a.uidTaken(gid):
		n.uid = gid
	default:
		var err error
		if n.uid, err = free(a.uidTaken); err != nil {
			return n, fmt.Errorf("user %q: %w", u.Name, err)
		}
	}
	return n, nil
}

func free(taken func(int) bool) (int, error) {
	for n := firstSystemID; n <= lastSystemID; n++ {
		if !taken(n) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("no id between %d and %d is free", firstSystemID, lastSystemID)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
