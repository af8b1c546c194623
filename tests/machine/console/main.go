// Console boots a Debian machine with this checkout's Ninefold in it and gives
// a shell on it: make machine SUITE=trixie. When the shell ends the machine,
// and what was written in it, is gone.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"

	"ninefold/tests/machine"
)

func main() {
	suite := flag.String("suite", "trixie", "which Debian: "+strings.Join(machine.Suites, " or "))
	state := flag.String("state", "", "directory that the machine has as /var/lib/ninefold")
	plain := flag.Bool("plain", false, "without Ninefold")
	command := flag.String("c", "", "shell command to run instead of a shell on this terminal")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := console(ctx, *suite, *state, *command, *plain)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "console:", err)
		os.Exit(1)
	}
}

func console(ctx context.Context, suite, state, command string, plain bool) (err error) {
	m, err := machine.Start(ctx, suite, machine.Options{State: state})
	if err != nil {
		return err
	}
	defer func() {
		if e := m.Close(); err == nil {
			err = e
		}
	}()
	if !plain {
		if err := m.Install(ctx, "."); err != nil {
			return err
		}
	}
	if command != "" {
		r := m.Input(ctx, os.Stdin, "sh", "-c", command)
		fmt.Print(r.Stdout)
		fmt.Fprint(os.Stderr, r.Stderr)
		if !r.OK() {
			err = fmt.Errorf("%s", r)
		}
		return err
	}
	t, err := m.Terminal(ctx, "login", "-f", "root")
	if err != nil {
		return err
	}
	defer t.Close()
	fmt.Fprintf(os.Stderr, "People: %s, each with the name as password. Leave with: exit\n", strings.Join(machine.People, ", "))
	if old, err := term.MakeRaw(int(os.Stdin.Fd())); err == nil {
		defer term.Restore(int(os.Stdin.Fd()), old)
	}
	go io.Copy(t, os.Stdin)
	_, err = io.Copy(os.Stdout, t)
	return err
}
