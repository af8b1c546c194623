package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/bus/remote"
	"ninefold/sessiond/manager"
)

func (a *app) ns() *cobra.Command {
	var user string
	c := &cobra.Command{
		Use:   "ns [PROFILE | PID | VIEW]",
		Short: "Print a view as a namespace file: what a profile would build, or what a process has",
		Long: `ns PROFILE prints the steps by which a session of the profile would be built.
ns VIEW prints those by which a live view of a login was built. ns PID prints
what a live process sees, and ns alone what sessionctl itself sees, which inside
a session is the session.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeProfile,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.seen(0)
			}
			if pid, err := strconv.Atoi(args[0]); err == nil {
				if pid <= 0 {
					return exit.Usagef("a process id is a number above 0", "ns %d: no process has that number", pid)
				}
				return a.seen(pid)
			}
			if viewID.MatchString(args[0]) && !slices.Contains(a.profileNames(), args[0]) {
				return a.nsOfView(c.Context(), args[0])
			}
			p, err := a.manager().Plan(c.Context(), manager.Request{Profile: args[0], User: user})
			if err != nil {
				return err
			}
			if a.json {
				return show.JSON(a.Out, map[string]any{"profile": args[0], "class": p.Class, "namespace": plan.Print(p)})
			}
			_, err = fmt.Fprint(a.Out, plan.Print(p))
			return err
		},
	}
	c.Flags().StringVar(&user, "user", "", "`NAME` or number of whom the session would be for")
	return a.jsonFlag(c)
}

func (a *app) nsOfView(ctx context.Context, id string) error {
	return withDaemon(ctx, func(d *remote.Daemon) error {
		v, err := d.View(ctx, id)
		if err != nil {
			return err
		}
		text, err := d.NamespaceFile(ctx, id)
		if err != nil {
			return err
		}
		if a.json {
			return show.JSON(a.Out, map[string]any{"profile": v.Profile, "class": v.Class, "view": v.ID, "namespace": text})
		}
		_, err = fmt.Fprint(a.Out, text)
		return err
	})
}

func (a *app) seen(pid int) error {
	v, err := manager.Look(pid)
	if err != nil {
		var e *exit.Error
		if code, _ := exit.Of(err, rules); code == exit.NotFound && !errors.As(err, &e) {
			return &exit.Error{Code: exit.NotFound, Err: fmt.Errorf("process %d: no such process", pid)}
		}
		return err
	}
	if a.json {
		return show.JSON(a.Out, v)
	}
	where := "in no session"
	if v.Profile != "" {
		where = fmt.Sprintf("in a session of profile %s for %s", v.Profile, v.User)
	}
	_, err = fmt.Fprint(a.Out, show.Plain(fmt.Sprintf("# process %d, %s\n%s", v.PID, where, plan.Print(v.Plan))))
	return err
}
