package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/image"
	"ninefold/roots/registry"
	"ninefold/roots/store"
	"ninefold/sessiond/manager"
)

// transfer is image push or image pull, as how says.
func transfer(ctx context.Context, how string, args []string) error {
	var o registry.Options
	var signatures bool
	return inStore(how, args, func(f *pflag.FlagSet) {
		if how == "push" {
			f.BoolVar(&signatures, "signatures", false, "send signatures alone")
		}
		f.StringVar(&o.UserAgent, "user-agent", "", "what to tell the registry that we are")
	}, func(r *request, m *manager.Manager, s *store.Store, args []string) error {
		if len(args) == 0 {
			return exit.Usagef("see sessionctl image "+how+" --help", "image %s: nothing is named", how)
		}
		var err error
		if o.Accept, err = accept(m, s); err != nil {
			return err
		}
		var id image.ID
		reference := args[len(args)-1]
		if how == "pull" {
			id, err = registry.Pull(ctx, s, reference, o)
		} else if id, err = s.Resolve(args[0]); err == nil && signatures {
			_, err = registry.PushSignatures(ctx, s, id, reference, o)
		} else if err == nil {
			err = registry.Push(ctx, s, id, reference, o)
		}
		if err != nil {
			return err
		}
		return r.named(reference, id)
	})
}

// accept is what the machine's trust files say of an image from outside.
func accept(m *manager.Manager, s *store.Store) (func(context.Context, string, image.ID) error, error) {
	policy, err := m.Trust()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, reference string, id image.ID) error {
		_, err := policy.Accept(ctx, s, reference, id, time.Now())
		return err
	}, nil
}

// named tells which image a name stands for now.
func (r *request) named(reference string, id image.ID) error {
	if r.json {
		return show.JSON(os.Stdout, map[string]any{"id": id, "reference": reference})
	}
	_, err := fmt.Printf("%s  %s\n", reference, id)
	return err
}
