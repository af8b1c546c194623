package inside

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/roots/contexts"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/identity"
)

// Request is a command in a context.
type Request struct {
	// Command is argv; empty is a shell.
	Command []string
	// User is whom it runs as, by the accounts of the context; "" is root.
	User string
	// The files stay the caller's.
	Stdin, Stdout, Stderr *os.File
	// Begun, if set, is called when the command has been started.
	Begun func()
}

// Enter runs a command in a context and waits for it. The last one out takes the
// live root down. The caller is root.
func (i *Roots) Enter(ctx context.Context, r contexts.Record, q Request) (status namespaces.Status, err error) {
	use, err := i.store.Use(ctx, r)
	if err != nil {
		return status, err
	}
	defer func() {
		// What the command came to is not changed by how leaving went.
		if left := i.leave(r, use); left != nil && q.Stderr != nil {
			fmt.Fprintf(q.Stderr, "sessionctl: leave the context %s: %v\n", r.Name, left)
		}
	}()
	// As it is now: it may have been changed while Use waited.
	now, err := i.store.Again(r)
	if err != nil {
		return status, err
	}
	s, sees, err := i.enter(ctx, now, q)
	if err != nil {
		return status, err
	}
	if q.Begun != nil {
		q.Begun()
	}
	if sees && !now.Stands.Elsewhere() {
		defer watch(q.Stderr)()
	}
	return wait(ctx, s)
}

// enter starts a command in the live root of a context, or makes that with it. sees
// says whether those inside see a change of the machine's packages at once.
func (i *Roots) enter(ctx context.Context, r contexts.Record, q Request) (_ *namespaces.Session, sees bool, err error) {
	unlock, err := i.lock(r)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	root, err := i.find(r)
	if err != nil {
		return nil, false, err
	}
	told := func() {
		if q.Stderr != nil && Moved(r) {
			fmt.Fprintf(q.Stderr, "sessionctl: the machine has changed since the context %s was begun; sessionctl context rebase %s moves it along\n", r.Name, r.Name)
		}
	}
	if root == nil && q.User == "" {
		told()
		return i.open(ctx, r, q)
	}
	if root == nil {
		if root, err = i.hold(ctx, r); err != nil {
			return nil, false, err
		}
	}
	defer root.Close()
	told()
	if q.Stderr != nil && i.Stale(r) {
		fmt.Fprintf(q.Stderr, "sessionctl: %s\n", HostChanged)
	}
	s, err := root.start(ctx, q)
	return s, !root.frozen, err
}

// open makes the live root of a context with a command as the first in it.
func (i *Roots) open(ctx context.Context, r contexts.Record, q Request) (_ *namespaces.Session, sees bool, err error) {
	s, _, err := i.build(ctx, r, r.Layer, func(p *plan.Plan, hold []*os.File) (*namespaces.Session, error) {
		frozen, err := i.freeze(r, p)
		if err != nil {
			return nil, err
		}
		sees = !frozen
		own, c, err := q.command(ctx, p)
		if err != nil {
			return nil, err
		}
		c.Hold = hold
		return namespaces.Open(context.WithoutCancel(ctx), own, c, func(s *namespaces.Session) error {
			return write(r, s, p, frozen)
		})
	})
	return s, sees, err
}

// leave gives the use of a context back; behind the last user nothing stays live.
func (i *Roots) leave(r contexts.Record, use *os.File) error {
	use.Close()
	claim, err := i.store.Claim(r)
	if errors.Is(err, contexts.ErrInUse) || errors.Is(err, contexts.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer claim.Release()
	if err := i.part(r); err != nil {
		return err
	}
	return i.settle(context.Background(), claim.Record())
}

// command is a request as the namespaces have it, with its plan: p with what is the
// request's own.
func (q Request) command(ctx context.Context, p *plan.Plan) (own *plan.Plan, c namespaces.Command, err error) {
	argv := q.Command
	own = &plan.Plan{Class: p.Class, Ops: p.Ops[:len(p.Ops):len(p.Ops)]}
	if t := decided.Terminal(); t != "" {
		own.Ops = append(own.Ops, plan.Environment{Name: "TERM", Value: t})
	}
	shell := "/bin/sh"
	for _, op := range own.Ops {
		if e, ok := op.(plan.Environment); ok && e.Name == "SHELL" {
			shell = e.Value
		}
	}
	if q.User != "" {
		if shell, err = as(ctx, own, q.User); err != nil {
			return nil, c, err
		}
	}
	if len(argv) == 0 {
		argv = []string{shell}
	}
	return own, namespaces.Command{
		Argv: argv, Stdin: q.Stdin, Stdout: q.Stdout, Stderr: q.Stderr, TTY: decided.IsTerminal(q.Stdin) && decided.IsTerminal(q.Stdout)}, nil
}

// start starts a command in a live root.
func (r *Root) start(ctx context.Context, q Request) (*namespaces.Session, error) {
	p, c, err := q.command(ctx, r.plan)
	if err != nil {
		return nil, err
	}
	return namespaces.Join(p, r.holder, r.pid, c)
}

// Run runs a command in a live root.
func (r *Root) Run(ctx context.Context, q Request) (namespaces.Status, error) {
	s, err := r.start(ctx, q)
	if err != nil {
		return namespaces.Status{}, err
	}
	return wait(ctx, s)
}

func wait(ctx context.Context, s *namespaces.Session) (namespaces.Status, error) {
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.Signal(unix.SIGTERM) })()
	defer decided.Forward(s)()
	return s.Wait()
}

// as turns the plan of root's command into one of another user's, who may become
// root inside. Accounts are those of the host.
func as(ctx context.Context, p *plan.Plan, name string) (shell string, err error) {
	u, err := identity.Host{}.ByName(ctx, name)
	if err != nil {
		return "", err
	}
	if u.UID == 0 {
		return u.Shell, nil
	}
	for i, op := range p.Ops {
		switch o := op.(type) {
		case plan.Privileges:
			o.Capabilities, o.Bounding = nil, o.Capabilities
			p.Ops = append(append(p.Ops[:i:i], o), p.Ops[i+1:]...)
		case plan.Identity:
			p.Ops = append(append(p.Ops[:i:i], plan.Identity{UID: u.UID, GID: u.GID, Groups: u.Groups}), p.Ops[i+1:]...)
		}
	}
	for _, e := range [][2]string{{"HOME", u.Home}, {"USER", u.Name}, {"LOGNAME", u.Name}, {"SHELL", u.Shell}} {
		p.Ops = append(p.Ops, plan.Environment{Name: e[0], Value: e[1]})
	}
	p.Ops = append(p.Ops, plan.Chdir{Dir: u.Home})
	return u.Shell, nil
}
