package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/session"
	"ninefold/cmd/internal/show"
)

// app is what the commands share.
type app struct {
	session.Stdio
	config, state string
	json          bool
	// status is the exit code of a session's command, which is not an error of
	// ours.
	status *int
	// words are the command line. of and askedBy say whose contexts it is about, who is
	// owner; most is how large one of a user who asks may be, in bytes, 0 without bound.
	words   []string
	of      string
	askedBy asked
	owner   uint32
	most    int64
}

// root builds the command tree.
func (a *app) root() *cobra.Command {
	c := &cobra.Command{
		Use:           "sessionctl",
		Short:         "Give a login its own view of the system",
		Long:          "sessionctl composes root file systems from a base and a runtime,\nand runs commands in sessions that stand on them.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetIn(a.In)
	c.SetOut(a.Out)
	c.SetErr(a.Err)
	f := c.PersistentFlags()
	f.StringVar(&a.config, "config", "", "read recipes, profiles and ninefold.toml from `DIR` (default /etc/ninefold over /usr/lib/ninefold)")
	f.StringVar(&a.state, "state", "", "keep the store and the kept layers in `DIR` (default /var/lib/ninefold)")
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return exit.Usagef("see "+c.CommandPath()+" --help", "%s%v", within(c), err)
	})
	c.AddCommand(a.run(), a.explain(), a.ns(), a.which(), a.profile(), a.image(), a.key(), a.policy(), a.doctor(), a.host(),
		a.listViews(), a.show(), a.end(), a.enter(), a.tellStatus(), a.logs(), a.bind(), a.mount(), a.unmount(), a.session(), a.job(), a.view(),
		a.guest(), a.context(), a.boot())
	c.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	strictArgs(c)
	return c
}

// strictArgs makes every complaint about arguments a usage error, and a word
// that a group of commands does not know an error at all: cobra prints help
// and reports success there.
func strictArgs(c *cobra.Command) {
	c.SuggestionsMinimumDistance = 2
	check := c.Args
	itself := check != nil && c.HasParent() // a command of its own, besides a group
	if check == nil && c.HasSubCommands() {
		check = cobra.NoArgs
		if c.RunE == nil {
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 && c.HasSubCommands() && !itself {
			hint := "see " + c.CommandPath() + " --help"
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean " + strings.Join(near, " or ") + "?"
			}
			return exit.Usagef(hint, "%sunknown command %q", within(c), args[0])
		}
		if check == nil {
			return nil
		}
		if err := check(c, args); err != nil {
			return exit.Usagef("usage: "+c.UseLine(), "%s%v", within(c), err)
		}
		return nil
	}
	for _, sub := range c.Commands() {
		strictArgs(sub)
	}
}

// within begins an error about the command line of c.
func within(c *cobra.Command) string {
	_, rest, ok := strings.Cut(c.CommandPath(), " ")
	if !ok {
		return ""
	}
	return rest + ": "
}

// jsonFlag gives c the flag that every listing has.
func (a *app) jsonFlag(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

// list writes v as JSON, or rows as a table.
func (a *app) list(v any, heading []string, rows [][]string) error {
	if a.json {
		return show.JSON(a.Out, v)
	}
	return show.Table(a.Out, heading, rows)
}

// count says how many of what there are.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
