package contexts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"ninefold/namespaces"
	"ninefold/roots/contexts"
	"ninefold/roots/store"
	"ninefold/sessiond/contexts/inside"
	"ninefold/sessiond/manager"
)

// spec says what a layer of a context stands on.
func (c *Contexts) spec(ctx context.Context, r contexts.Record, layer string) (s manager.ContextSpec, err error) {
	if s, err = manager.ContextOf(c.store, r, layer); err != nil || r.Owner == 0 {
		return s, err
	}
	s.Shade = contexts.Shade(c.store.LayerDir(r, layer))
	s.Reader, err = reader(ctx, r)
	return s, err
}

// below is the root that a context lies over: "/", or that of a look at it, which
// ends when done is called.
func (c *Contexts) below(ctx context.Context, r contexts.Record) (root string, done func() error, err error) {
	if !r.Stands.Elsewhere() && r.Owner == 0 {
		return "/", func() error { return nil }, nil
	}
	spec, err := c.spec(ctx, r, r.Layer)
	if err != nil {
		return "", nil, err
	}
	return c.look(ctx, r, spec)
}

// look makes the root of spec, to be looked at until done is called.
func (c *Contexts) look(ctx context.Context, r contexts.Record, spec manager.ContextSpec) (root string, done func() error, err error) {
	p, hold, err := c.m.Context(ctx, spec)
	if err != nil {
		return "", nil, err
	}
	defer closeAll(hold) // the holder has them by then
	s, err := namespaces.Start(context.WithoutCancel(ctx), p, namespaces.Command{Hold: hold})
	if err != nil {
		return "", nil, fmt.Errorf("look at what the context %s stands on: %w", r.Name, err)
	}
	// A magic link, which is what leads into the root.
	return "/proc/" + strconv.Itoa(s.PID()) + "/root", s.Close, nil
}

// over runs f with the root that a context lies over.
func (c *Contexts) over(ctx context.Context, r contexts.Record, f func(root string) error) error {
	root, done, err := c.below(ctx, r)
	if err != nil {
		return err
	}
	return errors.Join(f(root), done())
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// now is what a context would stand on if it were moved along: the host as it is, or
// what its image's name stands for by now. What is pinned stays.
func (c *Contexts) now(ctx context.Context, r contexts.Record) (contexts.Stands, error) {
	at := time.Now().UTC()
	switch {
	case r.Stands.Pin != "":
		return r.Stands, nil
	case r.Stands.Image == "":
		return inside.Host(at), nil
	}
	s, err := c.onImage(ctx, r.Stands.Named, at)
	if errors.Is(err, store.ErrNotFound) {
		// Its name is gone, or another one's: it is not.
		if s, err = c.onImage(ctx, r.Stands.Image, at); err == nil {
			s.Named = r.Stands.Named
		}
	}
	return s, err
}

// onImage describes an image as a context would stand on it.
func (c *Contexts) onImage(ctx context.Context, name string, at time.Time) (s contexts.Stands, err error) {
	id, onHost, err := c.m.ContextImage(ctx, name)
	if err != nil {
		return s, err
	}
	s = inside.Host(at)
	if !onHost {
		s.Packages, s.Stamp, s.Release = id, id, "image "+name
	}
	s.Image, s.Named = id, name
	return s, nil
}

// state says whether what a context stands on has changed since it was begun. It
// costs a few stat calls where a context stands on the host, and that has not.
func (c *Contexts) state(ctx context.Context, r contexts.Record) (string, error) {
	if r.Stands.Image == "" {
		if inside.Moved(r) {
			return HostMoved, nil
		}
		return UpToDate, nil
	}
	now, err := c.now(ctx, r)
	switch {
	case err != nil || r.Stands.Same(now):
		return UpToDate, err
	case r.Stands.Image != now.Image:
		return ImageMoved, nil
	}
	return HostMoved, nil
}

// NewOn makes a context on an image of the store, bounded to size bytes unless that
// is 0.
func (c *Contexts) NewOn(ctx context.Context, owner uint32, name, image string, size int64) (contexts.Record, error) {
	if err := c.m.Rely(); err != nil {
		return contexts.Record{}, err
	}
	now := time.Now().UTC()
	var err error
	stands := contexts.Stands{}
	if owner != 0 {
		err = ErrUsers
	} else {
		stands, err = c.onImage(ctx, image, now)
	}
	if err != nil {
		return contexts.Record{}, fmt.Errorf("make the context %s: %w", name, err)
	}
	return c.store.Create(ctx, owner, name, size, stands, now)
}

// NewFrom makes a context that is another one's copy, bounded to size bytes unless
// that is 0. Nobody may be in that meanwhile.
func (c *Contexts) NewFrom(ctx context.Context, from contexts.Record, name string, size int64) (contexts.Record, error) {
	claim, err := c.Claim(from, false)
	if err != nil {
		return contexts.Record{}, err
	}
	defer claim.Release()
	return claim.Clone(ctx, name, size, time.Now().UTC())
}

// Hold keeps the images that contexts stand on in the store until what it returns
// is called: they are used, whether somebody is in such a context or not.
func (c *Contexts) Hold(s *store.Store) (release func(), err error) {
	all, err := c.store.List(0, true)
	if err != nil {
		return nil, fmt.Errorf("find the images that contexts stand on: %w", err)
	}
	var ids []string
	for _, r := range all {
		ids = append(ids, r.Images()...)
	}
	return c.m.HoldImages(s, ids), nil
}
