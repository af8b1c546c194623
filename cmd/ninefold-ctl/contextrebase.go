package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/show"
	"ninefold/roots/contexts"

	livectx "ninefold/sessiond/contexts"
)

func (a *app) contextRebase() *cobra.Command {
	var without []string
	c := a.jsonFlag(a.onContext("rebase [--without PACKAGE]... NAME", "Move a context along to the machine as it is now",
		`rebase begins a fresh layer over the machine as it is now, has apt install in it
what was asked for in the context, and carries over the files that were changed by
hand, merged with what the machine has changed in them since. Where that cannot be
merged the machine's file stays in place, and settle decides.

The old state is kept: undo brings it back. When apt fails nothing has changed.
Packages that no archive has, those that were installed from a file, can be left
behind by name: --without.
Nobody may be in the context meanwhile.`,
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record) error {
			done, err := all.Rebase(ctx, r, without, a.Err)
			if err != nil {
				return err
			}
			return a.tellRebased(r, done)
		}))
	withoutFlag(c, &without)
	return c
}

func withoutFlag(c *cobra.Command, names *[]string) {
	c.Flags().StringArrayVar(names, "without", nil, "leave `PACKAGE` behind; can be given several times")
}

// tellRebased says what became of a context that was moved along.
func (a *app) tellRebased(r contexts.Record, done livectx.Rebased) error {
	if a.json {
		return show.JSON(a.Out, done)
	}
	if !done.Moved {
		fmt.Fprintln(a.Out, livectx.UpToDate)
		return nil
	}
	fmt.Fprintf(a.Out, "%s asked for again, %s carried over\n", count(len(done.Packages), "package", "packages"), count(done.Files, "file", "files"))
	a.tellCarried(done.Carried, "merged", "conflict")
	if len(done.Conflicts) > 0 {
		fmt.Fprintf(a.Out, "settle each with: sessionctl context settle %s FILE --mine|--theirs\n", r.Name)
	}
	return nil
}

func (a *app) contextSettle() *cobra.Command {
	var mine, theirs, print bool
	c := &cobra.Command{
		Use:   "settle NAME FILE --mine|--theirs|--print",
		Short: "Decide what a file is to be that both the context and the machine changed",
		Long: `settle --mine puts the context's side of a conflict in place, --theirs leaves the
machine's, and --print writes the context's side to the standard output. A file
that was edited inside to what it is to be is settled with --theirs.`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(c *cobra.Command, args []string, w string) (files []string, _ cobra.ShellCompDirective) {
			if len(args) == 0 {
				return a.completeContext(c, args, w)
			}
			if all, err := a.contexts(c.Context()); err == nil {
				// Whoever only looks makes no default one.
				if r, err := all.Store().Find(a.owner, args[0]); err == nil {
					found, _ := all.Store().Conflicts(r)
					for _, f := range found {
						files = append(files, f.Path)
					}
				}
			}
			return files, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.withContext(c.Context(), args[0], func(all *livectx.Contexts, r contexts.Record) error {
				if print {
					return all.Mine(c.Context(), r, args[1], a.Out)
				}
				return all.Settle(c.Context(), r, args[1], mine)
			})
		},
	}
	c.Flags().BoolVar(&mine, "mine", false, "put the context's side in place")
	c.Flags().BoolVar(&theirs, "theirs", false, "leave the machine's")
	c.Flags().BoolVar(&print, "print", false, "write the context's side to the standard output")
	c.MarkFlagsMutuallyExclusive("mine", "theirs", "print")
	c.MarkFlagsOneRequired("mine", "theirs", "print")
	return c
}
