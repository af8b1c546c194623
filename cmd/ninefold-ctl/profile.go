package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/internal/tomlfile"
	"ninefold/sessiond/profile"
)

func (a *app) profile() *cobra.Command {
	c := &cobra.Command{Use: "profile", Short: "List, print, check and begin profiles"}
	c.AddCommand(a.profileList(), a.profileShow(), a.profileCheck(), a.profileNew())
	return c
}

type listedProfile struct {
	Name    string `json:"name"`
	Summary string `json:"summary,omitempty"`
	Base    string `json:"base,omitempty"`
	Runtime string `json:"runtime,omitempty"`
	File    string `json:"file,omitempty"`
	Error   string `json:"error,omitempty"`
}

func (a *app) profileList() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "list",
		Short: "List the profiles",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			all := []listedProfile{}
			var rows [][]string
			for _, e := range a.manager().Profiles().List() {
				l := listedProfile{Name: e.Name, File: e.File}
				if e.Err != nil {
					l.Error = e.Err.Error()
					rows = append(rows, []string{l.Name, "", "", "cannot be used: sessionctl profile check " + l.Name})
				} else {
					l.Summary, l.Base, l.Runtime = e.Profile.Summary, e.Profile.Base, e.Profile.Runtime
					rows = append(rows, []string{l.Name, l.Base, dash(l.Runtime), l.Summary})
				}
				all = append(all, l)
			}
			return a.list(all, []string{"NAME", "BASE", "RUNTIME", "SUMMARY"}, rows)
		},
	})
}

func (a *app) profileShow() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:               "show NAME",
		Short:             "Print a profile, with the defaults of what its file leaves out",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeProfile,
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := a.manager().Profiles().Find(args[0])
			if err != nil {
				return err
			}
			if a.json {
				return show.JSON(a.Out, keysOf(p))
			}
			text, err := printTOML(p)
			if err != nil {
				return err
			}
			from := "built in"
			if p.File != "" {
				from = p.File
			}
			_, err = fmt.Fprintf(a.Out, "# %s\n%s", from, text)
			return err
		},
	})
}

// finding is one thing that is wrong, for JSON.
type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
}

func (a *app) profileCheck() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:               "check [NAME|FILE...]",
		Short:             "Say everything that is wrong with profiles, with file and line",
		ValidArgsFunction: a.completeProfile,
		RunE: func(_ *cobra.Command, args []string) error {
			set := a.manager().Profiles()
			var wrong tomlfile.Errors
			if len(args) == 0 {
				args = set.Names()
			}
			for _, arg := range args {
				_, err := findOrLoad(set, arg)
				if errors.Is(err, profile.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
					return err
				}
				wrong = append(wrong, profile.Findings(err)...)
			}
			if a.json {
				all := []finding{}
				for _, e := range wrong {
					all = append(all, finding{e.File, e.Line, e.Col, e.Msg})
				}
				if err := show.JSON(a.Out, all); err != nil {
					return err
				}
			} else {
				for _, e := range wrong {
					fmt.Fprintln(a.Out, e)
				}
			}
			if len(wrong) > 0 {
				return &exit.Error{Code: exit.BadInput, Err: errors.New(count(len(wrong), "thing is", "things are") + " wrong"), Hint: "docs/profiles.md says what each key means"}
			}
			return nil
		},
	})
}

// findOrLoad takes what has a slash or the suffix of a profile for a file.
func findOrLoad(set *profile.Set, arg string) (*profile.Profile, error) {
	if strings.Contains(arg, "/") || strings.HasSuffix(arg, ".toml") {
		return profile.LoadFile(arg)
	}
	return set.Find(arg)
}

func (a *app) profileNew() *cobra.Command {
	var base, runtime string
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Print the text of a new profile, to be edited and put among the profiles",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := profile.New(args[0], base, runtime)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.Out, text)
			return err
		},
	}
	c.Flags().StringVar(&base, "base", "host", "what it stands on: host, or an `IMAGE`")
	c.Flags().StringVar(&runtime, "runtime", "", "the `IMAGE` of the desktop or tools over the base")
	return c
}
