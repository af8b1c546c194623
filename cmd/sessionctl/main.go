// Command sessionctl composes roots from a base and a runtime and opens
// sessions on them.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"

	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
)

// stdio is what a command reads and writes.
type stdio struct{ in, out, err *os.File }

func main() {
	os.Exit(Main(context.Background(), os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// Main runs one command and returns its exit code. The first interrupt, hangup
// or termination signal cancels what the command does, so that it can undo; a
// second one kills. Run alone hands signals to the session's command.
func Main(ctx context.Context, args []string, io stdio) int {
	// A session is made in a few milliseconds, and building the command tree
	// would be a noticeable part of them.
	if r, ok := plainRun(args); ok {
		// What a start does, it does one after the other: waking other threads
		// for it costs more than they bring.
		runtime.GOMAXPROCS(1)
		return runSession(ctx, io, r)
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)

	a := &app{stdio: io}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if a.status != nil {
		return *a.status
	}
	code, hint := exit.Of(err, rules)
	exit.Tell(io.err, "sessionctl", err, hint)
	return int(code)
}
