package bus

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// lines are the contracts as the manual writes them.
func lines() []string {
	list := func(args []argument) string {
		var words []string
		for _, a := range args {
			words = append(words, a.sig+" "+a.name)
		}
		return strings.Join(words, ", ")
	}
	var out []string
	for _, k := range []*contract{&managerContract, &objectsContract, &viewContract, &sessionContract, &jobContract} {
		for _, m := range k.methods {
			line := m.name + "(" + list(m.in) + ")"
			if len(m.out) > 0 {
				line += " -> " + list(m.out)
			}
			out = append(out, line)
		}
		for _, p := range k.properties {
			out = append(out, p.sig+" "+p.name)
		}
		for _, s := range k.signals {
			out = append(out, s.name+"("+list(s.args)+")")
		}
	}
	return out
}

// The manual says what the introspection data say, in the same order, and no more.
func TestManualIsComplete(t *testing.T) {
	b, err := os.ReadFile("../../docs/dbus.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]*)` \\|").FindAllStringSubmatch(string(b), -1) {
		if !strings.HasPrefix(m[1], "org.") {
			got = append(got, m[1])
		}
	}
	want := lines()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("docs/dbus.md differs at line %d of its tables:\n%q\n%q", i+1, got[min(i, len(got)):], want[min(i, len(want)):])
		}
	}
	for _, k := range []string{ManagerInterface, ViewInterface, SessionInterface, JobInterface, objectsInterface, actionEnd, actionBuild, actionPull, actionVerify, actionRemove, actionCancel} {
		if !strings.Contains(string(b), "`"+k+"`") {
			t.Errorf("docs/dbus.md does not mention %s", k)
		}
	}
}
