package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/image"
	"ninefold/roots/registry"
	"ninefold/sessiond/manager"
)

// transfer is image push or image pull, as how says.
func transfer(ctx context.Context, how string, args []string) error {
	var r request
	var o registry.Options
	f := pflag.NewFlagSet("image "+how, pflag.ContinueOnError)
	f.StringVar(&r.config, "config", "", "directory of configuration")
	f.StringVar(&r.state, "state", "", "directory of the store")
	f.BoolVar(&r.json, "json", false, "print JSON")
	f.StringVar(&o.UserAgent, "user-agent", "", "what to tell the registry that we are")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		return exit.Usagef("see sessionctl image "+how+" --help", "image %s: %v", how, err)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("image %s: %w", how, manager.ErrNotRoot)
	}
	m := manager.Open(manager.Options{Config: r.config, State: r.state})
	policy, err := m.Trust()
	if err != nil {
		return err
	}
	s, err := m.Store()
	if err != nil {
		return err
	}
	defer s.Close()
	p := show.NewProgress(os.Stderr, r.json)
	defer p.Close()
	s = s.WithProgress(p)
	o.Accept = func(ctx context.Context, reference string, id image.ID) error {
		_, err := policy.Accept(ctx, s, reference, id, time.Now())
		return err
	}
	var id image.ID
	reference := f.Arg(f.NArg() - 1)
	if how == "pull" {
		id, err = registry.Pull(ctx, s, reference, o)
	} else if id, err = s.Resolve(f.Arg(0)); err == nil {
		err = registry.Push(ctx, s, id, reference, o)
	}
	if err != nil {
		return err
	}
	p.Close()
	if r.json {
		return show.JSON(os.Stdout, map[string]any{"id": id, "reference": reference})
	}
	_, err = fmt.Printf("%s  %s\n", reference, id)
	return err
}
