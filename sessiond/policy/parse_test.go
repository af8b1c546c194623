package policy

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"ninefold/internal/tomlfile"
)

func TestMistakesAreToldWithTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"alow user *":         "p:2:1: a rule begins with allow, ask or deny; did you mean allow?",
		"deny usr mia":        "p:2:6: expected one of user, profile, kind, as, remember, redact, run; did you mean user?",
		"deny  user a user b": "p:2:14: user stands twice",
		"deny user":           "p:2:6: user is the last word",
		"deny user a...":      "p:2:11: ... belongs to the arguments",
		"deny user ''":        "p:2:11: an empty name",
		"deny user @":         "p:2:11: @ goes before the whole name",
		"deny user a|":        "p:2:13: an alternative is empty",
		"deny user a*b":       "p:2:11: a * stands at the end",
		"deny as @wheel":      "p:2:9: a group can only stand after user",
		"deny profile Dev":    "cannot be the name of a profile",
		"deny profile a/b":    "cannot be the name of a profile",
		"deny kind gest":      "p:2:11: gest is no kind of session; there are local, guest, remote; did you mean guest?",
		"deny kind g*":        "is no kind of session",
		"deny remember 5m":    "remember belongs to ask: deny asks nobody",
		"allow user * profile * as root remember 5m run /a": "remember belongs to ask",
		"ask user * profile * as root remember 5 run /a":    "p:2:39: remember takes a number with s, m or h",
		"ask user * profile * as root remember 0s run /a":   "leave it out",
		"ask user * profile * as root remember 25h run /a":  "at most 24h",
		"ask user * profile * as root remember +5m run /a":  "takes a number",
		"deny redact 0":                          "arguments are counted from 1",
		"deny redact 1*":                         "'1'*",
		"deny run":                               "p:2:6: run is the last word",
		"deny run apt-get":                       "p:2:10: the program apt-get is not an absolute path; write for example /usr/bin/apt-get",
		"deny run bin/apt-get":                   "write for example /usr/bin/apt-get",
		"deny run /usr/../bin/a":                 "never that of a program",
		"deny run /usr//bin/a":                   "never that of a program",
		"deny run /usr/bin/":                     "never that of a program",
		"deny run /":                             "never that of a program",
		"deny run /usr/bin/../*":                 "never that of a program",
		"deny run ...":                           "... is for arguments",
		"deny run /a ... x":                      "p:2:13: a word with ... stands last",
		"deny run /a ''*":                        "has no meaning",
		"deny run /a \"b c\"":                    `p:2:13: " has no meaning here; write '"' for the character itself`,
		"deny run /a $HOME":                      "p:2:13: $ has no meaning here",
		"deny run /a [ab]":                       "[ has no meaning here",
		"deny run /a a?":                         "? has no meaning here",
		"deny run /a 'b":                         "p:2:13: the quote that starts here has no end",
		"deny run /a 'b\nc' 'd":                  "p:3:4: the quote that starts here has no end",
		"deny run /a '\x00'":                     "p:2:14: a NUL byte",
		"deny run /a \x01":                       "control character",
		"deny\r":                                 "p:2:5: a carriage return",
		"allow user * as root run /a":            "p:2:1: the rule says nothing of profile; write it down before run, for example: profile *",
		"allow user * profile * as root":         "says nothing of run",
		"ask user * profile * run /a":            "says nothing of as",
		"\n\n  alow user *":                      "p:4:3: ",
		"deny user a \\\n  usr b":                "p:3:3: expected one of",
		"deny " + strings.Repeat("user a ", 600): "more than 1024 words",
	} {
		rs, err := Parse("p", []byte("ninefold 1\n"+text))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) || rs != nil {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestEveryMistakeIsTold(t *testing.T) {
	_, err := Parse("p", []byte("ninefold 1\nalow\ndeny user 'a\n' user x\ndeny\nask user * run x\n"))
	var errs tomlfile.Errors
	if !errors.As(err, &errs) || len(errs) != 3 || errs[0].Line != 2 || errs[1].Line != 4 || errs[2].Line != 6 {
		t.Errorf("%v", err)
	}
}

func TestVersion(t *testing.T) {
	for text, want := range map[string]string{
		"deny\n":                  "p:1:1: the first line has to be: ninefold 1",
		"# x\n\nninefold 2\nwhat": "p:3:10: this program reads version 1",
		"ninefold\n":              "p:1:1: the first line",
		"ninefold 1 2\n":          "p:1:1: the first line",
		"'ninefold' 1\n":          "p:1:1: the first line",
	} {
		if _, err := Parse("p", []byte(text)); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "# nothing\n", "ninefold 1", "ninefold 1 # why\n\n"} {
		if rs, err := Parse("p", []byte(text)); err != nil || len(rs) != 0 {
			t.Errorf("%q: %v %v", text, rs, err)
		}
	}
	if _, err := Parse("p", make([]byte, MaxSize+1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a huge file: %v", err)
	}
	if _, err := Parse("p", []byte("ninefold 1\n"+strings.Repeat("deny\n", MaxRules+1))); !errors.Is(err, ErrInvalid) {
		t.Errorf("many rules: %v", err)
	}
}

func TestPrint(t *testing.T) {
	for text, want := range map[string]string{
		"deny": "",
		"allow run /a|/b/* x|'y z' as user @w as self profile ~*|none user 'self'":                        "-",
		"ask  as  self   redact 3|1|1|5-|--p=*   remember 90m  profile * user @'domain users'|mia run /a": "ask user @'domain users'|mia profile * as self remember 90m redact 1|3|5-|--p=* run /a",
		"ask user * profile * as 'self' remember 3600s run /a '*' '...' 'a...' '@b' '#' '' ''''":          "ask user * profile * as 'self' remember 1h run /a '*' '...' 'a...' '@b' '#' '' ''''",
		"deny kind guest|remote redact '3'|'4-'":                                                          "deny kind guest|remote redact '3'|'4-'",
		"deny user * run /a x|y...":                                                                       "",
		"deny user * run /a x ...":                                                                        "",
		"deny user * run '/a b'* -*...":                                                                   "",
		"deny run /a @b* 'c'* --x='$HOME;rm -rf /'":                                                       "deny run /a '@b'* c* '--x=$HOME;rm -rf /'",
		"deny run /a user mia # to the end":                                                               "deny run /a user mia",
		"deny \\\n\trun \\\n /a":                                                                          "deny run /a",
	} {
		rs, err := Parse("p", []byte("ninefold 1\n"+text))
		if want == "-" {
			if err == nil {
				t.Errorf("%q was read", text)
			}
			continue
		}
		if want == "" {
			want = text
		}
		if err != nil || len(rs) != 1 {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := Print(rs[0]); got != want {
			t.Errorf("%q: printed as\n%s, want\n%s", text, got, want)
		}
		roundTrip(t, rs)
	}
}

// roundTrip fails if what is printed reads back to other rules.
func roundTrip(t *testing.T, rs []Rule) {
	t.Helper()
	text := PrintAll(rs)
	back, err := Parse("p", []byte(text))
	if err != nil {
		t.Fatalf("what was printed cannot be read: %v\n%s", err, text)
	}
	if len(back) != len(rs) {
		t.Fatalf("%d rules were printed, %d read\n%s", len(rs), len(back), text)
	}
	for i := range rs {
		a, b := rs[i], back[i]
		a.Line, b.Line, a.File, b.File = 0, 0, "", ""
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v was printed as %s and read as %+v", a, Print(a), b)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("deny\n")
	f.Add("allow user @a|mia profile ~* kind guest as self run /a|/b/* x 'y ''z' -*...\n")
	f.Add("ask user * profile * as * remember 15m redact 1|3-|--p=* run * ...\n# c\ndeny run /a ''...")
	f.Fuzz(func(t *testing.T, text string) {
		rs, err := Parse("p", []byte("ninefold 1\n"+text))
		if err != nil {
			if len(rs) > 0 || !strings.HasPrefix(err.Error(), "p:") {
				t.Fatalf("rules beside an error, or no place: %v", err)
			}
			return
		}
		roundTrip(t, rs)
		NewSet(rs).Decide(Request{Profile: "dev", Kind: Local, User: "mia", Target: "mia", Program: "/a", Args: []string{"x"}})
	})
}
