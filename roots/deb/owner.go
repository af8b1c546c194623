package deb

import (
	"strconv"

	"ninefold/roots/pkg"
)

// The ids that base-passwd gives to every Debian system (Policy 9.2.2).
var (
	fixedUsers = map[string]uint32{
		"root": 0, "daemon": 1, "bin": 2, "sys": 3, "sync": 4, "games": 5, "man": 6, "lp": 7, "mail": 8, "news": 9,
		"uucp": 10, "proxy": 13, "www-data": 33, "backup": 34, "list": 38, "irc": 39, "nobody": 65534,
	}
	fixedGroups = map[string]uint32{
		"root": 0, "daemon": 1, "bin": 2, "sys": 3, "adm": 4, "tty": 5, "disk": 6, "lp": 7, "mail": 8, "news": 9,
		"uucp": 10, "man": 12, "proxy": 13, "kmem": 15, "dialout": 20, "fax": 21, "voice": 22, "cdrom": 24, "floppy": 25,
		"tape": 26, "sudo": 27, "audio": 29, "dip": 30, "www-data": 33, "backup": 34, "operator": 37, "list": 38, "irc": 39,
		"src": 40, "shadow": 42, "utmp": 43, "video": 44, "sasl": 45, "plugdev": 46, "staff": 50, "games": 60, "users": 100,
		"nogroup": 65534,
	}
)

// fixed reports whether Debian gives out an id once for all machines.
func fixed(id uint32) bool { return id < 100 || id >= 60000 && id < 65000 || id == 65534 }

// owner keeps fixed ids and makes an override of an owner that has only a name
// which is the same on all machines.
func (im *importer) owner(n *node, it *item) {
	if !im.byName {
		return
	}
	user, group := it.user, it.group
	if user == "" || fixed(n.UID) {
		user = "#" + strconv.FormatUint(uint64(n.UID), 10)
	}
	if group == "" || fixed(n.GID) {
		group = "#" + strconv.FormatUint(uint64(n.GID), 10)
	}
	if user[0] == '#' && group[0] == '#' {
		return
	}
	im.overrides = append(im.overrides, pkg.Override{Path: "/" + n.Path, User: user, Group: group, Mode: n.Mode})
	if user[0] != '#' {
		n.UID = 0
	}
	if group[0] != '#' {
		n.GID = 0
	}
}

// id resolves a user or group as a script names it.
func id(name string, names map[string]uint32) (uint32, bool) {
	if n, ok := names[name]; ok {
		return n, true
	}
	n, err := strconv.ParseUint(name, 10, 32)
	return uint32(n), err == nil
}
