package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ninefold/sessiond/manager"
)

func (a *app) listHomes() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "homes",
		Short: "List the homes that profiles keep for their guests",
		Long: `A profile with home = "kept" has one home for all of its guests: each finds what
the one before left. homes shows how large each can become, and what it takes of the disk.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := a.guests().Homes()
			if err != nil {
				return err
			}
			var rows [][]string
			for _, h := range all {
				state := "free"
				if h.InUse {
					state = "in use"
				}
				rows = append(rows, []string{plain(h.Profile), size(h.Size), size(h.Used), state})
			}
			return a.list(all, []string{"PROFILE", "SIZE", "USED", "STATE"}, rows)
		},
	})
}

func (a *app) forgetHome() *cobra.Command {
	return &cobra.Command{
		Use:   "forget PROFILE...",
		Short: "Remove the home that a profile keeps, with all that is in it",
		Long: `forget removes what guests of the profile have left in their home: the next one
begins with an empty one. A home that a guest has is not removed.`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			all, _ := a.guests().Homes()
			var names []string
			for _, h := range all {
				names = append(names, h.Profile)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if os.Geteuid() != 0 {
				return fmt.Errorf("forget a home: %w", manager.ErrNotRoot)
			}
			var failed error
			for _, profile := range args {
				failed = errors.Join(failed, a.guests().ForgetHome(profile))
			}
			return failed
		},
	}
}
