package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/sessiond/doctor"
)

func (a *app) doctor() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can do, and what falls back and why",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r := a.examine(c.Context())
			if err := a.diagnosis(r); err != nil {
				return err
			}
			if !r.Sessions {
				return &exit.Error{Code: exit.NotSupported, Err: errors.New("sessions cannot be made on this machine"),
					Hint: "mend what is listed as missing above"}
			}
			return nil
		},
	})
}

func (a *app) examine(ctx context.Context) doctor.Report {
	m := a.manager()
	return doctor.Examine(ctx, doctor.Options{Init: m.InitFile(), Drivers: m.Drivers, Try: m.Try})
}

func (a *app) diagnosis(r doctor.Report) error {
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
		_, err := fmt.Fprintln(a.Out, "\nsessions can be made on this machine")
		return err
	}
	return nil
}
