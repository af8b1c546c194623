package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/bus/remote"
)

// viewFlag gives c the flag that names a view; the default is where we are.
func (a *app) viewFlag(c *cobra.Command, view *string) *cobra.Command {
	c.Flags().StringVar(view, "view", "", "the `VIEW` (default: the one this runs in)")
	if err := c.RegisterFlagCompletionFunc("view", func(c *cobra.Command, _ []string, w string) ([]string, cobra.ShellCompDirective) {
		return a.completeView(c, nil, w)
	}); err != nil {
		return c // only a flag that is not there can fail, and that shows at once
	}
	return c
}

// inWhich runs f for the view that was named, or the one that we are in.
func inWhich(ctx context.Context, view string, f func(d *remote.Daemon, view string) error) error {
	return withDaemon(ctx, func(d *remote.Daemon) error {
		if view == "" {
			v, err := d.ViewOf(ctx, 0)
			if err != nil {
				return &exit.Error{Code: exit.NotFound, Err: err, Hint: "this is not in a view; name one with --view"}
			}
			return f(d, v.ID)
		}
		v, _, err := find(ctx, d, view)
		if err != nil {
			return err
		}
		return f(d, v.ID)
	})
}

func (a *app) bind() *cobra.Command {
	var view string
	var readOnly bool
	c := &cobra.Command{
		Use:   "bind [--read-only] [--view VIEW] SOURCE TARGET",
		Short: "Bind a file or directory into a live view",
		Long: `bind makes SOURCE appear at TARGET in a live view, for everything in the view
and nothing outside. TARGET is an existing file or directory below the home, or
/n/NAME, which is made for a directory. SOURCE is what it is here: in the view
when this runs in it, otherwise on the host. In the bind setuid and devices are
without effect. It lasts until unmount, or the end of the view.`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(c *cobra.Command, args []string) error {
			source, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			target, err := filepath.Abs(args[1])
			if err != nil {
				return err
			}
			return inWhich(c.Context(), view, func(d *remote.Daemon, view string) error {
				return d.Bind(c.Context(), view, source, target, readOnly)
			})
		},
	}
	c.Flags().BoolVar(&readOnly, "read-only", false, "nothing can be written through the bind")
	return a.viewFlag(c, &view)
}

func (a *app) unmount() *cobra.Command {
	var view string
	return a.viewFlag(&cobra.Command{
		Use:   "unmount [--view VIEW] TARGET",
		Short: "Take a live bind off again",
		Args:  cobra.ExactArgs(1),
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var targets []string
			if len(args) == 0 {
				_ = inWhich(c.Context(), view, func(d *remote.Daemon, view string) error {
					binds, err := d.Binds(c.Context(), view)
					for _, b := range binds {
						targets = append(targets, b.Target)
					}
					return err
				})
			}
			return targets, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			target, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			return inWhich(c.Context(), view, func(d *remote.Daemon, view string) error {
				return d.Unmount(c.Context(), view, target)
			})
		},
	}, &view)
}
