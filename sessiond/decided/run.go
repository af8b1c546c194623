package decided

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
)

// Request is what a caller wants of a decided session.
type Request struct {
	// Dir is the directory to start in where the session has the host's files
	// there; "" is the user's home.
	Dir string
	// Command is argv; empty is the session's own.
	Command []string
	// Here makes the session on the caller's thread: see namespaces.Command.
	Here bool
	// Last says that the caller's process ends with the session. Signals are then
	// not given back to it afterwards, which takes a tenth of a millisecond.
	Last bool
	// Guard is asked before the command is let in.
	Guard *namespaces.Guard
	// Begun, if set, is called when the command has been started.
	Begun func()
	// The files stay the caller's.
	Stdin, Stdout, Stderr *os.File
}

// HostChanged says why a session on the host's own root is stale. Its layers are
// the host's live files: while the host's packages change, what is open stays as
// it was, and what is opened later may be of another version.
const HostChanged = "the host's packages changed while it ran; start a new session to see them whole"

// Run makes the session, runs the command in it and takes it down. An error means
// that the session could not be made, or not be taken down. A session on the
// host's root whose packages changed meanwhile is told on r.Stderr.
func (s *Session) Run(ctx context.Context, r Request) (namespaces.Status, error) {
	argv := r.Command
	if len(argv) == 0 {
		argv = s.Command
	}
	stop := func() {}
	defer func() {
		if !r.Last {
			stop()
		}
	}()
	status, err := namespaces.Run(ctx, s.From(r.Dir), namespaces.Command{
		Argv: argv, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
		TTY: IsTerminal(r.Stdin) && IsTerminal(r.Stdout), Here: r.Here, Guard: r.Guard,
		Started: func(live *namespaces.Session) {
			// A signal that comes before this ends us, and with us what was begun:
			// listening earlier would delay every start for the rare case.
			stop = Forward(live)
			if r.Begun != nil {
				r.Begun()
			}
		},
	})
	if err != nil {
		return status, fmt.Errorf("make a session of profile %s: %w", s.Profile, err)
	}
	if r.Stderr != nil && !s.Watched.Hold() {
		fmt.Fprintf(r.Stderr, "sessionctl: this session is stale: %s\n", HostChanged)
	}
	return status, nil
}

// forwarded are the signals that a session's command is to get instead of us.
var forwarded = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}

// Forward hands the signals that come to this process to a session's command.
func Forward(s *namespaces.Session) (stop func()) {
	signals, over := make(chan os.Signal, 16), make(chan struct{})
	signal.Notify(signals, forwarded...)
	go func() {
		for {
			select {
			case sig := <-signals:
				_ = s.Signal(sig.(syscall.Signal)) // a command that is just ending needs no signal
			case <-over:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(over)
	}
}

// IsTerminal reports whether f is a terminal; nil is none.
func IsTerminal(f *os.File) bool {
	if f == nil {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
