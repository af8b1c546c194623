package policy

import (
	"slices"
	"strings"
)

// Redact says which arguments must not be recorded. The zero Redact hides none.
type Redact struct {
	// All hides every argument.
	All bool
	// Positions are single arguments, counted from 1 and ascending; From hides
	// that one and all after it, 0 none.
	Positions []int
	From      int
	// Words hides arguments by what they are. Of one that matches a Prefix only
	// what comes after it is hidden, so that the record still says which option
	// it was.
	Words Pattern
}

// Hidden stands in a record for what is not told.
const Hidden = "[redacted]"

// IsZero reports whether nothing is hidden.
func (r Redact) IsZero() bool {
	return !r.All && len(r.Positions) == 0 && r.From == 0 && len(r.Words) == 0
}

// Apply returns args as they may be recorded. args itself is left alone.
func (r Redact) Apply(args []string) []string {
	out := slices.Clone(args)
	for i, arg := range out {
		if r.All || slices.Contains(r.Positions, i+1) || r.From > 0 && i+1 >= r.From {
			out[i] = Hidden
			continue
		}
		keep := -1 // bytes that may be told
		for _, a := range r.Words {
			n := 0
			if a.Kind == Prefix {
				n = len(a.Text)
			}
			if a.Text != arg && (a.Kind != Prefix || !strings.HasPrefix(arg, a.Text)) {
				continue
			}
			if keep < 0 || n < keep {
				keep = n
			}
		}
		if keep >= 0 {
			out[i] = arg[:keep] + Hidden
		}
	}
	return out
}
