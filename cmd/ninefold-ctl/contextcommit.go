package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
			if err := a.buildImages(ctx, fmt.Sprintf("the image %s could not be built", as), os.Stderr, flags("config", a.config, "state", a.state, "sign", sign), as); err != nil {
				return errors.Join(err, done.Undo())
			}
			if a.json {
				return show.JSON(a.Out, done)
			}
			fmt.Fprintf(a.Out, "%s: %s, by the recipe %s\n", as, holds(done), done.Recipe)
			tellLeft(a.Out, done)
			return nil
		}))
	c.Flags().StringVar(&as, "as", "", "what to call the `IMAGE` and its recipe")
	c.Flags().BoolVar(&replace, "replace", false, "write a recipe anew that an earlier commit wrote")
	c.Flags().StringVar(&sign, "sign", "", "sign the image with the private key of that `NAME` or path")
	_ = c.RegisterFlagCompletionFunc("sign", a.completeKey) // fails for a flag that is not there alone
	return c
}

// holds says what is in an image of a context.
func holds(c *livectx.Committed) string {
	return count(c.Files, "file", "files") + ", " + count(len(c.Removed), "path", "paths") + " removed"
}

// tellLeft lists what is not.
func tellLeft(out io.Writer, c *livectx.Committed) {
	for i, l := range c.Left {
		if i == maxLeftOut {
			fmt.Fprintf(out, "and %d more are left out; --json lists them\n", len(c.Left)-maxLeftOut)
			break
		}
		fmt.Fprintf(out, "left out: %s: %s\n", plain(l.Path), plain(l.Why))
	}
}

// flags are those of names and values that have a value.
func flags(pairs ...string) (out []string) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, "--"+pairs[i]+"="+pairs[i+1])
		}
	}
	return out
}

// buildImages runs the program that builds images, and whose exit code counts; failed
// is what to say then. What it prints goes to out.
func (a *app) buildImages(ctx context.Context, failed string, out *os.File, args []string, names ...string) error {
	program := decided.Program(builder)
	if program == "" {
		return fmt.Errorf("image build: %w: %s is not installed beside sessionctl", manager.ErrIncomplete, builder)
	}
	c := exec.CommandContext(ctx, program, append(append(args, "--"), names...)...)
	c.Stdout, c.Stderr = out, os.Stderr
	err := c.Run()
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && ended.Exited() {
		return &exit.Error{Code: exit.Code(ended.ExitCode()), Err: fmt.Errorf("%s: what is wrong stands above", failed)}
	}
	return err
}
