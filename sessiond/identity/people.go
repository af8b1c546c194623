package identity

import (
	"fmt"
	"slices"
	"strings"
)

// OnHost returns the accounts for a root of the image a on a machine with the
// accounts host: the system accounts of the image, and the people of the host
// with their groups and numbers. An image is made elsewhere and must not say who is
// who here: its people, members of groups who are people, second names of uid 0
// and passwords (an empty one would be a way in) are left out.
func (a Accounts) OnHost(host Accounts, people Limits) Accounts {
	var passwd, groups strings.Builder
	persons, uids := map[string]bool{}, map[uint32]bool{}
	primary := map[uint32]bool{}
	var those []User
	for line := range strings.Lines(host.Passwd) {
		if u, ok := parsePasswd(strings.TrimSuffix(line, "\n")); ok && people.Person(u.UID) {
			persons[u.Name], uids[u.UID], primary[u.GID] = true, true, true
			those = append(those, u)
		}
	}
	system := map[string]bool{}
	for line := range strings.Lines(a.Passwd) {
		u, ok := parsePasswd(strings.TrimSuffix(line, "\n"))
		if !ok || people.Person(u.UID) || persons[u.Name] || uids[u.UID] || u.UID == 0 && u.Name != "root" {
			continue
		}
		system[u.Name] = true
		passwd.WriteString(passwdLine(u))
	}
	for _, u := range those {
		passwd.WriteString(passwdLine(u))
	}

	// The groups of people, as the host has them.
	theirs, names := map[uint32]group{}, map[string]bool{}
	var order []uint32
	for line := range strings.Lines(host.Group) {
		g, ok := parseGroup(strings.TrimSuffix(line, "\n"))
		if !ok {
			continue
		}
		g.members = slices.DeleteFunc(g.members, func(m string) bool { return !persons[m] })
		if _, twice := theirs[g.gid]; twice || len(g.members) == 0 && !primary[g.gid] {
			continue
		}
		theirs[g.gid], names[g.name] = g, true
		order = append(order, g.gid)
	}
	for line := range strings.Lines(a.Group) {
		g, ok := parseGroup(strings.TrimSuffix(line, "\n"))
		if !ok {
			continue
		}
		g.members = slices.DeleteFunc(g.members, func(m string) bool { return !system[m] })
		if h, shared := theirs[g.gid]; shared {
			if h.members != nil {
				h.members = append(h.members, g.members...)
				groups.WriteString(h.line())
				theirs[g.gid] = group{} // written
			}
			continue
		}
		if !names[g.name] {
			groups.WriteString(g.line())
		}
	}
	for _, gid := range order {
		if g := theirs[gid]; g.members != nil {
			groups.WriteString(g.line())
		}
	}
	return Accounts{Passwd: passwd.String(), Group: groups.String()}
}

func passwdLine(u User) string {
	return fmt.Sprintf("%s:x:%d:%d:%s:%s:%s\n", u.Name, u.UID, u.GID, field(u.Comment), field(u.Home), field(u.Shell))
}

func (g group) line() string {
	return fmt.Sprintf("%s:x:%d:%s\n", g.name, g.gid, strings.Join(g.members, ","))
}
