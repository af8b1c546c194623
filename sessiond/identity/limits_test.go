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
	if l := ReadLimits(file); l.Min != 500 || l.Max != 60000 {
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

func TestWhoEnters(t *testing.T) {
	file := filepath.Join(t.TempDir(), "login.defs")
	if err := os.WriteFile(file, []byte("UID_MIN 2000\nUID_MAX 0xbb8\nUID_MAX none\nSYS_UID_MAX 999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := ReadLimits(file)
	var more []Range
	for _, s := range []string{"500-600", "61000-70000", "4294967294-4294967294"} {
		r, err := ParseRange(s)
		if err != nil {
			t.Fatal(err)
		}
		more = append(more, r)
	}
	for uid, want := range map[uint32]struct{ defs, both bool }{
		0: {}, 499: {}, 500: {}, 600: {}, 1999: {}, 2000: {true, true}, 3000: {true, true}, 3001: {},
		61000: {false, true}, 61184: {}, 65519: {}, 65520: {false, true}, 65534: {}, 65535: {}, 65536: {false, true}, 70001: {},
		4294967294: {false, true}, 4294967295: {},
	} {
		if l.Enters(uid, nil) != want.defs || l.Enters(uid, more) != want.both {
			t.Errorf("uid %d: %v and %v", uid, l.Enters(uid, nil), l.Enters(uid, more))
		}
	}
	for _, s := range []string{"", "-", "5", "5-", "-5", "0-5", "6-5", "1-4294967295", "1-2-3", "a-b", "1 - 2", "+1-2"} {
		if r, err := ParseRange(s); err == nil {
			t.Errorf("%q is %v", s, r)
		}
	}
}
