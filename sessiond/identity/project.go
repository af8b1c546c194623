package identity

import (
	"fmt"
	"slices"
	"strings"
)

// Accounts are the passwd and group files of an image, as text.
type Accounts struct{ Passwd, Group string }

// For returns the image's files with u in them: the image's own system
// accounts, which own its files and run its daemons, and the user with each of
// the user's groups as the host has them. A line of the image with the user's
// name or uid gives way, and so does one with the name of one of the groups:
// device nodes and the home come from the host, and its numbers count.
//
// Shell is the user's shell as far as the image has it; see Shell.
func (a Accounts) For(u User, shell string) Accounts {
	var out Accounts
	var passwd, groups strings.Builder
	mine := u
	mine.Shell = shell
	own := passwdLine(mine)
	for line := range strings.Lines(a.Passwd) {
		have, ok := parsePasswd(strings.TrimSuffix(line, "\n"))
		switch {
		case !ok:
		case have.Name != u.Name && have.UID != u.UID:
			passwd.WriteString(terminated(line))
		default: // root stays first
			passwd.WriteString(own)
			own = ""
		}
	}
	out.Passwd = passwd.String() + own

	done := map[uint32]bool{}
	for line := range strings.Lines(a.Group) {
		have, ok := parseGroup(strings.TrimSuffix(line, "\n"))
		switch {
		case !ok:
		case slices.Contains(u.Groups, have.gid) && !done[have.gid]:
			done[have.gid] = true
			groups.WriteString(groupLine(groupName(u, have.gid, have.name), have.gid, u, have.members))
		case !u.owns(have.name):
			groups.WriteString(terminated(line))
		}
	}
	for _, gid := range u.Groups {
		if !done[gid] {
			groups.WriteString(groupLine(groupName(u, gid, fmt.Sprintf("group%d", gid)), gid, u, nil))
		}
	}
	out.Group = groups.String()
	return out
}

// With returns a with the accounts of b whose name and number a does not have:
// the host's, with the system accounts that a merged runtime's daemons run as.
func (a Accounts) With(b Accounts) Accounts {
	names, ids := map[string]bool{}, map[uint32]bool{}
	for line := range strings.Lines(a.Passwd) {
		if u, ok := parsePasswd(strings.TrimSuffix(line, "\n")); ok {
			names[u.Name], ids[u.UID] = true, true
		}
	}
	for line := range strings.Lines(b.Passwd) {
		if u, ok := parsePasswd(strings.TrimSuffix(line, "\n")); ok && !names[u.Name] && !ids[u.UID] {
			a.Passwd += terminated(line)
		}
	}
	clear(names)
	clear(ids)
	for line := range strings.Lines(a.Group) {
		if g, ok := parseGroup(strings.TrimSuffix(line, "\n")); ok {
			names[g.name], ids[g.gid] = true, true
		}
	}
	for line := range strings.Lines(b.Group) {
		if g, ok := parseGroup(strings.TrimSuffix(line, "\n")); ok && !names[g.name] && !ids[g.gid] {
			a.Group += terminated(line)
		}
	}
	return a
}

func terminated(line string) string { return strings.TrimSuffix(line, "\n") + "\n" }

// owns reports whether one of the user's groups has this name on the host.
func (u User) owns(name string) bool {
	for _, n := range u.GroupNames {
		if n == name {
			return true
		}
	}
	return false
}

func groupName(u User, gid uint32, otherwise string) string {
	if n := u.GroupNames[gid]; n != "" {
		return n
	}
	return otherwise
}

func groupLine(name string, gid uint32, u User, others []string) string {
	members := slices.DeleteFunc(slices.Clone(others), func(m string) bool { return m == u.Name || m == "" })
	if gid != u.GID { // passwd says that
		members = append(members, u.Name)
	}
	return group{name, gid, members}.line()
}

// field keeps a value from a directory from adding fields or lines.
func field(s string) string {
	return strings.NewReplacer(":", " ", "\n", " ", "\x00", " ").Replace(s)
}

// Shells are the shells that Shell looks for, in its order.
func Shells(u User) []string {
	return []string{u.Shell, "/bin/bash", "/usr/bin/bash", "/bin/sh", "/usr/bin/sh"}
}

// Shell returns the first of the user's shell, bash and sh that has says is
// there, and the user's own when none is.
func Shell(u User, has func(path string) bool) string {
	for _, s := range Shells(u) {
		if s != "" && has(s) {
			return s
		}
	}
	return u.Shell
}

// Homes are the homes of the people among a, each once.
func (a Accounts) Homes(people Limits) []string {
	var homes []string
	for line := range strings.Lines(a.Passwd) {
		u, ok := parsePasswd(strings.TrimSuffix(line, "\n"))
		if ok && people.Person(u.UID) && !slices.Contains(homes, u.Home) {
			homes = append(homes, u.Home)
		}
	}
	return homes
}
