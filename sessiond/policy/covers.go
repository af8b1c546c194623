package policy

import "strings"

// This file decides whether a rule can match at all. It errs on one side only:
// a rule that is said never to match never does; of some that never do nothing
// is said, since that would take more than looking at alternatives one by one.

// part is a set of requests: those that match rule, of which only those by
// their file if byFile is set, and only those by their program's name if not.
// The two differ for denials alone.
type part struct {
	rule   Rule
	byFile bool
}

// splits bounds the work for one rule.
const splits = 2000

// shadow returns the earlier rules that take every request that rules[i]
// matches; nil if one may be left over.
func shadow(rules []Rule, i int) []*Rule {
	c := &covering{earlier: rules[:i], left: splits, by: map[int]bool{}}
	parts := []part{{rule: rules[i]}}
	if rules[i].Verdict == Deny && len(rules[i].Program) > 0 {
		parts = append(parts, part{rule: rules[i], byFile: true})
	}
	for _, p := range parts {
		if !c.covered(p) {
			return nil
		}
	}
	var by []*Rule
	for n := range c.earlier {
		if c.by[n] {
			by = append(by, &c.earlier[n])
		}
	}
	return by
}

type covering struct {
	earlier []Rule
	left    int
	by      map[int]bool
}

// covered reports whether each request of p is taken by an earlier rule.
func (c *covering) covered(p part) bool {
	for n := range c.earlier {
		if c.earlier[n].takes(p) {
			c.by[n] = true
			return true
		}
	}
	for _, smaller := range p.split() {
		if c.left--; c.left < 0 || !c.covered(smaller) {
			return false
		}
	}
	return len(p.split()) > 0
}

// split returns parts that together are p, or nil if p is not to be divided.
func (p part) split() []part {
	with := func(set func(r *Rule, one Pattern), all Pattern) []part {
		var out []part
		for _, a := range all {
			q := p
			set(&q.rule, Pattern{a})
			out = append(out, q)
		}
		return out
	}
	r := p.rule
	if k := r.kinds(); len(k) > 1 || k[0].Kind == Any {
		if k[0].Kind == Any {
			k = nil
			for _, name := range Kinds() {
				k = append(k, Alternative{Exact, name})
			}
		}
		return with(func(r *Rule, one Pattern) { r.Kinds = one }, k)
	}
	switch {
	case len(r.Users) > 1:
		return with(func(r *Rule, one Pattern) { r.Users = one }, r.Users)
	case len(r.Profiles) > 1:
		return with(func(r *Rule, one Pattern) { r.Profiles = one }, r.Profiles)
	case len(r.As) > 1:
		return with(func(r *Rule, one Pattern) { r.As = one }, r.As)
	case len(r.Program) > 1:
		return with(func(r *Rule, one Pattern) { r.Program = one }, r.Program)
	}
	for i, arg := range r.Args {
		if len(arg) > 1 {
			return with(func(r *Rule, one Pattern) {
				r.Args = append([]Pattern(nil), r.Args...)
				r.Args[i] = one
			}, arg)
		}
	}
	return nil
}

// takes reports whether r matches every request of p.
func (r *Rule) takes(p part) bool {
	in := &p.rule
	switch {
	case !within(in.Users, r.Users, nameWithin),
		!within(in.Profiles, r.Profiles, nameWithin),
		!within(in.kinds(), r.kinds(), kindWithin),
		!r.takesTargets(in):
		return false
	case len(r.Program) == 0:
		return true
	}
	// What a file is called differs from what it is: only a denial looks at that.
	if p.byFile && r.Verdict != Deny && !r.Program.any() {
		return false
	}
	program, args, rest := in.Program, in.Args, in.Rest
	if len(program) == 0 {
		program, rest = Pattern{{Kind: Any}}, Pattern{{Kind: All}}
	}
	return within(program, r.Program, programWithin) && argsWithin(args, rest, r.Args, r.Rest)
}

func (p Pattern) any() bool {
	for _, a := range p {
		if a.Kind == Any {
			return true
		}
	}
	return false
}

// takesTargets compares whom it runs as; for one single user that is known by
// name, self is that name.
func (r *Rule) takesTargets(in *Rule) bool {
	if within(in.As, r.As, nameWithin) {
		return true
	}
	if len(in.Users) != 1 || in.Users[0].Kind != Exact {
		return false
	}
	user := in.Users[0].Text
	named := func(p Pattern) Pattern {
		out := make(Pattern, len(p))
		for i, a := range p {
			if a.Kind == Self {
				a = Alternative{Exact, user}
			}
			out[i] = a
		}
		return out
	}
	return len(in.As) > 0 && within(named(in.As), named(r.As), nameWithin)
}

// within reports whether each alternative of p is in one of q. Empty is
// everything.
func within(p, q Pattern, in func(a, b Alternative) bool) bool {
	if len(q) == 0 {
		return true
	}
	if len(p) == 0 {
		return q.any()
	}
	for _, a := range p {
		found := false
		for _, b := range q {
			found = found || in(a, b)
		}
		if !found {
			return false
		}
	}
	return true
}

// nameWithin reports whether every name of a is one of b.
func nameWithin(a, b Alternative) bool {
	switch {
	case b.Kind == Any:
		return true
	case b.Kind == Prefix:
		return (a.Kind == Exact || a.Kind == Prefix) && strings.HasPrefix(a.Text, b.Text)
	}
	return a == b
}

// kindWithin is nameWithin where the names are known, so that nothing but any
// holds them all.
func kindWithin(a, b Alternative) bool { return b.Kind == Any || a == b }

func programWithin(a, b Alternative) bool {
	switch {
	case b.Kind == Any:
		return true
	case b.Kind == Prefix:
		rest, begins := strings.CutPrefix(a.Text, b.Text)
		return (a.Kind == Exact || a.Kind == Prefix) && begins && !strings.Contains(rest, "/")
	}
	return a == b
}

func wordWithin(a, b Alternative) bool {
	switch b.Kind {
	case All:
		return true
	case Any:
		return a.Kind == Any || (a.Kind == Exact || a.Kind == Prefix) && a.Text != "" && a.Text[0] != '-' || a.Kind == Exact && a.Text == ""
	case Prefix:
		// A prefix without a slash leaves nothing out; one with a slash goes on
		// from one that has it too, and leaves out the same.
		return a.Kind == Prefix && strings.HasPrefix(a.Text, b.Text) || a.Kind == Exact && (Pattern{b}).matchWord(a.Text)
	}
	return a == b
}

// argsWithin reports whether every list of words that args and rest match is
// one that toArgs and toRest match.
func argsWithin(args []Pattern, rest Pattern, toArgs []Pattern, toRest Pattern) bool {
	// The shortest and, if there is no end, an arbitrarily long list.
	if len(args) < len(toArgs) || len(args) > len(toArgs) && len(toRest) == 0 || len(rest) > 0 && len(toRest) == 0 {
		return false
	}
	for i, p := range args {
		to := toRest
		if i < len(toArgs) {
			to = toArgs[i]
		}
		if !within(p, to, wordWithin) {
			return false
		}
	}
	return len(rest) == 0 || within(rest, toRest, wordWithin)
}
