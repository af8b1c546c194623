package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ninefold/cmd/internal/show"
	"ninefold/roots/build"
	"ninefold/roots/image"
	"ninefold/roots/rebuild"
	"ninefold/roots/recipe"
	"ninefold/roots/recipe/recipefile"
	"ninefold/sessiond/manager"
)

// outcome is one image of the result, as it is printed.
type outcome struct {
	Name      string             `json:"name"`
	ID        image.ID           `json:"id"`
	Unchanged bool               `json:"unchanged"`
	Locked    bool               `json:"locked"` // its lock file was written
	Packages  int                `json:"packages"`
	Converted int                `json:"converted"`
	Seconds   float64            `json:"seconds"`
	Stages    map[string]float64 `json:"stages,omitempty"` // seconds
	// Same says, after a check, whether the second build gave the same.
	Same        *bool                `json:"same,omitempty"`
	Differences []rebuild.Difference `json:"differences,omitempty"`
}

func (r *request) build(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("build images: %w", manager.ErrNotRoot)
	}
	m := manager.Open(manager.Options{Config: r.config, State: r.state})
	first, err := m.InitDir()
	if err != nil {
		return fmt.Errorf("build images: %w", err)
	}
	if r.sign != "" {
		// A name that is wrong is told before the work.
		if r.key, err = m.PrivateKey(r.sign); err != nil {
			return err
		}
	}
	recipes, names, err := r.load(ctx, m.Config())
	if err != nil {
		return err
	}
	s, err := m.Store()
	if err != nil {
		return err
	}
	defer s.Close()
	d, err := m.Driver(s)
	if err != nil {
		return err
	}
	p := show.NewProgress(os.Stderr, r.json)
	defer p.Close()
	s = s.WithProgress(p)
	c := build.Config{Store: s, Driver: d, Recipes: recipes, State: m.State(), InitDir: first, Progress: p}
	for _, dir := range m.Config() {
		c.Locks = append(c.Locks, filepath.Join(dir, "recipes"))
	}
	if r.again {
		return r.elsewhere(ctx, c, names)
	}
	all, err := r.each(ctx, c, names)
	if err != nil {
		return err
	}
	if r.check {
		if err := r.compare(ctx, c, all); err != nil {
			return err
		}
	}
	if err := r.signAll(ctx, s, all); err != nil {
		return err
	}
	// A login composes nothing: what profiles need of the new images is made
	// now. A profile that cannot be used says so when it is used.
	m.WithProgress(p).Ready(ctx)
	p.Close()
	for _, o := range all {
		lacks, err := m.Lacks(ctx, s, o.ID)
		if err != nil {
			return err
		}
		for _, l := range lacks {
			fmt.Fprintf(os.Stderr, "warning: image %s %s\n", o.Name, l)
		}
	}
	return r.tell(all)
}

func (r *request) each(ctx context.Context, c build.Config, names []string) ([]outcome, error) {
	var all []outcome
	done := map[string]bool{}
	for _, name := range names {
		result, err := build.Build(ctx, c, name, build.Options{Relock: r.relock, Offline: r.offline})
		if err != nil {
			return nil, err
		}
		for _, i := range result.Images {
			if done[i.Name] {
				continue // a parent of two recipes
			}
			done[i.Name] = true
			o := outcome{Name: i.Name, ID: i.ID, Unchanged: i.Unchanged, Locked: i.Locked, Packages: i.Packages, Converted: i.Converted, Stages: map[string]float64{}}
			for _, s := range i.Stages {
				o.Stages[s.Name] += s.Took.Seconds()
				o.Seconds += s.Took.Seconds()
			}
			all = append(all, o)
		}
	}
	return all, nil
}

func (r *request) tell(all []outcome) error {
	if r.json {
		return errors.Join(show.JSON(os.Stdout, all), differ(all))
	}
	var rows, found [][]string
	for _, o := range all {
		what := "built in " + time.Duration(o.Seconds*float64(time.Second)).Round(10*time.Millisecond).String()
		if o.Unchanged {
			what = "unchanged"
		}
		if o.Same != nil && *o.Same {
			what += ", and the same again"
		}
		for _, d := range o.Differences {
			found = append(found, []string{d.Image, subject(d), strings.Join(d.What, ", "), strings.Join(d.By, ", ")})
		}
		rows = append(rows, []string{o.Name, o.ID.Short(), fmt.Sprint(o.Packages), what})
	}
	err := show.Table(os.Stdout, []string{"IMAGE", "ID", "PACKAGES", "RESULT"}, rows)
	if len(found) > 0 {
		fmt.Println()
		err = errors.Join(err, show.Table(os.Stdout, []string{"IMAGE", "IN", "DIFFERS IN", "MADE BY STEP"}, found))
	}
	return errors.Join(err, differ(all))
}

// load reads the recipes of the configuration, and those that are named by a
// file or a git reference.
func (r *request) load(ctx context.Context, config []string) (*recipe.Set, []string, error) {
	var dirs []string
	for _, d := range config {
		dirs = append(dirs, filepath.Join(d, "recipes"))
	}
	set, err := recipefile.Load(dirs...)
	if err != nil {
		return nil, nil, err
	}
	var more []*recipe.Recipe
	var names []string
	for _, arg := range r.recipes {
		one, err := outside(ctx, arg)
		if err != nil {
			return nil, nil, err
		}
		if one == nil {
			names = append(names, arg)
			continue
		}
		more = append(more, one)
		names = append(names, one.Name)
	}
	if len(more) == 0 {
		return set, names, nil
	}
	for _, name := range set.Names() {
		known, err := set.Get(name)
		if err != nil {
			return nil, nil, err
		}
		more = append(more, known)
	}
	set, err = recipe.NewSet(more...)
	return set, names, err
}

// outside reads a recipe that is not named by its name; nil if it is.
func outside(ctx context.Context, arg string) (*recipe.Recipe, error) {
	switch {
	case strings.HasPrefix(arg, "git+"):
		ref, err := recipefile.ParseReference(arg)
		if err != nil {
			return nil, err
		}
		text, err := recipefile.Git(ctx, ref)
		if err != nil {
			return nil, err
		}
		one, err := recipe.Parse(ref.Path, text)
		if err != nil {
			return nil, err
		}
		paths := []string{one.Source.Directory, one.Source.Tarball, one.Source.Keyring}
		for _, f := range one.Fetch {
			paths = append(paths, f.Lock)
		}
		for _, p := range paths {
			if p != "" && !filepath.IsAbs(p) {
				return nil, fmt.Errorf("%w: %s: it names %s: a recipe from git stands in no directory, so give the whole path", recipe.ErrInvalid, arg, p)
			}
		}
		return one, nil
	case strings.Contains(arg, "/") || strings.HasSuffix(arg, ".toml"):
		return recipefile.File(arg)
	}
	return nil, nil
}
