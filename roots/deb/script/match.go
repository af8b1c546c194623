package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// maxMatch bounds what is matched against a pattern, in bytes; matching takes
// time in the product of both lengths.
const maxMatch = 512

// match says whether a case pattern matches.
func (r *reader) match(s *state, subject value, w *syntax.Word) answer {
	var b strings.Builder
	for _, p := range w.Parts {
		lit, ok := p.(*syntax.Lit)
		if ok {
			b.WriteString(lit.Value)
			continue
		}
		v := r.word(s, &syntax.Word{Parts: []syntax.WordPart{p}})
		if !v.known {
			return maybe
		}
		b.WriteString(quoteGlob(v.s))
	}
	pattern := b.String()
	if pattern == "*" {
		return yes
	}
	if !subject.known || len(pattern) > maxMatch || len(subject.s) > maxMatch {
		return maybe
	}
	r.spend(len(pattern) * len(subject.s) / 4096)
	return truth(globMatch(pattern, subject.s))
}

func quoteGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// globMatch matches shell patterns without regard to slashes: *, ?, bracket
// expressions and backslash. It backtracks only to the last star.
func globMatch(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, mark = p, i
				p++
				continue
			}
			if n, ok := matchOne(pattern[p:], s[i]); ok {
				p += n
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, i = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one byte against the head of a pattern and returns the
// length of that head.
func matchOne(pattern string, c byte) (int, bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
	case '[':
		end := strings.IndexByte(pattern[1:], ']')
		if end <= 0 {
			break
		}
		set := pattern[1 : 1+end]
		negate := set[0] == '!' || set[0] == '^'
		if negate {
			set = set[1:]
		}
		in := false
		for k := 0; k < len(set); k++ {
			if k+2 < len(set) && set[k+1] == '-' {
				in = in || set[k] <= c && c <= set[k+2]
				k += 2
				continue
			}
			in = in || set[k] == c
		}
		return end + 2, in != negate
	}
	return 1, pattern[0] == c
}
