package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"ninefold/roots/store"
	"ninefold/sessiond/bus/remote"
	"ninefold/sessiond/profile"
)

// Completions never fail aloud: a shell that completes has nowhere to say it.

func (a *app) profileNames() []string { return a.manager().Profiles().Names() }

func (a *app) completeProfile(_ *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.profileNames(), cobra.ShellCompDirectiveNoFileComp
}

// completeView completes ids of live views, and says whose they are.
func (a *app) completeView(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	if len(args) == 0 {
		_ = withDaemon(c.Context(), func(d *remote.Daemon) error {
			views, _, err := d.All(c.Context())
			for _, v := range views {
				ids = append(ids, v.ID+"\t"+plain(v.User)+" in "+plain(v.Profile))
			}
			return err
		})
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeImage(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	// A store is made when it is opened, and a key press makes nothing.
	if _, err := os.Stat(a.manager().StoreDir()); err == nil {
		_ = a.inStore(func(s *store.Store) error {
			tags, err := s.Tags()
			names = slices.Sorted(maps.Keys(tags))
			return err
		})
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) completeRecipe(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, dir := range a.manager().Config() {
		files, _ := filepath.Glob(filepath.Join(dir, "recipes", "*.toml"))
		for _, f := range files {
			names = append(names, strings.TrimSuffix(filepath.Base(f), ".toml"))
		}
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

// printTOML writes p with every key.
func printTOML(p *profile.Profile) (string, error) {
	b, err := toml.Marshal(p)
	return string(b), err
}

// keysOf gives p the keys of its file, for JSON.
func keysOf(p *profile.Profile) map[string]any {
	keys := map[string]any{}
	if text, err := printTOML(p); err == nil {
		_ = toml.Unmarshal([]byte(text), &keys) // what was just written
	}
	return keys
}
