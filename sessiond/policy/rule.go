package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule is one line of a policy. A request matches it if it matches every part.
type Rule struct {
	// File and Line are where it stands.
	File string
	Line int

	Verdict Verdict
	// Users, Profiles and Kinds are who asks; empty is anybody. An empty Kinds
	// is every kind in a denial, and only Local otherwise.
	Users    Pattern
	Profiles Pattern
	Kinds    Pattern
	// As is whom the program runs as; empty is anybody, in a denial.
	As Pattern
	// Remember and Redact go with the decision.
	Remember time.Duration
	Redact   Redact
	// Program is what runs; empty is any program with any arguments, in a
	// denial. Args are its arguments one by one, and Rest is what each argument
	// after them has to be; an empty Rest allows none.
	Program Pattern
	Args    []Pattern
	Rest    Pattern
}

// Place returns "file:line".
func (r *Rule) Place() string { return fmt.Sprintf("%s:%d", r.File, r.Line) }

// Pattern is a set of words: what any of its alternatives matches.
type Pattern []Alternative

// Alternative is one way for a word to match.
type Alternative struct {
	Kind AlternativeKind
	Text string
}

// AlternativeKind says how an Alternative matches.
type AlternativeKind int

// The kinds of alternatives. What Any and Prefix leave out depends on what the
// word is: see matchWord, matchProgram and matchUser.
const (
	Exact  AlternativeKind = iota
	Prefix                 // words that begin with Text
	Any                    // *
	All                    // ... of arguments: whatever it is, options too
	Group                  // @Text: users in a group
	Self                   // the user who asks
)

// matchWord matches an argument. Any leaves out what begins with "-": an
// option has to be written in the policy to be allowed. A Prefix with a slash in
// it leaves out words with the path element "..", which would lead elsewhere.
func (p Pattern) matchWord(word string) bool {
	for _, a := range p {
		switch {
		case a.Kind == All,
			a.Kind == Exact && a.Text == word,
			a.Kind == Prefix && strings.HasPrefix(word, a.Text) && !(strings.Contains(a.Text, "/") && climbs(word)),
			a.Kind == Any && !strings.HasPrefix(word, "-"):
			return true
		}
	}
	return false
}

// climbs reports whether .. is an element of what may be a path.
func climbs(word string) bool { return strings.Contains("/"+word+"/", "/../") }

// matchProgram matches a path. What a Prefix leaves open is one name: it does
// not lead into directories below.
func (p Pattern) matchProgram(path string) bool {
	for _, a := range p {
		rest, begins := strings.CutPrefix(path, a.Text)
		switch {
		case a.Kind == Any,
			a.Kind == Exact && a.Text == path,
			a.Kind == Prefix && begins && !strings.Contains(rest, "/"):
			return true
		}
	}
	return false
}

// matchName matches a name; groups are those of who bears it, and self is the
// name of who asks.
func (p Pattern) matchName(name, self string, groups []string) bool {
	for _, a := range p {
		switch {
		case a.Kind == Any,
			a.Kind == Exact && a.Text == name,
			a.Kind == Prefix && strings.HasPrefix(name, a.Text),
			a.Kind == Group && slices.Contains(groups, a.Text),
			a.Kind == Self && name == self:
			return true
		}
	}
	return false
}

// NoProfile is what rules call a session that is in none.
const NoProfile = "none"

// mismatch returns why a request does not match, or "" if it does.
func (r *Rule) mismatch(q *Request) string {
	profile := q.Profile
	if profile == "" {
		profile = NoProfile
	}
	switch {
	case len(r.Users) > 0 && !r.Users.matchName(q.User, q.User, q.Groups):
		return fmt.Sprintf("the user is %s, not %s", show(q.User), r.Users)
	case len(r.Profiles) > 0 && !r.Profiles.matchName(profile, "", nil):
		return fmt.Sprintf("the profile is %s, not %s", show(profile), r.Profiles)
	case !r.kinds().matchName(q.Kind, "", nil):
		return fmt.Sprintf("the session is of kind %s, not %s", show(q.Kind), r.kinds())
	case len(r.As) > 0 && !r.As.matchName(q.Target, q.User, nil):
		return fmt.Sprintf("it is to run as %s, not as %s", show(q.Target), r.As)
	case len(r.Program) > 0 && !r.matchProgram(q):
		return fmt.Sprintf("the program is %s, not %s", show(q.Program), programs(r.Program))
	case len(r.Program) > 0:
		return r.arguments(q.Args)
	}
	return ""
}

func (r *Rule) matchProgram(q *Request) bool {
	return r.Program.matchProgram(q.Program) || r.Verdict == Deny && q.File != "" && r.Program.matchProgram(q.File)
}

// kinds are the kinds of sessions that r is for.
func (r *Rule) kinds() Pattern {
	switch {
	case len(r.Kinds) > 0:
		return r.Kinds
	case r.Verdict == Deny:
		return Pattern{{Kind: Any}}
	}
	return Pattern{{Text: Local}}
}

// arguments returns why args do not match, or "".
func (r *Rule) arguments(args []string) string {
	for i, p := range r.Args {
		if i >= len(args) {
			return fmt.Sprintf("argument %d is missing, which has to be %s", i+1, p)
		}
		if !p.matchWord(args[i]) {
			return fmt.Sprintf("argument %d is %s, not %s", i+1, show(args[i]), p)
		}
	}
	for i := len(r.Args); i < len(args); i++ {
		if len(r.Rest) == 0 {
			if i == 0 {
				return "it may have no arguments"
			}
			return fmt.Sprintf("argument %d is one too many", i+1)
		}
		if !r.Rest.matchWord(args[i]) {
			return fmt.Sprintf("argument %d is %s, not %s", i+1, show(args[i]), r.Rest)
		}
	}
	return ""
}
