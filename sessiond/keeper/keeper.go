// Package keeper tells what live views have written, and brings back what
// logouts left: sessiond/parked in the words of the api.
package keeper

import (
	"context"
	"errors"
	"fmt"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/api"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/parked"
	"ninefold/sessiond/views"
)

// Keeper implements api.Keeper.
type Keeper struct {
	views   *views.Views
	shelf   *parked.Shelf
	manager func() *manager.Manager
	users   identity.Host
}

var _ api.Keeper = (*Keeper)(nil)

// New returns the Keeper of these views.
func New(v *views.Views, s *parked.Shelf, m func() *manager.Manager) *Keeper {
	return &Keeper{views: v, shelf: s, manager: m}
}

// Changes says what a view has written so far, and what becomes of it.
func (k *Keeper) Changes(ctx context.Context, view string) (c api.Changes, err error) {
	v, err := k.views.Get(view)
	if err != nil {
		return c, err
	}
	d := v.Describe()
	c.Stale = k.manager().Stale(d.Layers, d.Plan, d.Created)
	c.Kept = v.Kept()
	l, err := v.Layers()
	if errors.Is(err, parked.ErrNone) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	defer l.Close()
	a, err := l.Count(ctx)
	c.Files, c.Bytes, c.More, c.Parks = a.Files, a.Bytes, a.More, l.Parks
	return c, err
}

// Parked lists what is parked.
func (k *Keeper) Parked(context.Context) ([]api.Parked, error) {
	items, err := k.shelf.List()
	out := []api.Parked{}
	for _, it := range items {
		out = append(out, api.Parked{ID: it.ID, UID: it.UID, User: it.User, Profile: it.Profile, Kind: it.Kind, When: it.When,
			Files: it.Files, Bytes: it.Bytes, Left: it.Left, Why: it.Why})
	}
	return out, err
}

func (k *Keeper) find(id string) (parked.Item, error) {
	it, err := k.shelf.Find(id)
	if errors.Is(err, parked.ErrNotFound) {
		err = fmt.Errorf("nothing is put aside as %s: %w", id, api.ErrNotFound)
	}
	return it, err
}

// Restore writes what is parked into a view of the same user.
func (k *Keeper) Restore(ctx context.Context, view, id string, asRoot, over bool) (r api.Restored, err error) {
	it, err := k.find(id)
	if err != nil {
		return r, err
	}
	v, err := k.views.Get(view)
	if err != nil {
		return r, err
	}
	if v.UID() != it.UID {
		return r, fmt.Errorf("restore %s: %w: it is another user's than view %s", id, api.ErrPolicy, view)
	}
	u, err := k.users.ByUID(ctx, v.UID())
	if err != nil {
		return r, err
	}
	files, _, err := v.Namespaces()
	if err != nil {
		return r, err
	}
	for _, f := range files {
		defer f.Close()
	}
	into := parked.Into{View: files[0], User: plan.Identity{UID: u.UID, GID: u.GID, Groups: u.Groups}, AsRoot: asRoot && v.Trusted(), Over: over}
	if l, err := v.Layers(); err == nil {
		defer l.Close()
		into.Written = l
	}
	got, err := k.shelf.Restore(ctx, it, into)
	if err != nil {
		err = fmt.Errorf("restore %s: %w", id, err)
	}
	return api.Restored{Files: got.Files, Written: got.Written, Roots: got.Roots, Failed: got.Failed, Why: got.Why}, err
}

// Discard removes what is parked for good.
func (k *Keeper) Discard(_ context.Context, id string) error {
	it, err := k.find(id)
	if err != nil {
		return err
	}
	return k.shelf.Discard(it)
}
