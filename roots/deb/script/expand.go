package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// piece is a part of a word after expansion.
type piece struct {
	value
	quoted bool
	// list is set for "$@": the pieces are fields of their own.
	list     []value
	openList bool
}

// word expands to one value: no splitting, as in an assignment.
func (r *reader) word(s *state, w *syntax.Word) value {
	if w == nil {
		return known("")
	}
	var b strings.Builder
	for _, p := range r.pieces(s, w.Parts, false) {
		if p.list != nil || p.openList {
			p.value = joined(p.list, p.openList)
		}
		r.spend(len(p.s) / 1024)
		if !p.known || b.Len()+len(p.s) > maxValue {
			return unknown
		}
		b.WriteString(p.s)
	}
	return known(b.String())
}

func joined(list []value, open bool) value {
	if open {
		return unknown
	}
	words := make([]string, len(list))
	for i, v := range list {
		if !v.known {
			return unknown
		}
		words[i] = v.s
	}
	return known(strings.Join(words, " "))
}

// fields expands words to arguments. open says that there may be more of them
// than are listed.
func (r *reader) fields(s *state, words []*syntax.Word) (out []value, open bool) {
	for _, w := range words {
		l, o := r.split(r.pieces(s, w.Parts, false))
		r.spend(len(l) / 16)
		out = append(out, l...)
		open = open || o
		if len(out) > maxFields {
			return out[:maxFields], true
		}
	}
	return out, open
}

func (r *reader) split(pieces []piece) (out []value, open bool) {
	var b strings.Builder
	have, bad := false, false
	flush := func() {
		if bad {
			out = append(out, unknown)
		} else if have {
			out = append(out, known(b.String()))
		}
		b.Reset()
		have, bad = false, false
	}
	for _, p := range pieces {
		r.spend(len(p.s) / 1024)
		switch {
		case p.list != nil || p.openList:
			for i, v := range p.list {
				if i > 0 {
					flush()
				}
				have = true
				bad = bad || !v.known
				b.WriteString(v.s)
			}
			open = open || p.openList
		case !p.known:
			bad = true
			// Unquoted it may be no field, one, or many.
			open = open || !p.quoted
		case p.quoted:
			have = true
			b.WriteString(p.s)
		default:
			words := strings.Fields(p.s)
			blank := func(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }
			if p.s != "" && blank(p.s[0]) {
				flush()
			}
			for i, w := range words {
				if i > 0 {
					flush()
				}
				have = true
				b.WriteString(w)
			}
			if len(words) > 0 && blank(p.s[len(p.s)-1]) {
				flush()
			}
		}
		if b.Len() > maxValue {
			bad = true
		}
	}
	flush()
	return out, open
}

func (r *reader) pieces(s *state, parts []syntax.WordPart, quoted bool) []piece {
	var out []piece
	for _, p := range parts {
		switch p := p.(type) {
		case *syntax.Lit:
			text := unescape(p.Value, quoted)
			v := known(text)
			if !quoted && strings.ContainsAny(p.Value, "*?[") && !strings.Contains(p.Value, "\\") && text != "[" {
				v = unknown // a pattern over file names
			}
			// A literal is never split: its blanks were escaped.
			out = append(out, piece{value: v, quoted: true})
		case *syntax.SglQuoted:
			v := known(p.Value)
			if p.Dollar {
				v = unknown
			}
			out = append(out, piece{value: v, quoted: true})
		case *syntax.DblQuoted:
			inner := r.pieces(s, p.Parts, true)
			if len(inner) == 0 {
				inner = []piece{{value: known(""), quoted: true}}
			}
			out = append(out, inner...)
		case *syntax.ParamExp:
			out = append(out, r.param(s, p, quoted))
		case *syntax.CmdSubst:
			out = append(out, piece{value: r.substitute(s, p), quoted: quoted})
		default:
			out = append(out, piece{quoted: quoted})
		}
	}
	return out
}

// unescape removes backslashes as the shell does outside and inside quotes.
func unescape(t string, quoted bool) string {
	if !strings.Contains(t, "\\") {
		return t
	}
	var b strings.Builder
	for i := 0; i < len(t); i++ {
		if t[i] == '\\' && i+1 < len(t) && (!quoted || strings.IndexByte("$`\"\\\n", t[i+1]) >= 0) {
			i++
			if t[i] == '\n' {
				continue
			}
		}
		b.WriteByte(t[i])
	}
	return b.String()
}

func (r *reader) param(s *state, p *syntax.ParamExp, quoted bool) piece {
	out := piece{quoted: quoted}
	if p.Param == nil || p.Excl || p.Index != nil || p.Slice != nil || p.Repl != nil || p.Names != 0 || p.NestedParam != nil {
		return out
	}
	name := p.Param.Value
	if name == "@" || name == "*" {
		if p.Exp != nil || p.Length {
			return out
		}
		if quoted && name == "@" {
			out.list, out.openList = s.args, s.openArgs
			if out.list == nil && !out.openList {
				out.list = []value{}
			}
			return out
		}
		out.value = joined(s.args, s.openArgs)
		return out
	}
	v := r.parameter(s, name)
	switch {
	case p.Length:
		return out
	case p.Exp != nil:
		out.value = r.expansion(s, v, p.Exp)
	default:
		out.value = v
	}
	return out
}

func (r *reader) parameter(s *state, name string) value {
	switch {
	case name == "#":
		if !s.openArgs {
			return known(decimal(len(s.args)))
		}
	case name == "0":
		return known(r.name)
	case len(name) == 1 && name[0] >= '1' && name[0] <= '9':
		i := int(name[0] - '1')
		if i < len(s.args) {
			return s.args[i]
		}
		if !s.openArgs {
			return known("")
		}
	default:
		return s.get(name)
	}
	return unknown
}

func decimal(n int) string {
	const digits = "0123456789"
	if n < 10 {
		return digits[n : n+1]
	}
	return decimal(n/10) + digits[n%10:n%10+1]
}

func (r *reader) expansion(s *state, v value, e *syntax.Expansion) value {
	if !v.known {
		return unknown
	}
	arg := func() value { return r.word(s, e.Word) }
	switch e.Op {
	case syntax.DefaultUnset, syntax.AssignUnset, syntax.ErrorUnset:
		return v
	case syntax.DefaultUnsetOrNull, syntax.AssignUnsetOrNull, syntax.ErrorUnsetOrNull:
		if v.s == "" {
			return arg()
		}
		return v
	case syntax.AlternateUnset:
		return arg()
	case syntax.AlternateUnsetOrNull:
		if v.s == "" {
			return known("")
		}
		return arg()
	case syntax.RemSmallPrefix, syntax.RemLargePrefix, syntax.RemSmallSuffix, syntax.RemLargeSuffix:
		a := arg()
		if lit := e.Word.Lit(); !a.known && lit != "" {
			a = known(lit) // a pattern, which word takes for one over file names
		}
		if !a.known {
			return unknown
		}
		if len(v.s) > maxMatch || len(a.s) > maxMatch {
			return unknown
		}
		r.spend(len(v.s) * len(v.s) / 64 * (len(a.s) + 1) / 64)
		return known(trim(v.s, a.s, e.Op))
	}
	return unknown
}

// trim removes the shortest or longest prefix or suffix that a pattern matches.
func trim(s, pattern string, op syntax.ParExpOperator) string {
	prefix := op == syntax.RemSmallPrefix || op == syntax.RemLargePrefix
	small := op == syntax.RemSmallPrefix || op == syntax.RemSmallSuffix
	for n := range len(s) + 1 {
		k := n
		if !small {
			k = len(s) - n
		}
		if prefix && globMatch(pattern, s[:k]) {
			return s[k:]
		}
		if !prefix && globMatch(pattern, s[len(s)-k:]) {
			return s[:len(s)-k]
		}
	}
	return s
}
