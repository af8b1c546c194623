package broker

import (
	"context"
	"testing"

	"ninefold/sessiond/broker/wire"
	"ninefold/sessiond/door"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/policy"
)

// Whoever may run nothing learns nothing of what lies in root's directories.
func TestRefusalsDoNotTellWhatIsThere(t *testing.T) {
	b := New(Options{Policy: func() *policy.Set { return &policy.Set{} }})
	who := &caller{peer: door.Peer{UID: 12345}, user: identity.User{Name: "ann", UID: 12345, GID: 12345}}
	for _, name := range []string{"/proc/1/fd/0", "/proc/1/fd/nothing", "/proc/1/fd/no/thing"} {
		c, refused := b.understand(context.Background(), who, &wire.Request{Argv: []string{name, "x"}}, nil)
		if refused != nil {
			t.Errorf("%s: %v", name, refused.err)
		} else if c.decision.Verdict != policy.Deny || c.shown() == "" {
			t.Errorf("%s: %+v", name, c.decision)
		}
	}
}
