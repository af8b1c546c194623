package script

import "strings"

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
