// Command sessionctl runs sessions, and hands every other command to
// ninefold-ctl beside it. A session is made in a few milliseconds; what the
// other commands bring along, flags and tables and templates, would be a fifth
// of that at each start.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/session"
	"ninefold/sessiond/manager"
)

const commands = "ninefold-ctl"

func main() {
	io := session.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if r, ok := session.Plain(os.Args[1:]); ok {
		// What a start does, it does one after the other: waking other threads
		// for it costs more than they bring.
		runtime.GOMAXPROCS(1)
		runtime.LockOSThread()
		r.Here = true
		os.Exit(session.Run(context.Background(), io, r))
	}
	err := hand(os.Args[1:])
	exit.Tell(io.Err, "sessionctl", err, "run make build, or install Ninefold's package again")
	os.Exit(int(exit.NotSupported))
}

// hand replaces this process by the program with the other commands. It
// returns only if that fails.
func hand(args []string) error {
	program := manager.Program(commands)
	if program == "" {
		return fmt.Errorf("%w: %s is not installed beside sessionctl", manager.ErrIncomplete, commands)
	}
	err := unix.Exec(program, append([]string{"sessionctl"}, args...), os.Environ())
	return fmt.Errorf("start %s: %w", program, err)
}
