package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/show"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus/remote"
	"ninefold/sessiond/manager"
)

// status is where we are, and how the daemon is.
type status struct {
	// Inside says that we are in a view or session.
	Inside bool `json:"inside"`
	// Profile, Class and Isolated are what the place itself shows.
	Profile  string   `json:"profile,omitempty"`
	Class    string   `json:"class,omitempty"`
	Isolated []string `json:"isolated,omitempty"`
	// View is what the daemon knows of it; nil for a session that sessionctl
	// run made, and without the daemon.
	View *api.View `json:"view,omitempty"`
	// Changes are what the view has written; nil where that is not told.
	Changes *api.Changes `json:"changes,omitempty"`
	// Home is what the profile's home is: "shared", "dotfiles", "private", "none".
	Home string `json:"home,omitempty"`
	// Daemon is nil when it does not run, and Problem then says so.
	Daemon  *api.Status `json:"daemon,omitempty"`
	Problem string      `json:"problem,omitempty"`
}

func (a *app) tellStatus() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "status",
		Short: "Say where this is, a view or the host, and how the daemon is",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := look(c.Context())
			if err != nil {
				return err
			}
			if a.json {
				return show.JSON(a.Out, s)
			}
			a.printStatus(s)
			return nil
		},
	})
}

func look(ctx context.Context) (s status, err error) {
	here, err := manager.Look(0)
	if err != nil {
		return s, err
	}
	if here.Profile != "" {
		s = status{Inside: true, Profile: here.Profile, Class: here.Class, Isolated: isolatedIn(here.Plan), Home: here.Home}
	}
	err = withDaemon(ctx, func(d *remote.Daemon) error {
		v, err := d.ViewOf(ctx, 0)
		if err == nil {
			s.View, s.Inside, s.Profile, s.Class, s.Isolated = &v, true, v.Profile, v.Class, v.Isolated
		} else if !errors.Is(err, api.ErrNotFound) {
			return err
		}
		if s.View != nil {
			if c, err := d.Changes(ctx, v.ID); err == nil {
				s.Changes = &c
			}
		}
		st, err := d.Status(ctx)
		s.Daemon = &st
		return err
	})
	if err != nil {
		s.Daemon, s.Problem = nil, err.Error()
	}
	return s, nil
}

// isolatedIn names the namespaces of a process that are not those of PID 1.
func isolatedIn(p *plan.Plan) []string {
	out := []string{"mount"}
	n, ok := p.Ops[0].(plan.Namespaces)
	if !ok {
		return out
	}
	for _, k := range []struct {
		name string
		made bool
	}{{"pid", n.PID}, {"ipc", n.IPC}, {"uts", n.UTS}, {"cgroup", n.Cgroup}, {"net", n.Net == plan.NetNone}, {"user", n.User == plan.UserMapped}} {
		if k.made {
			out = append(out, k.name)
		}
	}
	return out
}

func (a *app) printStatus(s status) {
	say := func(format string, args ...any) { fmt.Fprintf(a.Out, format+"\n", args...) }
	switch {
	case s.View != nil:
		tellView(a.Out, *s.View)
		a.tellChanges(s)
	case s.Inside:
		say("profile   %s", plain(s.Profile))
		say("class     %s", s.Class)
		say("isolated  %s", strings.Join(s.Isolated, " "))
		say("home      %s", homes[s.Home])
	default:
		say("this is the host")
	}
	if s.Daemon == nil {
		say("sessiond  %s", plain(s.Problem))
		return
	}
	say("sessiond  %s, %s, since %s", count(s.Daemon.Views, "view", "views"), count(s.Daemon.Sessions, "session", "sessions"), moment(s.Daemon.Started))
	for line := range strings.Lines(s.Daemon.ConfigError) {
		say("problem   %s", plain(strings.TrimRight(line, "\n")))
	}
	for _, d := range s.Daemon.Degraded {
		say("without   %s", d)
	}
	for _, o := range s.Daemon.Outside {
		say("outside   %s", plain(o))
	}
}

// homes word what a home is.
var homes = map[string]string{
	"": "", "shared": "the machine's", "dotfiles": "the machine's, with settings of this profile's own",
	"private": "empty at login, discarded at logout", "none": "none",
}

// tellChanges says what stays of what is written, and what does not.
func (a *app) tellChanges(s status) {
	say := func(name, format string, args ...any) {
		fmt.Fprintf(a.Out, "%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	if h := homes[s.Home]; h != "" {
		say("home", "%s", h)
	}
	c := s.Changes
	switch {
	case c == nil:
		return
	case c.Kept:
		say("root", "what is written outside the home is kept")
	default:
		more := ""
		if c.More {
			more = "more than "
		}
		say("root", "%s%s, %s outside the home will be discarded at logout", more, count(int(c.Files), "file", "files"), size(c.Bytes))
		if c.Parks {
			say("", "sessionctl session restore can bring them back for a while")
		}
	}
	for _, why := range c.Stale {
		say("stale", "%s", plain(why))
	}
}
