// Command ninefold-ctl is every command of sessionctl. Nobody types its name:
// sessionctl starts sessions that were decided before, and commands on the host,
// and executes this program for the rest.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/host"
	"ninefold/cmd/internal/runline"
	"ninefold/cmd/internal/session"
	"ninefold/sessiond/manager"
)

func main() {
	if err := hostsOwn(calledAs()); err != nil {
		code, hint := exit.Of(err, rules)
		exit.Tell(os.Stderr, "ninefold", err, hint)
		os.Exit(int(code))
	}
	io := session.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if filepath.Base(calledAs()) == host.Open {
		os.Exit(host.Main(open(os.Args[1:])))
	}
	os.Exit(Main(context.Background(), os.Args[1:], io))
}

// Main runs one command and returns its exit code. The first interrupt, hangup
// or termination signal cancels what the command does, so that it can undo; a
// second one kills. Run alone hands signals to the session's command.
func Main(ctx context.Context, args []string, io session.Stdio) int {
	if r, ok := runline.Parse(args); ok {
		return runSession(ctx, io, session.Request{Config: r.Config, State: r.State,
			Request: manager.Request{Profile: r.Profile, User: r.User, Keep: r.Keep, Guest: r.Guest, For: r.For, Command: r.Command}})
	}
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	context.AfterFunc(ctx, stop)

	if len(args) > 0 && args[0] == insideCommand {
		err := inside(args[1:])
		code, hint := exit.Of(err, rules)
		exit.Tell(io.Err, "sessionctl", err, hint)
		return int(code)
	}
	a := &app{Stdio: io, words: args}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if a.status != nil {
		return *a.status
	}
	code, hint := exit.Of(err, rules)
	exit.Tell(io.Err, "sessionctl", err, hint)
	return int(code)
}
