package plan

import (
	"slices"
	"strconv"
	"strings"
)

// The verbs of a plan, and those that a profile may use: the others belong to
// the compiler, which decides them from the profile's keys.
var (
	planVerbs = [...]string{
		"namespaces", "mount", "bind", "disk", "unmount", "cd", "mkdir", "link", "file",
		"readonly", "user", "privileges", "limit", "env",
	}
	lineVerbs = [...]string{
		"bind", "mount", "unmount", "cd", "mkdir", "link", "file", "readonly", "env",
	}
)

// parseOp reads one line whose verb has to be one of verbs.
func parseOp(words []word, verbs []string) (Op, error) {
	verb := words[0].text
	if !slices.Contains(verbs, verb) {
		if slices.Contains(planVerbs[:], verb) {
			return nil, &problem{verb + ": the profile's keys decide this, not its namespace", ErrForbidden}
		}
		return nil, invalid("unknown verb %s%s", quote(verb), hint(verb, verbs))
	}
	a := &args{verb: verb, words: words[1:], profile: len(verbs) == len(lineVerbs)}
	op := a.op()
	if a.err == nil && len(a.words) > 0 {
		a.fail("does not take the word %s", quote(a.words[0].text))
	}
	if a.err == nil {
		if err := checkOp(op); err != nil {
			a.err = &problem{verb + ": " + err.Error(), ErrInvalid}
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	return op, nil
}

func (a *args) op() Op {
	switch a.verb {
	case "namespaces":
		return a.namespaces()
	case "mount":
		return a.mount()
	case "bind":
		return a.bind()
	case "disk":
		return a.disk()
	case "unmount":
		return Unmount{a.one("TARGET")}
	case "cd":
		return Chdir{a.one("DIRECTORY")}
	case "mkdir":
		m := Mkdir{Path: a.one("PATH"), Mode: defaultDirMode}
		a.pairs(pair{"mode=", a.octal(&m.Mode)}, pair{"uid=", a.id(&m.UID)}, pair{"gid=", a.id(&m.GID)})
		return m
	case "link":
		return Link{Text: a.one("TEXT"), Path: a.one("PATH")}
	case "file":
		f := File{Path: a.one("PATH"), Content: a.one("CONTENT"), Mode: defaultFileMode}
		a.pairs(pair{"mode=", a.octal(&f.Mode)}, pair{"uid=", a.id(&f.UID)}, pair{"gid=", a.id(&f.GID)})
		return f
	case "readonly":
		return ReadOnly{a.one("TARGET")}
	case "user":
		return a.identity()
	case "privileges":
		return a.privileges()
	case "limit":
		return a.limit()
	}
	return Environment{Name: a.one("NAME"), Value: a.one("VALUE")}
}

func (a *args) namespaces() Op {
	var n Namespaces
	if a.one("mount") != "mount" {
		a.fail("the first word has to be mount: there always is a mount namespace")
	}
	flags := map[string]*bool{"pid": &n.PID, "ipc": &n.IPC, "uts": &n.UTS, "cgroup": &n.Cgroup}
	for len(a.words) > 0 && a.err == nil && !strings.Contains(a.words[0].text, "=") {
		name := a.one("NAMESPACE")
		if p := flags[name]; p != nil {
			*p = true
		} else {
			a.fail("unknown namespace %s%s", quote(name), hint(name, []string{"pid", "ipc", "uts", "cgroup", "net=", "user=", "first=", "hostname="}))
		}
	}
	a.pairs(
		pair{"net=", func(v string) bool { n.Net = NetMode(v); return v != "" }},
		pair{"user=", func(v string) bool { n.User = UserMode(v); return v != "" }},
		pair{"first=", a.id(&n.First)},
		pair{"hostname=", a.text(&n.Hostname)},
	)
	return n
}

func (a *args) mount() Op {
	m := Mount{}
	a.options("rsdx", m.Flags.option)
	m.Type, m.Target = a.one("TYPE"), a.one("TARGET")
	if m.Type == "overlay" {
		return a.overlay(m)
	}
	for len(a.words) > 0 && a.err == nil {
		m.Options = append(m.Options, a.one("OPTION"))
	}
	return m
}

func (a *args) overlay(m Mount) Op {
	if a.profile {
		a.err = &problem{"mount: an overlay is made with bind -a or bind -b here", ErrForbidden}
		return nil
	}
	o := Overlay{Target: m.Target, Flags: m.Flags}
	for len(a.words) > 0 && a.err == nil && o.Upper == nil {
		switch w := a.one("layer or upper"); w {
		case "layer":
			y := Layer{Kind: LayerKind(a.one("KIND")), Source: a.one("SOURCE")}
			a.pairs(pair{"data=", a.text(&y.Data)}, pair{"sub=", a.text(&y.Sub)}, pair{"reader=", a.reader(&y.Reader)},
				pair{"origin=", a.id((*uint32)(&y.Origin))})
			o.Lowers = append(o.Lowers, y)
		case "without":
			p := a.one("PATH")
			if len(o.Lowers) == 0 {
				a.fail("without %s stands before the first layer", quote(p))
				return nil
			}
			y := &o.Lowers[len(o.Lowers)-1]
			y.Without = append(y.Without, p)
		case "upper":
			u := Upper{}
			a.pairs(pair{"dir=", a.text(&u.Dir)}, pair{"name=", a.text(&u.Name)},
				pair{"size=", a.size(&u.Size)}, pair{"origin=", a.id((*uint32)(&u.Origin))})
			o.Upper = &u
		default:
			a.fail("%s where a layer or the upper should be%s", quote(w), hint(w, []string{"layer", "without", "upper"}))
		}
	}
	return o
}

func (a *args) bind() Op {
	b := Bind{}
	known := "abcRrsdxu?"
	if !a.profile {
		known += "m"
	}
	a.options(known, func(c byte) bool {
		where := Replace
		switch c {
		case 'a':
			where = After
		case 'b':
			where = Before
		case 'c':
			b.Create = true
		case 'm':
			b.Make = true
		case 'R':
			b.Recursive = true
		case 'u':
			b.AsUser = true
		case '?':
			b.Optional = true
		default:
			return b.Flags.option(c)
		}
		if where != Replace && b.Where != Replace && b.Where != where {
			a.fail("-a and -b exclude each other")
		} else if where != Replace {
			b.Where = where
		}
		return true
	})
	b.Source, b.Target = a.one("SOURCE"), a.one("TARGET")
	if !a.profile {
		a.pairs(pair{"origin=", a.id((*uint32)(&b.Origin))})
	} else if len(a.words) > 0 && strings.HasPrefix(a.words[0].text, "origin=") {
		a.err = &problem{"bind: whose a line is follows from whose file it stands in", ErrForbidden}
	}
	return b
}

func (f *Flags) option(c byte) bool {
	switch c {
	case 'r':
		f.ReadOnly = true
	case 's':
		f.NoSuid = true
	case 'd':
		f.NoDev = true
	case 'x':
		f.NoExec = true
	}
	return true
}

func (a *args) identity() Op {
	i := Identity{}
	a.number("UID", &i.UID)
	a.number("GID", &i.GID)
	for len(a.words) > 0 && a.err == nil {
		var g uint32
		a.number("GROUP", &g)
		i.Groups = append(i.Groups, g)
	}
	return i
}

func (a *args) privileges() Op {
	p := Privileges{}
	if len(a.words) > 0 && a.words[0].text == "nonewprivs" {
		p.NoNewPrivs, a.words = true, a.words[1:]
	}
	a.pairs(pair{"seccomp=", a.text(&p.Seccomp)})
	into := &p.Capabilities
	for len(a.words) > 0 && a.err == nil {
		w := a.one("CAPABILITY")
		if w == "bounding" && into == &p.Capabilities && len(a.words) > 0 {
			into = &p.Bounding
			continue
		}
		*into = append(*into, w)
	}
	return p
}

func (a *args) limit() Op {
	l := Limit{Name: a.one("NAME")}
	v := a.one("VALUE")
	if v == "unlimited" {
		l.Value = Unlimited
		return l
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil && a.err == nil {
		a.fail("the value %s is neither a whole number nor unlimited", quote(v))
	}
	l.Value = n
	return l
}
