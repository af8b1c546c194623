package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/show"
	"ninefold/roots/boot"
	"ninefold/sessiond/manager"
)

func (a *app) boot() *cobra.Command {
	var back bool
	c := &cobra.Command{
		Use:   "boot IMAGE | --back",
		Short: "Start the machine itself on an image at the next boot",
		Args: func(_ *cobra.Command, args []string) error {
			if back != (len(args) == 0) || len(args) > 1 {
				return errors.New("boot takes one image, or --back")
			}
			return nil
		},
		ValidArgsFunction: a.completeImage,
		RunE: func(c *cobra.Command, args []string) error {
			if os.Geteuid() != 0 {
				return fmt.Errorf("boot: %w", manager.ErrNotRoot)
			}
			if back {
				err := a.machineToBoot().Back(c.Context())
				if err == nil {
					fmt.Fprintln(a.Err, "the machine starts as before")
				}
				return err
			}
			return outside(c, args, "boot")
		},
	}
	f := c.Flags()
	f.Bool("once", false, "for the next boot alone; that is so without it, too")
	f.Bool("stay", false, "at every boot, once one of the first three was a good one")
	f.BoolVar(&back, "back", false, "start as before, and remove what was made for the image")
	f.String("kernel", "", "the `VERSION` of an installed kernel (default the running one, else the newest that the image has modules of)")
	f.String("to", "erofs", "the file system that the image is kept in: erofs or squashfs")
	c.MarkFlagsMutuallyExclusive("once", "stay", "back")
	c.AddCommand(a.bootStatus())
	return c
}

func (a *app) machineToBoot() *boot.Machine {
	return &boot.Machine{State: filepath.Join(a.manager().State(), boot.Dir)}
}

func (a *app) bootStatus() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "status",
		Short: "Say what the machine starts on at the next boot",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.machineToBoot().Status(c.Context())
			if errors.Is(err, boot.ErrNothing) && !a.json {
				_, err = fmt.Fprintln(a.Out, "the machine starts on its own system")
				return err
			}
			if err != nil && !errors.Is(err, boot.ErrNothing) {
				return err
			}
			if a.json {
				if err != nil {
					return show.JSON(a.Out, nil)
				}
				return show.JSON(a.Out, s)
			}
			next := "on its own system again: the starts on the image are used up (sessionctl boot --back removes what was made for it)"
			switch {
			case s.Always:
				next = "on the image, at every boot"
			case s.Left == 1:
				next = "on the image, at the next boot"
			case s.Left > 1:
				next = fmt.Sprintf("on the image, at the next %d boots, and always after a good one", s.Left)
			}
			_, err = fmt.Fprintf(a.Out, "image %s (%.12s), Linux %s, by %s, asked for on %s\nthe machine starts %s\n",
				plain(s.Image), s.ID, plain(s.Kernel), s.Loader, s.Made.Local().Format(time.DateTime), next)
			return err
		},
	})
}
