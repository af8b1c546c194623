package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"ninefold/cmd/internal/exit"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/manager"
)

// builder is the program that builds images. It is one of its own: what makes
// sessions then holds no code that speaks to the network, reads archives or
// checks their signatures, and starts in half the time.
const builder = "ninefold-build"

func (a *app) imageBuild() *cobra.Command {
	c := &cobra.Command{
		Use:   "build [--relock] [--check] RECIPE...",
		Short: "Build images from recipes, parents first",
		Long: `build makes the images of the recipes and of those they stand on. What is in the
store already is not made again. Packages and versions come from the recipe's
lock file; without one the package source is asked and the lock is written.`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeRecipe,
		RunE: func(c *cobra.Command, args []string) error {
			return outside(c, args)
		},
	}
	c.Flags().Bool("relock", false, "ask the package source anew for versions, and write the lock file")
	c.Flags().Bool("check", false, "build a second time elsewhere, and compare every byte")
	c.Flags().String("sign", "", "sign what is built with the private key of that `NAME` or path")
	_ = c.RegisterFlagCompletionFunc("sign", a.completeKey) // fails for a flag that is not there alone
	c.Flags().Bool("offline", false, "fail instead of using the network")
	return a.jsonFlag(a.inBackground(c))
}

// outside replaces this program by the one that speaks to the network, with
// the flags and arguments of c behind the words that say what to do.
func outside(c *cobra.Command, args []string, words ...string) error {
	program := decided.Program(builder)
	if program == "" {
		return fmt.Errorf("image %s: %w: %s is not installed beside sessionctl", c.Name(), manager.ErrIncomplete, builder)
	}
	argv := append([]string{builder}, words...)
	c.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != backgroundFlag {
			argv = append(argv, "--"+f.Name+"="+f.Value.String())
		}
	})
	argv = append(append(argv, "--"), args...)
	err := unix.Exec(program, argv, os.Environ())
	return &exit.Error{Code: exit.Failed, Err: fmt.Errorf("start %s: %w", program, err)}
}
