package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"ninefold/cmd/internal/show"
	"ninefold/roots/debian"
	"ninefold/roots/image"
	"ninefold/roots/inventory"
	"ninefold/roots/lock"
	"ninefold/roots/osv"
	"ninefold/roots/pkg"
	"ninefold/roots/recipe/recipefile"
	"ninefold/roots/store"
	"ninefold/sessiond/manager"
)

// outdated is image outdated.
func outdated(ctx context.Context, args []string) error {
	offline := false
	return inStore("outdated", args, func(f *pflag.FlagSet) {
		f.BoolVar(&offline, "offline", false, "ask what was kept of the archives")
	}, func(r *request, m *manager.Manager, s *store.Store, names []string) error {
		if len(names) == 0 {
			tags, err := s.Tags()
			if err != nil {
				return err
			}
			names = slices.Sorted(maps.Keys(tags))
		}
		known, err := osv.Open(osv.File(m.State()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		w, err := inventory.Load(ctx, s)
		if err != nil {
			return err
		}
		a := &asking{m: m, s: s, offline: offline, now: map[pkg.Digest]map[string]lock.Available{}}
		for _, dir := range m.Config() {
			a.dirs = append(a.dirs, filepath.Join(dir, "recipes"))
		}
		a.locks = lock.Known(a.dirs...)
		out := []inventory.Outdated{}
		done := map[image.ID]bool{}
		for _, name := range names {
			id, err := s.Resolve(name)
			if err != nil {
				return err
			}
			if done[id] {
				continue
			}
			done[id] = true
			if err := a.ask(ctx, name, id); err != nil {
				return err
			}
			found, err := w.Outdated(ctx, id, a.now, known)
			if err != nil {
				return err
			}
			out = append(out, found...)
		}
		return r.tellOutdated(out)
	})
}

// asking asks archives what they have, once for each lock.
type asking struct {
	m *manager.Manager
	s *store.Store
	// offline asks what was kept of the archives the last time.
	offline bool
	dirs    []string
	locks   map[pkg.Digest]*lock.Lock
	now     map[pkg.Digest]map[string]lock.Available
}

func (a *asking) ask(ctx context.Context, name string, id image.ID) error {
	chain, err := a.s.Chain(id)
	if err != nil {
		return err
	}
	recipes, err := recipefile.Load(a.dirs...)
	if err != nil {
		return err
	}
	for _, m := range chain {
		if m.Lock.IsZero() || a.now[m.Lock] != nil {
			continue
		}
		l := a.locks[m.Lock]
		if l == nil {
			a.now[m.Lock] = map[string]lock.Available{}
			fmt.Fprintf(os.Stderr, "sessionctl: %s: the lock file that image %s was built from is not beside its recipe: its packages are not looked at\n", name, m.Name)
			continue
		}
		// A recipe that is gone leaves the keys of the machine.
		keyring, expired := "", false
		if c, err := recipes.Chain(l.Recipe); err == nil {
			keyring, expired = c.Source().Keyring, c.Source().AllowExpired
		}
		if a.now[m.Lock], err = debian.Newest(ctx, l, keyring, expired, debian.Options{Dir: filepath.Join(a.m.State(), "apt"), Offline: a.offline, Sink: a.s.Progress()}); err != nil {
			return err
		}
	}
	return nil
}

func (r *request) tellOutdated(out []inventory.Outdated) error {
	if r.json {
		return show.JSON(os.Stdout, out)
	}
	var rows [][]string
	for _, o := range out {
		name := strings.Join(o.Names, ", ")
		if name == "" {
			name = "(" + o.Image + ")"
		}
		mends := strings.Join(o.Mends[:min(len(o.Mends), 3)], ", ")
		if more := len(o.Mends) - 3; more > 0 {
			mends += fmt.Sprintf(" and %d more", more)
		} else if mends == "" {
			mends = "-"
		}
		rows = append(rows, []string{name, o.Package, o.Version, o.Newest, o.By, mends})
	}
	return show.Table(os.Stdout, []string{"IMAGE", "PACKAGE", "VERSION", "NEWEST", "BROUGHT BY", "MENDS"}, rows)
}
