package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ninefold/internal/tomlfile"
)

// Level says how much a finding matters.
type Level string

// The levels.
const (
	// Error is what cannot be read. Parse reports it; Check never does.
	Error Level = "error"
	// Warning is a rule that hardly means what it says.
	Warning Level = "warning"
	// Note is something to know about a rule that may well be meant.
	Note Level = "note"
)

// The matters of findings, for programs.
const (
	Unreadable   = "unreadable"
	NeverMatches = "never-matches"
	OverWide     = "over-wide"
	WayOut       = "way-out"
	NoBoundary   = "no-boundary"
	BadProgram   = "program"
	UnknownName  = "unknown-name"
)

// Finding is what a check says of one rule.
type Finding struct {
	Level   Level  `json:"level"`
	Matter  string `json:"matter"`
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// String returns "file:line: level: message", with the column where it is known.
func (f Finding) String() string {
	place := f.File
	for _, n := range []int{f.Line, f.Column} {
		if n > 0 {
			place += ":" + strconv.Itoa(n)
		}
	}
	return fmt.Sprintf("%s: %s: %s", place, f.Level, f.Message)
}

// Machine is what a check asks of the machine that the policy is for.
type Machine interface {
	// Program returns how the host calls the program at path, and why it could
	// not be run from a session.
	Program(path string) (called string, err error)
	// User and Group report whether there is one of that name.
	User(name string) bool
	Group(name string) bool
	// Profiles are the names of the profiles.
	Profiles() []string
}

// Check returns what is to be said of the rules, in their order. Without a
// machine only what the rules themselves show is looked at.
func Check(rules []Rule, m Machine) []Finding {
	c := &check{rules: rules, machine: m}
	for i := range rules {
		c.rule = &rules[i]
		c.shadowed(i)
		c.wide()
		c.waysOut()
		c.denial(i)
		if m != nil {
			c.names()
			c.programs()
		}
		c.boundary()
	}
	return c.found
}

type check struct {
	rules   []Rule
	machine Machine
	rule    *Rule
	found   []Finding
}

func (c *check) say(level Level, matter, hint, format string, args ...any) {
	c.found = append(c.found, Finding{Level: level, Matter: matter, File: c.rule.File, Line: c.rule.Line,
		Message: oneLine(fmt.Sprintf(format, args...)), Hint: hint})
}

func (c *check) shadowed(i int) {
	by := shadow(c.rules, i)
	if len(by) == 0 {
		return
	}
	var places []string
	for _, r := range by[:min(len(by), 3)] {
		places = append(places, r.Place())
	}
	if len(by) > 3 {
		places = append(places, "and more")
	}
	verb := "takes"
	if len(by) > 1 {
		verb = "take"
	}
	c.say(Warning, NeverMatches, "the first rule that matches decides: put this one before, or take it away",
		"the rule can never match: what it is for, %s %s before it", strings.Join(places, ", "), verb)
}

// others reports whether the rule lets somebody run as somebody else.
func (c *check) others() bool {
	return slices.ContainsFunc(c.rule.As, func(a Alternative) bool { return a.Kind != Self })
}

func (p Pattern) has(k AlternativeKind) bool {
	return slices.ContainsFunc(p, func(a Alternative) bool { return a.Kind == k })
}

func (c *check) wide() {
	r := c.rule
	if r.Verdict == Deny {
		return
	}
	if kinds := r.kinds(); kinds.any() || kinds.matchName(Guest, "", nil) || kinds.matchName(Remote, "", nil) {
		c.say(Warning, OverWide, "leave kind out: the rule is then for sessions of this machine's accounts",
			"the rule is for guests or sessions of other machines, who are nobody here")
	}
	if r.Verdict != Allow {
		return
	}
	if r.As.any() {
		c.say(Warning, OverWide, "name whom it may run as", "as * is everybody, root too")
	}
	switch {
	case !c.others():
	case r.Program.any():
		c.say(Warning, OverWide, "name the programs, or write ask: then somebody sees the whole command line first",
			"any program as %s, without a question: who matches the rule is %s", r.As, r.As)
	case r.Program.has(Prefix):
		c.say(Warning, OverWide, "name the programs",
			"whatever is ever called %s may run as %s, without a question", programs(r.Program), r.As)
	}
}

func (c *check) waysOut() {
	r := c.rule
	if r.Verdict == Deny {
		return
	}
	told := map[*escape]bool{}
	for _, a := range r.Program {
		if a.Kind != Exact {
			continue
		}
		e := escapeOf(a.Text)
		if e == nil || told[e] || !e.open(r) {
			continue
		}
		told[e] = true
		hint := "fix every argument, or write ask"
		switch {
		case e.unless != "":
			hint = "fix every argument, " + e.unless + " among them, or write ask"
		case fixed(r):
			hint = "fixed arguments do not help, since a terminal is enough; write ask"
		}
		switch {
		case !c.others():
			c.say(Note, WayOut, "", "%s is a way for the session to do anything on the host as the user: %s", a.Text, e.how)
		case r.Verdict == Ask:
			c.say(Note, WayOut, "", "who says yes to %s may have said yes to anything as %s: %s", a.Text, r.As, e.how)
		default:
			c.say(Warning, WayOut, hint, "%s is a way to do anything as %s: %s", a.Text, r.As, e.how)
		}
	}
}

// denial looks at what a denial is easily taken for.
func (c *check) denial(i int) {
	r := c.rule
	if r.Verdict != Deny || len(r.Program) == 0 {
		return
	}
	if len(r.Args) == 0 && len(r.Rest) == 0 {
		c.say(Warning, OverWide, "for any arguments write: run "+programs(r.Program)+" ...",
			"only without arguments is %s denied", programs(r.Program))
	}
	if r.Program.any() {
		return
	}
	for n := i + 1; n < len(c.rules); n++ {
		if later := &c.rules[n]; later.Verdict == Allow && later.Program.any() {
			c.say(Note, NoBoundary, "", "%s allows any program: one that starts %s, or a copy of it, gets round the denial", later.Place(), programs(r.Program))
			return
		}
	}
}

func (c *check) names() {
	r := c.rule
	for _, a := range r.Users {
		switch {
		case a.Kind == Exact && !c.machine.User(a.Text):
			c.say(Warning, UnknownName, "", "there is no user %s on this machine", show(a.Text))
		case a.Kind == Group && !c.machine.Group(a.Text):
			c.say(Warning, UnknownName, "", "there is no group %s on this machine", show(a.Text))
		}
	}
	for _, a := range r.As {
		if a.Kind == Exact && !c.machine.User(a.Text) {
			c.say(Warning, UnknownName, "", "there is no user %s on this machine", show(a.Text))
		}
	}
	known := c.machine.Profiles()
	for _, a := range r.Profiles {
		if a.Kind != Exact || a.Text == NoProfile || a.Text[0] == '~' || slices.Contains(known, a.Text) {
			continue
		}
		hint := ""
		if near := tomlfile.Nearest(a.Text, known); near != "" {
			hint = "did you mean " + near + "?"
		}
		c.say(Warning, UnknownName, hint, "there is no profile %s on this machine", show(a.Text))
	}
}

func (c *check) programs() {
	for _, a := range c.rule.Program {
		if a.Kind != Exact {
			continue
		}
		called, err := c.machine.Program(a.Text)
		switch {
		case c.rule.Verdict == Deny && err != nil:
			// What there is not, or could not be run anyway, may be denied.
		case err != nil:
			c.say(Warning, BadProgram, "", "%s", err)
		case called != a.Text:
			c.say(Warning, BadProgram, "write "+called, "the host calls %s by the name of %s, so the rule does not match it", a.Text, called)
		}
	}
}

// boundary tells of rules that tell profiles apart. Every user namespace that a
// profile can ask for maps ids to themselves, so a user's processes reach each
// other whatever profile they are in.
func (c *check) boundary() {
	r := c.rule
	if len(r.Profiles) == 0 || r.Profiles.any() {
		return
	}
	if r.Verdict == Deny {
		c.say(Note, NoBoundary, "", "that the profile is %s keeps nobody out: its sessions have the uid of the user's others, and can have those ask", r.Profiles)
		return
	}
	c.say(Note, NoBoundary, "", "that the profile is %s is no boundary: the user's other sessions have the same uid, and can trace and start processes in it", r.Profiles)
}
