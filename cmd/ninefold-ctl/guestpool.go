package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/manager"
)

func (a *app) poolGuests() *cobra.Command {
	var size int
	var at string
	c := &cobra.Command{
		Use:   "pool [PROFILE]",
		Short: "Keep sessions prepared, so that guests are in at once",
		Long: `pool makes sessions for guests of PROFILE (default: guest), tries in each what
must fail, and hands them to sessionctl run as guests come. It makes new ones for
those that are gone, and anew what would be made otherwise by now. It runs until
it is told to end; guests that are in stay. ninefold-guest-pool@N.service keeps N.`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return a.profileNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			if os.Geteuid() != 0 {
				return manager.ErrNotRoot
			}
			if size < 1 || size > guests.MaxPool {
				return exit.Usagef("", "guest pool: --keep is 1 to %d", guests.MaxPool)
			}
			profile := "guest"
			if len(args) > 0 {
				profile = args[0]
			}
			m := manager.Open(manager.Options{Config: a.config, State: a.state})
			// One that cannot be prepared is told now, and not by the log.
			if _, release, err := m.DecideGuest(c.Context(), profile); errors.Is(err, guests.ErrHomeWaits) {
				return err
			} else if err == nil {
				release()
			}
			p := guests.Pool{Guests: m.Guests(), Size: size, Log: slog.New(slog.NewTextHandler(a.Err, nil)),
				Decide: func(ctx context.Context) (*decided.Session, func(), error) { return m.DecideGuest(ctx, profile) }}
			return p.Serve(c.Context(), at)
		},
	}
	c.Flags().IntVar(&size, "keep", 1, "how many to keep, `N`")
	c.Flags().StringVar(&at, "socket", guests.DefaultPool, "where to hand them out, `PATH`")
	return c
}
