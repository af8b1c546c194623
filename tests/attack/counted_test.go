package attack

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestTheDocsCountTheAttacks: what is said of the list is what it is.
func TestTheDocsCountTheAttacks(t *testing.T) {
	want := fmt.Sprintf("%d named attacks", len(denied()))
	for _, name := range []string{"../../docs/security.md", "../../docs/guests.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s does not say %q", name, want)
		}
		if more := fmt.Sprintf("%d more are tried", len(around)); !strings.Contains(string(text), more) {
			t.Errorf("%s does not say %q", name, more)
		}
	}
}

func TestNoAttackHasTheNameOfAnother(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range denied() {
		if seen[a.name] || len(a.by) == 0 {
			t.Errorf("%s: stands twice, or nothing denies it", a.name)
		}
		seen[a.name] = true
	}
	if len(seen) < 60 {
		t.Errorf("only %d attacks", len(seen))
	}
}
