package contexts

import (
	"context"
	"os"
	"path/filepath"

	"ninefold/namespaces/plan"
	"ninefold/roots/contexts"
	"ninefold/sessiond/contexts/inside"
	"ninefold/sessiond/manager"
)

// plan decides the root of a context over one of its layers, and keeps the decision
// for the next one who enters.
func (c *Contexts) plan(_ context.Context, r contexts.Record, layer string) (*plan.Plan, error) {
	dir := c.store.LayerDir(r, layer)
	_, statErr := os.Stat(inside.Status)
	spec := manager.ContextSpec{Name: r.Name, Upper: dir, First: plan.FirstRange, Path: shimDir, Files: files(statErr == nil), Links: links(),
		Binds: []plan.Bind{{Source: filepath.Join(dir, inside.HeardDir), Target: heardDir, Flags: plan.Flags{NoSuid: true, NoDev: true, NoExec: true}}},
		Facts: []string{inside.Status, dir}}
	return c.m.DecideContext(spec, inside.Name(r, layer))
}
