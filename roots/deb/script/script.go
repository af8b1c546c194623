// Package script reads what a Debian package's maintainer scripts declare
// (accounts, alternatives, diversions, overrides, capabilities) without ever
// running them.
//
// A script is parsed and then evaluated over values of which some are unknown:
// as on a fresh installation ("postinst configure", "preinst install"; Debian
// Policy 6.5) of a machine that has every tool, answering debconf questions
// with their defaults. Where a condition is unknown both branches are read.
// Only the few commands that declare state have a meaning here; every other
// command is passed over, and nothing is executed.
package script

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"ninefold/roots/pkg"
)

// MaxSize bounds the text of one script, in bytes.
const MaxSize = 4 << 20

// Input is the control information of one package that can declare state.
type Input struct {
	Package string
	Arch    string // Debian's name: "amd64"
	// Config, Preinst and Postinst are the texts of the scripts, nil for none.
	Config, Preinst, Postinst []byte
	// Templates are debconf's templates; their defaults answer db_get.
	Templates []byte
	// Has says whether the package holds a path (absolute, merged /usr), which
	// is then there when postinst runs. It may be nil.
	Has func(path string) bool
}

// Result is what was found.
type Result struct {
	Declared pkg.Declared
	// Permissions are chown, chgrp and chmod of literal paths, in order. They
	// matter only for paths that the package itself holds.
	Permissions []Permission
	// Unread are the declaring commands whose arguments could not be known.
	Unread []Unread
}

// Permission is one change of owner or mode. User, Group and Mode are empty
// when the command leaves them alone.
type Permission struct {
	Path        string
	User, Group string
	Mode        string // as chmod takes it
	Recursive   bool
	// Unread is set when the new value is not known.
	Unread *Unread
}

// Unread is a place in a script that could not be read.
type Unread struct {
	Script string // "postinst"
	Line   int
	Text   string // the command as it stands there, shortened
	Why    string
}

func (u Unread) String() string {
	return fmt.Sprintf("%s line %d: %q: %s", u.Script, u.Line, u.Text, u.Why)
}

// Read evaluates the scripts in the order of an installation.
func Read(in Input) Result {
	r := &reader{in: in, res: &Result{}}
	env := newState(in)
	for _, s := range []struct {
		name, action string
		text         []byte
	}{
		{"config", "configure", in.Config},
		{"preinst", "install", in.Preinst},
		{"postinst", "configure", in.Postinst},
	} {
		if len(s.text) == 0 {
			continue
		}
		// Scripts share debconf's answers, not variables.
		env = env.onlyDebconf(in)
		env.args = []value{known(s.action), known("")}
		r.script(s.name, s.text, env)
	}
	r.finish()
	return *r.res
}

// declaring matches the commands that this package knows, for scripts that are
// not shell and so cannot be evaluated.
var declaring = regexp.MustCompile(`\b(update-alternatives|dpkg-statoverride|dpkg-divert|setcap|adduser|addgroup|useradd|groupadd|usermod|gpasswd)\b`)

func (r *reader) script(name string, text []byte, env *state) {
	r.name, r.text = name, text
	if len(text) > MaxSize {
		r.unread(1, "", fmt.Sprintf("the script has %d bytes, the limit is %d", len(text), MaxSize))
		return
	}
	if !isShell(text) {
		r.scan("the script is not written in shell")
		return
	}
	lang := syntax.LangPOSIX
	if first, _, _ := bytes.Cut(text, []byte("\n")); bytes.Contains(first, []byte("bash")) {
		lang = syntax.LangBash
	}
	file, err := syntax.NewParser(syntax.Variant(lang)).Parse(bytes.NewReader(text), name)
	if err != nil && lang == syntax.LangPOSIX {
		// dash has some of bash's words, such as local.
		file, err = syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(text), name)
	}
	if err != nil {
		r.scan("the script does not parse: " + err.Error())
		return
	}
	r.funcs, r.steps, r.gaveUp = map[string]*syntax.Stmt{}, 0, false
	r.stmts(env, file.Stmts)
}

func isShell(text []byte) bool {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	if !bytes.HasPrefix(first, []byte("#!")) {
		return false
	}
	words := strings.Fields(string(first[2:]))
	if len(words) > 1 && strings.HasSuffix(words[0], "/env") {
		words = words[1:]
	}
	if len(words) == 0 {
		return false
	}
	base := words[0][strings.LastIndexByte(words[0], '/')+1:]
	return base == "sh" || base == "bash" || base == "dash"
}

// scan reports every line that names a declaring command.
func (r *reader) scan(why string) {
	n := 0
	for line := range bytes.Lines(r.text) {
		n++
		line = bytes.TrimSpace(line)
		if !bytes.HasPrefix(line, []byte("#")) && declaring.Match(line) {
			r.unread(n, string(line), why)
		}
	}
}
