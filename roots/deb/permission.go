package deb

import (
	"slices"
	"strconv"
	"strings"

	"ninefold/roots/deb/script"
	"ninefold/roots/pkg"
)

// applyPermissions makes the changes of owner and mode that scripts make to the
// package's own files. Where an owner has no fixed id the result is an override
// of the path. It returns the changes that could not be read.
func applyPermissions(p *pkg.Package, g groups, l []script.Permission) []script.Unread {
	var unread []script.Unread
	stated := map[string]bool{} // by dpkg-statoverride, which wins
	for _, o := range p.Declared.Overrides {
		stated[o.Path] = true
	}
	pending := map[string]*pkg.Override{}
	for _, c := range l {
		for _, t := range affected(p, c) {
			path := "/" + t.Path
			if stated[path] {
				continue
			}
			if c.Unread != nil {
				if !slices.Contains(unread, *c.Unread) {
					unread = append(unread, *c.Unread)
				}
				continue
			}
			if !change(t, g, c, pending, path) {
				unread = append(unread, script.Unread{Script: "postinst", Text: "chmod " + c.Mode + " " + c.Path, Why: "the mode is not understood"})
			}
		}
	}
	for _, o := range pending {
		p.Declared.Overrides = append(p.Declared.Overrides, *o)
	}
	return unread
}

func affected(p *pkg.Package, c script.Permission) []*pkg.Entry {
	path := strings.TrimPrefix(c.Path, "/")
	t := p.Entry(path)
	// As chown and chmod do, within the package.
	for range 10 {
		if t == nil || t.Kind != pkg.Symlink {
			break
		}
		path = merged(lexical(path, t.Target))
		t = p.Entry(path)
	}
	if t == nil || t.Kind == pkg.Symlink {
		return nil
	}
	out := []*pkg.Entry{t}
	if c.Recursive {
		for i := range p.Entries {
			if u := &p.Entries[i]; u.Kind != pkg.Symlink && strings.HasPrefix(u.Path, path+"/") {
				out = append(out, u)
			}
		}
	}
	return out
}

func change(t *pkg.Entry, g groups, c script.Permission, pending map[string]*pkg.Override, path string) bool {
	all := []*pkg.Entry{t}
	if t.Kind == pkg.File {
		all = g.of(t)
	}
	o := pending[path]
	if c.Mode != "" {
		mode := t.Mode
		if o != nil {
			mode = o.Mode
		}
		mode, ok := chmod(mode, c.Mode, t.Kind == pkg.Dir)
		if !ok {
			return false
		}
		if o != nil {
			o.Mode = mode
			return true
		}
		for _, u := range all {
			u.Mode = mode
		}
		return true
	}
	uid, user := t.UID, true
	if c.User != "" {
		uid, user = id(c.User, fixedUsers)
	}
	gid, group := t.GID, true
	if c.Group != "" {
		gid, group = id(c.Group, fixedGroups)
	}
	mode := t.Mode
	if o != nil {
		mode = o.Mode
	}
	if t.Kind == pkg.File {
		mode &^= 0o6000 // as chown(2) does
	}
	if o == nil && user && group {
		for _, u := range all {
			u.UID, u.GID, u.Mode = uid, gid, mode
		}
		return true
	}
	if o == nil {
		o = &pkg.Override{Path: path, User: number(t.UID), Group: number(t.GID)}
		pending[path] = o
	}
	o.Mode = mode
	if c.User != "" {
		o.User = named(c.User, uid, user)
	}
	if c.Group != "" {
		o.Group = named(c.Group, gid, group)
	}
	return true
}

func number(id uint32) string {
	if id == 0 {
		return "root"
	}
	return "#" + strconv.FormatUint(uint64(id), 10)
}

func named(name string, id uint32, known bool) string {
	if known {
		return number(id)
	}
	return name
}

// chmod applies a mode as chmod(1) takes it, octal or symbolic.
func chmod(mode uint32, text string, dir bool) (uint32, bool) {
	if n, err := strconv.ParseUint(text, 8, 12); err == nil {
		return uint32(n), true
	}
	for clause := range strings.SplitSeq(text, ",") {
		at := strings.IndexAny(clause, "+-=")
		if at < 0 || strings.Trim(clause[:at], "ugoa") != "" {
			return 0, false
		}
		who := clause[:at]
		if who == "" || strings.Contains(who, "a") {
			who = "ugo"
		}
		var mask, bits uint32
		for _, w := range who {
			shift := map[rune]uint{'u': 6, 'g': 3, 'o': 0}[w]
			mask |= 7 << shift
			for _, b := range clause[at+1:] {
				switch b {
				case 'r':
					bits |= 4 << shift
				case 'w':
					bits |= 2 << shift
				case 'x':
					bits |= 1 << shift
				case 'X':
					if dir || mode&0o111 != 0 {
						bits |= 1 << shift
					}
				case 's':
					bits |= map[rune]uint32{'u': 0o4000, 'g': 0o2000}[w]
				case 't':
					bits |= 0o1000
				default:
					return 0, false
				}
			}
		}
		switch clause[at] {
		case '+':
			mode |= bits
		case '-':
			mode &^= bits
		case '=':
			mode = mode&^mask | bits
		}
	}
	return mode, true
}
