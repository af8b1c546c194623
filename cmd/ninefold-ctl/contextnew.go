package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/roots/contexts"
	"ninefold/sessiond/config"
	"ninefold/sessiond/profile"

	livectx "ninefold/sessiond/contexts"
)

func (a *app) contextNew() *cobra.Command {
	var bound, from string
	var pinned bool
	c := &cobra.Command{
		Use:   "new [--from host|CONTEXT|IMAGE] [--pinned] [--size SIZE] NAME",
		Short: "Make a context over the machine as it is now",
		Long: `new makes a context over the machine as it is now; with --from a copy of another
context, in which nobody may be, or one that stands on an image of the store. A
name that both a context and an image have is the context's.

With --pinned it stands on a copy of the machine, which later changes of the
machine do not touch. People's homes are no part of that.

With --size, or size under [contexts] in ninefold.toml, it and its states take no
more than that of the disk: its layers lie on a file system of their own, ext4 in a
sparse file.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			all, err := a.contexts(c.Context())
			if err != nil {
				return contextError(err)
			}
			size, err := a.contextSize(all, bound)
			if err != nil {
				return err
			}
			return contextError(a.newContext(c.Context(), all, args[0], from, pinned, size))
		},
	}
	c.Flags().StringVar(&bound, "size", "", "bound it to `SIZE` of disk, such as 20G; 0 does not, whatever ninefold.toml says")
	c.Flags().StringVar(&from, "from", profile.HostBase, "what to begin with: \"host\", a context, or an `IMAGE`")
	c.Flags().BoolVar(&pinned, "pinned", false, "cut it loose from the machine, which it is on a copy of")
	_ = c.RegisterFlagCompletionFunc("from", a.completeFrom) // fails for a flag that is not there alone
	return c
}

func (a *app) newContext(ctx context.Context, all *livectx.Contexts, name, from string, pinned bool, size int64) error {
	owner := a.owner
	if from != profile.HostBase && pinned {
		return exit.Usagef("what stands on an image stays on it until it is rebased", "--pinned is for contexts that stand on the host")
	}
	if pinned {
		_, err := all.NewPinned(ctx, owner, name, size, a.tellPin)
		return err
	}
	if from == profile.HostBase {
		_, err := all.New(ctx, owner, name, size)
		return err
	}
	r, err := all.Store().Find(owner, from)
	switch {
	case err == nil:
		_, err = all.NewFrom(ctx, r, name, size)
	case errors.Is(err, contexts.ErrNotFound), errors.Is(err, contexts.ErrName):
		_, err = all.NewOn(ctx, owner, name, from, size)
	}
	return err
}

// defaultContext makes the context that need not be made.
func (a *app) defaultContext(ctx context.Context, all *livectx.Contexts) (r contexts.Record, err error) {
	size, err := a.contextSize(all, "")
	if err != nil {
		return r, err
	}
	return all.Default(ctx, a.owner, size)
}

// tellPin says what a copy of the machine takes, before it is made.
func (a *app) tellPin(bytes int64) {
	if bytes == 0 {
		fmt.Fprintln(a.Err, "the copy of the machine shares the disk with it")
		return
	}
	fmt.Fprintf(a.Err, "copying the machine: %s\n", size(bytes))
}

func (a *app) completeFrom(c *cobra.Command, _ []string, w string) ([]string, cobra.ShellCompDirective) {
	names, _ := a.completeContext(c, nil, w)
	images, how := a.completeImage(c, nil, w)
	return append(append(names, images...), profile.HostBase), how
}

// contextSize is what a new context is bounded to, in bytes; 0 is nothing.
func (a *app) contextSize(all *livectx.Contexts, asked string) (int64, error) {
	if a.most > 0 {
		if asked == "" {
			return a.most, nil
		}
		if n, err := profile.ParseSize(asked); err == nil && (n == 0 || n > uint64(a.most)) {
			return 0, exit.Usagef("contexts.user_size in ninefold.toml says so", "a context of a user takes %s of the disk at most", size(a.most))
		}
	}
	if asked == "" {
		return all.Size()
	}
	if asked == "0" {
		return 0, nil
	}
	n, err := profile.ParseSize(asked)
	if err != nil || n < config.MinContext || n > 1<<50 {
		return 0, exit.Usagef("write a size of 16M or more, such as 20G", "%q cannot be the size of a context", asked)
	}
	return int64(n), nil
}

func (a *app) contextPin() *cobra.Command {
	return a.onContext("pin NAME", "Cut a context loose from the machine",
		`pin copies the machine as it is now, and has the context stand on that: what is
changed on the machine later does not touch it. It says first what the copy takes,
and is refused where that does not fit on the disk. People's homes stay the
machine's. Nobody may be in the context meanwhile. follow brings it back.`,
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record) error {
			return all.Pin(ctx, r, a.tellPin)
		})
}

func (a *app) contextFollow() *cobra.Command {
	var without []string
	c := a.jsonFlag(a.onContext("follow [--without PACKAGE]... NAME", "Bring a context that was pinned back to the machine as it is now",
		`follow is rebase for a context that is cut loose: undo goes back to where it was.`,
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record) error {
			done, err := all.Follow(ctx, r, without, a.Err)
			if err != nil {
				return err
			}
			return a.tellRebased(r, done)
		}))
	withoutFlag(c, &without)
	return c
}
