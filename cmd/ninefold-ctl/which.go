package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/show"
	"ninefold/sessiond/manager"
)

func (a *app) which() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "which [--profile NAME] PATH",
		Short: "Say which layer, image and package of a profile a path comes from",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if name == "" {
				name = os.Getenv("NINEFOLD_PROFILE")
			}
			if name == "" {
				name = "host"
			}
			p := show.NewProgress(a.Err, a.json)
			w, err := a.manager().WithProgress(p).Which(c.Context(), manager.Request{Profile: name}, args[0])
			p.Close()
			if err != nil {
				return err
			}
			if a.json {
				return show.JSON(a.Out, w)
			}
			fmt.Fprintf(a.Out, "%s\n", w.Path)
			for _, l := range w.Links {
				fmt.Fprintf(a.Out, "  through the link %s\n", l)
			}
			_, err = fmt.Fprintf(a.Out, "  %s\n", w.From)
			return err
		},
	}
	c.Flags().StringVar(&name, "profile", "", "the profile's `NAME` (default: that of the session this runs in, or host)")
	if err := c.RegisterFlagCompletionFunc("profile", a.completeProfile); err != nil {
		return c // only a flag that is not there can fail, and that shows at once
	}
	return a.jsonFlag(c)
}
