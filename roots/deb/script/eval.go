package script

import (
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Bounds of one evaluation; real scripts stay a hundred times below them.
const (
	maxSteps  = 50000 // statements, and what expensive ones cost
	maxDepth  = 20    // function calls and substitutions within one another
	maxValue  = 1 << 16
	maxFields = 4096
	maxFound  = 4096 // of each thing that is found
)

// flow says how a statement ended.
type flow int8

const (
	next flow = iota
	leaveLoop
	leaveFunction
	leaveScript
)

type reader struct {
	in    Input
	res   *Result
	name  string // of the script being read
	text  []byte
	funcs map[string]*syntax.Stmt
	steps int
	// gaveUp is set once the bound was reported.
	gaveUp bool
	depth  int
	// calls are the functions that are being read, innermost last.
	calls []string
	// out gathers what a command substitution prints, nil outside of one.
	out *output
	// diversions as named, so that --remove finds what --add put there.
	diversions []diversion
	accounts   accounts
}

func (r *reader) stmts(s *state, list []*syntax.Stmt) (answer, flow) {
	a := yes
	for _, st := range list {
		var f flow
		if a, f = r.stmt(s, st); f != next {
			return a, f
		}
	}
	return a, next
}

func (r *reader) stmt(s *state, st *syntax.Stmt) (answer, flow) {
	if r.spend(1); r.steps > maxSteps || r.depth > maxDepth {
		if !r.gaveUp {
			r.gaveUp = true
			r.unreadNode(st, "the script is too long or too deeply nested to be read")
		}
		return maybe, leaveScript
	}
	a, f := r.command(s, st)
	if st.Negated {
		a = a.not()
	}
	return a, f
}

// spend counts work against the bound of the evaluation, in statements.
func (r *reader) spend(n int) { r.steps = min(r.steps+n, 2*maxSteps) }

func (r *reader) command(s *state, st *syntax.Stmt) (answer, flow) {
	switch c := st.Cmd.(type) {
	case nil:
		return yes, next
	case *syntax.CallExpr:
		return r.call(s, st, c)
	case *syntax.DeclClause:
		for _, as := range c.Args {
			r.assign(s, as)
		}
		return yes, next
	case *syntax.Block:
		return r.stmts(s, c.Stmts)
	case *syntax.Subshell:
		return r.apart(s, c.Stmts), next
	case *syntax.FuncDecl:
		if c.Name != nil {
			r.funcs[c.Name.Value] = c.Body
		}
		return yes, next
	case *syntax.BinaryCmd:
		return r.binary(s, c)
	case *syntax.IfClause:
		return r.ifClause(s, c)
	case *syntax.CaseClause:
		return r.caseClause(s, c)
	case *syntax.ForClause:
		return r.forClause(s, c)
	case *syntax.WhileClause:
		if names, lines, ok := r.readLoop(s, st, c); ok {
			return r.eachLine(s, names, lines, c.Do)
		}
		return r.whileClause(s, c)
	case *syntax.TimeClause:
		if c.Stmt != nil {
			return r.stmt(s, c.Stmt)
		}
	}
	return maybe, next
}

// apart evaluates statements whose variables and exits stay within.
func (r *reader) apart(s *state, list []*syntax.Stmt) answer {
	r.depth++
	defer func() { r.depth-- }()
	a, f := r.stmts(s.clone(), list)
	if f == leaveScript {
		return maybe
	}
	return a
}

func (r *reader) binary(s *state, c *syntax.BinaryCmd) (answer, flow) {
	if c.Op == syntax.Pipe || c.Op == syntax.PipeAll {
		r.apart(s, []*syntax.Stmt{c.X})
		return r.apart(s, []*syntax.Stmt{c.Y}), next
	}
	a, f := r.stmt(s, c.X)
	if f != next {
		return a, f
	}
	skip := no // of &&
	if c.Op == syntax.OrStmt {
		skip = yes
	}
	switch a {
	case skip:
		return a, next
	case maybe:
		f := r.either(s, func(s *state) (answer, flow) { return r.stmt(s, c.Y) }, nil)
		return maybe, f
	}
	return r.stmt(s, c.Y)
}

type branch func(*state) (answer, flow)

// either evaluates two branches of which one will run, nil being the one that
// does nothing, and leaves in s what holds after both. A branch that leaves the
// script or the function does not come after.
func (r *reader) either(s *state, x, y branch) flow {
	r.spend(len(s.vars) / 64)
	other := s.clone()
	fx, fy := next, next
	if r.out != nil {
		defer r.out.unsureAfter(r.out.b.Len())
	}
	if x != nil {
		_, fx = x(s)
	}
	if y != nil {
		_, fy = y(other)
	}
	switch {
	case fx == next && fy == next:
		s.join(other)
		return next
	case fx == next:
		return next
	case fy == next:
		*s = *other
		return next
	}
	s.join(other)
	return min(fx, fy)
}

func (r *reader) ifClause(s *state, c *syntax.IfClause) (answer, flow) {
	if len(c.Cond) == 0 { // a bare else
		return r.stmts(s, c.Then)
	}
	a, f := r.stmts(s, c.Cond)
	if f != next {
		return a, f
	}
	then := func(s *state) (answer, flow) { return r.stmts(s, c.Then) }
	var otherwise branch
	if c.Else != nil {
		otherwise = func(s *state) (answer, flow) { return r.ifClause(s, c.Else) }
	}
	switch a {
	case yes:
		return then(s)
	case no:
		if otherwise == nil {
			return yes, next
		}
		return otherwise(s)
	}
	return maybe, r.either(s, then, otherwise)
}

func (r *reader) caseClause(s *state, c *syntax.CaseClause) (answer, flow) {
	subject := r.word(s, c.Word)
	var open []branch // items that may be the one
	for _, item := range c.Items {
		match := no
		for _, p := range item.Patterns {
			if m := r.match(s, subject, p); m == yes || m == maybe && match == no {
				match = m
			}
		}
		if match == no {
			continue
		}
		body := func(s *state) (answer, flow) { return r.stmts(s, item.Stmts) }
		if match == yes && len(open) == 0 {
			return body(s)
		}
		open = append(open, body)
		if match == yes {
			return maybe, r.oneOf(s, open)
		}
	}
	if len(open) == 0 {
		return yes, next
	}
	return maybe, r.oneOf(s, append(open, nil))
}

func (r *reader) oneOf(s *state, l []branch) flow {
	if len(l) == 1 {
		if l[0] == nil {
			return next
		}
		_, f := l[0](s)
		return f
	}
	return r.either(s, l[0], func(s *state) (answer, flow) { return maybe, r.oneOf(s, l[1:]) })
}

func (r *reader) unread(line int, text, why string) {
	const longest = 100
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "\\\n", " ")), " ")
	if r.settle(text) {
		return
	}
	if len(text) > longest {
		text = text[:longest] + "..."
	}
	if len(r.res.Unread) >= maxFound {
		return
	}
	u := Unread{Script: r.name, Line: line, Text: text, Why: why}
	for _, v := range r.res.Unread {
		if v == u { // read again in another pass of a loop
			return
		}
	}
	r.res.Unread = append(r.res.Unread, u)
}

func (r *reader) unreadNode(n syntax.Node, why string) {
	r.unread(int(n.Pos().Line()), r.source(n), why)
}

// source is the text of a node.
func (r *reader) source(n syntax.Node) string {
	from, to := n.Pos().Offset(), n.End().Offset()
	if from > to || to > uint(len(r.text)) {
		return fmt.Sprintf("%T", n)
	}
	return string(r.text[from:to])
}
