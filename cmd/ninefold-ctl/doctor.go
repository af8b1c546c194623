package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus/remote"
	"ninefold/sessiond/doctor"
)

func (a *app) doctor() *cobra.Command {
	var user, choice, kernel string
	c := &cobra.Command{
		Use:   "doctor [--user NAME [--profile NAME] | --kernel VERSION]",
		Short: "Say what this machine can do, what falls back and why, and what logins get",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if choice != "" && user == "" {
				return exit.Usagef("name who logs in with --user", "doctor: --profile alone says nothing")
			}
			if kernel != "" {
				return a.unfit(c.Context(), kernel)
			}
			r := examined{Report: a.examine(c.Context())}
			var err error
			if user != "" {
				r.Outlook, err = outlook(c.Context(), user, choice)
			}
			if terr := a.diagnosis(r); terr != nil {
				return terr
			}
			if err == nil && !r.Sessions {
				err = &exit.Error{Code: exit.NotSupported, Err: errors.New("sessions cannot be made on this machine"),
					Hint: "mend what is listed as missing above"}
			}
			if err == nil && !r.Logins {
				err = &exit.Error{Code: exit.Failed, Err: errors.New("logins do not get what the configuration says"),
					Hint: "mend what is listed as missing above"}
			}
			return err
		},
	}
	c.Flags().StringVar(&user, "user", "", "say too what a login of `NAME` would get, and why")
	c.Flags().StringVar(&choice, "profile", "", "the profile's `NAME`, if the user chose it at login")
	c.Flags().StringVar(&kernel, "kernel", "", "say instead which images would lack what they need with the kernel `VERSION`")
	c.MarkFlagsMutuallyExclusive("kernel", "user")
	if err := c.RegisterFlagCompletionFunc("profile", a.completeProfile); err != nil {
		return c // only a flag that is not there can fail, and that shows at once
	}
	return a.jsonFlag(c)
}

// examined is a report, and what a login gets where that was asked.
type examined struct {
	doctor.Report
	Outlook *api.Outlook `json:"login,omitempty"`
}

func (a *app) examine(ctx context.Context) doctor.Report {
	m := a.manager()
	return doctor.Examine(ctx, doctor.Options{Init: m.InitFile(), Drivers: m.Drivers, Try: m.Try, Login: &doctor.Login{Unit: execStart,
		Profiles: m.LoginProfiles, Aliases: m.LoginAliases, Try: m.TryLogin, Room: []string{m.State(), "/run", "/etc", "/var/log"},
		Daemon: func(ctx context.Context) (st api.Status, err error) {
			err = withDaemon(ctx, func(d *remote.Daemon) error {
				st, err = d.Status(ctx)
				return err
			})
			return st, err
		}}})
}

// execStart asks systemd what is in force.
func execStart(ctx context.Context, unit string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property=ExecStart", "--value", unit).Output()
	if err != nil {
		return "", fmt.Errorf("systemctl show %s: %w", unit, err)
	}
	return string(out), nil
}

// outlook asks the daemon; without one, every login stays on the host.
func outlook(ctx context.Context, user, choice string) (*api.Outlook, error) {
	var o api.Outlook
	err := withDaemon(ctx, func(d *remote.Daemon) (err error) {
		o, err = d.Outlook(ctx, user, choice)
		return err
	})
	if errors.Is(err, remote.ErrNoDaemon) {
		return &api.Outlook{User: user, Why: "stays on the host: " + err.Error()}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("a login of %s: %w", user, err)
	}
	return &o, nil
}

// tellOutlook says what a login gets.
func (a *app) tellOutlook(o api.Outlook) error {
	gets := plain(o.Why)
	switch {
	case o.Refused:
		gets = "is refused: " + gets
	case o.Profile != "" && o.View != "":
		gets = fmt.Sprintf("joins view %s of profile %s: %s", o.View, o.Profile, gets)
	case o.Profile != "":
		gets = fmt.Sprintf("gets a new view of profile %s: %s", o.Profile, gets)
	}
	_, err := fmt.Fprintf(a.Out, "a login of %s %s\n", plain(o.User), gets)
	return err
}

func (a *app) diagnosis(r examined) error {
	if a.json {
		return show.JSON(a.Out, r)
	}
	var rows [][]string
	for _, f := range r.Findings {
		said := f.Detail
		if f.State != doctor.OK && f.Then != "" {
			said = f.Then
			if f.Detail != "" {
				said = f.Detail + ": " + f.Then
			}
		}
		name := f.Name
		if f.For != "" && f.State != doctor.OK {
			name += " (for " + f.For + ")"
		}
		rows = append(rows, []string{string(f.State), f.Area, name, said})
	}
	if err := show.Table(a.Out, []string{"STATE", "AREA", "WHAT", "FOUND"}, rows); err != nil {
		return err
	}
	if r.Sessions {
		fmt.Fprintln(a.Out, "\nsessions can be made on this machine")
	}
	if r.Outlook != nil {
		return a.tellOutlook(*r.Outlook)
	}
	return nil
}
