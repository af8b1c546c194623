package policy

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const manual = "../../docs/host-policy.md"

// examples are the policies in the manual.
func examples(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?s)```policy\n(.*?)```").FindAllSubmatch(b, -1) {
		out = append(out, string(m[1]))
	}
	return out
}

func TestExamplesOfTheManualDoWhatIsSaid(t *testing.T) {
	ask := func(policy, user, as, command string) Verdict {
		rs, err := Parse("p", []byte(policy))
		if err != nil {
			t.Fatalf("%v\n%s", err, policy)
		}
		words := strings.Fields(command)
		return NewSet(rs).Decide(Request{Kind: Local, Profile: "games", User: user, Groups: map[string][]string{"adm": {"sudo"}, "eve": {"lab"}}[user],
			Target: as, Program: words[0], Args: words[1:]}).Verdict
	}
	all := examples(t)
	if len(all) != 5 {
		t.Fatalf("the manual has %d policies; say here what each does", len(all))
	}
	for i, cases := range []map[string]Verdict{
		{
			"adm root /usr/bin/apt-get update":          Allow,
			"eve root /usr/bin/apt-get update":          Deny,
			"adm root /usr/bin/apt-get install -- vim":  Ask,
			"adm root /usr/bin/apt-get install -o x":    Deny,
			"adm root /usr/bin/apt-get install -- -o x": Deny,
			"eve eve /usr/bin/ps -ef":                   Allow,
			"eve root /usr/bin/ps -ef":                  Deny,
		},
		{"eve eve /usr/bin/id": Ask, "eve root /usr/bin/id": Ask, "eve adm /usr/bin/id -u": Ask},
		{
			"eve root /usr/bin/systemctl --no-pager restart plotter.service": Allow,
			"adm root /usr/bin/systemctl --no-pager restart plotter.service": Deny,
			"eve root /usr/bin/systemctl --no-pager restart ssh.service":     Deny,
			"eve root /usr/bin/systemctl restart plotter.service":            Deny,
			"eve root /usr/bin/journalctl --no-pager -u plotter.service":     Allow,
			"eve root /usr/bin/journalctl -u plotter.service":                Deny,
		},
		{
			"mia backup /usr/local/bin/backup --password=x /home/mia/a":      Allow,
			"mia backup /usr/local/bin/backup --password=x /home/mia/../eve": Deny,
			"mia root /usr/local/bin/backup --password=x /home/mia/a":        Deny,
		},
		{"eve eve /usr/bin/firefox https://example.org": Allow, "eve eve /usr/bin/id": Deny, "eve eve /usr/bin/firefox --profile x": Deny},
	} {
		for words, want := range cases {
			f := strings.SplitN(words, " ", 3)
			if got := ask(all[i], f[0], f[1], f[2]); got != want {
				t.Errorf("policy %d: %s is %s, want %s", i+1, words, got, want)
			}
		}
	}
}

// The policy that is installed is the one that the manual shows, and nothing is
// to be said of it.
func TestThePolicyThatIsInstalled(t *testing.T) {
	b, err := os.ReadFile("../../packaging/host.policy")
	if err != nil {
		t.Fatal(err)
	}
	installed, err := Parse("host.policy", b)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := Parse("manual", []byte(examples(t)[1]))
	if err != nil {
		t.Fatal(err)
	}
	if PrintAll(installed) != PrintAll(shown) {
		t.Errorf("installed is\n%sthe manual shows\n%s", PrintAll(installed), PrintAll(shown))
	}
	if found := Check(installed, machine{}); len(found) > 0 {
		t.Errorf("%v", found)
	}
	// What the file offers to be taken in is right, too.
	offered := 0
	for line := range strings.Lines(string(b)) {
		if rule, ok := strings.CutPrefix(line, "#"); ok && regexp.MustCompile(`^(allow|ask|deny) `).MatchString(rule) {
			offered++
			if _, err := Parse("offered", []byte("ninefold 1\n"+rule)); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	}
	if offered == 0 {
		t.Error("no rule is offered")
	}
	set := NewSet(installed)
	for _, kind := range []string{Guest, Remote} {
		if d := set.Decide(mia(func(q *Request) { q.Kind = kind })); d.Verdict != Deny || d.Rule == nil {
			t.Errorf("%s: %+v", kind, d)
		}
	}
}

// TestWhatACheckSaysOfTheExamples: nobody is shown a policy that is warned of.
func TestWhatACheckSaysOfTheExamples(t *testing.T) {
	for i, text := range examples(t) {
		rules, err := Parse("manual", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range Check(rules, machine{}) {
			// Whom and which programs there are is the reader's machine's matter.
			if f.Level != Note && f.Matter != UnknownName {
				t.Errorf("policy %d of the manual: %v", i+1, f)
			}
		}
	}
}

// The manual names every matter of a check, every kind and every part of a rule.
func TestTheManualNamesEveryWord(t *testing.T) {
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	words := append([]string{Unreadable, NeverMatches, OverWide, WayOut, NoBoundary, BadProgram, UnknownName, "allow", "ask", "deny", "run", "none", "self"}, Kinds()...)
	for _, w := range append(words, clauses...) {
		if !regexp.MustCompile("`" + w + "[` ]").Match(b) {
			t.Errorf("%s does not name %s", manual, w)
		}
	}
}
