package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"ninefold/cmd/internal/exit"
	"ninefold/cmd/internal/show"
	"ninefold/roots/export"
	"ninefold/roots/image"
	"ninefold/roots/store"
	"ninefold/sessiond/manager"
)

// inStore reads the common flags and those that add defines of image how, and
// opens the store, for root, for what f does with the arguments.
func inStore(how string, args []string, add func(*pflag.FlagSet), f func(r *request, m *manager.Manager, s *store.Store, args []string) error) error {
	r := &request{}
	flags := pflag.NewFlagSet("image "+how, pflag.ContinueOnError)
	flags.StringVar(&r.config, "config", "", "directory of configuration")
	flags.StringVar(&r.state, "state", "", "directory of the store")
	flags.BoolVar(&r.json, "json", false, "print JSON")
	add(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return err
		}
		return exit.Usagef("see sessionctl image "+how+" --help", "image %s: %v", how, err)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("image %s: %w", how, manager.ErrNotRoot)
	}
	m := manager.Open(manager.Options{Config: r.config, State: r.state})
	s, err := m.Store()
	if err != nil {
		return err
	}
	defer s.Close()
	p := show.NewProgress(os.Stderr, r.json)
	defer p.Close()
	return f(r, m, s.WithProgress(p), flags.Args())
}

// exportImage is image export.
func exportImage(ctx context.Context, args []string) error {
	form, media, profiles := "", "", ""
	return inStore("export", args, func(f *pflag.FlagSet) {
		f.StringVar(&form, "to", "", "what to write")
		f.StringVar(&media, "media", "", "the directory for images and what belongs to them")
		f.StringVar(&profiles, "profiles", "", "profiles to lay beside them")
	},
		func(r *request, m *manager.Manager, s *store.Store, args []string) error {
			if media != "" {
				return r.exportMedia(ctx, m, s, args, media, form, profiles)
			}
			if len(args) != 2 || profiles != "" {
				return exit.Usagef("usage: sessionctl image export IMAGE --to FORM FILE", "image export: %d arguments", len(args))
			}
			id, err := s.Resolve(args[0])
			if err != nil {
				return err
			}
			name := args[0]
			if !image.ValidReference(name) {
				name = "" // an id
			}
			if err := export.Export(ctx, s, id, name, form, args[1]); err != nil {
				return err
			}
			if r.json {
				return show.JSON(os.Stdout, map[string]any{"id": id, "form": form, "file": args[1]})
			}
			return nil
		})
}
