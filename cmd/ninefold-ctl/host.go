package main

import (
	"github.com/spf13/cobra"

	"ninefold/cmd/internal/host"
)

// host is the command for those who ask about it. sessionctl runs it itself,
// without this program: see host.Parse, which reads the same words.
func (a *app) host() *cobra.Command {
	c := &cobra.Command{
		Use:   "host [--user NAME] [--in VIEW|SESSION] [--detach] [--no-ask] [--no-tty] [--explain] [-- CMD ARG...]",
		Short: "Run a command on the host, if the host policy allows it",
		Long: `host runs CMD on the host, outside of everything that the session did to its
view, or without CMD a login shell. It runs as root unless --user says otherwise,
and the host policy (host.policy(5)) decides. On a terminal the command gets a
terminal of its own there.

The exit status is the command's, or 128 plus the signal that ended it.`,
		Example:            "  sessionctl host apt-get update\n  sessionctl host -- journalctl -b\n  sessionctl host --explain apt-get upgrade",
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			o, err := host.Parse(args)
			switch {
			case err != nil:
				return err
			case o.Help:
				return c.Help()
			case o.Shim != "":
				return makeShim(a.Stdio, o.Shim)
			}
			status, err := host.Run(host.Stdio(a.Stdio), o)
			if err == nil {
				a.status = &status
			}
			return err
		},
	}
	f := c.Flags()
	f.StringP("user", "u", "", "run as `NAME` on the host (default root)")
	f.String("in", "", "run in another `VIEW|SESSION` of yours instead of on the host")
	f.Bool("detach", false, "print the unit's name, and let the command live on without you")
	f.Bool("no-ask", false, "ask nobody: where the policy says ask, it is denied")
	f.BoolP("no-tty", "T", false, "give the command no terminal")
	f.Bool("explain", false, "say which rule decides and what would be started, and start nothing")
	f.String("shim", "", "make a command `NAME` in ~/.local/bin that runs the host's NAME")
	return c
}
