package login

import (
	"context"
	"errors"
	"testing"

	"ninefold/sessiond/identity"
)

// A home that does not answer costs a login its own profile, and one thread.
func TestAHomeThatHangs(t *testing.T) {
	hung := make(chan struct{})
	l := &Logins{reading: map[uint32]chan struct{}{1000: hung}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 {
		if _, err := l.readOwn(ctx, identity.User{UID: 1000, Home: "/nonexistent"}, "x"); !errors.Is(err, errSlowHome) {
			t.Errorf("got %v", err)
		}
	}
	if len(l.reading) != 1 || l.reading[1000] != hung {
		t.Error("a second reader was started")
	}
}
