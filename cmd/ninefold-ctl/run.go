package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/session"
	"ninefold/sessiond/manager"
)

func (a *app) run() *cobra.Command {
	var r manager.Request
	c := &cobra.Command{
		Use:   "run [--keep] [--user NAME | --guest] PROFILE|--image FILE [-- CMD ARG...]",
		Short: "Run a command in a new session of a profile",
		Long: `run makes a session of PROFILE, runs CMD in it (the profile's own command, or
the user's shell, when there is none), and takes the session down again.

The exit status is the command's, or 128 plus the signal that ended it. On a
terminal the command gets a terminal of the session's own. What the command
writes outside the places that the profile shares is thrown away, unless the
profile or --keep keeps it for the user. With --image it stands on an erofs
file of image export, which root alone can change, in place of a profile.

With --guest the session is a guest's: its user exists for it alone, it has no
network and none of anybody's files, and nothing of it is left. Users other than
root get such sessions from sessiond, as polkit and ninefold.toml allow; PROFILE
can then be one of their own.`,
		Example: "  sessionctl run host -- make -j4\n  sessionctl run desktop",
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return a.profileNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if r.Image != "" {
				args = append([]string{""}, args...)
			}
			if len(args) == 0 {
				return exit.Usagef("usage: sessionctl "+c.Use, "run: no profile is named")
			}
			// runline.Parse understood every flag that is right.
			if r.Profile, r.Command = args[0], args[1:]; len(r.Command) > 0 && strings.HasPrefix(r.Command[0], "-") {
				return exit.Usagef("flags are --keep, --guest and --user NAME; write -- before a command that begins with a dash", "run: %s does not belong after the profile", r.Command[0])
			}
			// Signals are the command's own business.
			status := runSession(context.WithoutCancel(c.Context()), a.Stdio, session.Request{Config: a.config, State: a.state, Request: r})
			a.status = &status
			return nil
		},
	}
	f := c.Flags()
	f.SetInterspersed(false)
	f.BoolVar(&r.Keep, "keep", false, "keep what the session writes, for this user and profile")
	f.BoolVar(&r.Guest, "guest", false, "as a guest, of whom nothing is left")
	f.StringVar(&r.Image, "image", "", "stand on this erofs `FILE`, in place of a profile")
	f.StringVar(&r.User, "user", "", "`NAME` or number of whom the session is for (default: who calls; under sudo that is root)")
	return c
}
