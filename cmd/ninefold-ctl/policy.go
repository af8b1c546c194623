package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/internal/tomlfile"
	"ninefold/sessiond/config"
	"ninefold/sessiond/policy"
)

func (a *app) policy() *cobra.Command {
	c := &cobra.Command{Use: "policy", Short: "Print and check what sessions may run on the host"}
	c.AddCommand(a.policyShow(), a.policyCheck())
	return c
}

// policyFiles are those of the machine, in the order in which they count.
func (a *app) policyFiles() ([]string, error) { return config.PolicyFiles(a.manager().Config()[0]) }

type shownRule struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Rule string `json:"rule"`
}

func (a *app) policyShow() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "show",
		Short: "Print the rules of the machine in the order in which they are looked at",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			set, err := config.LoadPolicy(a.manager().Config()[0])
			if err != nil {
				return err
			}
			all := []shownRule{}
			for _, r := range set.Rules() {
				all = append(all, shownRule{r.File, r.Line, policy.Print(r)})
			}
			if a.json {
				return show.JSON(a.Out, all)
			}
			for _, r := range all {
				fmt.Fprintf(a.Out, "%s:%d: %s\n", plain(r.File), r.Line, plain(r.Rule))
			}
			return nil
		},
	})
}

func (a *app) policyCheck() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "check [FILE...]",
		Short: "Say what is wrong with the host policy, and which rules do not mean what they seem to",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(c *cobra.Command, args []string) error {
			read := config.ReadPolicyDraft
			if len(args) == 0 {
				var err error
				if args, err = a.policyFiles(); err != nil {
					return err
				}
				read = config.ReadPolicy
			}
			var rules []policy.Rule
			found := []policy.Finding{}
			for _, name := range args {
				more, err := read(name)
				wrong, other := unreadable(name, err)
				if other != nil {
					return other
				}
				rules, found = append(rules, more...), append(found, wrong...)
			}
			errs := len(found)
			found = append(found, policy.Check(rules, a.policyMachine(c.Context()))...)
			return a.tellPolicy(found, errs)
		},
	})
}

// unreadable turns an error of reading a policy into findings. Other errors
// than about what is written there, and by whom, are returned.
func unreadable(name string, err error) ([]policy.Finding, error) {
	var wrong tomlfile.Errors
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &wrong):
		var all []policy.Finding
		for _, e := range wrong {
			all = append(all, policy.Finding{Level: policy.Error, Matter: policy.Unreadable, File: e.File, Line: e.Line, Column: e.Col, Message: e.Msg})
		}
		return all, nil
	case errors.Is(err, config.ErrPolicyOwner):
		return []policy.Finding{{Level: policy.Error, Matter: policy.Unreadable, File: name, Message: err.Error(),
			Hint: "give it, and every directory on the way to it, to root alone"}}, nil
	}
	return nil, err
}

// tellPolicy writes what was found, errs errors first.
func (a *app) tellPolicy(found []policy.Finding, errs int) error {
	warnings := 0
	for _, f := range found {
		if f.Level == policy.Warning {
			warnings++
		}
	}
	if a.json {
		if err := show.JSON(a.Out, found); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			fmt.Fprintln(a.Out, plain(f.String()))
			if f.Hint != "" {
				fmt.Fprintln(a.Out, "  hint: "+plain(f.Hint))
			}
		}
	}
	switch {
	case errs > 0:
		return &exit.Error{Code: exit.BadInput, Err: errors.New(count(errs, "mistake", "mistakes") + " in the host policy"),
			Hint: "what was right before stays in force; docs/host-policy.md has the language"}
	case warnings > 0:
		return &exit.Error{Code: exit.Failed, Err: errors.New(count(warnings, "warning", "warnings") + " about the host policy"),
			Hint: "docs/host-policy.md says what each warning is about"}
	}
	return nil
}
