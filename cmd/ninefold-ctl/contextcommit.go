package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/contexts"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/manager"

	livectx "ninefold/sessiond/contexts"
)

// maxLeftOut is how many things that were left out are listed.
const maxLeftOut = 20

func (a *app) contextCommit() *cobra.Command {
	var as, sign string
	var replace bool
	c := a.jsonFlag(a.onContext("commit NAME --as IMAGE", "Make an image over the machine of what a context is",
		`commit writes a recipe, which stands on the machine (from = "host"), and an archive
with the files that the context has added or changed, those of its packages among
them; then it builds the image, for use as the runtime of a profile whose base is
"host". The recipe and the archive, IMAGE.toml and IMAGE.tar, lie with the other
recipes. Nobody may be in the context meanwhile, and it stays as it is.

What the image does not hold is told: accounts and passwords, homes, caches, logs.
Sockets and devices are refused.`,
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record) error {
			if as == "" {
				return exit.Usagef("hc commit "+r.Name+" --as IMAGE", "commit: the image has no name")
			}
			done, err := all.Commit(ctx, r, as, replace)
			if err != nil {
				return err
			}
			if err := a.build(ctx, as, sign); err != nil {
				return errors.Join(err, done.Undo())
			}
			if a.json {
				return show.JSON(a.Out, done)
			}
			fmt.Fprintf(a.Out, "%s: %s, %s removed, by the recipe %s\n", as, count(done.Files, "file", "files"), count(len(done.Removed), "path", "paths"), done.Recipe)
			for i, l := range done.Left {
				if i == maxLeftOut {
					fmt.Fprintf(a.Out, "and %d more are left out; --json lists them\n", len(done.Left)-maxLeftOut)
					break
				}
				fmt.Fprintf(a.Out, "left out: %s: %s\n", plain(l.Path), plain(l.Why))
			}
			return nil
		}))
	c.Flags().StringVar(&as, "as", "", "what to call the `IMAGE` and its recipe")
	c.Flags().BoolVar(&replace, "replace", false, "write a recipe anew that an earlier commit wrote")
	c.Flags().StringVar(&sign, "sign", "", "sign the image with the private key of that `NAME` or path")
	_ = c.RegisterFlagCompletionFunc("sign", a.completeKey) // fails for a flag that is not there alone
	return c
}

// build builds an image by the program that does, whose exit code counts. What it
// prints goes to the standard error.
func (a *app) build(ctx context.Context, recipe, sign string) error {
	program := decided.Program(builder)
	if program == "" {
		return fmt.Errorf("image build: %w: %s is not installed beside sessionctl", manager.ErrIncomplete, builder)
	}
	args := []string{}
	for _, f := range [][2]string{{"config", a.config}, {"state", a.state}, {"sign", sign}} {
		if f[1] != "" {
			args = append(args, "--"+f[0]+"="+f[1])
		}
	}
	c := exec.CommandContext(ctx, program, append(args, "--", recipe)...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	err := c.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok && failed.Exited() {
		return &exit.Error{Code: exit.Code(failed.ExitCode()), Err: fmt.Errorf("the image %s could not be built: what is wrong stands above", recipe)}
	}
	return err
}
