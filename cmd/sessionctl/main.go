// Command sessionctl starts sessions and enters contexts that were decided before, asks the broker for
// commands on the host, and hands every other command to ninefold-ctl beside it,
// which decides. Either takes a few milliseconds; what deciding and the other
// commands bring along, files of configuration and images, flags and tables, would
// be a third of that at each start.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/host"
	"ninefold/cmd/internal/runline"
	"ninefold/namespaces"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
)

const (
	commands     = "ninefold-ctl"
	shortContext = "hc" // short for sessionctl context
	// cobraComplete begins the names of the hidden commands that complete a command line.
	cobraComplete = "__complete"
	defaultState  = "/var/lib/ninefold"
)

func main() {
	if len(os.Args) > 0 && filepath.Base(os.Args[0]) == shortContext {
		os.Args = long(os.Args[1:])
	}
	if o, ok, err := host.Asked(os.Args); ok {
		os.Exit(host.Main(o, err))
	}
	if r, ok := runline.Parse(os.Args[1:]); ok {
		run(r)
	}
	if e, ok := runline.ParseEnter(os.Args[1:]); ok {
		if status, done := enterContext(e); done {
			os.Exit(status)
		}
	}
	exit.Tell(os.Stderr, "sessionctl", hand(os.Args), "run make build, or install Ninefold's package again")
	os.Exit(int(exit.NotSupported))
}

// long is the command line that hc with these arguments is short for. Scripts of shells
// ask it for completions, too.
func long(args []string) []string {
	if len(args) > 0 && strings.HasPrefix(args[0], cobraComplete) {
		return append([]string{"sessionctl", args[0], "context"}, args[1:]...)
	}
	return append([]string{"sessionctl", "context"}, args...)
}

// run makes a session that was decided before, and ends with it. It returns
// when there is none, or when it could not be made: then the whole of it is done
// again where everything can be looked at, and told.
func run(r runline.Run) {
	if os.Geteuid() != 0 || r.Keep || r.For != 0 {
		return
	}
	runtime.LockOSThread()
	state := r.State
	if state == "" {
		state = defaultState
	}
	s := decided.Find(decided.Dir(state), decided.Question{
		Config: r.Config, State: r.State, Profile: r.Profile, User: r.User,
		Terminal: decided.Terminal(), First: decided.Program(decided.First), Guest: r.Guest,
	}.Ask())
	if s == nil {
		return
	}
	begun := false
	q := decided.Request{
		Command: r.Command, Here: true, Last: true, Begun: func() { begun = true },
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	start := s.Run
	if s.Guest != 0 {
		// What its start takes of the machine is done beside each other.
		start = func(ctx context.Context, q decided.Request) (namespaces.Status, error) {
			return guests.Open(state).Run(ctx, s, q)
		}
	} else {
		// What a start does, it does one after the other: waking other threads for
		// it costs more than they bring.
		runtime.GOMAXPROCS(1)
		q.Dir, _ = os.Getwd() // a directory that is gone is no place to start in
	}
	status, err := start(context.Background(), q)
	switch {
	case err == nil:
		os.Exit(status.Code)
	case begun, errors.Is(err, namespaces.ErrAway):
		// Away, the other program would be looked up in the session's root.
		exit.Tell(os.Stderr, "sessionctl", err, "")
		os.Exit(int(exit.NoSession))
	}
}

// hand replaces this process by the program with the other commands. It returns
// only if that fails.
func hand(args []string) error {
	if len(args) == 0 || filepath.Base(args[0]) != host.Open {
		args = append([]string{"sessionctl"}, args[min(1, len(args)):]...)
	}
	program := decided.Program(commands)
	if program == "" {
		return fmt.Errorf("not everything of ninefold is installed: %s is not beside sessionctl", commands)
	}
	err := unix.Exec(program, args, os.Environ())
	return fmt.Errorf("start %s: %w", program, err)
}
