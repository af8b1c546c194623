package namespaces_test

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
)

// TestSignalBeforeTheFirstProcessIsReady: the first process of a PID namespace
// ignores what it has not asked for, so a SIGTERM that came early was lost and
// the session stayed.
func TestSignalBeforeTheFirstProcessIsReady(t *testing.T) {
	for range 20 {
		// The timeout only turns a hang into a failure.
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		s, err := namespaces.Start(ctx, hostPlan(t, all, 0), namespaces.Command{Argv: []string{"sleep", "1000"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		status, err := s.Wait()
		cancel()
		if err != nil || status.Signal != unix.SIGTERM {
			t.Fatalf("%v %v, want the command ended by SIGTERM", status, err)
		}
	}
}
