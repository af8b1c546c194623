package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/host"
	"ninefold/cmd/internal/show"
	"ninefold/roots/contexts"
	"ninefold/sessiond/decided"

	livectx "ninefold/sessiond/contexts"
)

func (a *app) contextPromote() *cobra.Command {
	var dry, yes bool
	c := a.jsonFlag(a.onContext("promote [--dry-run] [--yes] NAME", "Install the packages of a context on the machine",
		`promote has apt install on the machine what was asked for in the context, in the
versions that the archives have now, and remove what was removed there. It asks
first; --dry-run shows the command and runs nothing. Files are never brought: it says
which ones stay in the context, which stays as it is.

A user other than root has it done by way of sessionctl host: the host policy decides
whether it may be, as a rule about /usr/bin/sessionctl context promote says.`,
		func(ctx context.Context, all *livectx.Contexts, r contexts.Record) error {
			p, err := all.Promotion(ctx, r)
			if err != nil {
				return err
			}
			if a.json {
				if !dry {
					return exit.Usagef("add --dry-run", "--json shows what promote would do, and does nothing")
				}
				return show.JSON(a.Out, p)
			}
			a.tellPromotion(p)
			if dry {
				return nil
			}
			if !yes {
				if ok, err := a.confirm("install on the machine?"); err != nil || !ok {
					return err
				}
			}
			code, err := p.Promote(context.WithoutCancel(ctx), a.In, a.Out, a.Err)
			if err == nil && code != 0 {
				err = &exit.Error{Code: exit.Failed, Hint: "what apt said stands above", Err: fmt.Errorf("promote the context %s: apt-get ended with status %d", r.Name, code)}
			}
			return err
		}))
	asRoot := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if os.Geteuid() == 0 {
			return asRoot(c, args)
		}
		return a.promoteByPolicy(args[0], dry, yes)
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would be done, and do nothing")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// promoteByPolicy has the broker run the command as root, on the host, if the host
// policy says that the caller may have that done.
func (a *app) promoteByPolicy(name string, dry, yes bool) error {
	if a.json {
		return exit.Usagef("without --json", "promote: only root gets JSON")
	}
	if err := contextError(contexts.CheckName(name)); err != nil {
		return err
	}
	argv := []string{"sessionctl", "context", "promote"}
	if dry {
		argv = append(argv, "--dry-run")
	}
	if yes {
		argv = append(argv, "--yes")
	}
	status, err := host.Run(host.Stdio{In: a.In, Out: a.Out, Err: a.Err}, host.Options{Command: append(argv, name)})
	if err == nil {
		a.status = &status
	}
	return err
}

func (a *app) tellPromotion(p livectx.Promotion) {
	fmt.Fprintln(a.Out, plain(strings.Join(p.Command, " ")))
	for i, f := range p.Left {
		if i == maxLeftOut {
			fmt.Fprintf(a.Out, "and %d more stay in the context; hc diff lists them\n", len(p.Left)-maxLeftOut)
			return
		}
		fmt.Fprintf(a.Out, "stays in the context: %s %s\n", signs[f.Change], plain(f.Path))
	}
}

// confirm asks the person at the terminal. Without one it is an error.
func (a *app) confirm(question string) (bool, error) {
	if !decided.IsTerminal(a.In) {
		return false, exit.Usagef("add --yes, or --dry-run to look", "there is nobody to ask: the standard input is no terminal")
	}
	fmt.Fprint(a.Err, question+" [y/N] ")
	line, err := bufio.NewReader(io.LimitReader(a.In, 1024)).ReadString('\n')
	if err != nil && line == "" {
		return false, nil
	}
	return strings.EqualFold(strings.TrimSpace(line), "y") || strings.EqualFold(strings.TrimSpace(line), "yes"), nil
}
