package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/show"
	"ninefold/roots/contexts"
	"ninefold/sessiond/identity"

	livectx "ninefold/sessiond/contexts"
)

// contextLine is one context in list.
type contextLine struct {
	Name  string `json:"name"`
	Owner uint32 `json:"owner"`
	// Created is not of a default one that nobody has used.
	Created string `json:"created,omitempty"`
	State   string `json:"state"`
	Running bool   `json:"running"`
	// Logins says that sessions or logins stand on it.
	Logins bool  `json:"logins"`
	Bytes  int64 `json:"bytes"`
	Size   int64 `json:"size,omitempty"` // the bound
}

func (a *app) contextList() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List the contexts",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := a.contexts(c.Context())
			if err != nil {
				return contextError(err)
			}
			everybodys := a.askedBy == 0 && a.of == ""
			found, broken := all.Store().List(a.owner, everybodys)
			heading := []string{"NAME", "STATE", "DISK", "MADE", ""}
			if everybodys && slices.ContainsFunc(found, func(r contexts.Record) bool { return r.Owner != 0 }) {
				heading = append(heading, "OWNER")
			}
			lines, rows := []contextLine{}, [][]string{}
			if !slices.ContainsFunc(found, func(r contexts.Record) bool { return r.Name == contexts.Default && r.Owner == a.owner }) {
				lines = append(lines, contextLine{Name: contexts.Default, Owner: a.owner, State: livectx.UpToDate})
				rows = append(rows, []string{contexts.Default, livectx.UpToDate, size(0), "", ""})
			}
			for _, r := range found {
				used, err := all.Store().Used(c.Context(), r)
				if err != nil {
					broken = errors.Join(broken, err)
				}
				s, err := all.Glance(c.Context(), r)
				if err != nil {
					broken = errors.Join(broken, err)
				}
				err = all.Store().Unstood(r, "")
				logins := errors.Is(err, contexts.ErrStood)
				if !logins {
					broken = errors.Join(broken, err)
				}
				line := contextLine{r.Name, r.Owner, r.Created.Format("2006-01-02T15:04:05Z07:00"), s.State, s.Running, logins, used, r.Size}
				lines = append(lines, line)
				row := []string{r.Name, s.State, disk(used, r.Size), moment(r.Created), line.use()}
				if len(heading) > len(row) {
					row = append(row, ownerName(c.Context(), r.Owner))
				}
				rows = append(rows, row)
			}
			return errors.Join(a.list(lines, heading, rows), broken)
		},
	})
}

// use says what goes on with a context, for people.
func (l contextLine) use() string {
	var uses []string
	if l.Running {
		uses = append(uses, "entered")
	}
	if l.Logins {
		uses = append(uses, "logged in on")
	}
	return strings.Join(uses, ", ")
}

// ownerName is whose a context is, for people.
func ownerName(ctx context.Context, uid uint32) string {
	if u, err := (identity.Host{}).ByUID(ctx, uid); err == nil {
		return u.Name
	}
	return strconv.FormatUint(uint64(uid), 10) // the account is gone
}

// disk is what a context takes, and its bound.
func disk(used, bound int64) string {
	if bound == 0 {
		return size(used)
	}
	return size(used) + " of " + size(bound)
}

func (a *app) contextShow() *cobra.Command {
	return a.jsonFlag(a.onContext("show NAME", "Tell everything about a context", "",
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record) error {
			if a.json {
				return show.JSON(a.Out, r)
			}
			used, err := all.Store().Used(ctx, r)
			if err != nil {
				return err
			}
			rows := [][]string{{"name", r.Name}, {"id", r.ID}, {"made", moment(r.Created)}, {"stands on", standsOn(r.Stands)},
				{"disk", disk(used, r.Size)}, {"lies in", all.Store().Dir(r)}}
			for _, p := range r.Points {
				rows = append(rows, []string{"kept", "the state before the " + p.Why + " of " + moment(p.When)})
			}
			for _, q := range r.Asked {
				rows = append(rows, []string{"asked for", plain(strings.Join(q.Argv, " ")) + fmt.Sprintf(" (status %d, %s)", q.Code, moment(q.When))})
			}
			return show.Table(a.Out, []string{"WHAT", ""}, rows)
		}))
}

func standsOn(s contexts.Stands) string {
	text := s.Release + ", as of " + moment(s.At)
	switch {
	case s.Pin != "":
		text += ", cut loose from it"
	case s.Image != "":
		text = fmt.Sprintf("the image %s (%.12s), as of %s", s.Named, s.Image, moment(s.At))
	}
	return text
}

func (a *app) contextStatus() *cobra.Command {
	return a.jsonFlag(a.onContext("status NAME", "Say whether the machine has changed under a context",
		`status says "up to date", "host moved" (or "image moved", where it stands on one), or
"cut loose", and then what of the machine has changed since the context was begun:
what the context holds itself hides the new of that.
It tells which files a rebase would merge, and which would conflict, as far as
that can be told without the packages; and which conflicts are not settled yet.`,
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record) error {
			s, err := all.Status(ctx, r)
			if err != nil {
				return err
			}
			if a.json {
				return show.JSON(a.Out, s)
			}
			fmt.Fprintln(a.Out, s.State)
			if s.Stale {
				fmt.Fprintln(a.Out, "open:", livectx.HostChanged)
			}
			if s.Release != "" {
				fmt.Fprintf(a.Out, "release: %s, was %s\n", plain(s.Release), plain(r.Stands.Release))
			}
			if s.Kernel != "" {
				fmt.Fprintf(a.Out, "kernel: %s, was %s\n", s.Kernel, r.Stands.Kernel)
			}
			for _, p := range s.Packages {
				fmt.Fprintln(a.Out, packageLine(p))
			}
			if s.Rebase != nil {
				a.tellCarried(s.Rebase, "would be merged", "would conflict")
			}
			a.tellConflicts(s.Conflicts, "conflict, not settled")
			return nil
		}))
}

func (a *app) tellCarried(c *contexts.Carried, merged, conflict string) {
	for _, name := range c.Merged {
		fmt.Fprintf(a.Out, "%s: %s\n", merged, plain(name))
	}
	for _, name := range c.LeftOut {
		fmt.Fprintf(a.Out, "left out, a socket, a pipe or a device: %s\n", plain(name))
	}
	a.tellConflicts(c.Conflicts, conflict)
}

func (a *app) tellConflicts(all []contexts.Conflict, what string) {
	for _, c := range all {
		fmt.Fprintf(a.Out, "%s: %s: %s\n", what, plain(c.Path), c.Why)
	}
}

// signs are what a person sees of a change.
var signs = map[string]string{
	"added": "+", "removed": "-", "upgraded": "^", "downgraded": "v", "manual": "m", "auto": "a",
	"changed": "~", "attributes": ".", "replaced": "=",
}

func packageLine(p contexts.PackageChange) string {
	line := signs[p.Change] + " " + plain(p.Name)
	switch p.Change {
	case "added":
		line += " " + plain(p.To)
		if p.Auto {
			line += " (for another package)"
		}
	case "removed":
		line += " " + plain(p.From)
	case "manual":
		line += " (marked as asked for)"
	case "auto":
		line += " (marked as there for another package)"
	default:
		line += " " + plain(p.From) + " -> " + plain(p.To)
	}
	return line
}

func (a *app) contextDiff() *cobra.Command {
	var every bool
	c := a.jsonFlag(a.onContext("diff [--all] NAME", "Say how a context differs from the machine",
		`diff lists the packages that differ, then the files, then what package scripts
asked of the machine, which was not done. Files of those packages, and what
package managers write for themselves, are left out; --all lists them too.

+ added, - removed, ^ upgraded, v downgraded, m marked as asked for, a marked as
there for another package; ~ changed, . only owner, mode or times, = a directory
of which nothing old is seen.`,
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record) error {
			d, err := all.Diff(ctx, r, every)
			if err != nil {
				return err
			}
			if a.json {
				return show.JSON(a.Out, d)
			}
			for _, p := range d.Packages {
				fmt.Fprintln(a.Out, packageLine(p))
			}
			for _, f := range d.Files {
				name := plain(f.Path)
				if f.Kind == "directory" {
					name += string(os.PathSeparator)
				}
				fmt.Fprintln(a.Out, signs[f.Change]+" "+name)
			}
			for _, h := range d.Asked {
				from := ""
				if h.Package != "" {
					from = " (" + plain(h.Package) + ")"
				}
				fmt.Fprintf(a.Out, "! %s%s\n", plain(h.Command), from)
			}
			if d.Hidden > 0 {
				fmt.Fprintf(a.Err, "%s of packages left out; --all lists them\n", count(d.Hidden, "file", "files"))
			}
			return nil
		}))
	c.Flags().BoolVar(&every, "all", false, "list every file")
	return c
}
