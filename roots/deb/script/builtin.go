package script

import (
	"path"
	"strings"
)

// dpkgCompare evaluates dpkg --compare-versions with an empty first version:
// there is none yet.
func dpkgCompare(c *command) answer {
	l, ok := c.words()
	if !ok || len(l) != 4 || l[0] != "--compare-versions" || l[1] != "" || l[3] == "" {
		return maybe
	}
	switch l[2] {
	case "lt", "le", "ne", "<", "<<", "<=":
		return yes
	case "gt", "ge", "eq", "lt-nl", "le-nl", ">", ">>", ">=", "=":
		return no
	case "gt-nl", "ge-nl":
		return yes
	}
	return maybe
}

func (r *reader) debconf(s *state, name string, c *command) answer {
	if name == "db_input" || name == "db_go" || len(c.args) < 2 {
		return maybe
	}
	if !c.args[1].known {
		s.set("RET", unknown)
		if name == "db_set" { // any answer may have changed
			for k := range s.vars {
				if strings.HasPrefix(k, debconfPrefix) {
					delete(s.vars, k)
				}
			}
		}
		return maybe
	}
	key := debconfPrefix + c.args[1].s
	if name == "db_set" {
		s.set(key, unknown)
		if len(c.args) == 3 && !c.open {
			s.set(key, c.args[2])
		}
		return maybe
	}
	s.set("RET", s.get(key))
	if s.get(key).known {
		return yes
	}
	return maybe
}

// test evaluates [ and test. Files are unknown, but for the package's own, and
// a running init, which is not there.
func (r *reader) test(c *command) answer {
	if c.open {
		return maybe
	}
	args := c.args[1:]
	if n := len(args); c.args[0].s == "[" && n > 0 {
		args = args[:n-1]
	}
	return r.testExpr(args)
}

func (r *reader) testExpr(args []value) answer {
	for _, op := range []string{"-o", "-a"} {
		for i := 1; i < len(args)-1; i++ {
			if len(args) > 3 && args[i].known && args[i].s == op {
				x, y := r.testExpr(args[:i]), r.testExpr(args[i+1:])
				if op == "-o" {
					return orElse(x, y)
				}
				return orElse(x.not(), y.not()).not()
			}
		}
	}
	switch {
	case len(args) == 0:
		return no
	case len(args) > 1 && args[0].known && args[0].s == "!":
		return r.testExpr(args[1:]).not()
	case len(args) == 1:
		if !args[0].known {
			return maybe
		}
		return truth(args[0].s != "")
	case len(args) == 2 && args[0].known && args[1].known:
		switch args[0].s {
		case "-n":
			return truth(args[1].s != "")
		case "-z":
			return truth(args[1].s == "")
		}
		if strings.HasPrefix(args[1].s, "/run/systemd/") || args[1].s == "" {
			return no
		}
		if args[0].s == "-e" && r.name == "postinst" && r.in.Has != nil && r.in.Has(usrPath(args[1].s)) {
			return yes
		}
	case len(args) == 3 && args[0].known && args[1].known && args[2].known:
		switch args[1].s {
		case "=", "==":
			return truth(args[0].s == args[2].s)
		case "!=":
			return truth(args[0].s != args[2].s)
		case "-eq":
			if args[0].s == args[2].s {
				return yes
			}
		}
	}
	return maybe
}

func orElse(x, y answer) answer {
	switch {
	case x == yes || y == yes:
		return yes
	case x == no && y == no:
		return no
	}
	return maybe
}

// prints says what a command prints, for those that have no other effect.
func (r *reader) prints(c *command) (string, bool) {
	l, ok := c.words()
	if !ok {
		return "", false
	}
	switch name := path.Base(c.args[0].s); {
	case name == "echo" && (len(l) == 0 || l[0] != "-n" && l[0] != "-e"):
		return strings.Join(l, " "), true
	case name == "basename" && len(l) == 1 && l[0] != "":
		return path.Base(l[0]), true
	case name == "dirname" && len(l) == 1 && l[0] != "":
		return path.Dir(l[0]), true
	case name == "dpkg-divert" && len(l) == 2 && l[0] == "--truename":
		return l[1], true
	case name == "dpkg-divert" && len(l) == 2 && l[0] == "--listpackage":
		return "", true
	case name == "dpkg-statoverride" && len(l) >= 1 && l[0] == "--list":
		return "", true
	case name == "dpkg" && len(l) == 1 && l[0] == "--print-architecture":
		return r.in.Arch, true
	case name == "dpkg-architecture" && len(l) == 1 && l[0] == "-qDEB_HOST_MULTIARCH":
		if m, ok := multiarch[r.in.Arch]; ok {
			return m, true
		}
	}
	return "", false
}

// multiarch are the tuples of Debian's release architectures (dpkg-architecture(1)).
var multiarch = map[string]string{
	"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu", "armel": "arm-linux-gnueabi", "armhf": "arm-linux-gnueabihf",
	"i386": "i386-linux-gnu", "ppc64el": "powerpc64le-linux-gnu", "riscv64": "riscv64-linux-gnu", "s390x": "s390x-linux-gnu",
}
