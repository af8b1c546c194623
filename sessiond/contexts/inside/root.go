package inside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
	"ninefold/roots/contexts"
)

// Root is a context's root with its holder, open.
type Root struct {
	plan   *plan.Plan
	holder *os.File // pidfd
	pid    int
	frozen bool // see live
}

// Close closes what it takes to have it, and ends nothing.
func (r *Root) Close() {
	if r.holder != nil {
		r.holder.Close()
	}
}

// hold makes the live root of a context, without a command.
func (i *Roots) hold(ctx context.Context, r contexts.Record) (*Root, error) {
	var frozen bool
	s, p, err := i.start(ctx, r, r.Layer, func(p *plan.Plan) (err error) {
		frozen, err = i.freeze(r, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Until it is let go the holder ends with us: it is never live without a record.
	if err := write(r, s, p, frozen); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	holder, err := s.Detach()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Root{p, holder, s.PID(), frozen}, nil
}

// Make makes the root of a context over one of its layers, for nobody to enter. It
// ends with us, or when the caller calls end, which returns its error.
func (i *Roots) Make(ctx context.Context, r contexts.Record, layer string) (_ *Root, end func() error, err error) {
	s, p, err := i.start(ctx, r, layer, nil)
	if err != nil {
		return nil, nil, err
	}
	pidfd, err := unix.PidfdOpen(s.PID(), 0)
	if err != nil {
		return nil, nil, errors.Join(os.NewSyscallError("pidfd_open", err), s.Close())
	}
	root := &Root{plan: p, holder: os.NewFile(uintptr(pidfd), "pidfd"), pid: s.PID()}
	return root, func() error {
		root.Close()
		return s.Close()
	}, nil
}

// start makes the root of a context over one of its layers, without a command. change,
// if set, changes what was decided.
func (i *Roots) start(ctx context.Context, r contexts.Record, layer string, change func(*plan.Plan) error) (*namespaces.Session, *plan.Plan, error) {
	return i.build(ctx, r, layer, func(p *plan.Plan, hold []*os.File) (*namespaces.Session, error) {
		if change != nil {
			if err := change(p); err != nil {
				return nil, err
			}
		}
		return namespaces.Start(context.WithoutCancel(ctx), p, namespaces.Command{Hold: hold})
	})
}

// build decides the root of a context over one of its layers, prepares that, and
// has start make the root and hold open what belongs to it.
func (i *Roots) build(ctx context.Context, r contexts.Record, layer string, start func(p *plan.Plan, hold []*os.File) (*namespaces.Session, error)) (*namespaces.Session, *plan.Plan, error) {
	// An overlay must not be written to while it is a layer of another one.
	if err := i.store.Unstood(r, layer); err != nil {
		return nil, nil, err
	}
	p, hold, err := i.decide(ctx, r, layer)
	if err != nil {
		return nil, nil, err
	}
	defer func() { // the first process has them by then
		for _, f := range hold {
			f.Close()
		}
	}()
	first, ids, err := pickRange(ctx, r.ID)
	if err != nil {
		return nil, nil, err
	}
	hold = append(hold, ids)
	ns := p.Ops[0].(plan.Namespaces)
	ns.First = first
	p.Ops[0] = ns
	dir := i.store.LayerDir(r, layer)
	if begun, err := contexts.KeepBase(dir, "/"); err != nil {
		return nil, nil, err
	} else if begun && layer == r.Layer {
		// Between making and using it the machine may have changed.
		if err := i.store.Update(r, func(r *contexts.Record) error { r.Stands = Host(time.Now().UTC()); return nil }); err != nil {
			return nil, nil, err
		}
	}
	if err := prepare(dir, p, first); err != nil {
		return nil, nil, err
	}
	settled(dir, p)
	s, err := start(p, hold)
	if err != nil {
		return nil, nil, fmt.Errorf("make the root of the context %s: %w", r.Name, err)
	}
	return s, p, nil
}

// As runs f with the root directory of a live root, as who is root there.
func (r *Root) As(f func(at *os.File, first uint32) error) error {
	first := r.plan.Ops[0].(plan.Namespaces).First
	// A magic link, which is what leads into the root.
	at, err := os.OpenFile("/proc/"+strconv.Itoa(r.pid)+"/root", unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer at.Close()
	return kernel.OnThread(func() error {
		if err := kernel.Unshare(unix.CLONE_FS); err != nil { // and a umask of 0
			return err
		}
		return kernel.AsRootOf(first, func() error { return f(at, first) })
	})
}
