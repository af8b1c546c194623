package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus/remote"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/process"
)

func (a *app) enter() *cobra.Command {
	c := &cobra.Command{
		Use:   "enter VIEW|SESSION [-- CMD ARG...]",
		Short: "Run a command in a live view, as the view's user",
		Long: `enter runs CMD, or the user's login shell, in a live view. Root enters any view,
and the command runs as the view's user all the same: nothing in a view runs as
root because somebody looked into it. Everybody else enters their own view, from
a session of theirs, when their user manager is in it.

The exit status is the command's, or 128 plus the signal that ended it.`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(c *cobra.Command, args []string, w string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return a.completeView(c, args, w)
		},
		RunE: func(c *cobra.Command, args []string) error {
			command := args[1:]
			switch {
			case len(command) > 0 && command[0] == "--":
				command = command[1:]
			case len(command) > 0 && strings.HasPrefix(command[0], "-"):
				return exit.Usagef("write -- before a command that begins with a dash", "enter: %s does not belong after the view", command[0])
			}
			status, err := a.enterView(c.Context(), args[0], command)
			if err != nil {
				code, hint := exit.Of(err, rules)
				if code == exit.Failed {
					code = exit.NoSession
				}
				return &exit.Error{Code: code, Hint: hint, Err: err}
			}
			a.status = &status
			return nil
		},
	}
	c.Flags().SetInterspersed(false)
	return c
}

func (a *app) enterView(ctx context.Context, id string, command []string) (status int, err error) {
	var v api.View
	var file string
	err = withDaemon(ctx, func(d *remote.Daemon) (err error) {
		if v, _, err = find(ctx, d, id); err != nil || os.Geteuid() != 0 {
			return err
		}
		file, err = d.NamespaceFile(ctx, v.ID)
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case os.Geteuid() == 0:
		s, err := manager.EnterView(context.WithoutCancel(ctx), v, file, manager.Request{Command: command, Stdin: a.In, Stdout: a.Out, Stderr: a.Err})
		return s.Code, err
	case uint32(os.Geteuid()) != v.UID:
		return 0, fmt.Errorf("enter view %s: it belongs to %s: %w", v.ID, plain(v.User), remote.ErrDenied)
	}
	if len(command) == 0 {
		command = []string{os.Getenv("SHELL")}
		if command[0] == "" {
			command[0] = "/bin/sh"
		}
	}
	want := strconv.FormatUint(v.MountNS, 10)
	if ns, err := process.MountNS(os.Getpid()); err == nil && ns == v.MountNS {
		return 0, become(command)
	}
	if !v.Manager {
		return 0, fmt.Errorf("enter view %s: your user manager is not in it, so only root can: %w", v.ID, remote.ErrDenied)
	}
	program := decided.Program("ninefold-enter")
	if program == "" {
		return 0, fmt.Errorf("%w: ninefold-enter is not installed beside sessionctl", manager.ErrIncomplete)
	}
	// ninefold-enter goes on where it is when it cannot enter. What it starts is
	// therefore a program that is to be found in views alone, and looks again.
	argv := append([]string{program, "session", "-p", v.Profile, "--", plan.LibDir + "/ninefold-ctl", insideCommand, want, "--"}, command...)
	err = unix.Exec(program, argv, os.Environ())
	return 0, fmt.Errorf("start %s: %w", program, err)
}

// insideCommand is what enter has started inside a view: nothing for people.
const insideCommand = "inside-view"

// inside runs a command where args[0] is the number of the mount namespace.
func inside(args []string) error {
	if len(args) < 3 || args[1] != "--" {
		return exit.Usagef("", "usage: %s NAMESPACE -- CMD ARG...", insideCommand)
	}
	ns, err := process.MountNS(os.Getpid())
	if err != nil || strconv.FormatUint(ns, 10) != args[0] {
		return &exit.Error{Code: exit.NoSession, Err: errors.New("this is not the view that was to be entered"),
			Hint: "your sessions may be in another view; sessionctl list shows it"}
	}
	return become(args[2:])
}

// become replaces this program by a command. It returns only if that fails.
func become(command []string) error {
	program, err := exec.LookPath(command[0])
	if err != nil {
		return &exit.Error{Code: exit.NoCommand, Err: err}
	}
	err = unix.Exec(program, command, os.Environ())
	return &exit.Error{Code: exit.NotExecutable, Err: fmt.Errorf("start %s: %w", program, err)}
}
