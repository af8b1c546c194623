package packaging

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestActionsAreInstalled: polkit refuses an action that no file describes, and
// the daemon could only ever say no.
func TestActionsAreInstalled(t *testing.T) {
	policy, err := os.ReadFile(filepath.Join(top, "systemd-units/org.ninefold.policy"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(top, "sessiond/bus/*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the bus has no source: %v", err)
	}
	action := regexp.MustCompile(`"(org\.ninefold\.[a-z]+\.[a-z]+)"`)
	found := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range action.FindAllStringSubmatch(string(text), -1) {
			found++
			if !strings.Contains(string(policy), `<action id="`+m[1]+`">`) {
				t.Errorf("%s asks for %s, which the policy does not have", name, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("the bus asks polkit for nothing")
	}
}
