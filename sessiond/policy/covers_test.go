package policy

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestRulesThatCanNeverMatch(t *testing.T) {
	for _, c := range []struct {
		policy string
		line   int // that can never match; 0 is none
	}{
		{"deny\ndeny", 3},
		{"deny\nallow user * profile * as self run /a", 3},
		{"allow user * profile * as self run /a\ndeny user * run /a", 0}, // as others
		{"deny user mia\nallow user mia profile * as root run /a", 3},
		{"deny user mia\nallow user @w profile * as root run /a", 0},
		{"deny user @w\nallow user mia profile * as root run /a", 0},
		{"deny user m*\nallow user mia|max profile * as root run /a", 3},
		{"deny user mia\ndeny user joe\nallow user mia|joe profile * as root run /a", 4},
		{"deny user mia\ndeny user joe\nallow user mia|joe|eve profile * as root run /a", 0},
		{"deny user mia profile dev\ndeny user mia profile games\ndeny user joe profile dev|games\nallow user mia|joe profile dev|games as root run /a", 5},
		{"deny user mia profile dev\ndeny user joe profile games\nallow user mia|joe profile dev|games as root run /a", 0},
		// An allowance without a kind is for local sessions.
		{"allow user * profile * as root run /a\nallow user * profile * kind guest as root run /a", 0},
		{"deny kind local\nallow user * profile * as root run /a", 3},
		{"deny kind guest|remote\nallow user * profile * as root run /a", 0},
		{"deny kind guest|remote\ndeny kind local\nallow user * profile * kind * as root run /a", 4},
		// self and a name.
		{"allow user * profile * as self run /a\nallow user mia profile * as mia run /a", 3},
		{"allow user * profile * as self run /a\nallow user m* profile * as mia run /a", 0},
		{"allow user mia profile * as mia run /a\nallow user mia profile * as self run /a", 3},
		{"allow user mia profile * as m* run /a\nallow user mia profile * as self run /a", 3},
		{"allow user joe profile * as mia run /a\nallow user mia profile * as self run /a", 0},
		{"allow user * profile * as 'self' run /a\nallow user * profile * as self run /a", 0},
		// Programs.
		{"allow user * profile * as root run /usr/bin/*\nallow user * profile * as root run /usr/bin/id", 3},
		{"allow user * profile * as root run /usr/bin/*\nallow user * profile * as root run /usr/bin/x/id", 0},
		{"allow user * profile * as root run /usr/*\nallow user * profile * as root run /usr/bin/*", 0},
		{"allow user * profile * as root run /usr/bin/*\nallow user * profile * as root run /usr/bin/x*", 3},
		{"allow user * profile * as root run /a\nallow user * profile * as root run /b\nallow user * profile * as root run /a|/b", 4},
		{"allow user * profile * as root run * ...\ndeny run /a ...", 0}, // as others, of other kinds
		{"allow user * profile * kind * as * run * ...\ndeny run /a ...", 3},
		// A denial is for what a link leads to; an allowance is not.
		{"allow user * profile * kind * as * run /a ...\ndeny run /a ...", 0},
		{"deny run /a ...\nallow user * profile * as root run /a", 3},
		{"deny run /a ...\ndeny run /a x", 3},
		// Arguments.
		{"deny run /a\nallow user * profile * as root run /a ...", 0},
		{"deny run /a ...\nallow user * profile * as root run /a *...", 3},
		{"deny run /a *...\nallow user * profile * as root run /a ...", 0},
		{"deny run /a *|-*...\nallow user * profile * as root run /a ...", 0}, // it is; not found out
		{"deny run /a * ...\nallow user * profile * as root run /a -x", 0},
		{"deny run /a * ...\nallow user * profile * as root run /a x ''", 3},
		{"deny run /a -* ...\nallow user * profile * as root run /a -x*", 3},
		{"deny run /a x\ndeny run /a y\nallow user * profile * as root run /a x|y", 4},
		{"deny run /a x *...\nallow user * profile * as root run /a x y z...", 3},
		{"deny run /a x y z...\nallow user * profile * as root run /a x *...", 0},
		{"deny run /a x y*\nallow user * profile * as root run /a x yz", 3},
		{"deny run /a /v/*\nallow user * profile * as root run /a /v/l/*", 3},
		{"deny run /a /v/*\nallow user * profile * as root run /a /v/../x", 0},
		{"deny run /a v*\nallow user * profile * as root run /a v/../x", 3},
		{"deny run * x\nallow user * profile * as root run /a x", 3},
		{"deny run * x\nallow user * profile * as root run * ...", 0},
		{"deny user *\nask user * profile * as root run * ...", 3},
	} {
		rs := rules(t, c.policy)
		found := 0
		for i := range rs {
			if len(shadow(rs, i)) > 0 {
				found = rs[i].Line
			}
		}
		if found != c.line {
			t.Errorf("%s\nline %d is said never to match, want %d", c.policy, found, c.line)
		}
	}
}

// chance makes rules and requests of few words, so that they often meet.
type chance struct{ *rand.Rand }

func (c chance) of(words ...string) string { return words[c.IntN(len(words))] }

func (c chance) some(words ...string) string {
	s := c.of(words...)
	for c.IntN(3) == 0 {
		s += "|" + c.of(words...)
	}
	return s
}

// wide often takes everything instead, as rules that stand in the way do.
func (c chance) wide(clause, narrow string) string {
	if c.IntN(2) == 0 {
		return clause + " *"
	}
	return clause + " " + narrow
}

func (c chance) rule() string {
	var w []string
	if c.IntN(3) == 0 {
		w = []string{"deny"}
		for _, clause := range []string{c.wide("user", c.users()), c.wide("profile", c.profiles()), c.wide("kind", c.kinds()), c.wide("as", c.targets())} {
			if c.IntN(2) == 0 {
				w = append(w, clause)
			}
		}
		if c.IntN(2) == 0 {
			return strings.Join(w, " ")
		}
	} else {
		w = []string{c.of("allow", "ask"), c.wide("user", c.users()), c.wide("profile", c.profiles()), c.wide("as", c.targets())}
		if c.IntN(2) == 0 {
			w = append(w, c.wide("kind", c.kinds()))
		}
	}
	w = append(w, "run", c.some("/a", "/b", "/d/a", "/d/*", "/*", "/d/a*", "*"))
	for c.IntN(2) == 0 {
		w = append(w, c.args())
	}
	if c.IntN(2) == 0 {
		w = append(w, c.of("...", c.args()+"..."))
	}
	return strings.Join(w, " ")
}

func (c chance) users() string    { return c.some("mia", "m*", "joe", "@w", "@v", "*", "*") }
func (c chance) profiles() string { return c.some("dev", "d*", "none", "~*", "*", "*") }
func (c chance) kinds() string    { return c.some("local", "guest", "remote", "*") }
func (c chance) targets() string  { return c.some("self", "mia", "root", "m*", "*") }
func (c chance) args() string     { return c.some("x", "xy", "x*", "-x", "-*", "*", "''", "x/*", "x/../z") }

// match makes a request that a rule matches, as far as chance finds one: part
// by part, so that rules about much are met too.
func (c chance) match(r Rule) (Request, bool) {
	q := c.request()
	q.Args = nil
	for _, p := range r.Args {
		q.Args = append(q.Args, c.word(p))
	}
	for len(r.Rest) > 0 && c.IntN(2) == 0 {
		q.Args = append(q.Args, c.word(r.Rest))
	}
	for range 200 {
		if r.mismatch(&q) == "" {
			return q, true
		}
		args := q.Args
		q = c.request()
		if len(r.Program) > 0 {
			q.Args = args
		}
	}
	return q, false
}

func (c chance) word(p Pattern) string {
	for {
		if w := c.argument(); p.matchWord(w) {
			return w
		}
	}
}

func (c chance) argument() string {
	return c.of("x", "xy", "xyz", "-x", "-xy", "-", "", "x/", "x/y", "x/../z", "z")
}

func (c chance) request() Request {
	q := Request{User: c.of("mia", "joe", "max"), Target: c.of("mia", "joe", "root", "max"), Profile: c.of("", "dev", "d", "~dev", "games"),
		Kind: c.of(Kinds()...), Program: c.of("/a", "/b", "/c", "/d/a", "/d/ab", "/d/d/a"), File: c.of("", "", "/a", "/d/a")}
	for _, g := range []string{"w", "v"} {
		if c.IntN(2) == 0 {
			q.Groups = append(q.Groups, g)
		}
	}
	for c.IntN(2) == 0 {
		q.Args = append(q.Args, c.argument())
	}
	return q
}

// TestFirstMatchAndNeverAreTrue tries random policies: the rule that decides is
// the first that matches alone, none matching is a denial, what is printed
// decides alike, and what is said never to match never does.
func TestFirstMatchAndNeverAreTrue(t *testing.T) {
	c := chance{rand.New(rand.NewPCG(9, 4))}
	never, met := 0, 0
	for range 500 {
		var text strings.Builder
		for range 1 + c.IntN(9) {
			text.WriteString(c.rule() + "\n")
		}
		rs := rules(t, text.String())
		roundTrip(t, rs)
		dead := map[*Rule]bool{}
		for i := range rs {
			if by := shadow(rs, i); len(by) > 0 {
				dead[&rs[i]] = true
				never++
			}
		}
		set := NewSet(rs)
		for n := range 50 {
			q, ok := c.request(), true
			if n > 20 {
				if q, ok = c.match(rs[n%len(rs)]); !ok {
					continue
				}
			}
			d := set.Decide(q)
			var first *Rule
			for i := range rs {
				if alone := NewSet(rs[i : i+1]).Decide(q); alone.Rule != nil {
					first = &rs[i]
					break
				}
			}
			switch {
			case d.Rule != first:
				t.Fatalf("%sof %+v: %s decides, %v is the first that matches", text.String(), q, d.Why, first)
			case first == nil && d.Verdict != Deny, first != nil && d.Verdict != first.Verdict:
				t.Fatalf("%sof %+v: %s", text.String(), q, d.Verdict)
			case dead[d.Rule]:
				t.Fatalf("%s%s is said never to match, and decides %+v", text.String(), d.Rule.Place(), q)
			}
			steps := set.Explain(q)
			if last := steps[len(steps)-1]; (last.Why == "") != (first != nil) || first != nil && last.Rule != first {
				t.Fatalf("%sof %+v: explained as %+v", text.String(), q, last)
			}
			if first != nil {
				met++
			}
		}
	}
	// Both would be vacuous if words never met.
	if never < 200 || met < 10000 {
		t.Errorf("only %d rules never match, and %d requests were decided", never, met)
	}
}
