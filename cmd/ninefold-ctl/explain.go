package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/show"
	"ninefold/sessiond/manager"
)

// firstMissing is how many missing things are printed.
const firstMissing = 10

func (a *app) explain() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use:               "explain PROFILE",
		Short:             "Say what a session of a profile would stand on, and why",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeProfile,
		RunE: func(c *cobra.Command, args []string) error {
			p := show.NewProgress(a.Err, a.json)
			e, err := a.manager().WithProgress(p).Explain(c.Context(), manager.Request{Profile: args[0], User: user})
			p.Close()
			if err != nil {
				return err
			}
			if a.json {
				return show.JSON(a.Out, e)
			}
			return a.tellExplanation(e)
		},
	}
	c.Flags().StringVar(&user, "user", "", "`NAME` or number of whom the session would be for")
	return a.jsonFlag(c)
}

func (a *app) tellExplanation(e *manager.Explanation) error {
	say := func(format string, args ...any) { fmt.Fprintf(a.Out, format+"\n", args...) }
	say("profile   %s (%s)", e.Profile, e.From)
	say("user      %s (uid %d)", e.User, e.UID)
	say("base      %s", e.Base)
	if e.Runtime != "" {
		say("runtime   %s", e.Runtime)
	}
	say("root      %s: %s", e.Decision.Kind, e.Decision.Reason)
	for i, m := range e.Decision.Missing {
		if i == firstMissing {
			say("          and %d more", len(e.Decision.Missing)-i)
			break
		}
		say("          missing %s", m)
	}
	for i, p := range e.Decision.Hidden {
		if i == firstMissing {
			say("          and %d more", len(e.Decision.Hidden)-i)
			break
		}
		say("          would hide the base's /%s", p)
	}
	for i, l := range e.Layers {
		name := "layers"
		if i > 0 {
			name = ""
		}
		say("%-9s %s", name, l)
	}
	say("class     %s", e.Class)
	for _, i := range e.Influences {
		say("          %s", i)
	}
	say("writes    %s", e.Writes)
	return nil
}
