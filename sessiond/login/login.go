// Package login decides what a login gets: which profile by the
// configuration, which view, or the host with a line that says why. It is what
// the door asks.
package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"ninefold/sessiond/config"
	"ninefold/sessiond/door"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/profile"
	"ninefold/sessiond/views"
)

// Logins answers the door.
type Logins struct {
	config *config.Live
	views  *views.Views
	log    *slog.Logger
	users  identity.Host
	limits identity.Limits
	// accounts is accountsDir, but in tests.
	accounts string

	mu      sync.Mutex
	pending map[uint32]pick // what a login chose before its manager asks
	asked   asked
	outside []outsider
	reading map[uint32]chan struct{} // whose home is being read, closed when it has been

	guests    GuestParts
	beginning chan struct{}     // has a place for the one guest whose account is being made
	tickets   map[uint32]ticket // of guests on their way, by uid
}

// pendingFor is how long a choice waits for the manager of its login.
const pendingFor = time.Minute

// pick is what a login is to get. A nil profile is the host.
type pick struct {
	profile  *profile.Profile
	explicit bool   // the person chose it
	note     string // a line for the person that goes with whatever happens
	why      string // of the host: what failed
	at       time.Time
}

// New returns a Logins.
func New(c *config.Live, v *views.Views, log *slog.Logger) *Logins {
	return &Logins{config: c, views: v, log: log, limits: identity.ReadLimits(identity.LimitsFile), accounts: accountsDir, pending: map[uint32]pick{}, asked: asked{processes: map[journal.Process]time.Time{}, sessions: map[string]time.Time{}}, reading: map[uint32]chan struct{}{}}
}

// errHost ends in a login on the host with its text as the reason.
type errHost struct {
	why string
	err error
}

func (e *errHost) Error() string { return e.why }
func (e *errHost) Unwrap() error { return e.err }

// Answer answers one request of the door.
func (l *Logins) Answer(ctx context.Context, r door.Request, from door.Peer) (door.Reply, []*os.File) {
	if r.Op == door.Guest || r.Op == door.GuestSession {
		return l.answerGuest(ctx, r, from)
	}
	guest := l.guest(r, from)
	if why := authorised(r, from); why != "" && guest == nil {
		l.log.Warn("refused at the door", "op", r.Op, "uid", from.UID, "pid", from.PID, "for", r.UID, "why", why)
		return door.Reply{Verdict: door.Host, Message: why}, nil
	}
	l.askedAtTheDoor(r, from)
	if r.Op == door.Session && r.UID == 0 {
		return door.Reply{Verdict: door.Host, Message: l.remind(ctx, from)}, nil
	}
	l.config.Settled(ctx)
	state := l.config.State()
	if why := l.never(r, state.Config.Login); why != "" {
		l.log.Debug("a login that never enters", "uid", r.UID, "service", r.Service, "why", why)
		return door.Reply{Verdict: door.Host}, nil
	}
	if r.Op == door.Choices {
		return door.Reply{Verdict: door.Host, Environment: l.choices(ctx, state, r)}, nil
	}
	r.Choice = l.chosen(r)
	reply, files, err := l.answer(ctx, state, r, from, guest)
	if err == nil {
		return reply, files
	}
	if r.Op == door.Prepare {
		// The manager comes next, and must not fail or wait once more; the
		// session then stays beside it.
		l.remember(r.UID, pick{why: reason(err)})
	}
	what := []any{"op", r.Op, "uid", r.UID, "service", r.Service, "error", err}
	why := reason(err)
	if state.Config.Login.Deny() {
		l.log.Error("a login is refused", what...)
		return door.Reply{Verdict: door.Refuse, Message: why}, nil
	}
	l.log.Warn("a login stays on the host", what...)
	return door.Reply{Verdict: door.Host, Message: why}, nil
}

// reason is what the person is told: the first line of an error, without what
// only an administrator needs.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "your view is not ready yet; log in again in a moment to get it"
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// authorised says why from may not ask r, or "". PAM applications are root's.
// A user's process asks for nothing but its own uid, from a place where root
// put it: the user manager's unit, or a session of that user.
func authorised(r door.Request, from door.Peer) string {
	switch r.Op {
	case door.Prepare, door.Session, door.Choices, door.Guest, door.GuestSession:
		if from.UID != 0 {
			return "only root may ask for the login of somebody"
		}
		return ""
	case door.Manager:
		if from.Unit.Kind != door.UserManager && from.Unit.Kind != door.ViewManager || from.Unit.UID != r.UID {
			return fmt.Sprintf("the caller is not in user@%d.service", r.UID)
		}
	case door.Join:
		if from.Unit.Kind == door.OtherUnit || from.Unit.UID != r.UID {
			return fmt.Sprintf("the caller is in no session of uid %d", r.UID)
		}
	default:
		return "unknown question"
	}
	if from.UID != r.UID {
		return "that is not the caller's own uid"
	}
	return ""
}

// never says why a login never enters a view, or "".
func (l *Logins) never(r door.Request, policy config.Login) string {
	switch {
	case !l.limits.Enters(r.UID, policy.Ranges()):
		return fmt.Sprintf("uid %d is not a person's by %s (%d to %d), nor by login.uids", r.UID, identity.LimitsFile, l.limits.Min, l.limits.Max)
	case r.Class == "greeter" || strings.HasPrefix(r.Class, "manager"):
		return "its class is " + r.Class
	case r.Service == "systemd-user":
		return "it is the user manager's own"
	}
	return ""
}

func (l *Logins) answer(ctx context.Context, state *config.State, r door.Request, from door.Peer, guest *views.View) (door.Reply, []*os.File, error) {
	if guest != nil {
		return l.enter(guest, "")
	}
	if r.Op == door.Manager && from.Unit.Kind == door.ViewManager {
		return l.ownManager(from)
	}
	p, u, err := l.pick(ctx, state, r)
	if err != nil {
		return door.Reply{}, nil, err
	}
	caller := journal.Process{PID: from.PID, Start: from.Start}
	switch r.Op {
	case door.Prepare:
		return l.prepare(ctx, p, u, r)
	case door.Manager:
		return l.manager(ctx, p, u, r, caller)
	}
	if ofManager(r, from) {
		return l.service(ctx, p, u, r, from)
	}
	return l.session(ctx, p, u, r, caller)
}

// pick decides the profile of a request: the choice if the configuration lets
// the user have it, otherwise the user's default. What the user may not have
// is never a way out of the default.
func (l *Logins) pick(ctx context.Context, state *config.State, r door.Request) (p pick, u identity.User, err error) {
	policy := state.Config.Login
	if r.Op == door.Manager {
		l.mu.Lock()
		last, ok := l.pending[r.UID]
		l.mu.Unlock()
		if ok && time.Since(last.at) < pendingFor {
			if last.profile == nil {
				return last, u, nil
			}
			u, err = l.users.ByUID(ctx, r.UID)
			return last, u, err
		}
	} else if r.Op != door.Join && r.Choice == "" && policy.For(r.User) == "" {
		return pick{}, u, nil // the way of most logins on most machines
	}
	if u, err = l.users.ByUID(ctx, r.UID); err != nil {
		return p, u, fmt.Errorf("who uid %d is cannot be found out: %w", r.UID, err)
	}
	name := policy.For(u.Name)
	if choice := r.Choice; choice != "" {
		own, err := l.own(ctx, state, u, choice)
		switch {
		case err != nil:
			p.note = fmt.Sprintf("your own profile %s cannot be used: %s", choice, reason(err))
			l.log.Info("a user's own profile cannot be used", "user", u.Name, "profile", choice, "error", err)
		case own != nil:
			p.explicit, p.profile = true, own
			return p, u, nil
		case policy.May(u.Name, choice):
			p.explicit = true
			if name = choice; name == config.Plain {
				name = ""
			}
		default:
			p.note = fmt.Sprintf("the profile %q is not one that you may choose", choice)
			l.log.Info("refused the choice of a profile", "user", u.Name, "profile", choice)
		}
	}
	if name == "" {
		return p, u, nil
	}
	p.profile, err = state.Find(name)
	return p, u, err
}
