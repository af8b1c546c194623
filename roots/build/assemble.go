package build

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"ninefold/roots/finish"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
)

// assemble joins the packages, runs the finishing steps over them and stores
// the image.
func (j *job) assemble(ctx context.Context, refs []image.Ref) error {
	start := time.Now()
	locked, err := j.lock.Digest()
	if err != nil {
		return err
	}
	m := &image.Manifest{Name: j.recipe.Name, Parent: j.parent, Packages: refs, Environment: j.environment(), Lock: locked}
	if m.Requires, err = j.requires(ctx); err != nil {
		return err
	}
	m.Version = m.Form()
	if m.Host, err = j.hostFingerprint(); err != nil {
		return err
	}
	var chain []*image.Manifest
	if !j.parent.IsZero() {
		if chain, err = j.Store.Chain(j.parent); err != nil {
			return err
		}
	}
	built, err := j.Store.Built(ctx, append(chain, m))
	if err != nil {
		return err
	}
	tree, err := image.Flatten(built)
	if err != nil {
		return err
	}
	j.image.timed("flatten", start)

	start = time.Now()
	steps := &stepCache{store: j.Store}
	if err := j.finish(ctx, m, built, tree, steps); err != nil {
		return err
	}
	j.image.timed("finish", start)

	start = time.Now()
	defer func() { j.image.timed("record", start) }()
	if j.image.ID, err = j.Store.PutImage(m); err != nil {
		return err
	}
	return j.Store.SetFinished(j.image.ID, steps.used)
}

// environment is what the chain's recipes fix; a child's wins.
func (j *job) environment() map[string]string {
	env := map[string]string{}
	if j.chain.OnImage() != "" {
		maps.Copy(env, j.inherited)
	}
	for _, r := range j.chain {
		maps.Copy(env, r.Environment)
	}
	if len(env) == 0 {
		return nil
	}
	return env
}

// finish runs the steps and puts their result into the manifest.
func (j *job) finish(ctx context.Context, m *image.Manifest, built []image.Built, tree *image.Tree, steps *stepCache) error {
	view, objects, err := j.view(ctx, tree)
	if err != nil {
		return err
	}
	remove, err := j.fetch(ctx)
	if err != nil {
		return err
	}
	defer remove()
	box := &lazySandbox{job: j, manifest: *m}
	defer box.close()
	ran, err := finish.Run(ctx, objects, view, finish.Options{
		Steps: j.recipe.Finish.Steps, Host: j.chain.OnHost(), Params: j.params(built), Sandbox: box,
		Cache: steps, Progress: j.Progress,
	})
	j.image.Steps = ran
	if err != nil {
		return err
	}
	entries, removed := view.Result()
	m.Removed = removed
	if len(entries) == 0 {
		return nil
	}
	p := &pkg.Package{Name: "_finishing", Arch: "all", Entries: entries}
	m.Finishing, err = j.Store.PutPackage(p)
	return err
}

func (j *job) params(built []image.Built) finish.Params {
	p := finish.Params{Run: j.recipe.Finish.Run, Fetched: j.fetched()}
	var all []*pkg.Package
	for _, b := range built {
		for i, q := range b.Packages {
			all = append(all, q)
			if !strings.HasPrefix(q.Name, "_") {
				p.Packages = append(p.Packages, finish.Installed{Name: q.Name, Version: q.Version, Arch: q.Arch, Digest: b.Manifest.Packages[i].Digest, Entries: q.Entries})
			}
		}
	}
	slices.SortFunc(all, func(a, b *pkg.Package) int { return strings.Compare(a.Name, b.Name) })
	for _, q := range all {
		join(&p.Declared, &q.Declared)
	}
	for _, r := range j.chain {
		d := &r.Declare
		join(&p.Recipe, &pkg.Declared{Users: d.Users, Groups: d.Groups, Alternatives: d.Alternatives, Capabilities: d.Capabilities, Overrides: d.Overrides})
	}
	return p
}

func join(into, from *pkg.Declared) {
	into.Users = append(into.Users, from.Users...)
	into.Groups = append(into.Groups, from.Groups...)
	into.Alternatives = append(into.Alternatives, from.Alternatives...)
	into.Overrides = append(into.Overrides, from.Overrides...)
	into.Capabilities = append(into.Capabilities, from.Capabilities...)
}
