package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/roots/contexts"
	"ninefold/sessiond/manager"

	livectx "ninefold/sessiond/contexts"
)

// contextRules are the exit codes of context commands.
func contextError(err error) error {
	if gone, ok := errors.AsType[*livectx.GoneError](err); ok {
		return &exit.Error{Code: exit.Failed, Hint: "the context is as it was; to go on without: --without " + strings.Join(gone.Packages, " --without "), Err: err}
	}
	if _, ok := errors.AsType[*contexts.NoRoomError](err); ok {
		return &exit.Error{Code: exit.Failed, Hint: "make room, or do without --pinned", Err: err}
	}
	for _, r := range []exit.Rule{
		{Is: contexts.ErrName, Code: exit.Usage, Hint: "a name is made of a-z, 0-9, and after the first of . _ and -"},
		{Is: contexts.ErrNotFound, Code: exit.NotFound, Hint: "sessionctl context list shows those that there are"},
		{Is: contexts.ErrExists, Code: exit.Failed, Hint: "choose another name, or delete that one first"},
		{Is: contexts.ErrStood, Code: exit.Busy},
		{Is: contexts.ErrMany, Code: exit.Failed, Hint: "delete one; contexts.each in ninefold.toml says how many"},
		{Is: livectx.ErrUsers, Code: exit.Denied, Hint: "commit, export, promote, pinned contexts and those on images are for contexts of root's"},
		{Is: manager.ErrNoContexts, Code: exit.Denied},
		{Is: contexts.ErrInUse, Code: exit.Busy, Hint: "wait until nobody is in it; delete --force ends whoever is"},
		{Is: contexts.ErrNothing, Code: exit.NotFound},
		{Is: contexts.ErrNoConflict, Code: exit.NotFound, Hint: "sessionctl context status lists the conflicts"},
		{Is: contexts.ErrDisk, Code: exit.NotSupported, Hint: "a bounded context needs e2fsprogs, mount and loop devices (modprobe loop)"},
		{Is: contexts.ErrBoundless, Code: exit.Usage, Hint: "sessionctl context new --from CONTEXT --size SIZE NAME makes a copy that has one"},
		{Is: contexts.ErrSmaller, Code: exit.Usage, Hint: "sessionctl context new --from CONTEXT --size SIZE NAME makes a smaller copy, if it fits"},
		{Is: contexts.ErrCannotGrow, Code: exit.NotSupported, Hint: "sessionctl context new --from CONTEXT --size SIZE NAME makes a larger copy"},
		{Is: contexts.ErrPackages, Code: exit.Failed, Hint: "dpkg --audit says what is wrong; the context is as it was"},
		{Is: contexts.ErrFull, Code: exit.Failed, Hint: "remove in the context what is in it, and settle again"},
		{Is: contexts.ErrNotCommittable, Code: exit.Failed, Hint: "remove it in the context"},
		{Is: livectx.ErrRecipe, Code: exit.Failed, Hint: "choose another name; --replace writes anew what commit wrote"},
		{Is: livectx.ErrNothingToPromote, Code: exit.NotFound},
		{Is: livectx.ErrPinned, Code: exit.Failed, Hint: "sessionctl context follow brings it back to the host"},
		{Is: livectx.ErrMoved, Code: exit.Failed, Hint: "sessionctl context rebase moves it along first"},
		{Is: livectx.ErrBusyPackages, Code: exit.Busy, Hint: "wait until it is done"},
		{Is: livectx.ErrReplay, Code: exit.Failed, Hint: "what apt said stands above; the context is as it was"},
	} {
		if errors.Is(err, r.Is) {
			return &exit.Error{Code: r.Code, Hint: r.Hint, Err: err}
		}
	}
	return err
}

func (a *app) context() *cobra.Command {
	c := &cobra.Command{
		Use:   "context",
		Short: "Try things on a layer over the machine, and keep them or throw them away",
		Long: `A context is the running machine with a layer of its own over it: packages that
are installed in it, and files that are changed in it, are there alone. Root in
a context is nobody outside. hc is short for sessionctl context.`,
		Example: "  hc new foo\n  hc enter foo\n  hc diff foo\n  hc delete foo",
	}
	c.AddCommand(a.contextNew(), a.contextEnter(), a.contextRun(), a.contextList(), a.contextShow(), a.contextStatus(), a.contextDiff(),
		a.contextSnapshot(), a.contextUndo(), a.contextRedo(), a.contextRebase(), a.contextPin(), a.contextFollow(), a.contextSettle(), a.contextCommit(), a.contextExport(), a.contextResize(), a.contextRename(), a.contextDelete())
	a.whose(c)
	c.AddCommand(a.contextPromote()) // of root's contexts, whoever asks
	return c
}

// withContext runs f on the context of a name. The default one is made when it is
// first spoken of.
func (a *app) withContext(ctx context.Context, name string, f func(*livectx.Contexts, contexts.Record) error) error {
	all, err := a.contexts(ctx)
	if err != nil {
		return contextError(err)
	}
	r, err := all.Store().Find(a.owner, name)
	if name == contexts.Default && errors.Is(err, contexts.ErrNotFound) {
		r, err = a.defaultContext(ctx, all)
	}
	if err == nil {
		err = f(all, r)
	}
	return contextError(err)
}

// onContext is a command that takes the name of a context and nothing else.
func (a *app) onContext(use, short, long string, f func(context.Context, *livectx.Contexts, contexts.Record) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeContext,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withContext(c.Context(), args[0], func(all *livectx.Contexts, r contexts.Record) error { return f(c.Context(), all, r) })
		},
	}
}

func (a *app) completeContext(c *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if os.Geteuid() != 0 {
		return a.askContextNames(), cobra.ShellCompDirectiveNoFileComp
	}
	if all, err := a.contexts(c.Context()); err == nil {
		found, _ := all.Store().List(a.owner, false) // what cannot be read is not offered
		names = append(names, contexts.Default)
		for _, r := range found {
			if r.Name != contexts.Default {
				names = append(names, r.Name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) contextEnter() *cobra.Command {
	var user string
	c := a.commandIn("enter [--user USER] [NAME] [-- CMD ARG...]", "Run a command, or a shell, in a context",
		`enter runs CMD, or a shell, in the context, as its root; without a NAME in the
context "default", which is always there. Others can enter at the same time. What
still runs in the context when the last one leaves is ended.

The exit status is the command's, or 128 plus the signal that ended it.`,
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record, q livectx.Request) (int, error) {
			q.User = user
			status, err := all.Enter(ctx, r, q)
			return status.Code, err
		})
	c.Flags().StringVar(&user, "user", "", "run the command as `USER`, by the machine's accounts")
	return c
}

func (a *app) contextRun() *cobra.Command {
	return a.commandIn("run [NAME] -- CMD ARG...", "Run a command in a context, and remember that it was asked for",
		`run is enter with a command that is written down: show lists what was asked for
in this way.`,
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record, q livectx.Request) (int, error) {
			if len(q.Command) == 0 {
				return 0, exit.Usagef("hc enter opens a shell", "run: there is no command")
			}
			status, err := all.Enter(ctx, r, q)
			if err == nil {
				err = all.Store().Update(r, func(r *contexts.Record) error {
					r.Ask(contexts.Asked{When: time.Now().UTC(), Argv: q.Command, Code: status.Code})
					return nil
				})
			}
			return status.Code, err
		})
}

func (a *app) commandIn(use, short, long string, f func(context.Context, *livectx.Contexts, contexts.Record, livectx.Request) (int, error)) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long,
		ValidArgsFunction: func(c *cobra.Command, args []string, w string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return a.completeContext(c, args, w)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || c.ArgsLenAtDash() == 0 {
				args = append([]string{contexts.Default}, args...)
			}
			command, err := afterDashes(c, args)
			if err != nil {
				return err
			}
			return a.withContext(c.Context(), args[0], func(all *livectx.Contexts, r contexts.Record) error {
				// Signals are the command's own business.
				code, err := f(context.WithoutCancel(c.Context()), all, r, livectx.Request{Command: command, Stdin: a.In, Stdout: a.Out, Stderr: a.Err})
				if err == nil {
					a.status = &code
				}
				return err
			})
		},
	}
	c.Flags().SetInterspersed(false)
	return c
}

// afterDashes is the command that follows the first argument.
func afterDashes(c *cobra.Command, args []string) ([]string, error) {
	command := args[1:]
	switch {
	case len(command) > 0 && command[0] == "--":
		command = command[1:]
	case len(command) > 0 && strings.HasPrefix(command[0], "-"):
		return nil, exit.Usagef("write -- before a command that begins with a dash", "%s%s does not belong after %s", within(c), command[0], args[0])
	}
	return command, nil
}

func (a *app) contextSnapshot() *cobra.Command {
	return a.onContext("snapshot NAME", "Keep the state that a context is in", `snapshot copies the layer of the context; where the disk can share
what is the same, the copy takes no room. Nobody may be in it. undo goes back.`,
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record) error {
			claim, err := all.Claim(r, false)
			if err != nil {
				return err
			}
			defer claim.Release()
			return claim.Snapshot(ctx, time.Now().UTC())
		})
}

func (a *app) contextUndo() *cobra.Command {
	return a.onContext("undo NAME", "Go back to the last state that was kept", "undo puts the last state that was kept in the place of the one that the context\nis in. redo takes that back, until the next change.",
		func(_ context.Context, all *livectx.Contexts, r contexts.Record) error {
			claim, err := all.Claim(r, false)
			if err != nil {
				return err
			}
			defer claim.Release()
			p, err := claim.Undo(time.Now().UTC())
			if err == nil {
				fmt.Fprintf(a.Out, "back to the state before the %s of %s\n", p.Why, moment(p.When))
			}
			return err
		})
}

func (a *app) contextRedo() *cobra.Command {
	return a.onContext("redo NAME", "Take the last undo back", "",
		func(_ context.Context, all *livectx.Contexts, r contexts.Record) error {
			claim, err := all.Claim(r, false)
			if err != nil {
				return err
			}
			defer claim.Release()
			return claim.Redo(time.Now().UTC())
		})
}

func (a *app) contextRename() *cobra.Command {
	return &cobra.Command{
		Use:               "rename NAME NEW",
		Short:             "Give a context another name",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeContext,
		RunE: func(c *cobra.Command, args []string) error {
			return a.withContext(c.Context(), args[0], func(all *livectx.Contexts, r contexts.Record) error { return all.Store().Rename(r, args[1]) })
		},
	}
}

func (a *app) contextDelete() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:               "delete [--force] NAME...",
		Short:             "Remove contexts with everything in them",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeContext,
		RunE: func(c *cobra.Command, args []string) error {
			for _, name := range args {
				if err := a.withContext(c.Context(), name, func(all *livectx.Contexts, r contexts.Record) error {
					return all.Delete(r, force)
				}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&force, "force", false, "end who is in it")
	return c
}
