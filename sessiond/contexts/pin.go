package contexts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/roots/contexts"
	"ninefold/sessiond/contexts/inside"
)

var (
	// ErrPinned says that a context is cut loose from the host.
	ErrPinned = errors.New("the context is cut loose from the host")
	// ErrNotPinned says that it is not.
	ErrNotPinned = errors.New("the context is not cut loose from the host")
	// ErrMoved says that the host has changed under a context.
	ErrMoved = errors.New("the host has changed since the context was begun")
	// ErrBusyPackages says that a package manager is at work on the host.
	ErrBusyPackages = errors.New("a package manager is at work on the machine")
)

// next is what a context is moved along to: the host, for one that is pinned.
func (c *Contexts) next(ctx context.Context, r contexts.Record) (contexts.Stands, error) {
	if r.Stands.Pin != "" {
		return inside.Host(time.Now().UTC()), nil
	}
	return c.now(ctx, r)
}

// NewPinned makes a context that stands on the host as it is now, whatever becomes
// of that, bounded to size bytes unless that is 0. It tells tell beforehand how many
// bytes are copied.
func (c *Contexts) NewPinned(ctx context.Context, owner uint32, name string, size int64, tell func(bytes int64)) (contexts.Record, error) {
	if err := c.m.Rely(); err != nil {
		return contexts.Record{}, err
	}
	if owner != 0 { // it would copy what its user may not read, and keep apt waiting
		return contexts.Record{}, fmt.Errorf("make the context %s: %w", name, ErrUsers)
	}
	var r contexts.Record
	err := c.still(func(p contexts.Pin) (err error) {
		now := time.Now().UTC()
		r, err = c.store.CreateFilled(ctx, contexts.Record{Name: name, Owner: owner, Created: now, Stands: inside.Host(now), Size: size},
			func(layers string, r *contexts.Record) error {
				r.Last++
				r.Stands.Pin = "2"
				return p.Copy(ctx, layers, r.Stands.Pin, tell)
			})
		return err
	})
	return r, err
}

// Pin has a context stand on the host as it is now, whatever becomes of that. Nobody
// may be in it.
func (c *Contexts) Pin(ctx context.Context, r contexts.Record, tell func(bytes int64)) error {
	claim, err := c.Claim(r, false)
	if err != nil {
		return err
	}
	defer claim.Release()
	r = claim.Record()
	switch {
	case r.Owner != 0:
		return fmt.Errorf("pin the context %s: %w", r.Name, ErrUsers)
	case r.Stands.Pin != "":
		return fmt.Errorf("pin the context %s: %w", r.Name, ErrPinned)
	case r.Stands.Image != "":
		return fmt.Errorf("pin the context %s: %w: it stands on the image %s", r.Name, errors.ErrUnsupported, r.Stands.Named)
	}
	return c.still(func(p contexts.Pin) error {
		if inside.Moved(r) {
			return fmt.Errorf("pin the context %s: %w", r.Name, ErrMoved)
		}
		return claim.Pin(ctx, p, tell)
	})
}

// Follow brings a context that is pinned back to the host as it is now: see Rebase.
func (c *Contexts) Follow(ctx context.Context, r contexts.Record, leave []string, out *os.File) (Rebased, error) {
	if r.Stands.Pin == "" {
		return Rebased{}, fmt.Errorf("have the context %s follow the host: %w", r.Name, ErrNotPinned)
	}
	return c.moveAlong(ctx, r, true, leave, out)
}

// still runs f while no package manager changes the host, which is in order.
func (c *Contexts) still(f func(contexts.Pin) error) error {
	p, err := c.m.Pin()
	if err != nil {
		return err
	}
	for _, name := range []string{"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"} {
		lock, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue // a machine without dpkg, or one that was never used
		}
		if err != nil {
			return err
		}
		defer lock.Close()
		// dpkg and apt take a lock of their process, which this one conflicts with
		// (fcntl(2)).
		if err := inside.LockWhole(lock); errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return ErrBusyPackages
		} else if err != nil {
			return fmt.Errorf("lock %s: %w", name, err)
		}
	}
	if err := contexts.CheckPackages("/"); err != nil {
		return err
	}
	return f(p)
}
