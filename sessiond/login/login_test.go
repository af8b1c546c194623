package login

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ninefold/sessiond/door"
)

func TestWhoMayAskWhat(t *testing.T) {
	manager := door.Unit{Kind: door.UserManager, UID: 1000}
	session := door.Unit{Kind: door.SessionScope, UID: 1000, Session: "3"}
	for _, c := range []struct {
		name string
		op   door.Op
		uid  uint32
		from door.Peer
		may  bool
	}{
		{"a PAM application", door.Session, 1000, door.Peer{UID: 0}, true},
		{"a user who plays one", door.Session, 1000, door.Peer{UID: 1000, Unit: session}, false},
		{"a user who prepares", door.Prepare, 1000, door.Peer{UID: 1000, Unit: session}, false},
		{"the manager's wrapper", door.Manager, 1000, door.Peer{UID: 1000, Unit: manager}, true},
		{"a session that plays it", door.Manager, 1000, door.Peer{UID: 1000, Unit: session}, false},
		{"somebody else's manager", door.Manager, 1001, door.Peer{UID: 1000, Unit: manager}, false},
		{"another uid in the unit", door.Manager, 1000, door.Peer{UID: 1001, Unit: manager}, false},
		{"root outside the unit", door.Manager, 1000, door.Peer{UID: 0}, false},
		{"root inside the unit", door.Manager, 1000, door.Peer{UID: 0, Unit: manager}, false},
		{"a session entry", door.Join, 1000, door.Peer{UID: 1000, Unit: session}, true},
		{"a cron job", door.Join, 1000, door.Peer{UID: 1000}, false},
		{"somebody else's session", door.Join, 1001, door.Peer{UID: 1000, Unit: session}, false},
		{"one who was su'd there", door.Join, 1001, door.Peer{UID: 1001, Unit: session}, false},
		{"an unknown question", 77, 1000, door.Peer{UID: 0}, false},
	} {
		if why := authorised(door.Request{Op: c.op, UID: c.uid}, c.from); (why == "") != c.may {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}

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

func TestTheEnvironmentFits(t *testing.T) {
	env := []string{"A=" + strings.Repeat("x", 900), "B=" + strings.Repeat("y", 200), "C=1"}
	in, left := fit(env)
	if left != 1 || len(in) != 2 || in[1] != "C=1" {
		t.Errorf("got %d, %d left", len(in), left)
	}
	if _, err := (door.Reply{Environment: in}).Encode(); err != nil {
		t.Error(err)
	}
}
