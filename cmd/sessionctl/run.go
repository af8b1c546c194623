package main

import (
	"context"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/manager"
)

// runRequest is a parsed run command.
type runRequest struct {
	config, state string
	manager.Request
}

func (a *app) run() *cobra.Command {
	var r manager.Request
	c := &cobra.Command{
		Use:   "run [--keep] [--user NAME] PROFILE [-- CMD ARG...]",
		Short: "Run a command in a new session of a profile",
		Long: `run makes a session of PROFILE, runs CMD in it (the profile's own command, or
the user's shell, when there is none), and takes the session down again.

The exit status is the command's, or 128 plus the signal that ended it. On a
terminal the command gets a terminal of the session's own. What the command
writes outside the places that the profile shares is thrown away, unless the
profile or --keep keeps it for the user.`,
		Example: "  sessionctl run host -- make -j4\n  sessionctl run desktop",
		Args:    cobra.MinimumNArgs(1),
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return a.profileNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			r.Profile, r.Command = args[0], args[1:]
			// Signals are the command's own business.
			status := runSession(context.WithoutCancel(c.Context()), a.stdio, runRequest{a.config, a.state, r})
			a.status = &status
			return nil
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.BoolVar(&r.Keep, "keep", false, "keep what the session writes, for this user and profile")
	f.StringVar(&r.User, "user", "", "`NAME` or number of whom the session is for (default: who calls; under sudo that is root)")
	return c
}

// plainRun recognizes a run command that is written plainly, as programs and
// most people write it. Everything else, mistakes included, is left to the
// command tree, which understands the same and more.
func plainRun(args []string) (runRequest, bool) {
	var r runRequest
	value := func(name string, into *string) bool {
		if v, ok := strings.CutPrefix(args[0], name+"="); ok {
			*into, args = v, args[1:]
			return true
		}
		if args[0] == name && len(args) > 1 {
			*into, args = args[1], args[2:]
			return true
		}
		return false
	}
	for seen := false; len(args) > 0; {
		switch {
		case value("--config", &r.config), value("--state", &r.state):
		case !seen && args[0] == "run":
			seen, args = true, args[1:]
		case seen && args[0] == "--keep":
			r.Keep, args = true, args[1:]
		case seen && value("--user", &r.User):
		case seen && args[0] != "" && args[0][0] != '-':
			r.Profile, args = args[0], args[1:]
			if len(args) > 0 && args[0] == "--" {
				args = args[1:]
			}
			r.Command = args
			return r, true
		default:
			return r, false
		}
	}
	return r, false
}

// runSession runs a session and returns what sessionctl exits with.
func runSession(ctx context.Context, io stdio, r runRequest) int {
	m := manager.Open(options(r.config, r.state))
	r.Dir, _ = os.Getwd() // a directory that is gone is no place to start in
	r.Stdin, r.Stdout, r.Stderr = io.in, io.out, io.err
	status, err := m.Run(ctx, r.Request)
	if err == nil {
		return status.Code
	}
	_, hint := exit.Of(err, rules)
	exit.Tell(io.err, "sessionctl", err, hint)
	return int(exit.NoSession)
}
