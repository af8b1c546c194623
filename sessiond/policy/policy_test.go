package policy

import (
	"strings"
	"testing"
	"time"
)

// rules reads a policy without its version line, called "p".
func rules(t *testing.T, text string) []Rule {
	t.Helper()
	rs, err := Parse("p", []byte("ninefold 1\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// mia is a request that the cases change.
func mia(change func(*Request)) Request {
	q := Request{Profile: "dev", Kind: Local, User: "mia", UID: 1000, Groups: []string{"mia", "sudo"},
		Target: "root", Program: "/usr/bin/apt-get", Args: []string{"update"}}
	if change != nil {
		change(&q)
	}
	return q
}

func TestFirstMatchDecides(t *testing.T) {
	s := NewSet(rules(t, `# updates
deny  user joe
allow user @sudo profile dev as root run /usr/bin/apt-get update
ask   user *     profile *   as root remember 15m redact 2 run /usr/bin/apt-get ...
allow user *     profile *   as self run /usr/bin/id
`))
	for _, c := range []struct {
		name   string
		change func(*Request)
		want   Verdict
		line   int
	}{
		{"by group", nil, Allow, 4},
		{"other arguments", func(q *Request) { q.Args = []string{"upgrade"} }, Ask, 5},
		{"no arguments", func(q *Request) { q.Args = nil }, Ask, 5},
		{"not in the group", func(q *Request) { q.Groups = nil }, Ask, 5},
		{"other profile", func(q *Request) { q.Profile = "games" }, Ask, 5},
		{"denied user", func(q *Request) { q.User = "joe" }, Deny, 3},
		{"other target", func(q *Request) { q.Target = "joe" }, Deny, 0},
		{"as self", func(q *Request) { q.Target, q.Program, q.Args = "mia", "/usr/bin/id", nil }, Allow, 6},
		{"self is no other", func(q *Request) { q.Target, q.Program, q.Args = "joe", "/usr/bin/id", nil }, Deny, 0},
		{"one argument too many", func(q *Request) { q.Target, q.Program = "mia", "/usr/bin/id" }, Deny, 0},
		{"guest", func(q *Request) { q.Kind = Guest }, Deny, 0},
		{"remote", func(q *Request) { q.Kind = Remote }, Deny, 0},
		{"no kind", func(q *Request) { q.Kind = "" }, Deny, 0},
		{"nobody", func(q *Request) { q.User = "" }, Deny, 0},
		{"no target", func(q *Request) { q.Target = "" }, Deny, 0},
		{"a name that begins alike", func(q *Request) { q.Program = "/usr/bin/apt-get2" }, Deny, 0},
	} {
		d := s.Decide(mia(c.change))
		line := 0
		if d.Rule != nil {
			line = d.Rule.Line
		}
		if d.Verdict != c.want || line != c.line || d.Why == "" {
			t.Errorf("%s: %s by line %d (%s); want %s by line %d", c.name, d.Verdict, line, d.Why, c.want, c.line)
		}
	}
	d := s.Decide(mia(func(q *Request) { q.Args = []string{"upgrade"} }))
	if d.Remember != 15*time.Minute || d.Redact.IsZero() ||
		d.Why != "p:5: ask user * profile * as root remember 15m redact 2 run /usr/bin/apt-get ..." {
		t.Errorf("%+v", d)
	}
	var none *Set
	if d := none.Decide(mia(nil)); d.Verdict != Deny || d.Why == "" {
		t.Errorf("without a policy: %+v", d)
	}
}

func TestWhatPatternsMatch(t *testing.T) {
	for _, c := range []struct {
		run      string
		yes, not []string // program and arguments, with blanks between
	}{
		{"/usr/bin/id", []string{"/usr/bin/id"}, []string{"/usr/bin/id -u", "/usr/bin/id2", "/usr/bin/id "}},
		{"/usr/bin/*", []string{"/usr/bin/id"}, []string{"/usr/bin/x/id", "/usr/sbin/id"}},
		{"/usr/bin/systemd-*", []string{"/usr/bin/systemd-run"}, []string{"/usr/bin/systemctl", "/usr/bin/systemd-/x"}},
		{"/usr/bin/a|/usr/bin/b x", []string{"/usr/bin/a x", "/usr/bin/b x"}, []string{"/usr/bin/a", "/usr/bin/c x"}},
		{"* ...", []string{"/x", "/x -y z"}, []string{"x", "./x"}},
		// A prefix of a path is not left by climbing.
		{"/a /var/log/*", []string{"/a /var/log/x", "/a /var/log/x/..y"}, []string{"/a /var/log/../x", "/a /var/log/x/.."}},
		{"/a f=/srv/*...", []string{"/a f=/srv/"}, []string{"/a f=/srv/.."}},
		{"/a v..*", []string{"/a v../.."}, nil},
		// An option is never meant by *.
		{"/a *", []string{"/a x", "/a ", "/a x-"}, []string{"/a", "/a -x", "/a --", "/a -", "/a x y"}},
		{"/a *...", []string{"/a", "/a x", "/a x y z"}, []string{"/a -x", "/a x y -z"}},
		{"/a *|-*", []string{"/a x", "/a -x"}, []string{"/a x y"}},
		{"/a -*... ", []string{"/a", "/a -x -y"}, []string{"/a -x y"}},
		{"/a ...", []string{"/a", "/a -x y"}, nil},
		{"/a start|stop cups", []string{"/a start cups", "/a stop cups"}, []string{"/a restart cups", "/a start"}},
		{"/a --since=*", []string{"/a --since=", "/a --since=-1h"}, []string{"/a --until=x"}},
		{"/a x y...", []string{"/a x", "/a x y y"}, []string{"/a", "/a x z", "/a x y z"}},
		{"/a '*' '...'", []string{"/a * ..."}, []string{"/a x y"}},
		{"/a ''", []string{"/a "}, []string{"/a", "/a x"}},
		{"/a 'it''s'|'a|b'", []string{"/a it's", "/a a|b"}, []string{"/a a", "/a b"}},
		{"/a @file*", []string{"/a @files"}, []string{"/a file"}},
	} {
		s := NewSet(rules(t, "allow user * profile * as root run "+c.run))
		try := func(words string, want Verdict) {
			f := strings.Split(words, " ")
			q := mia(func(q *Request) { q.Program, q.Args = f[0], f[1:] })
			if d := s.Decide(q); d.Verdict != want {
				t.Errorf("run %s: %q is %s", c.run, words, d.Verdict)
			}
		}
		for _, w := range c.yes {
			try(w, Allow)
		}
		for _, w := range c.not {
			try(w, Deny)
		}
	}
}

func TestWhatAnAllowanceLeavesOutIsNotGranted(t *testing.T) {
	// A denial is for everybody it does not name; of an allowance that is a mistake.
	s := NewSet(rules(t, "deny run /usr/bin/vim.basic ...\nallow user * profile * kind * as * run * ..."))
	for _, kind := range []string{Local, Guest, Remote} {
		q := mia(func(q *Request) { q.Kind, q.Program = kind, "/usr/bin/vim.basic" })
		if d := s.Decide(q); d.Verdict != Deny || d.Rule == nil {
			t.Errorf("%s: %+v", kind, d)
		}
		q.Program = "/usr/bin/id"
		if d := s.Decide(q); d.Verdict != Allow {
			t.Errorf("%s: %+v", kind, d)
		}
	}
	// Whatever it is called: what the link leads to is denied.
	link := mia(func(q *Request) { q.Program, q.File = "/usr/bin/vi", "/usr/bin/vim.basic" })
	if d := s.Decide(link); d.Verdict != Deny || d.Rule == nil {
		t.Errorf("through a link: %+v", d)
	}
	// But an allowance is for the name alone.
	s = NewSet(rules(t, "allow user * profile * as root run /usr/bin/vim.basic ..."))
	if d := s.Decide(link); d.Verdict != Deny {
		t.Errorf("through a link: %+v", d)
	}
}

func TestProfiles(t *testing.T) {
	s := NewSet(rules(t, "ask user * profile ~* as root run /a\nallow user * profile none|dev-* as root run /a"))
	for profile, want := range map[string]Verdict{"": Allow, "dev-x": Allow, "dev": Deny, "~mine": Ask, "none": Allow} {
		if d := s.Decide(mia(func(q *Request) { q.Profile, q.Program, q.Args = profile, "/a", nil })); d.Verdict != want {
			t.Errorf("%q: %s", profile, d.Verdict)
		}
	}
}

func TestExplainSaysWhyEachRuleDoesNotMatch(t *testing.T) {
	s := NewSet(rules(t, `deny  user joe
allow user * profile games as root run /a
allow user * profile * kind guest as root run /a
allow user * profile * as self run /a
allow user * profile * as root run /b
allow user * profile * as root run /usr/bin/apt-get
allow user * profile * as root run /usr/bin/apt-get update -y
allow user * profile * as root run /usr/bin/apt-get upgrade|remove
allow user * profile * as root run /usr/bin/apt-get 'x
y'...
ask user * profile * as root run * ...
deny
`))
	steps := s.Explain(mia(nil))
	want := []string{"the user is mia, not joe", "the profile is dev, not games", "the session is of kind local, not guest",
		"it is to run as root, not as self", "the program is /usr/bin/apt-get, not /b", "it may have no arguments",
		"argument 2 is missing, which has to be -y", "argument 1 is update, not upgrade|remove", "argument 1 is update, not 'x\uFFFDy'", ""}
	if len(steps) != len(want) {
		t.Fatalf("%d steps, want %d", len(steps), len(want))
	}
	for i, st := range steps {
		if st.Why != want[i] || strings.Contains(st.Text, "\n") {
			t.Errorf("step %d: %s: %q, want %q", i, st.Place, st.Why, want[i])
		}
	}
	if steps[9].Place != "p:12" {
		t.Errorf("the rule that decides is said to be in %s", steps[9].Place)
	}
}

func TestRedact(t *testing.T) {
	for redact, want := range map[string]string{
		"*":                "[redacted] [redacted] [redacted]",
		"2":                "a [redacted] --pw=y",
		"1|3":              "[redacted] --pass=x [redacted]",
		"2-":               "a [redacted] [redacted]",
		"3-|2-":            "a [redacted] [redacted]",
		"--pass=*":         "a --pass=[redacted] --pw=y",
		"--pass=*|--p*":    "a --p[redacted] --p[redacted]",
		"a":                "[redacted] --pass=x --pw=y",
		"'--pass=x'|--pw*": "a [redacted] --pw[redacted]",
		"'2'":              "a --pass=x --pw=y",
		"7":                "a --pass=x --pw=y",
	} {
		r := rules(t, "deny redact "+redact)[0]
		args := []string{"a", "--pass=x", "--pw=y"}
		if got := strings.Join(r.Redact.Apply(args), " "); got != want {
			t.Errorf("redact %s: %s, want %s", redact, got, want)
		}
		if args[1] != "--pass=x" {
			t.Fatal("the arguments themselves were changed")
		}
	}
}
