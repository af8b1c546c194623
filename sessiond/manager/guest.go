package manager

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/identity"
)

// ErrGuest says that a guest's session cannot be what was asked for.
var ErrGuest = errors.New("a guest's session is nobody else's, and nothing of it is kept")

// Guests are those of the state directory.
func (m *Manager) Guests() *guests.Guests { return guests.Open(m.state) }

// admitGuest finds whom a guest's session is for: with claim somebody new, and
// otherwise an example.
func (m *Manager) admitGuest(ctx context.Context, p *prepared, r Request, claim bool) (err error) {
	if r.User != "" || r.Keep {
		return fmt.Errorf("profile %s: %w", r.Profile, ErrGuest)
	}
	p.user = guests.User(guests.FirstID)
	if claim {
		if err := rely(m.state); err != nil {
			return err
		}
		if p.guest, err = m.Guests().Begin(ctx, p.profile.Name); err != nil {
			return err
		}
		p.user = guests.User(p.guest.UID)
	}
	host, err := identity.Host{}.Accounts()
	if err != nil {
		return err
	}
	p.spec.Others = host.Homes(identity.ReadLimits(identity.LimitsFile))
	return nil
}

// boundGuest bounds what a guest takes of the machine, where the profile does not
// and the machine can: half of its memory, and tasks.
func boundGuest(s *plan.Spec) {
	var memory unix.Sysinfo_t
	bounds := []plan.Limit{{Name: "tasks", Value: plan.GuestTasks}}
	if err := unix.Sysinfo(&memory); err == nil {
		bounds = append(bounds, plan.Limit{Name: "memory", Value: memory.Totalram * uint64(memory.Unit) / 2})
	}
	for _, l := range bounds {
		if namespaces.CanLimit(l.Name) && !slices.ContainsFunc(s.Limits, func(have plan.Limit) bool { return have.Name == l.Name }) {
			s.Limits = append(slices.Clip(s.Limits), l)
		}
	}
}

// runGuest makes the session, has tried what must fail in it, and only then lets
// the command in.
func (m *Manager) runGuest(ctx context.Context, p *prepared, r Request) (status namespaces.Status, err error) {
	guard, err := p.guest.Guard()
	if err != nil {
		return status, err
	}
	return p.session.Run(ctx, decided.Request{
		Command: r.Command, Guard: guard, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
	})
}

// guestAccounts are the system's alone, and the guest.
func (m *Manager) guestAccounts(p *prepared, people identity.Limits) (identity.Accounts, error) {
	system := identity.Accounts{}
	if image := p.base.image; image != nil && !p.base.onHost {
		system = image.Accounts
	} else {
		var err error
		if system, err = (identity.Host{}).Accounts(); err != nil {
			return system, err
		}
	}
	return system.OnHost(identity.Accounts{}, people).For(p.user, p.spec.User.Shell), nil
}

// endGuest looks for what is left, once everything else of p is released.
func (p *prepared) endGuest(err error) error {
	if p.guest == nil {
		return err
	}
	return errors.Join(err, p.guest.End())
}
