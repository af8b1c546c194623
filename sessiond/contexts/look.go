package contexts

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"ninefold/internal/regular"
	"ninefold/roots/contexts"
	"ninefold/sessiond/contexts/inside"
)

// Difference is how a context differs from the machine, and what package scripts
// in it asked of the machine, which was not done.
type Difference struct {
	*contexts.Diff
	Asked []Heard `json:"asked"`
}

// Diff compares a context with the machine. With all it tells of every file.
func (c *Contexts) Diff(ctx context.Context, r contexts.Record, all bool) (d Difference, err error) {
	if err := c.store.Ready(ctx, r); err != nil {
		return d, err
	}
	ours := map[string]string{}
	for _, f := range files(true) {
		ours[f.Path] = f.Content
	}
	if err = c.over(ctx, r, func(root string) (err error) {
		d.Diff, err = c.store.Compare(ctx, r, root, ours, all)
		return err
	}); err != nil {
		return d, err
	}
	b, err := regular.Read(filepath.Join(c.store.LayerDir(r, r.Layer), inside.HeardDir, inside.HeardFile), maxHeard)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	d.Asked = parseHeard(string(b))
	return d, err
}

// Status is how a context stands to the machine.
type Status struct {
	Name    string `json:"name"`
	Running bool   `json:"running"`
	// Stale says that the machine's packages changed while the context is open.
	Stale bool `json:"stale,omitempty"`
	// State is "up to date", "host moved", "image moved" or "cut loose".
	State string `json:"state"`
	// Packages are those of the machine that changed since, and Kernel and Release
	// what is another now, "" when it is the same.
	Packages []contexts.PackageChange `json:"packages"`
	Kernel   string                   `json:"kernel,omitempty"`
	Release  string                   `json:"release,omitempty"`
	// Rebase is what would become of the files.
	Rebase *contexts.Carried `json:"rebase,omitempty"`
	// Conflicts are those of the last rebase that are not settled.
	Conflicts []contexts.Conflict `json:"conflicts"`
}

// The states.
const (
	UpToDate   = "up to date"
	HostMoved  = "host moved"
	ImageMoved = "image moved"
	CutLoose   = "cut loose"
)

// HostChanged says what it means that a context is stale.
const HostChanged = inside.HostChanged

// Glance says whether the machine has moved, and no more.
func (c *Contexts) Glance(ctx context.Context, r contexts.Record) (s Status, err error) {
	s = Status{Name: r.Name, Running: c.Running(r), Stale: c.Stale(r), State: UpToDate, Packages: []contexts.PackageChange{}}
	if r.Stands.Pin != "" {
		s.State = CutLoose
	} else {
		s.State, err = c.state(ctx, r)
	}
	var broken error
	s.Conflicts, broken = c.store.Conflicts(r)
	return s, errors.Join(err, broken)
}

// Status compares what a context was begun on with the machine as it is now.
func (c *Contexts) Status(ctx context.Context, r contexts.Record) (Status, error) {
	if err := c.store.Ready(ctx, r); err != nil {
		return Status{}, err
	}
	s, err := c.Glance(ctx, r)
	if err != nil {
		return s, err
	}
	now, err := c.next(ctx, r)
	if err != nil {
		return s, err
	}
	if now.Kernel != r.Stands.Kernel {
		s.Kernel = now.Kernel
	}
	if now.Release != r.Stands.Release {
		s.Release = now.Release
	}
	if s.State == UpToDate {
		return s, nil
	}
	to := r // what it would be moved along to
	to.Stands = now
	err = c.over(ctx, to, func(root string) (err error) {
		s.Packages, err = c.store.Since(r, root)
		return err
	})
	if err != nil {
		return s, err
	}
	s.Rebase, err = c.Forecast(ctx, r, to)
	return s, err
}
