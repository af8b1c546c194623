package policy

import "strings"

// Step is one rule that was looked at for a request.
type Step struct {
	// Rule is the rule, Place its file and line, Text what it says.
	Rule  *Rule  `json:"-"`
	Place string `json:"place"`
	Text  string `json:"rule"`
	// Why is why it does not match, or "" of the rule that does.
	Why string `json:"why_not,omitempty"`
}

// Explain returns the rules that are looked at for a request, in order; the
// last one decides if its Why is empty. No rule is looked at for a request that
// lacks something. A Why names words of the request.
func (s *Set) Explain(q Request) []Step {
	var steps []Step
	if q.incomplete() != "" {
		return nil
	}
	for i := range s.Rules() {
		r := &s.rules[i]
		why := r.mismatch(&q)
		steps = append(steps, Step{Rule: r, Place: r.Place(), Text: oneLine(Print(*r)), Why: oneLine(why)})
		if why == "" {
			break
		}
	}
	return steps
}

// oneLine keeps what a quoted word can hold from leaving the line or moving
// the cursor of a terminal.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' {
			return '\uFFFD'
		}
		return c
	}, s)
}
