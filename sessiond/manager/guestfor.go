package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"ninefold/namespaces/kernel"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/profile"
)

// guestsFor are the guests of a user, or root's for 0.
func (m *Manager) guestsFor(uid uint32) (*guests.Guests, error) {
	if uid == 0 {
		return m.Guests(), nil
	}
	c, err := m.configuration()
	if err != nil {
		return nil, err
	}
	return m.Guests().For(uid, c.Guests.OfEach()), nil
}

// profileFor finds the profile that r names: one of the machine's, or, where the
// configuration has them, of r.For's own.
func (m *Manager) profileFor(ctx context.Context, r Request) (*profile.Profile, error) {
	p, missing := m.Profiles().Find(r.Profile)
	if r.For == 0 || !errors.Is(missing, profile.ErrNotFound) {
		return p, missing
	}
	c, err := m.configuration()
	if err != nil || !c.Login.Own {
		return nil, errors.Join(missing, err)
	}
	u, err := identity.Host{}.ByUID(ctx, r.For)
	if err != nil {
		return nil, err
	}
	p, err = OwnProfile(u, strings.TrimPrefix(r.Profile, profile.OwnMark))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w, nor has %s one", missing, u.Name)
	}
	return p, err
}

// OwnProfile reads a profile of u's own with u's file access, so that no link leads
// to what u could not read. A home can hang (NFS, FUSE), and the call with it.
func OwnProfile(u identity.User, name string) (p *profile.Profile, err error) {
	terr := kernel.OnThread(func() error {
		return kernel.AsUser(u.UID, u.GID, u.Groups, func() error {
			p, err = profile.LoadOwn(u.Home, name, u.UID)
			return nil
		})
	})
	if terr != nil {
		return nil, terr
	}
	return p, err
}
