package manager

import (
	"context"
	"errors"
	"fmt"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/identity"
)

// ErrGuest says that a guest's session cannot be what was asked for.
var ErrGuest = errors.New("a guest's session is nobody else's, and nothing of it is kept")

// Guests are those of the state directory.
func (m *Manager) Guests() *guests.Guests { return guests.Open(m.state) }

// admitGuest finds whom a guest's session is for: an example, in whose place
// somebody new comes when the session is made.
func (m *Manager) admitGuest(p *prepared, r Request) error {
	if r.User != "" || r.Keep {
		return fmt.Errorf("profile %s: %w", r.Profile, ErrGuest)
	}
	p.user = guests.User(guests.FirstID)
	p.session.Guest = p.user.UID
	host, err := identity.Host{}.Accounts()
	if err != nil {
		return err
	}
	p.spec.Others = host.Homes(identity.ReadLimits(identity.LimitsFile))
	return nil
}

// example makes sure that the plan of a guest's session is the same for every
// guest but for who it is. A profile in which the example's number means something
// else has no such plan.
func (m *Manager) example(p *prepared) error {
	other := *p
	other.user = guests.User(guests.LastID)
	other.spec = plan.Spec{Others: p.spec.Others}
	if err := m.specify(&other); err != nil {
		return err
	}
	its, err := plan.Compile(other.spec)
	if err != nil {
		return err
	}
	if plan.Print(p.session.Plan.ForGuest(guests.FirstID, guests.LastID)) != plan.Print(its) {
		return fmt.Errorf("profile %s: %w: it uses %d or %d, which stand for the guest's own id", p.profile.Name, plan.ErrInvalid, guests.FirstID, guests.LastID)
	}
	return nil
}

// DecideGuest decides how sessions of a profile are for guests, whatever the
// profile says of its user. What they stand on is held until release is called. It is
// for sessions that are prepared, which none is whose home is kept.
func (m *Manager) DecideGuest(ctx context.Context, name string) (s *decided.Session, release func(), err error) {
	if err := rely(m.state); err != nil {
		return nil, nil, err
	}
	if p, err := m.Profiles().Find(name); err == nil && p.KeepsHome() {
		return nil, nil, fmt.Errorf("profile %s: %w", name, guests.ErrHomeWaits)
	}
	p, err := m.prepare(ctx, Request{Profile: name, Guest: true}, true)
	if err != nil {
		return nil, nil, err
	}
	return &p.session, p.release, nil
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
