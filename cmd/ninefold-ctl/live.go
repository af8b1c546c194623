package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/show"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus/remote"
)

// withDaemon runs f over the running daemon.
func withDaemon(ctx context.Context, f func(*remote.Daemon) error) error {
	d, err := remote.Dial(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	return f(d)
}

// live is what list prints as JSON.
type live struct {
	Views    []api.View    `json:"views"`
	Sessions []api.Session `json:"sessions"`
}

func (a *app) listViews() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List the live views of logins, and the sessions in them",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l := live{Views: []api.View{}, Sessions: []api.Session{}}
			err := withDaemon(c.Context(), func(d *remote.Daemon) (err error) {
				l.Views, l.Sessions, err = d.All(c.Context())
				return err
			})
			if errors.Is(err, remote.ErrNoDaemon) {
				// Nothing is known, which is no failure of a listing.
				fmt.Fprintf(a.Err, "sessionctl: %v, and nobody else knows of views\n", err)
			} else if err != nil {
				return err
			}
			var rows [][]string
			for _, v := range l.Views {
				rows = append(rows, []string{v.ID, v.User, v.Profile, strings.Join(v.Sessions, ","), yes(v.Manager), moment(v.Created)})
			}
			return a.list(l, []string{"VIEW", "USER", "PROFILE", "SESSIONS", "MANAGER", "SINCE"}, rows)
		},
	})
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// find resolves what a person calls a view or a session of one.
func find(ctx context.Context, d *remote.Daemon, id string) (v api.View, s *api.Session, err error) {
	views, sessions, err := d.All(ctx)
	if err != nil {
		return v, nil, err
	}
	want := id
	for i := range sessions {
		if sessions[i].ID == id {
			s, want = &sessions[i], sessions[i].View
		}
	}
	for _, v := range views {
		if v.ID == want {
			return v, s, nil
		}
	}
	return v, nil, fmt.Errorf("view or session %s: %w", id, api.ErrNotFound)
}

func (a *app) show() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:               "show VIEW|SESSION",
		Short:             "Print one live view, or the one that a session is in",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeView,
		RunE: func(c *cobra.Command, args []string) error {
			return withDaemon(c.Context(), func(d *remote.Daemon) error {
				v, only, err := find(c.Context(), d, args[0])
				if err != nil {
					return err
				}
				_, all, err := d.All(c.Context())
				if err != nil {
					return err
				}
				l := live{Views: []api.View{v}, Sessions: []api.Session{}}
				for _, s := range all {
					if s.View == v.ID && (only == nil || s.ID == only.ID) {
						l.Sessions = append(l.Sessions, s)
					}
				}
				if a.json {
					return show.JSON(a.Out, l)
				}
				tellView(a.Out, v)
				return tellSessions(a.Out, l.Sessions)
			})
		},
	})
}

func tellView(w io.Writer, v api.View) {
	say := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-9s %s\n", name, plain(value))
		}
	}
	say("view", v.ID)
	say("user", fmt.Sprintf("%s (uid %d)", v.User, v.UID))
	say("profile", v.Profile)
	say("class", v.Class)
	for i, l := range v.Layers {
		say([]string{"layers", ""}[min(i, 1)], l)
	}
	say("isolated", strings.Join(v.Isolated, " "))
	say("manager", map[bool]string{true: "the user's manager runs in it"}[v.Manager])
	say("scope", v.Scope)
	say("holder", fmt.Sprint(v.Holder))
	say("since", moment(v.Created))
	for _, n := range v.Notes {
		say("note", n)
	}
}

func tellSessions(w io.Writer, sessions []api.Session) error {
	var rows [][]string
	for _, s := range sessions {
		rows = append(rows, []string{s.ID, s.Service, s.TTY, s.Rhost, fmt.Sprint(s.Leader), moment(s.Since)})
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
	}
	return show.Table(w, []string{"SESSION", "SERVICE", "TTY", "FROM", "LEADER", "SINCE"}, rows)
}

// plain is text of others for a terminal: one line, without control characters.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func (a *app) end() *cobra.Command {
	return &cobra.Command{
		Use:   "end VIEW|SESSION",
		Short: "End a view with every process in it, or one session",
		Long: `end VIEW ends every process in the view, and the view. end SESSION ends one
session, and leaves the view to the others in it. Your own views need no
permission; those of others need root, or the permission of polkit.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeView,
		RunE: func(c *cobra.Command, args []string) error {
			return withDaemon(c.Context(), func(d *remote.Daemon) error {
				v, s, err := find(c.Context(), d, args[0])
				if err != nil {
					return err
				}
				if s != nil {
					return d.EndSession(c.Context(), s.ID)
				}
				return d.EndView(c.Context(), v.ID)
			})
		},
	}
}
