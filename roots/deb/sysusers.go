package deb

import (
	"fmt"
	"strconv"
	"strings"

	"ninefold/roots/deb/script"
	"ninefold/roots/pkg"
)

// readSysusers adds what a sysusers.d(5) file declares and returns the lines
// that it could not read.
func readSysusers(f textFile, d *pkg.Declared) []script.Unread {
	var unread []script.Unread
	n := 0
	for line := range strings.Lines(string(f.text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := sysusersLine(line, d); err != nil {
			unread = append(unread, script.Unread{Script: f.path, Line: n, Text: line, Why: err.Error()})
		}
	}
	return unread
}

func sysusersLine(line string, d *pkg.Declared) error {
	w, err := quotedWords(line)
	if err != nil {
		return err
	}
	for i := range w {
		if w[i] == "-" {
			w[i] = ""
		}
		if strings.Contains(w[i], "%") {
			return fmt.Errorf("specifiers are not read")
		}
	}
	for len(w) < 6 {
		w = append(w, "")
	}
	kind, name, id := strings.TrimRight(w[0], "!"), w[1], w[2]
	if len(w) > 6 || name == "" && kind != "r" || strings.ContainsAny(name+id, " ,") {
		return fmt.Errorf("the line is not understood")
	}
	switch kind {
	case "u":
		return sysusersUser(w, name, id, d)
	case "g":
		gid, err := sysusersID(id)
		if err != nil {
			return err
		}
		d.Groups = append(d.Groups, pkg.Group{Name: name, GID: gid})
	case "m":
		if id == "" {
			return fmt.Errorf("the group is missing")
		}
		d.Users = append(d.Users, pkg.User{Name: name, UID: -1, Groups: []string{id}})
		d.Groups = append(d.Groups, pkg.Group{Name: id, GID: -1})
	case "r":
	default:
		return fmt.Errorf("type %q is not known", w[0])
	}
	return nil
}

func sysusersUser(w []string, name, id string, d *pkg.Declared) error {
	u := pkg.User{Name: name, Comment: w[3], Home: w[4], Shell: w[5], Group: name}
	if u.Home == "" {
		u.Home = "/"
	}
	if u.Shell == "" {
		u.Shell = "/usr/sbin/nologin"
		if name == "root" {
			u.Shell = "/bin/sh"
		}
	}
	first, second, both := strings.Cut(id, ":")
	var err error
	if u.UID, err = sysusersID(first); err != nil {
		return err
	}
	switch {
	case !both:
		// A user without a group gets one with the same name and number.
		d.Groups = append(d.Groups, pkg.Group{Name: name, GID: u.UID})
	default:
		if gid, err := strconv.ParseUint(second, 10, 31); err == nil {
			d.Groups = append(d.Groups, pkg.Group{Name: name, GID: int(gid)})
		} else {
			u.Group = second
		}
	}
	d.Users = append(d.Users, u)
	return nil
}

// sysusersID reads a number; a path, whose owner would be taken, leaves the
// choice to the image.
func sysusersID(s string) (int, error) {
	if s == "" || s == "-" || strings.HasPrefix(s, "/") {
		return -1, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("id %q is no number", s)
	}
	return int(n), nil
}

// quotedWords splits at blanks outside of quotes.
func quotedWords(line string) ([]string, error) {
	var out []string
	var b strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				b.WriteByte(c)
			}
		case c == '"' || c == '\'':
			in, quote = true, c
		case c == '\\' && i+1 < len(line):
			i++
			in = true
			b.WriteByte(line[i])
		case c == ' ' || c == '\t':
			if in {
				out = append(out, b.String())
				b.Reset()
			}
			in = false
		default:
			in = true
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if in {
		out = append(out, b.String())
	}
	return out, nil
}
