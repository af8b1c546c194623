// Package contexts is what is done with host contexts beside entering them: it
// decides their roots, compares, commits and rebases.
package contexts

import (
	"context"
	"errors"
	"time"

	"ninefold/roots/contexts"
	"ninefold/sessiond/contexts/inside"
	"ninefold/sessiond/manager"
)

// Contexts are those in a manager's state directory.
type Contexts struct {
	*inside.Roots
	m     *manager.Manager
	store *contexts.Store
}

// Of returns the contexts of m.
func Of(m *manager.Manager) *Contexts { return on(m, contexts.On(m.State())) }

// OfUser returns them for a user who may have at most so many.
func OfUser(m *manager.Manager, most int) *Contexts {
	return on(m, contexts.On(m.State()).AtMost(most))
}

func on(m *manager.Manager, store *contexts.Store) *Contexts {
	c := &Contexts{m: m, store: store}
	c.Roots = inside.Of(c.store, c.plan).Through(c.over)
	return c
}

// Request is a command in a context.
type Request = inside.Request

// root is a live root, and what is done in one.
type root struct{ *inside.Root }

// Store is where they are kept.
func (c *Contexts) Store() *contexts.Store { return c.store }

// Size is what new contexts are bounded to, in bytes; 0 is nothing.
func (c *Contexts) Size() (int64, error) { return c.m.ContextSize() }

// New makes a context over the machine as it is now, bounded to size bytes unless
// that is 0.
func (c *Contexts) New(ctx context.Context, owner uint32, name string, size int64) (contexts.Record, error) {
	if err := c.m.Rely(); err != nil {
		return contexts.Record{}, err
	}
	now := time.Now().UTC()
	return c.store.Create(ctx, owner, name, size, inside.Host(now), now)
}

// Default makes the context that everybody has without asking for it, bounded to
// size bytes unless that is 0.
func (c *Contexts) Default(ctx context.Context, owner uint32, size int64) (contexts.Record, error) {
	r, err := c.New(ctx, owner, contexts.Default, size)
	if errors.Is(err, contexts.ErrExists) { // by somebody else just now
		return c.store.Find(owner, contexts.Default)
	}
	return r, err
}
