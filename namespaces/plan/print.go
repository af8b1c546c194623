package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// Print writes p as a namespace file in its canonical form: Parse returns the
// same plan, and printing that gives the same bytes. Strings of a valid plan
// hold any byte but NUL.
func Print(p *Plan) string {
	var b strings.Builder
	b.WriteString("ninefold 1\n")
	if p.Class != "" {
		b.WriteString("class " + quote(string(p.Class)) + "\n")
	}
	for _, op := range p.Ops {
		b.WriteString(PrintOp(op))
		b.WriteByte('\n')
	}
	return b.String()
}

// PrintOp writes one step as its line of a namespace file, without the newline
// at the end. The line of an overlay goes over several rows, each but the last
// ending in a backslash.
func PrintOp(op Op) string {
	var l line
	switch o := op.(type) {
	case Namespaces:
		l.add("namespaces", "mount")
		l.when(o.PID, "pid")
		l.when(o.IPC, "ipc")
		l.when(o.UTS, "uts")
		l.when(o.Cgroup, "cgroup")
		l.pair("net", string(o.Net))
		l.pair("user", string(o.User))
		l.number("first", uint64(o.First), 0)
		l.pair("hostname", o.Hostname)
	case Overlay:
		l.overlay(o)
	case Mount:
		l.add("mount")
		l.options(o.Flags.letters())
		l.add(o.Type, o.Target)
		l.add(o.Options...)
	case Bind:
		l.add("bind")
		l.options(bindLetters(o))
		l.add(o.Source, o.Target)
		l.number("origin", uint64(o.Origin), 0)
	case Disk:
		l.add("disk")
		l.options(o.Flags.letters())
		l.add(o.Source, o.Target)
		l.number("size", uint64(max(o.Size, 0)), 0)
		l.number("uid", uint64(o.UID), 0)
		l.number("gid", uint64(o.GID), 0)
	case Unmount:
		l.add("unmount", o.Target)
	case Chdir:
		l.add("cd", o.Dir)
	case Mkdir:
		l.add("mkdir", o.Path)
		l.owner(o.Mode, defaultDirMode, o.UID, o.GID)
	case Link:
		l.add("link", o.Text, o.Path)
	case File:
		l.add("file", o.Path, o.Content)
		l.owner(o.Mode, defaultFileMode, o.UID, o.GID)
	case ReadOnly:
		l.add("readonly", o.Target)
	case Identity:
		l.add("user", decimal(uint64(o.UID)), decimal(uint64(o.GID)))
		for _, g := range o.Groups {
			l.add(decimal(uint64(g)))
		}
	case Privileges:
		l.add("privileges")
		l.when(o.NoNewPrivs, "nonewprivs")
		l.pair("seccomp", o.Seccomp)
		l.add(o.Capabilities...)
		if len(o.Bounding) > 0 {
			l.add("bounding")
			l.add(o.Bounding...)
		}
	case Limit:
		l.add("limit", o.Name, limitValue(o.Value))
	case Environment:
		l.add("env", o.Name, o.Value)
	}
	return l.b.String()
}

// What the words mode= left out mean.
const (
	defaultDirMode  = 0o755
	defaultFileMode = 0o644
)

func limitValue(v uint64) string {
	if v == Unlimited {
		return "unlimited"
	}
	return decimal(v)
}

func decimal(v uint64) string { return strconv.FormatUint(v, 10) }

// letters are the options of mount and bind that stand for f.
func (f Flags) letters() string {
	s := ""
	for _, x := range []struct {
		set    bool
		letter string
	}{{f.ReadOnly, "r"}, {f.NoSuid, "s"}, {f.NoDev, "d"}, {f.NoExec, "x"}} {
		if x.set {
			s += x.letter
		}
	}
	return s
}

func bindLetters(b Bind) string {
	s := ""
	switch b.Where {
	case After:
		s = "a"
	case Before:
		s = "b"
	}
	if b.Create {
		s += "c"
	}
	if b.Make {
		s += "m"
	}
	if b.Recursive {
		s += "R"
	}
	s += b.Flags.letters()
	if b.AsUser {
		s += "u"
	}
	if b.Optional {
		s += "?"
	}
	return s
}

// line collects the words of one line.
type line struct{ b strings.Builder }

func (l *line) raw(word string) {
	if l.b.Len() > 0 {
		l.b.WriteByte(' ')
	}
	l.b.WriteString(word)
}

func (l *line) add(words ...string) {
	for _, w := range words {
		l.raw(quote(w))
	}
}

func (l *line) when(set bool, word string) {
	if set {
		l.raw(word)
	}
}

func (l *line) options(letters string) {
	if letters != "" {
		l.raw("-" + letters)
	}
}

func (l *line) pair(key, value string) {
	if value != "" {
		l.raw(key + "=" + quote(value))
	}
}

func (l *line) number(key string, value, absent uint64) {
	if value != absent {
		l.raw(key + "=" + decimal(value))
	}
}

func (l *line) owner(mode, absent, uid, gid uint32) {
	if mode != absent {
		l.raw(fmt.Sprintf("mode=%04o", mode))
	}
	l.number("uid", uint64(uid), 0)
	l.number("gid", uint64(gid), 0)
}

func (l *line) overlay(o Overlay) {
	l.add("mount")
	l.options(o.Flags.letters())
	l.add("overlay", o.Target)
	for _, y := range o.Lowers {
		l.raw("\\\n\tlayer")
		l.add(string(y.Kind), y.Source)
		l.pair("data", y.Data)
		l.pair("sub", y.Sub)
		if y.Reader != nil {
			l.pair("reader", y.Reader.String())
		}
		l.number("origin", uint64(y.Origin), 0)
		for _, p := range y.Without {
			l.raw("\\\n\t\twithout")
			l.add(p)
		}
	}
	if u := o.Upper; u != nil {
		l.raw("\\\n\tupper")
		l.pair("dir", u.Dir)
		l.pair("name", u.Name)
		l.number("size", uint64(max(u.Size, 0)), 0)
		l.number("origin", uint64(u.Origin), 0)
	}
}
