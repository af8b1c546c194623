// Package contexts enters host contexts: it makes their roots live, lets several
// people into one, and takes it down behind the last.
package contexts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/internal/regular"
	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/roots/compat"
	"ninefold/roots/contexts"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/manager"
)

// Contexts are those in a manager's state directory.
type Contexts struct {
	m     *manager.Manager
	store *contexts.Store
}

// Of returns the contexts of m.
func Of(m *manager.Manager) *Contexts { return &Contexts{m, contexts.On(m.State())} }

// Store is where they are kept.
func (c *Contexts) Store() *contexts.Store { return c.store }

// Host describes the machine as a context would stand on it now.
func Host(now time.Time) contexts.Stands {
	s := contexts.Stands{At: now, Release: "unknown", Stamp: compat.Stamp("/")}
	s.Packages, _ = compat.Fingerprint("/") // a machine without dpkg has none
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		s.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if b, err := regular.Read("/etc/os-release", 64<<10); err == nil {
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				s.Release = strings.Trim(v, `"'`)
			}
		}
	}
	return s
}

// Request is a command in a context.
type Request struct {
	// Command is argv; empty is a shell.
	Command []string
	// User is whom it runs as, by the accounts of the context; "" is root.
	User string
	// The files stay the caller's.
	Stdin, Stdout, Stderr *os.File
}

// Enter runs a command in a context and waits for it. The last one out takes the
// live root down.
func (c *Contexts) Enter(ctx context.Context, r contexts.Record, q Request) (status namespaces.Status, err error) {
	if os.Geteuid() != 0 {
		return status, fmt.Errorf("enter the context %s: %w", r.Name, manager.ErrNotRoot)
	}
	use, err := c.store.Use(ctx, r)
	if err != nil {
		return status, err
	}
	defer func() {
		// What the command came to is not changed by how leaving went.
		if left := c.leave(r, use); left != nil && q.Stderr != nil {
			fmt.Fprintf(q.Stderr, "sessionctl: leave the context %s: %v\n", r.Name, left)
		}
	}()
	root, err := c.join(ctx, r)
	if err != nil {
		return status, err
	}
	defer root.close()
	if q.Stderr != nil && Moved(r) {
		fmt.Fprintf(q.Stderr, "sessionctl: the machine has changed since the context %s was begun; sessionctl context rebase %s moves it along\n", r.Name, r.Name)
	}
	return root.run(ctx, q)
}

// Moved reports whether the machine has changed since a context was begun. It
// costs a few stat calls where it has not.
func Moved(r contexts.Record) bool {
	return r.Stands.Stamp != compat.Stamp("/") && !r.Stands.Same(Host(time.Time{}))
}

// leave gives the use of a context back; behind the last user nothing stays live.
func (c *Contexts) leave(r contexts.Record, use *os.File) error {
	use.Close()
	claim, err := c.store.Claim(r)
	if errors.Is(err, contexts.ErrInUse) || errors.Is(err, contexts.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer claim.Release()
	if err := c.stop(r); err != nil {
		return err
	}
	return c.store.KeepOriginals(context.Background(), claim.Record(), "/", time.Now())
}

// run runs a command in a live root.
func (r *root) run(ctx context.Context, q Request) (status namespaces.Status, err error) {
	argv := q.Command
	p := &plan.Plan{Class: r.plan.Class, Ops: r.plan.Ops[:len(r.plan.Ops):len(r.plan.Ops)]}
	if t := decided.Terminal(); t != "" {
		p.Ops = append(p.Ops, plan.Environment{Name: "TERM", Value: t})
	}
	shell := "/bin/sh"
	for _, op := range p.Ops {
		if e, ok := op.(plan.Environment); ok && e.Name == "SHELL" {
			shell = e.Value
		}
	}
	if q.User != "" {
		if shell, err = as(ctx, p, q.User); err != nil {
			return status, err
		}
	}
	if len(argv) == 0 {
		argv = []string{shell}
	}
	s, err := namespaces.Join(p, r.holder, r.pid, namespaces.Command{
		Argv: argv, Stdin: q.Stdin, Stdout: q.Stdout, Stderr: q.Stderr, TTY: decided.IsTerminal(q.Stdin) && decided.IsTerminal(q.Stdout)})
	if err != nil {
		return status, err
	}
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

// Running reports whether somebody is in the context, or its root is still live.
func (c *Contexts) Running(r contexts.Record) bool {
	l := c.live(r)
	if l == nil {
		return false
	}
	holder := l.open()
	if holder == nil {
		return false
	}
	holder.Close()
	return true
}

// Claim claims a context for a change. With force whoever is in it is thrown out.
func (c *Contexts) Claim(r contexts.Record, force bool) (*contexts.Claim, error) {
	return c.claim(r, c.store.Claim, force)
}

// Delete removes a context for good.
func (c *Contexts) Delete(r contexts.Record, force bool) error {
	claim, err := c.claim(r, c.store.ClaimToDelete, force)
	if err != nil {
		return err
	}
	defer claim.Release()
	return c.store.Delete(r)
}

func (c *Contexts) claim(r contexts.Record, how func(contexts.Record) (*contexts.Claim, error), force bool) (*contexts.Claim, error) {
	claim, err := how(r)
	for tries := 0; force && errors.Is(err, contexts.ErrInUse) && tries < 100; tries++ {
		if err := c.stop(r); err != nil {
			return nil, err
		}
		time.Sleep(20 * time.Millisecond)
		claim, err = how(r)
	}
	if err != nil {
		return nil, err
	}
	if err := c.stop(r); err != nil {
		claim.Release()
		return nil, err
	}
	return claim, nil
}

// Size is what new contexts are bounded to, in bytes; 0 is nothing.
func (c *Contexts) Size() (int64, error) { return c.m.ContextSize() }

// New makes a context over the machine as it is now, bounded to size bytes unless
// that is 0.
func (c *Contexts) New(ctx context.Context, owner uint32, name string, size int64) (contexts.Record, error) {
	if err := c.m.Rely(); err != nil {
		return contexts.Record{}, err
	}
	now := time.Now().UTC()
	return c.store.Create(ctx, owner, name, size, Host(now), now)
}
