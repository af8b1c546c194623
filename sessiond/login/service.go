package login

import (
	"context"
	"fmt"
	"os"

	"ninefold/sessiond/door"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/views"
)

// ofManager reports whether from is a unit of a user manager that asks for a
// profile by name: a service that its person wants in another view.
func ofManager(r door.Request, from door.Peer) bool {
	return r.Op == door.Join && r.Choice != "" && (from.Unit.Kind == door.UserManager || from.Unit.Kind == door.ViewManager)
}

// service answers a unit of the user manager. It is the one case of two views
// behind one bus: the unit says so, in a file of the person's own. What is not
// to be had leaves the unit where its manager is.
func (l *Logins) service(ctx context.Context, p pick, u identity.User, r door.Request, from door.Peer) (door.Reply, []*os.File, error) {
	if p.profile == nil || !p.explicit {
		why := p.note
		if why == "" {
			why = "a unit of the user manager can be in a view of its own, and not on the host"
		}
		return door.Reply{Verdict: door.Host, Message: why}, nil, nil
	}
	v, err := l.viewOfService(ctx, p, u, r, from)
	if err != nil {
		return door.Reply{}, nil, err
	}
	reply, files, err := l.enter(v, "")
	if err != nil {
		return reply, files, err
	}
	if _, err := v.Attach(views.Login{Service: "unit", Leader: journal.Process{PID: from.PID, Start: from.Start}}); err != nil {
		for _, f := range files {
			f.Close()
		}
		return door.Reply{}, nil, err
	}
	return reply, files, nil
}

func (l *Logins) viewOfService(ctx context.Context, p pick, u identity.User, r door.Request, from door.Peer) (*views.View, error) {
	if from.Unit.Kind == door.ViewManager {
		v, err := l.views.OfUnit(from.Unit.View, from.UID)
		if err == nil && v.Profile() != p.profile.Name {
			// Another view would have the runtime directory of user@.service.
			err = fmt.Errorf("units can be in another profile under user@%d.service alone", r.UID)
		}
		return v, err
	}
	if m := l.views.Manager(r.UID); m != nil && m.View != nil && m.View.Profile() == p.profile.Name {
		return m.View, nil
	}
	return l.views.Acquire(ctx, u, p.profile)
}
