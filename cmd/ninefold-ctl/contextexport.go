package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/contexts"
	"ninefold/roots/store"
	"ninefold/sessiond/manager"

	livectx "ninefold/sessiond/contexts"
)

func (a *app) contextExport() *cobra.Command {
	var form string
	c := a.jsonFlag(&cobra.Command{
		Use:   "export NAME --to FORM FILE",
		Short: "Write what a context adds to the machine as one file, or as a directory",
		Long: `export writes the image that commit would make of a context as image export does: as a
directory (dir), a tar, an archive that container engines load (oci; a directory where
FILE ends in a slash), or a file system (squashfs, erofs). Neither the image nor its
recipe stays. Nobody may be in the context meanwhile, and it stays as it is.

What the file does not hold is told: accounts and passwords, homes, caches, logs.
Sockets and devices are refused.`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return a.completeContext(c, args, word)
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(c *cobra.Command, args []string) error {
			if !slices.Contains(forms, form) {
				return exit.Usagef("--to "+strings.Join(forms, ", "), "export: %q is no form", form)
			}
			return a.withContext(c.Context(), args[0], func(_ *livectx.Contexts, r contexts.Record) error { return a.export(c, r, form, args[1]) })
		},
	})
	c.Flags().StringVar(&form, "to", "", "what to write: dir, tar, oci, squashfs or erofs, as `FORM`")
	_ = c.RegisterFlagCompletionFunc("to", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)) // fails for a flag that is not there alone
	return c
}

// export writes the image of a context, which it makes in a store of its own that goes
// again: by the next build or gc when we are killed. It writes where the caller says, as
// root, so root alone has it done, with contexts of root's.
func (a *app) export(c *cobra.Command, r contexts.Record, form, file string) error {
	if r.Owner != 0 {
		return fmt.Errorf("export the context %s: it is not root's: %w", r.Name, manager.ErrNotRoot)
	}
	return a.inStore(func(s *store.Store) error {
		dir, remove, err := s.TempDir("context")
		if err != nil {
			return err
		}
		defer remove()
		if dir, err = filepath.Abs(dir); err != nil {
			return err
		}
		config, state := filepath.Join(dir, "config"), filepath.Join(dir, "state")
		// The context is where it is; its recipe goes with the store.
		all := livectx.Of(manager.Open(manager.Options{Config: config, State: a.state}))
		done, err := all.Commit(c.Context(), r, r.Name, false)
		if err != nil {
			return err
		}
		if err := a.buildImages(c.Context(), "the image of the context "+r.Name+" could not be built", os.Stderr, flags("config", config, "state", state), r.Name); err != nil {
			return err
		}
		if err := a.buildImages(c.Context(), "the context "+r.Name+" could not be written", os.Stdout, append([]string{"export"}, flags("config", config, "state", state, "to", form)...), r.Name, file); err != nil {
			return err
		}
		if a.json {
			return show.JSON(a.Out, struct {
				*contexts.Commit
				Form string `json:"form"`
				File string `json:"file"`
			}{done.Commit, form, file})
		}
		fmt.Fprintf(a.Err, "%s: %s\n", file, holds(done))
		tellLeft(a.Err, done)
		return nil
	})
}
