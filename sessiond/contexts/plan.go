package contexts

import (
	"context"
	"os"
	"path/filepath"

	"ninefold/namespaces/plan"
	"ninefold/roots/contexts"
	"ninefold/sessiond/contexts/inside"
)

// plan decides the root of a context over one of its layers, and keeps the decision
// for the next one who enters.
func (c *Contexts) plan(ctx context.Context, r contexts.Record, layer string) (*plan.Plan, []*os.File, error) {
	dir := c.store.LayerDir(r, layer)
	_, statErr := os.Stat(inside.Status)
	dpkg := statErr == nil
	if r.Stands.Elsewhere() {
		if err := c.keepBase(ctx, r, dir); err != nil {
			return nil, nil, err
		}
		dpkg = contexts.HasPackages(dir)
	}
	if err := c.shade(ctx, r, layer); err != nil {
		return nil, nil, err
	}
	spec, err := c.spec(ctx, r, layer)
	if err != nil {
		return nil, nil, err
	}
	spec.Upper, spec.First, spec.Path, spec.Files, spec.Links = dir, plan.FirstRange, shimDir, files(dpkg), links()
	spec.Binds = []plan.Bind{{Source: filepath.Join(dir, inside.HeardDir), Target: heardDir, Flags: plan.Flags{NoSuid: true, NoDev: true, NoExec: true}}}
	spec.Facts = []string{inside.Status, dir, filepath.Join(dir, contexts.HomesLayer, "upper")}
	return c.m.DecideContext(ctx, spec, inside.Name(r, layer))
}

// keepBase keeps with a layer that was never used what packages are below it.
func (c *Contexts) keepBase(ctx context.Context, r contexts.Record, dir string) error {
	if contexts.HasBase(dir) {
		return nil
	}
	return c.over(ctx, r, func(root string) error {
		_, err := contexts.KeepBase(dir, root)
		return err
	})
}
