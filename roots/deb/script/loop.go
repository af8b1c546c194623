package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

func (r *reader) forClause(s *state, c *syntax.ForClause) (answer, flow) {
	it, ok := c.Loop.(*syntax.WordIter)
	if !ok || it.Name == nil {
		return r.loopOnce(s, nil, c.Do)
	}
	items := s.args
	open := s.openArgs
	if it.InPos.IsValid() {
		items, open = r.fields(s, it.Items)
	}
	for _, v := range items {
		if !v.known {
			open = true
			continue
		}
		s.set(it.Name.Value, v)
		switch a, f := r.stmts(s, c.Do); f {
		case leaveLoop:
			return yes, next
		case leaveFunction, leaveScript:
			return a, f
		}
	}
	if open {
		return r.loopOnce(s, []string{it.Name.Value}, c.Do)
	}
	return yes, next
}

func (r *reader) whileClause(s *state, c *syntax.WhileClause) (answer, flow) {
	forget := assigned(c)
	for _, name := range forget {
		s.set(name, unknown)
	}
	a, f := r.stmts(s, c.Cond)
	if f == leaveFunction || f == leaveScript {
		return a, f
	}
	if !c.Until && a == no || c.Until && a == yes {
		return yes, next
	}
	return r.loopOnce(s, forget, c.Do)
}

// loopOnce reads the body of a loop that may run any number of times, once,
// with everything unknown that the body itself changes.
func (r *reader) loopOnce(s *state, forget []string, body []*syntax.Stmt) (answer, flow) {
	for _, name := range forget {
		s.set(name, unknown)
	}
	for _, st := range body {
		for _, name := range assigned(st) {
			s.set(name, unknown)
		}
	}
	f := r.either(s, func(s *state) (answer, flow) { return r.stmts(s, body) }, nil)
	if f == leaveLoop {
		f = next
	}
	return maybe, f
}

// assigned lists the variables that a piece of script may set.
func assigned(n syntax.Node) []string {
	var l []string
	syntax.Walk(n, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Assign:
			if n.Name != nil {
				l = append(l, n.Name.Value)
			}
		case *syntax.ForClause:
			if it, ok := n.Loop.(*syntax.WordIter); ok && it.Name != nil {
				l = append(l, it.Name.Value)
			}
		case *syntax.CallExpr:
			if len(n.Args) > 1 && (n.Args[0].Lit() == "read" || n.Args[0].Lit() == "local") {
				for _, w := range n.Args[1:] {
					name, _, _ := strings.Cut(w.Lit(), "=")
					l = append(l, name)
				}
			}
		}
		return true
	})
	return l
}

// readLoop recognises "while read NAMES; do ...; done <<END" over a text that
// is known.
func (r *reader) readLoop(s *state, st *syntax.Stmt, c *syntax.WhileClause) (names, lines []string, ok bool) {
	if c.Until || len(c.Cond) != 1 || c.Cond[0].Negated {
		return nil, nil, false
	}
	call, isCall := c.Cond[0].Cmd.(*syntax.CallExpr)
	if !isCall || len(call.Assigns) > 0 || len(call.Args) < 2 || call.Args[0].Lit() != "read" {
		return nil, nil, false
	}
	for _, w := range call.Args[1:] {
		name := w.Lit()
		if name == "-r" {
			continue
		}
		if name == "" || strings.HasPrefix(name, "-") {
			return nil, nil, false
		}
		names = append(names, name)
	}
	for _, rd := range st.Redirs {
		if rd.Hdoc == nil || rd.Op == syntax.WordHdoc {
			continue
		}
		text := r.word(s, &syntax.Word{Parts: []syntax.WordPart{&syntax.DblQuoted{Parts: rd.Hdoc.Parts}}})
		if !text.known {
			return nil, nil, false
		}
		lines = strings.Split(strings.TrimSuffix(text.s, "\n"), "\n")
		return names, lines, len(lines) <= maxFields
	}
	return nil, nil, false
}

func (r *reader) eachLine(s *state, names, lines []string, body []*syntax.Stmt) (answer, flow) {
	for _, line := range lines {
		words := strings.Fields(line)
		for i, name := range names {
			v := ""
			if i < len(words) {
				v = words[i]
				if i == len(names)-1 {
					v = strings.Join(words[i:], " ")
				}
			}
			s.set(name, known(v))
		}
		switch a, f := r.stmts(s, body); f {
		case leaveLoop:
			return yes, next
		case leaveFunction, leaveScript:
			return a, f
		}
	}
	return yes, next
}
