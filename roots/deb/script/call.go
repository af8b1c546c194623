package script

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

func (r *reader) assign(s *state, a *syntax.Assign) {
	if a.Name == nil || a.Naked {
		return
	}
	if a.Append || a.Index != nil || a.Array != nil {
		s.set(a.Name.Value, unknown)
		return
	}
	s.set(a.Name.Value, r.word(s, a.Value))
}

func (r *reader) call(s *state, st *syntax.Stmt, c *syntax.CallExpr) (answer, flow) {
	if len(c.Args) == 0 {
		for _, a := range c.Assigns {
			r.assign(s, a)
		}
		return yes, next
	}
	args, open := r.fields(s, c.Args)
	return r.run(s, &command{node: st, args: args, open: open})
}

// command is one simple command after expansion.
type command struct {
	node syntax.Node
	args []value // args[0] is its name
	open bool    // there may be more arguments
}

// drop removes the first n arguments.
func (c *command) drop(n int) *command {
	return &command{node: c.node, args: c.args[min(n, len(c.args)):], open: c.open}
}

// has reports whether one of the options is among the known arguments.
func (c *command) has(options ...string) bool {
	for _, a := range c.args {
		for _, o := range options {
			if a.known && a.s == o {
				return true
			}
		}
	}
	return false
}

// words returns the arguments after the name, or false when one is unknown.
func (c *command) words() ([]string, bool) {
	if c.open {
		return nil, false
	}
	var l []string
	for _, a := range c.args[1:] {
		if !a.known {
			return nil, false
		}
		l = append(l, a.s)
	}
	return l, true
}

// run evaluates one command: it records what it declares and returns how it
// ends on a fresh machine.
func (r *reader) run(s *state, c *command) (answer, flow) {
	if len(c.args) == 0 || !c.args[0].known {
		r.out.spoil()
		return maybe, next
	}
	name := c.args[0].s
	if body := r.funcs[name]; body != nil {
		return r.function(s, c, body)
	}
	switch name = path.Base(name); name {
	case "exit":
		return yes, leaveScript
	case "return":
		if len(c.args) > 1 && c.args[1].known {
			return truth(c.args[1].s == "0"), leaveFunction
		}
		return maybe, leaveFunction
	case "break", "continue":
		// Both end this pass; that continue goes on to the next one is lost on
		// loops over unknown words only.
		if name == "continue" {
			return yes, next
		}
		return yes, leaveLoop
	case ":", "true":
		return yes, next
	case "false":
		return no, next
	case "[", "test":
		return r.test(c), next
	case "shift":
		if n := len(s.args); n > 0 && len(c.args) == 1 {
			s.args = s.args[1:]
		} else if len(c.args) > 1 {
			s.args, s.openArgs = nil, true
		}
		return maybe, next
	case "set":
		if len(c.args) > 1 && c.args[1].known && c.args[1].s == "--" {
			s.args, s.openArgs = c.args[2:], c.open
		}
		return yes, next
	case "local", "export", "readonly":
		for _, a := range c.args[1:] {
			if k, v, ok := strings.Cut(a.s, "="); a.known && ok {
				s.set(k, known(v))
			}
		}
		return yes, next
	case "unset":
		for _, a := range c.args[1:] {
			s.set(a.s, known(""))
		}
		return yes, next
	case "read":
		for _, a := range c.args[1:] {
			s.set(a.s, unknown)
		}
		return maybe, next
	case "command", "exec", "env", "eval", "nice", "chroot":
		return r.wrapper(s, name, c)
	case "getent":
		r.out.spoil()
		if n := len(c.args); n == 3 && c.args[2].known && !c.open && strings.Trim(c.args[2].s, "0123456789") == "" {
			return no, next // the ids that packages ask about are free
		}
		return maybe, next
	case "which", "type", "hash":
		r.out.spoil()
		return tool(c.args[1:]), next
	case "db_get", "db_set", "db_input", "db_go":
		return r.debconf(s, name, c), next
	}
	if name == "dpkg" && c.has("--compare-versions") {
		return dpkgCompare(c), next
	}
	if text, ok := r.prints(c); ok {
		r.out.line(text)
		if name == "dpkg-statoverride" {
			return no, next // there is none yet
		}
		return yes, next
	}
	r.out.spoil()
	if known, a := r.declare(s, name, c); known {
		return a, next
	}
	return maybe, next
}

func (r *reader) function(s *state, c *command, body *syntax.Stmt) (answer, flow) {
	// A function that calls itself is not followed, unless it declares.
	if name := c.args[0].s; slices.Contains(r.calls, name) || r.depth >= maxDepth {
		if declaring.MatchString(r.source(body)) {
			r.unreadNode(c.node, "functions call each other too deeply to be read")
		}
		r.out.spoil()
		return maybe, next
	}
	r.calls = append(r.calls, c.args[0].s)
	defer func() { r.calls = r.calls[:len(r.calls)-1] }()
	r.depth++
	args, open := s.args, s.openArgs
	s.args, s.openArgs = c.args[1:], c.open
	a, f := r.stmt(s, body)
	s.args, s.openArgs = args, open
	r.depth--
	if f == leaveFunction {
		f = next
	}
	return a, f
}

// wrapper is a command that runs another one.
func (r *reader) wrapper(s *state, name string, c *command) (answer, flow) {
	rest := c.drop(1)
	if name == "command" && len(rest.args) > 0 && (rest.args[0].s == "-v" || rest.args[0].s == "-V") {
		r.out.spoil()
		return tool(rest.args[1:]), next
	}
	if name == "chroot" {
		rest = rest.drop(1)
	}
	if name == "eval" && len(rest.args) > 0 && (!rest.args[0].known || strings.ContainsAny(rest.args[0].s, " \t\n;")) {
		if declaring.MatchString(r.source(c.node)) {
			r.unreadNode(c.node, "a command that is put together in a string is not read")
		}
		r.out.spoil()
		return maybe, next
	}
	for len(rest.args) > 0 && rest.args[0].known && (strings.HasPrefix(rest.args[0].s, "-") || name == "env" && strings.Contains(rest.args[0].s, "=")) {
		rest = rest.drop(1)
	}
	if len(rest.args) == 0 {
		return yes, next
	}
	return r.run(s, rest)
}

// tool answers whether a program is there. Those that declare state are, so
// that the form which states most is taken.
func tool(args []value) answer {
	if len(args) != 1 || !args[0].known {
		return maybe
	}
	switch path.Base(args[0].s) {
	case "setcap", "systemd-sysusers", "adduser", "addgroup", "useradd", "groupadd", "usermod",
		"update-alternatives", "dpkg-divert", "dpkg-statoverride":
		return yes
	}
	return maybe
}

// substitute evaluates $(...): what it declares is recorded, and what it
// prints is known when each of its commands is.
func (r *reader) substitute(s *state, p *syntax.CmdSubst) value {
	r.depth++
	defer func() { r.depth-- }()
	if r.depth > maxDepth {
		return unknown
	}
	outer := r.out
	r.out = &output{}
	defer func() { r.out = outer }()
	if _, f := r.stmts(s.clone(), p.Stmts); f == leaveScript && r.steps > maxSteps || r.out.bad {
		return unknown
	}
	return known(strings.TrimRight(r.out.b.String(), "\n"))
}
