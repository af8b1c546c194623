package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ninefold/roots/pkg"
)

// accounts gathers users and groups by name, in the order of their first use.
type accounts struct {
	users  []pkg.User
	groups []pkg.Group
}

func (a *accounts) user(name string) *pkg.User {
	i := slices.IndexFunc(a.users, func(u pkg.User) bool { return u.Name == name })
	if i < 0 {
		a.users = append(a.users, pkg.User{Name: name, UID: -1})
		i = len(a.users) - 1
	}
	return &a.users[i]
}

func (a *accounts) group(name string, gid int) {
	i := slices.IndexFunc(a.groups, func(g pkg.Group) bool { return g.Name == name })
	if i < 0 {
		a.groups = append(a.groups, pkg.Group{Name: name, GID: gid})
	} else if a.groups[i].GID < 0 {
		a.groups[i].GID = gid
	}
}

func (a *accounts) list() ([]pkg.User, []pkg.Group) { return a.users, a.groups }

// flags of the account tools that take a value, by tool, and what they set.
var accountFlags = map[string]map[string]string{
	"adduser": {"--home": "home", "--shell": "shell", "--uid": "uid", "--gid": "gid", "--ingroup": "group", "--gecos": "comment",
		"--comment": "comment", "--conf": "", "--firstuid": "", "--lastuid": "", "--firstgid": "", "--lastgid": "",
		"--stdoutmsglevel": "", "--stderrmsglevel": "", "--logmsglevel": ""},
	"useradd": {"-d": "home", "--home": "home", "--home-dir": "home", "-s": "shell", "--shell": "shell", "-u": "uid", "--uid": "uid",
		"-g": "group", "--gid": "group", "-G": "groups", "--groups": "groups", "-c": "comment", "--comment": "comment",
		"-b": "", "-K": "", "--key": "", "-k": "", "--skel": "", "-e": "", "-f": "", "-p": "", "--password": ""},
	"usermod": {"-d": "home", "--home": "home", "-s": "shell", "--shell": "shell", "-u": "uid", "--uid": "uid", "-g": "group",
		"--gid": "group", "-G": "groups", "--groups": "groups", "-c": "comment", "--comment": "comment", "-e": "", "-f": "",
		"-p": "", "--expiredate": "", "--inactive": "", "--password": ""},
	"groupadd": {"-g": "gid", "--gid": "gid", "-K": "", "--key": "", "-p": ""},
	"gpasswd":  {"-a": "member", "--add": "member"},
}

// flags that take no value; the first list are those with a meaning here.
var accountSwitches = map[string][]string{
	"adduser": {"--system", "--group", "--quiet", "--no-create-home", "--disabled-password", "--disabled-login", "--force-badname",
		"--allow-badname", "--allow-bad-names", "--allow-all-names", "--debug", "--verbose", "--add_extra_groups"},
	"useradd":  {"-r", "--system", "-M", "--no-create-home", "-m", "--create-home", "-N", "--no-user-group", "-U", "--user-group", "-l", "--no-log-init", "-o", "--badname"},
	"usermod":  {"-a", "--append", "-m", "-L", "--lock", "-U", "--unlock", "-o"},
	"groupadd": {"-r", "--system", "-f", "--force", "-o"},
	"gpasswd":  {},
}

// account reads adduser(8), useradd(8) and their kin.
func (r *reader) account(name string, c *command) error {
	l, ok := c.words()
	if !ok {
		return errUnknown
	}
	tool := name
	if name == "addgroup" {
		tool = "adduser"
	}
	set, on, plain, err := accountArgs(tool, l)
	if err != nil {
		return err
	}
	uid, err := accountID(set["uid"])
	if err != nil {
		return err
	}
	gid, err := accountID(set["gid"])
	if err != nil {
		return err
	}
	if err := checkWords(set, plain); err != nil {
		return err
	}
	if len(r.accounts.users)+len(r.accounts.groups) >= maxFound {
		return fmt.Errorf("too many accounts")
	}
	switch {
	case name == "gpasswd":
		if m := set["member"]; m != "" && len(plain) == 1 {
			r.join(m, plain[0])
		}
		return nil
	case tool == "adduser" && len(plain) == 2:
		r.join(plain[0], plain[1])
		return nil
	case len(plain) != 1:
		return fmt.Errorf("%s wants one name", name)
	case name == "groupadd" || name == "addgroup" || name == "adduser" && on["--group"] && !on["--system"]:
		r.accounts.group(plain[0], gid)
		return nil
	}
	r.userAccount(name, plain[0], uid, set, on)
	return nil
}

func (r *reader) userAccount(tool, name string, uid int, set map[string]string, on map[string]bool) {
	u := r.accounts.user(name)
	if uid >= 0 {
		u.UID = uid
	}
	for key, field := range map[string]*string{"home": &u.Home, "shell": &u.Shell, "comment": &u.Comment, "group": &u.Group} {
		if v, ok := set[key]; ok {
			*field = v
		}
	}
	if l := set["groups"]; l != "" {
		for g := range strings.SplitSeq(l, ",") {
			r.join(name, g)
		}
	}
	if tool == "usermod" {
		return
	}
	own := tool == "useradd" && !on["-N"] && !on["--no-user-group"] || tool == "adduser" && (on["--group"] || !on["--system"])
	switch {
	case set["group"] != "":
	case set["gid"] != "":
		u.Group = set["gid"]
	case own:
		u.Group = name
		r.accounts.group(name, -1)
	case tool == "adduser":
		u.Group = "nogroup"
	}
	if tool == "adduser" && on["--system"] {
		if u.Home == "" {
			u.Home = "/nonexistent"
		}
		if u.Shell == "" {
			u.Shell = "/usr/sbin/nologin"
		}
	}
}

func (r *reader) join(user, group string) {
	u := r.accounts.user(user)
	if !slices.Contains(u.Groups, group) {
		u.Groups = append(u.Groups, group)
	}
}

func accountArgs(tool string, l []string) (set map[string]string, on map[string]bool, plain []string, err error) {
	set, on = map[string]string{}, map[string]bool{}
	for ; len(l) > 0; l = l[1:] {
		arg := l[0]
		if !strings.HasPrefix(arg, "-") {
			plain = append(plain, arg)
			continue
		}
		opt, val, has := strings.Cut(arg, "=")
		field, takes := accountFlags[tool][opt]
		switch {
		case arg == "--":
		case takes:
			if !has {
				if len(l) < 2 {
					return nil, nil, nil, fmt.Errorf("%s wants a value", opt)
				}
				l = l[1:]
				val = l[0]
			}
			if field != "" {
				set[field] = val
			}
		case slices.Contains(accountSwitches[tool], arg):
			on[arg] = true
		default:
			return nil, nil, nil, fmt.Errorf("option %s of %s is not understood", arg, tool)
		}
	}
	return set, on, plain, nil
}

func accountID(s string) (int, error) {
	if s == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("id %q is no number", s)
	}
	return int(n), nil
}

// checkWords refuses what cannot stand in passwd and group.
func checkWords(set map[string]string, plain []string) error {
	for k, v := range set {
		if strings.ContainsAny(v, ":\n\x00") {
			return fmt.Errorf("%s %q cannot stand in passwd", k, v)
		}
	}
	for _, n := range append(slices.Clone(plain), strings.Split(set["groups"], ",")...) {
		if strings.ContainsAny(n, ":, \t\n\x00/") {
			return fmt.Errorf("name %q cannot stand in passwd", n)
		}
	}
	return nil
}
