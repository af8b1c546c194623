package contexts

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
	"ninefold/roots/contexts"
	"ninefold/sessiond/identity"
)

// ErrUsers says that something is not done with a context that is not root's: what is
// in it is another user's doing.
var ErrUsers = errors.New("it is not an administrator's context")

// reader is who has to be allowed to read what a context shows of the machine; nil
// for root's.
func reader(ctx context.Context, r contexts.Record) (*plan.Reader, error) {
	if r.Owner == 0 {
		return nil, nil
	}
	u, err := identity.Host{}.ByUID(ctx, r.Owner)
	if err != nil {
		return nil, fmt.Errorf("context %s: look up whose it is: %w", r.Name, err)
	}
	return &plan.Reader{UID: u.UID, GID: u.GID, Groups: u.Groups}, nil
}

// shade makes the shade of a layer of a user's context that is about to be used for
// the first time.
func (c *Contexts) shade(ctx context.Context, r contexts.Record, layer string) error {
	dir := c.store.LayerDir(r, layer)
	if r.Owner == 0 || contexts.Shade(dir) != "" {
		return nil
	}
	spec, err := c.spec(ctx, r, layer)
	if err != nil {
		return err
	}
	root, done, err := c.look(ctx, r, spec)
	if err != nil {
		return err
	}
	err = kernel.OnThread(func() error {
		if err := kernel.Unshare(unix.CLONE_FS); err != nil { // and a umask of 0
			return err
		}
		return contexts.MakeShade(ctx, dir, root)
	})
	return errors.Join(err, done())
}
