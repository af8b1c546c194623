// Package policy is the language of /etc/ninefold/host.policy, which says what
// sessions may run on the host: its reader and printer, the decision, and the
// check of a policy for rules that do not mean what they seem to.
//
// The package is pure: it decides on data alone. Who asks, which groups they
// are in and where a program lies on the host is resolved by the caller and
// handed in as a Request. docs/host-policy.md is the language for people.
package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Verdict is what a rule says of the requests that it matches.
type Verdict int

// The verdicts. The zero Verdict is Deny, so that a decision that nobody
// filled in allows nothing.
const (
	Deny  Verdict = iota
	Allow         // at once
	Ask           // if polkit authorises it
)

// String returns the word of the language.
func (v Verdict) String() string {
	switch v {
	case Allow:
		return "allow"
	case Ask:
		return "ask"
	}
	return "deny"
}

// The kinds of sessions.
const (
	Local  = "local"  // of an account of this machine
	Guest  = "guest"  // of somebody without an account
	Remote = "remote" // one that shows another machine
)

// Kinds returns every kind.
func Kinds() []string { return []string{Local, Guest, Remote} }

// Request is who wants to run what on the host, as the host knows it.
type Request struct {
	// Profile is the profile of the session; "" is a session on the host.
	Profile string
	// Kind is one of Kinds; any other is denied.
	Kind string
	// User and UID are who asks: the name is what the host calls that uid,
	// never what somebody says they are called.
	User string
	UID  uint32
	// Groups are the names of the groups that User is in on the host.
	Groups []string
	// Target is the name of the user whom the program is to run as.
	Target string
	// Program is the absolute path that will be executed, on the host, with
	// every link among its directories resolved. A link in its last element is
	// kept: programs such as reboot tell from their name what they are.
	Program string
	// File is the file that Program leads to when its last element is a link,
	// resolved likewise; "" if it is none. Denials match it too.
	File string
	// Args are the arguments without the program's name.
	Args []string
	// Session is a name of the session for the record. No rule looks at it.
	Session string
}

// incomplete says what a request lacks for the policy to be asked, or "". It is
// never the fault of who asks.
func (q *Request) incomplete() string {
	switch {
	case q.User == "" || q.Target == "":
		return "the host does not know who asks, or whom it is to run as"
	case !slices.Contains(Kinds(), q.Kind):
		return "it is not known of what kind the session is"
	case !strings.HasPrefix(q.Program, "/"):
		return "it is not known which program of the host is meant"
	}
	return ""
}

// Decision is what the policy says of one request.
type Decision struct {
	Verdict Verdict
	// Rule is the rule that decided; nil when none matched, which is a denial.
	Rule *Rule
	// Remember is how long an answer to Ask holds for the same words of the
	// same session; 0 asks each time.
	Remember time.Duration
	// Redact says which arguments stay out of every record.
	Redact Redact
	// Why is one line for the person who asked: the rule with file and line.
	// It holds nothing of the request.
	Why string
}

// Set is a policy: rules in the order in which they are looked at. It is not
// changed after it is made. The nil Set denies everything.
type Set struct{ rules []Rule }

// NewSet makes a policy of rules; the first that matches decides.
func NewSet(rules []Rule) *Set { return &Set{rules: rules} }

// Rules returns the rules in their order. They must not be changed.
func (s *Set) Rules() []Rule {
	if s == nil {
		return nil
	}
	return s.rules
}

// Decide returns what the first rule that matches says; without one the
// request is denied.
func (s *Set) Decide(q Request) Decision {
	if why := q.incomplete(); why != "" {
		return Decision{Why: why}
	}
	for i := range s.Rules() {
		r := &s.rules[i]
		if r.mismatch(&q) != "" {
			continue
		}
		return Decision{Verdict: r.Verdict, Rule: r, Remember: r.Remember, Redact: r.Redact,
			Why: fmt.Sprintf("%s: %s", r.Place(), oneLine(Print(*r)))}
	}
	switch n := len(s.Rules()); {
	case s == nil:
		return Decision{Why: "there is no host policy that can be read, so nothing is allowed; see sessionctl policy check"}
	case n == 0:
		return Decision{Why: "the host policy has no rules, so nothing is allowed"}
	case n == 1:
		return Decision{Why: "the one rule of the host policy does not match"}
	default:
		return Decision{Why: fmt.Sprintf("none of the %d rules of the host policy matches", n)}
	}
}
