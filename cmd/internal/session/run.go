// Package session decides and runs a session, and gives errors their exit codes.
package session

import (
	"context"
	"os"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/manager"
)

// Stdio is what a command reads and writes.
type Stdio struct{ In, Out, Err *os.File }

// Request is a parsed run command.
type Request struct {
	Config, State string
	manager.Request
}

// Run runs a session and returns what sessionctl exits with: the command's
// status, or exit.NoSession after saying why there was none.
func Run(ctx context.Context, io Stdio, r Request) int {
	m := manager.Open(Options(r.Config, r.State))
	r.Dir, _ = os.Getwd() // a directory that is gone is no place to start in
	r.Stdin, r.Stdout, r.Stderr = io.In, io.Out, io.Err
	status, err := m.Run(ctx, r.Request)
	if err == nil {
		return status.Code
	}
	_, hint := exit.Of(err, Rules)
	exit.Tell(io.Err, "sessionctl", err, hint)
	return int(exit.NoSession)
}

// Options are the manager's, from the global flags.
func Options(config, state string) manager.Options {
	return manager.Options{Config: config, State: state}
}
