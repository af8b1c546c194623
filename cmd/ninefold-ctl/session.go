package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus/remote"
)

func (a *app) session() *cobra.Command {
	c := &cobra.Command{
		Use:   "session",
		Short: "Bring back what a logout threw away",
		Long: `What a session writes outside the home is thrown away at logout, unless the
profile keeps it. It is put aside for a while: the last three logouts of a user
and profile, for two weeks, as far as they fit into 256 MiB.`,
	}
	c.AddCommand(a.listParked(), a.restore(), a.discard())
	return c
}

func (a *app) listParked() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List what is put aside of yours, for root of everybody's",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withDaemon(c.Context(), func(d *remote.Daemon) error {
				items, err := d.Parked(c.Context())
				if err != nil {
					return err
				}
				var rows [][]string
				for _, p := range items {
					if p.Why != "" && !a.json {
						fmt.Fprintf(a.Err, "of %s some files are not there, or not whole: %s\n", p.ID, plain(p.Why))
					}
					rows = append(rows, []string{p.ID, plain(p.User), plain(p.Profile), p.Kind, fmt.Sprint(p.Files), size(p.Bytes), fmt.Sprint(p.Left), moment(p.When)})
				}
				return a.list(items, []string{"ID", "USER", "PROFILE", "KIND", "FILES", "SIZE", "LEFT OUT", "WHEN"}, rows)
			})
		},
	})
}

// completeParked completes the id of what is put aside.
func completeParked(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	if len(args) == 0 {
		_ = withDaemon(c.Context(), func(d *remote.Daemon) error {
			items, err := d.Parked(c.Context())
			for _, p := range items {
				ids = append(ids, p.ID)
			}
			return err
		})
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) restore() *cobra.Command {
	var view string
	var over bool
	c := a.jsonFlag(&cobra.Command{
		Use:   "restore [--overwrite] [--view VIEW] [ID]",
		Short: "Write what is put aside into a live view",
		Long: `restore writes the files of ID, or of the last logout of this view's profile,
back to where they were, in a live view of the same user. Your own files come
back as yours; those of root's, which were written by sudo, need sudo. What the
session has written itself since is left, unless --overwrite is given. Files that
had been removed are not removed.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeParked,
		RunE: func(c *cobra.Command, args []string) error {
			return inWhich(c.Context(), view, func(d *remote.Daemon, view string) error {
				id, err := whichParked(c.Context(), d, view, args)
				if err != nil {
					return err
				}
				r, err := d.Restore(c.Context(), view, id, over)
				if err != nil {
					return err
				}
				return a.tellRestored(r)
			})
		},
	})
	c.Flags().BoolVar(&over, "overwrite", false, "replace what the session has written since")
	return a.viewFlag(c, &view)
}

// whichParked is the id that was given, or that of the view's last logout.
func whichParked(ctx context.Context, d *remote.Daemon, view string, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	v, err := d.View(ctx, view)
	if err != nil {
		return "", err
	}
	items, err := d.Parked(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range items {
		if p.UID == v.UID && p.Profile == v.Profile {
			return p.ID, nil
		}
	}
	return "", &exit.Error{Code: exit.NotFound, Err: fmt.Errorf("nothing is put aside of %s in profile %s", v.User, v.Profile),
		Hint: "sessionctl session list shows what is"}
}

func (a *app) tellRestored(r api.Restored) error {
	if a.json {
		return a.list(r, nil, nil)
	}
	say := func(n int64, format string, args ...any) {
		if n > 0 {
			fmt.Fprintf(a.Out, "%d "+format+"\n", append([]any{n}, args...)...)
		}
	}
	fmt.Fprintf(a.Out, "%d restored\n", r.Files)
	say(r.Written, "left: this session has written them; --overwrite replaces them")
	say(r.Roots, "left: they are not yours; sudo sessionctl session restore brings them back")
	say(r.Failed, "left: %s", plain(r.Why))
	return nil
}

func (a *app) discard() *cobra.Command {
	return &cobra.Command{
		Use:               "discard ID...",
		Short:             "Remove what is put aside for good",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeParked,
		RunE: func(c *cobra.Command, args []string) error {
			return withDaemon(c.Context(), func(d *remote.Daemon) error {
				for _, id := range args {
					if err := d.Discard(c.Context(), id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// size words a number of bytes.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
