package bus

import (
	"context"

	"github.com/godbus/dbus/v5"

	"ninefold/sessiond/api"
)

// parkedRow is a row of ListParked.
type parkedRow struct {
	ID                       string
	UID                      uint32
	User, Profile, Kind      string
	When, Files, Bytes, Left uint64
	Why                      string
}

func (c *call) keeper() (api.Keeper, error) {
	if c.bus.Keeper == nil {
		return nil, &dbus.Error{Name: "org.freedesktop.DBus.Error.NotSupported", Body: []any{"nothing is put aside here"}}
	}
	return c.bus.Keeper, nil
}

// listParked tells everybody of their own, and root of everybody's.
func listParked(ctx context.Context, c *call) ([]any, error) {
	k, err := c.keeper()
	if err != nil {
		return nil, err
	}
	who, err := c.bus.identify(ctx, c.sender)
	if err != nil {
		return nil, err
	}
	all, err := k.Parked(ctx)
	rows := []parkedRow{}
	for _, p := range all {
		if who.root() || who.uid == p.UID {
			rows = append(rows, parkedRow{text(p.ID), p.UID, text(p.User), text(p.Profile), text(p.Kind), microseconds(p.When),
				uint64(p.Files), uint64(p.Bytes), uint64(p.Left), text(p.Why)})
		}
	}
	return []any{rows}, err
}

func discardParked(ctx context.Context, c *call) ([]any, error) {
	k, err := c.keeper()
	if err != nil {
		return nil, err
	}
	all, err := k.Parked(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.ID == c.text(0) {
			if err := c.own(ctx, p.UID, "what is put aside"); err != nil {
				return nil, err
			}
			return nil, k.Discard(ctx, p.ID)
		}
	}
	return nil, api.ErrNotFound
}

func getChanges(ctx context.Context, c *call) ([]any, error) {
	return c.onView(ctx, "what a view has written", func(ctx context.Context, k api.Keeper, view string, _ bool) ([]any, error) {
		g, err := k.Changes(ctx, view)
		return []any{uint64(g.Files), uint64(g.Bytes), g.More, g.Kept, g.Parks, texts(g.Stale)}, err
	})
}

// restore writes as root only for root.
func restore(ctx context.Context, c *call) ([]any, error) {
	return c.onView(ctx, "what is put aside", func(ctx context.Context, k api.Keeper, view string, root bool) ([]any, error) {
		r, err := k.Restore(ctx, view, c.text(0), root, c.args[1].(bool))
		return []any{uint64(r.Files), uint64(r.Written), uint64(r.Roots), uint64(r.Failed), text(r.Why)}, err
	})
}

// onView does for the owner of the view, or for root, what takes a while, when the
// work that is under way lets it.
func (c *call) onView(ctx context.Context, what string, do func(ctx context.Context, k api.Keeper, view string, root bool) ([]any, error)) ([]any, error) {
	k, err := c.keeper()
	if err != nil {
		return nil, err
	}
	v := c.object.view
	if err := c.own(ctx, v.UID, what); err != nil {
		return nil, err
	}
	who, err := c.bus.identify(ctx, c.sender)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	done, err := c.bus.work.begin(ctx, who.uid)
	if err != nil {
		return nil, err
	}
	defer done()
	return do(ctx, k, v.ID, who.root())
}
