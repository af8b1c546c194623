package identity

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhoIsAPerson(t *testing.T) {
	file := filepath.Join(t.TempDir(), "login.defs")
	if err := os.WriteFile(file, []byte("# UID_MIN 1\nUID_MIN\t 500\nSYS_UID_MIN 100\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for l, want := range map[Limits]string{ReadLimits("/nonexistent"): "1000 60000 65536 524288 4294967294", ReadLimits(file): "500 1000 60000 65536 524288 4294967294"} {
		for _, c := range []struct {
			uid  uint32
			text string
		}{{0, "0"}, {499, "499"}, {500, "500"}, {1000, "1000"}, {60000, "60000"}, {61184, "61184"}, {65519, "65519"}, {65534, "65534"},
			{65535, "65535"}, {65536, "65536"}, {524288, "524288"}, {4294967294, "4294967294"}, {4294967295, "4294967295"}} {
			listed := strings.Contains(" "+want+" ", " "+c.text+" ")
			if l.Person(c.uid) != listed {
				t.Errorf("%+v: uid %d: %v", l, c.uid, !listed)
			}
		}
	}
	if l := ReadLimits(file); l.Min != 500 {
		t.Errorf("%+v", l)
	}
	zero := filepath.Join(t.TempDir(), "login.defs")
	if err := os.WriteFile(zero, []byte("UID_MIN 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if ReadLimits(zero).Person(0) {
		t.Error("root became a person")
	}
}
