package main

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/bus/remote"
)

func (a *app) mount() *cobra.Command {
	var view, typ, size string
	var readOnly bool
	c := &cobra.Command{
		Use:   "mount [--read-only] [--type TYPE] [--size SIZE] [--view VIEW] tmpfs|FILE TARGET",
		Short: "Mount memory, or what is in a file, into a live view",
		Long: `mount makes an empty file system in memory (tmpfs), or for root the one in FILE,
appear at TARGET in a live view, for everything in the view and nothing outside.
TARGET is an existing directory below the home, or /n/NAME, which is made. Setuid
and devices in it are without effect. It lasts until unmount, or the end of the
view. A device is mounted on the host, and bound from there.`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(c *cobra.Command, args []string) error {
			source, target := args[0], args[1]
			bytes, err := amount(size)
			if err != nil {
				return err
			}
			if source != "tmpfs" {
				if source, err = filepath.Abs(source); err != nil {
					return err
				}
			}
			if target, err = filepath.Abs(target); err != nil {
				return err
			}
			return inWhich(c.Context(), view, func(d *remote.Daemon, view string) error {
				return d.Mount(c.Context(), view, source, target, typ, readOnly, bytes)
			})
		},
	}
	c.Flags().BoolVar(&readOnly, "read-only", false, "nothing can be written")
	c.Flags().StringVar(&typ, "type", "", "the `TYPE` of the file system in FILE (default: found out)")
	c.Flags().StringVar(&size, "size", "", "of tmpfs at most: bytes, or with K, M, G (default 64M)")
	return a.viewFlag(c, &view)
}

// amount reads a number of bytes, in powers of 1024 with a letter; "" is 0.
func amount(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	shift, digits := 0, s
	if i := strings.IndexByte("KMGT", s[len(s)-1]); i >= 0 {
		shift, digits = 10*(i+1), s[:len(s)-1]
	}
	n, err := strconv.ParseUint(digits, 10, 20)
	if err != nil && shift == 0 {
		n, err = strconv.ParseUint(digits, 10, 62)
	}
	if err != nil || n == 0 {
		return 0, exit.Usagef("write 64M, say", "mount: %q is no size", s)
	}
	return n << shift, nil
}
