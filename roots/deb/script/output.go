package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// output gathers what commands print. The methods take a nil receiver: outside
// of a command substitution nobody looks.
type output struct {
	b   strings.Builder
	bad bool // something of it is not known
}

func (o *output) line(s string) {
	if o == nil {
		return
	}
	if o.b.Len()+len(s) > maxValue {
		o.bad = true
		return
	}
	o.b.WriteString(s)
	o.b.WriteByte('\n')
}

func (o *output) spoil() {
	if o != nil {
		o.bad = true
	}
}

// unsureAfter spoils the output if any was added since it had n bytes: it came
// from a branch that may not run.
func (o *output) unsureAfter(n int) { o.bad = o.bad || o.b.Len() > n }

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
