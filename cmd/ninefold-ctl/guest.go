package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/units"
)

func (a *app) guest() *cobra.Command {
	c := &cobra.Command{
		Use:   "guest",
		Short: "Look after guests, whose users exist for one session",
		Long: `A session of a profile with user = "dynamic", such as guest, has a user that
exists for it alone. What such a session must not be able to do is tried before
anybody is let in, and what it left is looked for afterwards.`,
	}
	c.AddCommand(a.enableGuests(), a.disableGuests(), a.tellGuests(), a.listGuests(), a.endGuests(), a.reportGuest(), a.sweepGuests(), a.poolGuests(), a.listHomes(), a.forgetHome(), a.guestWord(), a.lockGuest(), a.unlockGuest(), a.notifyGuest())
	return c
}

func (a *app) guests() *guests.Guests {
	return manager.Open(manager.Options{Config: a.config, State: a.state}).Guests()
}

func (a *app) listGuests() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List guests, those that are gone too as long as there is a report",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all, err := a.guests().List()
			if err != nil {
				return err
			}
			var rows [][]string
			for _, r := range all {
				ended := "-"
				if !r.Ended.IsZero() {
					ended = moment(r.Ended)
				}
				rows = append(rows, []string{r.Name, plain(r.Profile), string(r.State), moment(r.Begun), ended, cmp.Or(plain(r.Service), "run")})
			}
			return a.list(all, []string{"GUEST", "PROFILE", "STATE", "BEGUN", "ENDED", "BY"}, rows)
		},
	})
}

func (a *app) reportGuest() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "report [GUEST]",
		Short: "Show what was tried before a guest came in, and what was left afterwards",
		Long:  "report shows the newest guest of that name, or the newest of all.",
		Args:  cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			all, _ := a.guests().List()
			var names []string
			for _, r := range all {
				names = append(names, r.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.guests().List()
			for _, r := range slices.Backward(all) {
				if len(args) == 0 || args[0] == r.Name {
					return a.tellGuest(r)
				}
			}
			return errors.Join(err, &exit.Error{Code: exit.NotFound, Hint: "sessionctl guest list shows those that there are", Err: errors.New("no such guest is known")})
		},
	})
}

func (a *app) tellGuest(r guests.Report) error {
	if a.json {
		return show.JSON(a.Out, r)
	}
	ended, searched := "not yet", "not yet"
	if !r.Ended.IsZero() {
		ended = moment(r.Ended)
	}
	if !r.Searched.IsZero() {
		searched = moment(r.Searched)
	}
	whose := ""
	if r.For != 0 {
		whose = fmt.Sprintf("uid %d", r.For)
	}
	for _, line := range [][2]string{
		{"guest", r.Name}, {"profile", r.Profile}, {"for", whose}, {"service", r.Service}, {"terminal", r.Terminal}, {"state", string(r.State)}, {"begun", moment(r.Begun)}, {"ended", ended},
		{"searched", searched}, {"writable", strings.Join(r.Writable, ", ")}, {"kept", r.Kept}, {"lent", strings.Join(r.Lent, ", ")}, {"left", strings.Join(r.Left, ", ")},
	} {
		if line[1] != "" {
			fmt.Fprintf(a.Out, "%-9s %s\n", line[0], plain(line[1]))
		}
	}
	var rows [][]string
	for _, t := range r.Tries {
		word := "denied"
		if !t.Held {
			word = "WORKED"
		}
		rows = append(rows, []string{plain(t.Name), word, plain(t.How)})
	}
	fmt.Fprintln(a.Out)
	return show.Table(a.Out, []string{"TRIED", "", "BECAUSE"}, rows)
}

// forgetLogins has systemd take down what it and logind keep of guests who logged in and
// are gone.
func (a *app) forgetLogins(ctx context.Context) error {
	all := a.guests()
	over, err := all.Over()
	if len(over) == 0 || os.Geteuid() != 0 || !units.Booted() {
		return err
	}
	bus := units.New(slog.New(slog.DiscardHandler))
	defer bus.Close()
	err = errors.Join(err, bus.ForgetSessions(ctx, func(uid uint32) bool { return slices.Contains(over, uid) }))
	for _, uid := range all.Abandoned(over) {
		err = errors.Join(err, bus.StopUnit(ctx, fmt.Sprintf("user-runtime-dir@%d.service", uid)))
	}
	return err
}

func (a *app) sweepGuests() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "sweep",
		Short: "Search the machine for files of guests that are gone, and free their ids",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// Where systemd does not answer, what it keeps is found all the same.
			kept := a.forgetLogins(c.Context())
			swept, err := a.guests().Sweep(c.Context())
			if err = errors.Join(kept, err); a.json {
				return errors.Join(err, show.JSON(a.Out, swept))
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Out, "%s clean, %d with remains, %d live; %d files looked at\n", count(len(swept.Clean), "guest", "guests"), len(swept.Remains), len(swept.Live), swept.Files)
			if err == nil && len(swept.Remains) > 0 {
				err = fmt.Errorf("%w: %s", guests.ErrRemains, strings.Join(swept.Remains, ", "))
			}
			return err
		},
	})
}
