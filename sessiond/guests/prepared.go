package guests

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
)

// Prepared is a guest's session in which what must fail was tried and nobody is
// yet. It is ended with Close, by whoever does not let anybody in too.
type Prepared struct {
	guest   *Guest
	plan    *plan.Plan
	command []string
	session *namespaces.Session

	once sync.Once
	err  error
}

// Prepare makes a session as Run does, without a command. ErrHomeWaits says that one
// is never prepared.
func (g *Guests) Prepare(ctx context.Context, s *decided.Session) (p *Prepared, err error) {
	if _, keeps := kept(s.Plan); keeps {
		return nil, fmt.Errorf("profile %s: %w", s.Profile, ErrHomeWaits)
	}
	for range maxTries {
		if p, err = g.prepareOnce(ctx, s); !errors.Is(err, errInUse) {
			break
		}
	}
	return p, err
}

func (g *Guests) prepareOnce(ctx context.Context, s *decided.Session) (*Prepared, error) {
	guest, err := g.begin(ctx, Report{Profile: s.Profile, State: Waiting, Keeper: self()}, plan.GuestHome, noShell)
	if err != nil {
		return nil, err
	}
	p := &Prepared{guest: guest, plan: guest.plan(s), command: s.Command}
	guard, err := guest.Guard()
	if err == nil {
		// Not ended with ctx: it is the caller's to keep.
		p.session, err = namespaces.Start(context.WithoutCancel(ctx), p.plan, namespaces.Command{Guard: guard})
	}
	if err == nil {
		err = guest.written()
	}
	if err != nil {
		guest.State = Live // what was found in it counts
		if p.session != nil {
			err = errors.Join(err, p.session.Close())
		}
		return nil, errors.Join(fmt.Errorf("prepare a session for a guest: %w", err), guest.End())
	}
	return p, nil
}

// Name is what the guest is called.
func (p *Prepared) Name() string { return p.guest.Name }

// UID is the guest's.
func (p *Prepared) UID() uint32 { return p.guest.UID }

// Probed is how long it took to try what must fail.
func (p *Prepared) Probed() time.Duration { return p.guest.guard.Took }

// Admit has it written down that somebody is in.
func (p *Prepared) Admit() {
	p.guest.State, p.guest.Keeper, p.guest.For = Live, self(), p.guest.all.of.uid
	p.guest.write()
}

// Enter starts a command in the session, r.Command or that of the profile, with what
// the first one of a session gets. The caller closes what is returned.
func (p *Prepared) Enter(r decided.Request) (*namespaces.Session, error) {
	argv := r.Command
	if len(argv) == 0 {
		argv = p.command
	}
	s, err := p.session.Enter(namespaces.Command{
		Argv: argv, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
		TTY: decided.IsTerminal(r.Stdin) && decided.IsTerminal(r.Stdout),
	})
	if err != nil {
		return nil, fmt.Errorf("start %s in the session of %s: %w", argv[0], p.guest.Name, err)
	}
	return s, nil
}

// Run lets somebody in: it runs a command and ends the session with it.
func (p *Prepared) Run(ctx context.Context, r decided.Request) (status namespaces.Status, err error) {
	defer func() { err = errors.Join(err, p.Close()) }()
	p.Admit()
	command, err := p.Enter(r)
	if err != nil {
		return status, err
	}
	defer func() { err = errors.Join(err, command.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = p.session.Close() })()
	if r.Begun != nil {
		r.Begun()
	}
	defer decided.Forward(command)()
	return command.Wait()
}

// Close ends the session with all that is in it, and looks for what is left.
func (p *Prepared) Close() error {
	p.once.Do(func() { p.err = errors.Join(p.session.Close(), p.guest.End()) })
	return p.err
}
