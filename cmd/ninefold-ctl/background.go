package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus/remote"
)

const backgroundFlag = "background"

// inBackground gives c the flag that has the daemon do its work.
func (a *app) inBackground(c *cobra.Command) *cobra.Command {
	here, later := c.RunE, false
	c.Flags().BoolVar(&later, backgroundFlag, false, "have the daemon do it, and print the job")
	c.RunE = func(c *cobra.Command, args []string) error {
		if !later {
			return here(c, args)
		}
		n := api.NewJob{Kind: c.Name(), Names: args}
		var wrong error
		c.Flags().Visit(func(f *pflag.Flag) {
			switch {
			case f.Name == backgroundFlag || f.Name == "json":
			case f.Value.Type() != "bool":
				wrong = exit.Usagef("", "%s--%s means nothing to the daemon, which does it with --%s", within(c), f.Name, backgroundFlag)
			case f.Value.String() == "true":
				n.Options = append(n.Options, f.Name)
			}
		})
		if wrong != nil {
			return wrong
		}
		return withDaemon(c.Context(), func(d *remote.Daemon) error {
			x, err := d.StartJob(c.Context(), n)
			if err != nil {
				return err
			}
			if a.json {
				return show.JSON(a.Out, x)
			}
			fmt.Fprintf(a.Err, "sessionctl job follow %s shows how far it is\n", x.ID)
			_, err = fmt.Fprintf(a.Out, "job %s\n", x.ID)
			return err
		})
	}
	return c
}
