package script

import "strings"

// permission reads chown, chgrp and chmod. Unknown paths are passed over: what
// a script computes at run time is not among the package's own files, which
// are named literally.
func (r *reader) permission(name string, c *command) {
	var p Permission
	var rest []value
	for _, a := range c.args[1:] {
		// chmod -x is a mode, not an option.
		option := a.known && strings.HasPrefix(a.s, "-") && (name != "chmod" || strings.HasPrefix(a.s, "--") || a.s == "-R" || a.s == "-f" || a.s == "-v" || a.s == "-c" || a.s == "-h")
		if !option {
			rest = append(rest, a)
			continue
		}
		p.Recursive = p.Recursive || a.s == "-R" || a.s == "--recursive" || !strings.HasPrefix(a.s, "--") && strings.Contains(a.s, "R")
		if a.s == "-h" {
			continue
		}
	}
	if len(rest) < 2 {
		return
	}
	what := rest[0]
	if what.known {
		switch user, group, both := cutOwner(what.s); {
		case name == "chmod":
			p.Mode = what.s
		case name == "chgrp":
			p.Group = what.s
		case both:
			p.User, p.Group = user, group
		default:
			p.User = what.s
		}
	} else {
		n := len(r.res.Unread)
		r.unreadNode(c.node, errUnknown.Error())
		if len(r.res.Unread) == n {
			return
		}
		u := r.res.Unread[n]
		r.res.Unread = r.res.Unread[:n]
		p.Unread = &u
	}
	for _, a := range rest[1:] {
		if len(r.res.Permissions) >= maxFound {
			r.unreadNode(c.node, "too many changes of owners and modes")
			return
		}
		if a.known && absolute(a.s) {
			q := p
			q.Path = usrPath(a.s)
			r.res.Permissions = append(r.res.Permissions, q)
		}
	}
}

func cutOwner(s string) (user, group string, both bool) {
	if user, group, both = strings.Cut(s, ":"); both {
		return user, group, true
	}
	return strings.Cut(s, ".")
}
