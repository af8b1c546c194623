package finish

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// account is a line of passwd(5).
type account struct {
	name                 string
	uid, gid             int
	comment, home, shell string
}

// group is a line of group(5).
type group struct {
	name    string
	gid     int
	members []string
}

// accounts are the two databases of an image. The order of lines is kept.
type accounts struct {
	users  []account
	groups []group
}

const nologin = "/usr/sbin/nologin"

// parsePasswd reads passwd(5) or base-passwd's master, of which the password
// field is dropped: it moves to shadow.
func (a *accounts) parsePasswd(name string, text []byte) error {
	return eachLine(name, text, 7, func(f []string) error {
		uid, err1 := parseID(f[2])
		gid, err2 := parseID(f[3])
		if err1 != nil || err2 != nil {
			return fmt.Errorf("user %q has ids %q and %q", f[0], f[2], f[3])
		}
		if a.user(f[0]) == nil {
			a.users = append(a.users, account{f[0], uid, gid, f[4], f[5], f[6]})
		}
		return nil
	})
}

// parseGroup reads group(5).
func (a *accounts) parseGroup(name string, text []byte) error {
	return eachLine(name, text, 4, func(f []string) error {
		gid, err := parseID(f[2])
		if err != nil {
			return fmt.Errorf("group %q has id %q", f[0], f[2])
		}
		var members []string
		if f[3] != "" {
			members = strings.Split(f[3], ",")
		}
		if a.group(f[0]) == nil {
			a.groups = append(a.groups, group{f[0], gid, members})
		}
		return nil
	})
}

func eachLine(name string, text []byte, fields int, do func(f []string) error) error {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		s := strings.TrimRight(string(line), "\n")
		if s == "" || s[0] == '#' {
			continue
		}
		f := strings.Split(s, ":")
		if len(f) < fields {
			// group.master leaves the last, empty field out.
			f = append(f, make([]string, fields-len(f))...)
		}
		if len(f) != fields || f[0] == "" {
			return fmt.Errorf("/%s:%d: want %d fields, have %d", name, n, fields, len(f))
		}
		if err := do(f); err != nil {
			return fmt.Errorf("/%s:%d: %w", name, n, err)
		}
	}
	return nil
}

func parseID(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = strconv.ErrRange
	}
	return int(n), err
}

func (a *accounts) user(name string) *account {
	for i := range a.users {
		if a.users[i].name == name {
			return &a.users[i]
		}
	}
	return nil
}

func (a *accounts) group(name string) *group {
	for i := range a.groups {
		if a.groups[i].name == name {
			return &a.groups[i]
		}
	}
	return nil
}

func (a *accounts) groupOf(gid int) string {
	for i := range a.groups {
		if a.groups[i].gid == gid {
			return a.groups[i].name
		}
	}
	return ""
}

func (a *accounts) uidTaken(n int) bool {
	return slices.ContainsFunc(a.users, func(u account) bool { return u.uid == n })
}

func (a *accounts) gidTaken(n int) bool {
	return slices.ContainsFunc(a.groups, func(g group) bool { return g.gid == n })
}

func (a *accounts) passwd() []byte {
	var b bytes.Buffer
	for _, u := range a.users {
		fmt.Fprintf(&b, "%s:x:%d:%d:%s:%s:%s\n", u.name, u.uid, u.gid, u.comment, u.home, u.shell)
	}
	return b.Bytes()
}

func (a *accounts) groupText() []byte {
	var b bytes.Buffer
	for _, g := range a.groups {
		fmt.Fprintf(&b, "%s:x:%d:%s\n", g.name, g.gid, strings.Join(g.members, ","))
	}
	return b.Bytes()
}

// shadow locks every account: no password fits "*". The day of the last change
// stays empty, which switches aging off and keeps the file free of a clock.
func (a *accounts) shadow() []byte {
	var b bytes.Buffer
	for _, u := range a.users {
		fmt.Fprintf(&b, "%s:*::0:99999:7:::\n", u.name)
	}
	return b.Bytes()
}

func (a *accounts) gshadow() []byte {
	var b bytes.Buffer
	for _, g := range a.groups {
		fmt.Fprintf(&b, "%s:*::%s\n", g.name, strings.Join(g.members, ","))
	}
	return b.Bytes()
}
