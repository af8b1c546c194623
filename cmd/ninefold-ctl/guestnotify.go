package main

import (
	"github.com/spf13/cobra"

	"ninefold/sessiond/notify"
)

// notifyGuest is what the keeper of a guest's session runs in it, as the guest.
func (a *app) notifyGuest() *cobra.Command {
	return &cobra.Command{
		Use:    "notify SUMMARY TEXT",
		Short:  "Show something on the desktop that you sit at, as a guest",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := guestItself(); err != nil {
				return err
			}
			return notify.Show(c.Context(), notify.Buses("/proc"), notify.Notice{Summary: args[0], Text: args[1]})
		},
	}
}
