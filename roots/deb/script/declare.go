package script

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"ninefold/roots/pkg"
)

// declare handles the commands that declare state and reports whether name is
// one, and how it ends.
func (r *reader) declare(s *state, name string, c *command) (bool, answer) {
	var err error
	end := yes
	switch name {
	case "update-alternatives":
		err = r.alternative(c)
	case "dpkg-divert":
		end, err = r.divert(c)
	case "dpkg-statoverride":
		end, err = r.statoverride(c)
	case "setcap":
		err = r.setcap(c)
	case "chown", "chgrp", "chmod":
		r.permission(name, c)
		return true, maybe
	case "adduser", "addgroup", "useradd", "groupadd", "usermod", "gpasswd":
		err = r.account(name, c)
	case "systemd-sysusers":
		// The package's own sysusers.d files are read as files.
		if c.has("-", "--inline") {
			err = fmt.Errorf("lines given to systemd-sysusers are not read")
		}
	default:
		return false, maybe
	}
	if err != nil {
		r.unreadNode(c.node, err.Error())
	}
	return true, end
}

var errUnknown = fmt.Errorf("an argument is not known before the script runs")

func (r *reader) alternative(c *command) error {
	if !c.has("--install") {
		return nil // --set, --remove, --auto: nothing to choose from yet
	}
	l, ok := c.words()
	if !ok {
		return errUnknown
	}
	i := slices.Index(l, "--install")
	if len(l) < i+5 {
		return fmt.Errorf("--install wants link, name, path and priority")
	}
	a := pkg.Alternative{Link: usrPath(l[i+1]), Name: l[i+2], Path: usrPath(l[i+3])}
	var err error
	if a.Priority, err = strconv.Atoi(l[i+4]); err != nil {
		return fmt.Errorf("priority %q is no number", l[i+4])
	}
	for l = l[i+5:]; len(l) > 0; {
		switch {
		case l[0] == "--slave" && len(l) >= 4:
			if a.Slaves == nil {
				a.Slaves = map[string]string{}
			}
			a.Slaves[usrPath(l[1])] = usrPath(l[3])
			l = l[4:]
		case strings.HasPrefix(l[0], "--") && l[0] != "--slave":
			l = l[1:]
		default:
			return fmt.Errorf("%q is not understood after --install", l[0])
		}
	}
	if !absolute(a.Link, a.Path) {
		return fmt.Errorf("link and path must be absolute")
	}
	r.res.Declared.Alternatives = append(r.res.Declared.Alternatives, a)
	return nil
}

// diversion keeps the path as it was named, as dpkg does.
type diversion struct {
	named string
	pkg.Diversion
}

// divert reads dpkg-divert(1).
func (r *reader) divert(c *command) (answer, error) {
	if c.has("--list", "--listpackage", "--truename") {
		return maybe, nil
	}
	l, ok := c.words()
	if !ok {
		if c.has("--remove") {
			return yes, nil
		}
		return yes, errUnknown
	}
	d := diversion{Diversion: pkg.Diversion{By: r.in.Package}}
	remove := false
	for ; len(l) > 0; l = l[1:] {
		opt, val, has := strings.Cut(l[0], "=")
		if (opt == "--package" || opt == "--divert" || opt == "--admindir" || opt == "--instdir" || opt == "--root") && !has {
			if len(l) < 2 {
				return yes, fmt.Errorf("%s wants a value", opt)
			}
			l = l[1:]
			val = l[0]
		}
		switch opt {
		case "--package":
			d.By = val
		case "--divert":
			d.To = val
		case "--local":
			d.By = ""
		case "--remove":
			remove = true
		case "--add", "--rename", "--no-rename", "--quiet", "--admindir", "--instdir", "--root", "--test":
		default:
			if strings.HasPrefix(opt, "-") || d.named != "" {
				return yes, fmt.Errorf("%q is not understood", l[0])
			}
			d.named = l[0]
		}
	}
	same := func(o diversion) bool { return o.named == d.named }
	if remove {
		r.diversions = slices.DeleteFunc(r.diversions, same)
		return yes, nil
	}
	if d.To == "" {
		d.To = d.named + ".distrib"
	}
	if !absolute(d.named, d.To) {
		return yes, fmt.Errorf("both paths must be absolute")
	}
	d.From, d.To = usrPath(d.named), usrPath(d.To)
	if !slices.ContainsFunc(r.diversions, same) {
		r.diversions = append(r.diversions, d)
	}
	return yes, nil
}

// statoverride reads dpkg-statoverride(1). No path has an override yet.
func (r *reader) statoverride(c *command) (answer, error) {
	if c.has("--list") {
		return no, nil
	}
	if !c.has("--add") {
		return yes, nil
	}
	l, ok := c.words()
	if !ok {
		return yes, errUnknown
	}
	l = slices.DeleteFunc(l, func(s string) bool { return strings.HasPrefix(s, "--") })
	if len(l) != 4 {
		return yes, fmt.Errorf("--add wants user, group, mode and path")
	}
	mode, err := strconv.ParseUint(l[2], 8, 12)
	if err != nil || !absolute(l[3]) {
		return yes, fmt.Errorf("mode %q or path %q is not valid", l[2], l[3])
	}
	o := pkg.Override{Path: usrPath(l[3]), User: l[0], Group: l[1], Mode: uint32(mode)}
	r.res.Declared.Overrides = append(r.res.Declared.Overrides, o)
	return yes, nil
}

func (r *reader) setcap(c *command) error {
	if c.has("-r", "-v") {
		return nil
	}
	l, ok := c.words()
	if !ok {
		return errUnknown
	}
	var plain []string
	for _, a := range l {
		if a != "-q" {
			plain = append(plain, a)
		}
	}
	if len(plain) == 0 || len(plain)%2 != 0 {
		return fmt.Errorf("setcap wants pairs of capabilities and a file")
	}
	for i := 0; i < len(plain); i += 2 {
		if _, err := pkg.CapabilityXattr(plain[i]); err != nil {
			return err
		}
		if !absolute(plain[i+1]) {
			return fmt.Errorf("path %q is not absolute", plain[i+1])
		}
		r.res.Declared.Capabilities = append(r.res.Declared.Capabilities, pkg.Capability{Path: usrPath(plain[i+1]), Caps: plain[i]})
	}
	return nil
}

func absolute(paths ...string) bool {
	for _, p := range paths {
		if !strings.HasPrefix(p, "/") || pkg.CheckPath(strings.TrimPrefix(path.Clean(p), "/")) != nil {
			return false
		}
	}
	return true
}

// usrPath cleans a path and names it as the merged /usr has it.
func usrPath(p string) string {
	p = path.Clean(p)
	for _, d := range pkg.UsrMerged {
		if strings.HasPrefix(p, "/"+d+"/") {
			return "/usr" + p
		}
	}
	return p
}

// finish puts together what was read.
func (r *reader) finish() {
	d := &r.res.Declared
	for _, v := range r.diversions {
		// The diversions that guarded files on their way from / to /usr have
		// no use where every path is in /usr.
		if !strings.HasSuffix(v.To, ".usr-is-merged") {
			d.Diversions = append(d.Diversions, v.Diversion)
		}
	}
	d.Users, d.Groups = r.accounts.list()
	d.Sort()
}
