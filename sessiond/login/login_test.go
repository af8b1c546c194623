package login

import (
	"strings"
	"testing"

	"ninefold/sessiond/door"
)

func TestWhoMayAskWhat(t *testing.T) {
	manager := door.Unit{Kind: door.UserManager, UID: 1000}
	view := door.Unit{Kind: door.ViewManager, UID: 1000, View: "1000-x"}
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
		{"a PAM application that asks", door.Choices, 1000, door.Peer{UID: 0}, true},
		{"a user who asks for the choices", door.Choices, 1000, door.Peer{UID: 1000, Unit: session}, false},
		{"the manager's wrapper", door.Manager, 1000, door.Peer{UID: 1000, Unit: manager}, true},
		{"a view's manager", door.Manager, 1000, door.Peer{UID: 1000, Unit: view}, true},
		{"somebody else's view's manager", door.Manager, 1001, door.Peer{UID: 1000, Unit: view}, false},
		{"root in a view's manager", door.Manager, 1000, door.Peer{UID: 0, Unit: view}, false},
		{"a service of a view's manager", door.Join, 1000, door.Peer{UID: 1000, Unit: view}, true},
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
