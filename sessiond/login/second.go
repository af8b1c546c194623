package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"ninefold/sessiond/door"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/views"
)

// answerTime is what is left for the answer when a manager takes too long. It is
// plenty: an answer that comes too late costs all logins of half a minute.
const answerTime = 300 * time.Millisecond

// beside reports whether a login with p gets a view with a user manager of its
// own, since that of user@UID.service runs elsewhere: the person chose another
// profile, or the manager is on the host, for whatever reason.
func beside(m *views.UserManager, p pick) bool {
	return p.profile != nil && (m.View == nil || p.explicit && p.profile.Name != m.View.Profile())
}

// second returns the view of a login beside the user's running one, with what
// the person is told. There is never another view behind the running bus: where
// a manager of its own is not to be had, the login stays on the host.
func (l *Logins) second(ctx context.Context, m *views.UserManager, p pick, u identity.User) (*views.View, string, error) {
	runs, wish := "on the host ("+cmp.Or(m.Why, "it was started without ninefold")+")", p.profile.Name
	if m.View != nil {
		runs = "in profile " + m.View.Profile()
	}
	v, err := l.views.AcquireOwn(ctx, u, p.profile)
	if errors.Is(err, views.ErrNoSecond) {
		l.log.Info("no second user manager", "user", u.Name, "profile", wish, "error", err)
		return nil, "", &errHost{why: fmt.Sprintf("your user manager runs %s; end all your sessions to get profile %s", runs, wish), err: err}
	}
	if err != nil {
		return nil, "", err
	}
	note := p.note
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-answerTime))
		defer cancel()
	}
	switch managed, known := v.WaitManager(ctx); {
	case !known:
		note = "the user manager of this session is still starting"
	case !managed:
		return nil, "", &errHost{why: fmt.Sprintf("your user manager runs %s, and profile %s could not be given one of its own", runs, wish)}
	case m.View == nil && note == "":
		note = fmt.Sprintf("your user manager runs %s, and this session has one of its own", runs)
	}
	return v, note, nil
}

// ownManager answers the manager that a view has for itself, from its unit.
func (l *Logins) ownManager(from door.Peer) (door.Reply, []*os.File, error) {
	v, err := l.views.OfUnit(from.Unit.View, from.UID)
	if err != nil {
		return door.Reply{}, nil, err
	}
	// Whatever of the user's asks later in that unit gets the view, and changes nothing.
	if caller := (journal.Process{PID: from.PID, Start: from.Start}); !v.Managed() {
		if err := v.SetManager(caller); err != nil {
			return door.Reply{}, nil, err
		}
	}
	return l.enter(v, "")
}
