package main

import (
	"cmp"
	"context"
	"errors"
	"os"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/runline"
	"ninefold/namespaces"
	"ninefold/roots/contexts"
	"ninefold/sessiond/contexts/inside"
	"ninefold/sessiond/decided"
)

// enterContext enters a context whose root is live, or was decided before, and
// returns the exit status. It is not done when that is not so, or when it failed
// before the command began.
func enterContext(e runline.Enter) (status int, done bool) {
	if os.Geteuid() != 0 {
		return 0, false
	}
	state := cmp.Or(e.State, defaultState)
	store := contexts.On(state)
	r, err := store.Find(0, e.Name)
	if err != nil {
		return 0, false
	}
	begun := false
	roots := inside.Of(store, inside.Decided(state, decided.Question{Config: e.Config, State: e.State, First: decided.Program(decided.First)}))
	how, err := roots.Enter(context.Background(), r, inside.Request{
		Command: e.Command, User: e.User, Begun: func() { begun = true },
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	switch {
	case err == nil:
		return how.Code, true
	case begun, errors.Is(err, namespaces.ErrAway):
		exit.Tell(os.Stderr, "sessionctl", err, "")
		return int(exit.NoSession), true
	}
	return 0, false
}
