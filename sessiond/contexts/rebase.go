package contexts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"ninefold/roots/contexts"
)

// ErrReplay says that the package manager could not do again what was asked of it.
var ErrReplay = errors.New("the packages of the context cannot be had on the machine as it is now")

// Rebased says what became of a context on the machine as it is now.
type Rebased struct {
	// Moved is false when the machine had not changed.
	Moved    bool     `json:"moved"`
	Packages []string `json:"packages"` // as they were asked for
	*contexts.Carried
}

// Rebase moves a context along: it makes a fresh layer over the machine as it is
// now, has the package manager do in it what it was asked for, and carries over
// what was changed by hand. Nobody may be in the context. The old layer is kept
// for undo, and stays in use when anything goes wrong. The packages that leave names
// are not asked for again. What the package manager
// says goes to out.
func (c *Contexts) Rebase(ctx context.Context, r contexts.Record, leave []string, out *os.File) (done Rebased, err error) {
	return c.moveAlong(ctx, r, false, leave, out)
}

// moveAlong is Rebase; with follow a context that is pinned comes back to the host.
func (c *Contexts) moveAlong(ctx context.Context, r contexts.Record, follow bool, leave []string, out *os.File) (done Rebased, err error) {
	claim, err := c.Claim(r, false)
	if err != nil {
		return done, err
	}
	defer claim.Release()
	r = claim.Record()
	fail := func(err error) (Rebased, error) {
		return done, fmt.Errorf("rebase the context %s: %w", r.Name, err)
	}
	if r.Stands.Pin != "" && !follow {
		return fail(ErrPinned)
	}
	to := r
	if to.Stands, err = c.next(ctx, r); err != nil {
		return fail(err)
	}
	if r.Stands.Pin == to.Stands.Pin && r.Stands.Same(to.Stands) {
		return done, nil
	}
	if err := c.over(ctx, to, contexts.CheckPackages); err != nil {
		return fail(err)
	}
	var requests contexts.Requests
	err = c.over(ctx, r, func(root string) (err error) {
		// Files that the machine has not changed are still what they were.
		if err := c.store.KeepOriginals(ctx, r, root, time.Now()); err != nil {
			return err
		}
		requests, err = c.store.Requests(r, root)
		return err
	})
	if err == nil {
		requests, err = without(requests, leave)
	}
	if err != nil {
		return fail(err)
	}
	layer, err := claim.Begin()
	if err != nil {
		return fail(err)
	}
	if done.Carried, err = c.fill(ctx, to, layer, requests, out); err != nil {
		return fail(err)
	}
	if err := c.store.KeepConflicts(r, layer, done.Conflicts); err != nil {
		return fail(err)
	}
	done.Moved, done.Packages = true, requests.Install
	why := "rebase"
	if follow {
		why = "follow"
	}
	if err := claim.Replace(layer, why, to.Stands, time.Now().UTC()); err != nil {
		return fail(err)
	}
	return done, nil
}

// fill makes in a fresh layer what the context was asked for. The root that is
// made for that ends with us.
func (c *Contexts) fill(ctx context.Context, r contexts.Record, layer string, q contexts.Requests, out *os.File) (_ *contexts.Carried, err error) {
	made, end, err := c.Make(ctx, r, layer)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	root := &root{made}
	// Where packages come from, first of all.
	what := contexts.Carrying{From: r.Layer, To: layer, Want: ofSources}
	sources, err := c.carry(ctx, r, root, what)
	if err != nil {
		return nil, err
	}
	// What apt does goes on one processor for the most part: another one reads meanwhile.
	both, during := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		what.Edited, err = c.store.Edited(during, r, r.Layer)
		return err
	})
	both.Go(func() error { return root.replay(during, q, out) })
	if err := both.Wait(); err != nil {
		return nil, err
	}
	what.Want = func(name string) bool { return !ofSources(name) }
	all, err := c.carry(ctx, r, root, what)
	if err == nil {
		all.Files += sources.Files
		all.Merged = append(sources.Merged, all.Merged...)
		all.Conflicts = append(sources.Conflicts, all.Conflicts...)
		all.LeftOut = append(sources.LeftOut, all.LeftOut...)
	}
	return all, err
}

// ofSources reports whether a file says where packages come from, and whom to
// believe.
func ofSources(name string) bool {
	for _, dir := range []string{"/etc/apt", "/usr/share/keyrings", "/usr/local/share/keyrings"} {
		if within(name, dir) {
			return true
		}
	}
	return false
}

func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// replay has apt do again what it was asked for.
func (r *root) replay(ctx context.Context, q contexts.Requests, out *os.File) error {
	run := func(argv ...string) error {
		status, err := r.Run(ctx, Request{Command: append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}, argv...), Stdout: out, Stderr: out})
		if err == nil && status.Code != 0 {
			err = fmt.Errorf("%w: %s ended with status %d", ErrReplay, argv[0], status.Code)
		}
		return err
	}
	if len(q.Install) > 0 {
		// Without a network the lists that are there have to do.
		if err := run("apt-get", "update", "-qq"); err != nil && !errors.Is(err, ErrReplay) {
			return err
		}
		if err := r.obtainable(ctx, q.Install); err != nil {
			return err
		}
		// Replace brings the layer to disk before anything speaks of it: dpkg need not,
		// file by file.
		install := []string{"apt-get", "install", "-qq", "-y", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", "-o", "Dpkg::Options::=--force-unsafe-io", "--"}
		if err := run(append(install, q.Install...)...); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		how   string
		names []string
	}{{"manual", q.Manual}, {"auto", q.Auto}} {
		if len(m.names) == 0 {
			continue
		}
		if err := run(append([]string{"apt-mark", "-qq", m.how, "--"}, m.names...)...); err != nil && !errors.Is(err, ErrReplay) {
			return err // a package that is gone has no mark
		}
	}
	return nil
}

// carry carries files over into a live root, as its root.
func (c *Contexts) carry(ctx context.Context, r contexts.Record, to *root, what contexts.Carrying) (out *contexts.Carried, err error) {
	err = to.As(func(at *os.File, first uint32) error {
		out, err = c.store.Carry(ctx, r, at, first, what)
		return err
	})
	return out, err
}

// Forecast says what a rebase would carry over and what would conflict, as far as
// that can be told without the packages. to stands on what it would be moved along
// to.
func (c *Contexts) Forecast(ctx context.Context, r, to contexts.Record) (out *contexts.Carried, err error) {
	err = c.over(ctx, to, func(root string) error {
		at, err := os.Open(root)
		if err != nil {
			return err
		}
		defer at.Close()
		out, err = c.store.Carry(ctx, r, at, 0, contexts.Carrying{From: r.Layer})
		return err
	})
	return out, err
}

// Settle settles a conflict: with mine the context's side is put in place, and
// otherwise the machine's stays.
func (c *Contexts) Settle(ctx context.Context, r contexts.Record, name string, mine bool) error {
	claim, err := c.Claim(r, false)
	if err != nil {
		return err
	}
	defer claim.Release()
	r = claim.Record()
	if !mine {
		return c.store.Settle(r, name, nil, 0)
	}
	if _, err := c.store.Mine(r, name); err != nil {
		return err
	}
	live, end, err := c.Make(ctx, r, r.Layer)
	if err != nil {
		return err
	}
	err = live.As(func(at *os.File, first uint32) error { return c.store.Settle(r, name, at, first) })
	return errors.Join(err, end())
}

// Mine writes the context's side of a conflict to out.
func (c *Contexts) Mine(ctx context.Context, r contexts.Record, name string, out io.Writer) error {
	if err := c.store.Ready(ctx, r); err != nil {
		return err
	}
	at, err := c.store.Mine(r, name)
	if err != nil || at == "" {
		return err
	}
	if text, err := os.Readlink(at); err == nil {
		_, err = fmt.Fprintln(out, text)
		return err
	}
	f, err := os.Open(filepath.Clean(at))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(out, f)
	return err
}
