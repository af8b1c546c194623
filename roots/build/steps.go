package build

import (
	"context"
	"fmt"
	"sync"

	"ninefold/namespaces/plan"
	"ninefold/roots/driver"
	"ninefold/roots/finish"
	"ninefold/roots/image"
	"ninefold/roots/pkg"
	"ninefold/roots/store"
)

// stepCache keeps the results of finishing steps in the store's conversion
// cache, and remembers which it gave or took.
type stepCache struct {
	store *store.Store
	mu    sync.Mutex
	used  []pkg.Digest
}

func stepKey(key pkg.Digest) string { return "step " + key.String() }

func (c *stepCache) use(id pkg.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = append(c.used, id)
}

func (c *stepCache) Step(key pkg.Digest) (*pkg.Package, bool) {
	id, ok := c.store.Converted(stepKey(key))
	if !ok {
		return nil, false
	}
	p, err := c.store.Package(id)
	if err != nil {
		return nil, false
	}
	c.use(id)
	return p, true
}

func (c *stepCache) SetStep(key pkg.Digest, p *pkg.Package) error {
	id, err := c.store.PutPackage(p)
	if err != nil {
		return err
	}
	c.use(id)
	return c.store.SetConverted(stepKey(key), id)
}

// lazySandbox composes the image as it is before the steps when the first step
// needs it: often all results are in the cache and none does.
type lazySandbox struct {
	job      *job
	manifest image.Manifest
	id       image.ID
	made     bool
	mu       sync.Mutex
	sandbox  *sandbox
}

func (l *lazySandbox) Temp() (string, func(), error) { return l.job.Store.TempDir("finish") }

func (l *lazySandbox) Run(ctx context.Context, below []string, upper string, commands []finish.Command) error {
	s, err := l.prepare(ctx)
	if err != nil {
		return fmt.Errorf("prepare the sandbox: %w", err)
	}
	return s.Run(ctx, below, upper, commands)
}

func (l *lazySandbox) layers(ctx context.Context) ([]plan.Layer, error) {
	j := l.job
	var err error
	if l.id, err = j.Store.PutImage(&l.manifest); err != nil {
		return nil, err
	}
	l.made = true
	if err := j.Driver.Compose(ctx, j.Store, l.id, driver.Full); err != nil {
		return nil, err
	}
	return j.Driver.Layers(j.Store, l.id, driver.Full)
}

func (l *lazySandbox) prepare(ctx context.Context) (*sandbox, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sandbox != nil {
		return l.sandbox, nil
	}
	layers, err := l.layers(ctx)
	if err != nil {
		return nil, err
	}
	if l.job.chain.OnHost() {
		layers = append(layers, plan.Layer{Kind: plan.LayerDir, Source: l.job.Root})
	}
	l.sandbox = &sandbox{layers: layers, initDir: l.job.InitDir, fetched: l.job.files, epoch: l.job.lock.Date()}
	return l.sandbox, nil
}

// close forgets the unfinished image. It is in nobody's way, so that it stays
// after a failure until the next collection does no harm.
func (l *lazySandbox) close() {
	if l.made && l.id != l.job.image.ID {
		_ = l.job.Store.RemoveImage(l.id)
	}
}
