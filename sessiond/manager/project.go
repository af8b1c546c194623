package manager

import (
	"ninefold/namespaces/plan"
	"ninefold/sessiond/identity"
)

// project joins the session's root to the machine and the user, as far as it
// is not the host's own.
func (m *Manager) project(p *prepared) error {
	accounts, write, err := m.accounts(p)
	if err != nil {
		return err
	}
	if write {
		p.spec.Files = append(p.spec.Files,
			plan.File{Path: "/etc/passwd", Mode: 0o644, Content: accounts.Passwd},
			plan.File{Path: "/etc/group", Mode: 0o644, Content: accounts.Group})
	}
	if p.base.onHost {
		return nil // the rest of the host's /etc is there
	}
	return m.projectMachine(p)
}

// accounts returns what the user is added to, and whether that has to be
// written at all: the host's own root knows its users, except those from a
// directory, whose services a session does not reach. Without the identity an
// image has its own system accounts, and in a login those alone.
func (m *Manager) accounts(p *prepared) (identity.Accounts, bool, error) {
	image, people := p.base.image, identity.ReadLimits(identity.LimitsFile)
	if p.profile.Guest() {
		a, err := m.guestAccounts(p, people)
		return a, true, err
	}
	if p.base.onHost && image == nil && !p.user.Directory {
		return identity.Accounts{}, false, nil
	}
	if !p.base.onHost && !p.profile.Project.Identity {
		return image.Accounts.OnHost(identity.Accounts{}, people), p.spec.Login, nil
	}
	host, err := identity.Host{}.Accounts()
	switch {
	case err != nil:
	case !p.base.onHost:
		host = image.Accounts.OnHost(host, people).For(p.user, p.spec.User.Shell)
	case image != nil:
		host = host.With(image.Accounts.OnHost(identity.Accounts{}, people)).For(p.user, p.spec.User.Shell)
	default:
		host = host.For(p.user, p.spec.User.Shell)
	}
	return host, true, err
}

func (m *Manager) projectMachine(p *prepared) error {
	s, want, image := &p.spec, p.profile.Project, p.base.image
	ca := "image"
	if want.CA {
		c, err := m.configuration()
		if err != nil {
			return err
		}
		ca = c.Trust.CA
	}
	projections, lines, err := m.host.projections(Projected{
		Resolv: want.Resolv, Hosts: want.Hosts, MachineID: want.MachineID, TimeZone: want.Timezone, Locale: want.Locale, Fonts: want.Fonts,
		CA: ca, Network: s.Namespaces.Net != plan.NetNone, ZoneInfo: image.ZoneInfo,
	})
	if err != nil {
		return err
	}
	s.Projections = append(s.Projections, projections...)
	// Before the profile's own, which may say otherwise.
	s.Lines = append(lines, s.Lines...)
	return nil
}
