package remote

import (
	"context"
	"time"

	"ninefold/sessiond/api"
	"ninefold/sessiond/bus"
)

// Changes says what a view has written so far: to its user and to root.
func (d *Daemon) Changes(ctx context.Context, view string) (c api.Changes, err error) {
	var files, bytes uint64
	err = d.ask(ctx, workTimeout, bus.ViewPath(view), bus.ViewInterface+".GetChanges").Store(&files, &bytes, &c.More, &c.Kept, &c.Parks, &c.Stale)
	c.Files, c.Bytes = int64(files), int64(bytes)
	return c, err
}

// Parked lists what is put aside of this user's, for root of everybody's.
func (d *Daemon) Parked(ctx context.Context) ([]api.Parked, error) {
	var rows []struct {
		ID                       string
		UID                      uint32
		User, Profile, Kind      string
		When, Files, Bytes, Left uint64
		Why                      string
	}
	err := d.ask(ctx, answerTimeout, bus.Path, bus.ManagerInterface+".ListParked").Store(&rows)
	out := []api.Parked{}
	for _, r := range rows {
		out = append(out, api.Parked{ID: r.ID, UID: r.UID, User: r.User, Profile: r.Profile, Kind: r.Kind,
			When: time.UnixMicro(int64(r.When)).UTC(), Files: int64(r.Files), Bytes: int64(r.Bytes), Left: int64(r.Left), Why: r.Why})
	}
	return out, err
}

// Restore writes what is put aside into a view of the same user.
func (d *Daemon) Restore(ctx context.Context, view, id string, over bool) (r api.Restored, err error) {
	var files, written, roots, failed uint64
	err = d.ask(ctx, workTimeout, bus.ViewPath(view), bus.ViewInterface+".Restore", id, over).Store(&files, &written, &roots, &failed, &r.Why)
	r.Files, r.Written, r.Roots, r.Failed = int64(files), int64(written), int64(roots), int64(failed)
	return r, err
}

// Discard removes what is put aside for good.
func (d *Daemon) Discard(ctx context.Context, id string) error {
	return d.ask(ctx, workTimeout, bus.Path, bus.ManagerInterface+".DiscardParked", id).Err
}
