package login

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"ninefold/sessiond/config"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/profile"
)

// errSlowHome says that a home does not answer.
var errSlowHome = errors.New("the profiles in your home cannot be read in time")

// own returns the user's own profile that choice names: "~NAME", or NAME where
// the machine has none of that name. A choice that can be none is nil.
func (l *Logins) own(ctx context.Context, state *config.State, u identity.User, choice string) (*profile.Profile, error) {
	name, marked := strings.CutPrefix(choice, profile.OwnMark)
	if !state.Config.Login.Own || !profile.IsName(name) || name == config.Plain {
		return nil, nil
	}
	if _, err := state.Find(name); !marked && !errors.Is(err, profile.ErrNotFound) {
		return nil, nil
	}
	p, err := l.readOwn(ctx, u, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, profile.ErrNotFound) {
		return nil, nil
	}
	return p, err
}

// readOwn reads what manager.OwnProfile does. A home can hang (NFS, FUSE): the login does not wait for
// that, and one reader at a time is all that a user can tie up.
func (l *Logins) readOwn(ctx context.Context, u identity.User, name string) (*profile.Profile, error) {
	free := make(chan struct{})
	for {
		l.mu.Lock()
		other := l.reading[u.UID]
		if other == nil {
			l.reading[u.UID] = free
		}
		l.mu.Unlock()
		if other == nil {
			break
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errSlowHome, ctx.Err())
		}
	}
	type result struct {
		p   *profile.Profile
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.p, r.err = manager.OwnProfile(u, name)
		l.mu.Lock()
		delete(l.reading, u.UID)
		l.mu.Unlock()
		close(free)
		done <- r
	}()
	select {
	case r := <-done:
		return r.p, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errSlowHome, ctx.Err())
	}
}
