package main

import (
	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/roots/contexts"

	livectx "ninefold/sessiond/contexts"
)

func (a *app) contextResize() *cobra.Command {
	return &cobra.Command{
		Use:   "resize NAME SIZE",
		Short: "Let a bounded context take more of the disk",
		Long: `resize grows the file system of a context that was made with a bound, up to SIZE,
such as 30G, with all its states. Others can be in the context meanwhile. It does not
shrink one.`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeContext,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withContext(c.Context(), args[0], func(all *livectx.Contexts, r contexts.Record) error {
				bytes, err := a.contextSize(all, args[1])
				if err != nil {
					return err
				}
				if args[1] == "" || bytes == 0 {
					return exit.Usagef("sessionctl context new --from CONTEXT --size 0 NAME makes a copy without a bound", "resize takes no bound away: %q is no size", args[1])
				}
				return all.Store().Resize(c.Context(), r, bytes)
			})
		},
	}
}
