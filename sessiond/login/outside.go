package login

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ninefold/sessiond/door"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/process"
	"ninefold/sessiond/units"
)

// A session outside is one of a person whose user manager is in a view, opened
// by a service that did not ask at the door: its PAM stack lacks the module's
// lines, and the person is on the host without a word.

// askedFor is how long it is remembered who asked. logind tells of a session a
// moment after `prepare`.
const askedFor = 2 * time.Minute

// managerWithin is how long a session waits for the user manager that it
// starts.
const managerWithin = 30 * time.Second

// outsider is a session outside, until its leader ends.
type outsider struct {
	units.Session
	leader journal.Process
}

// askedAtTheDoor remembers a login process that asked.
func (l *Logins) askedAtTheDoor(r door.Request, from door.Peer) {
	if r.Op != door.Prepare && r.Op != door.Session {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked.add(journal.Process{PID: from.PID, Start: from.Start}, r.Session, time.Now())
}

// Asked reports whether somebody asked at the door for logind's session id.
func (l *Logins) Asked(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.asked.sessions[id]
	return ok
}

// asked is what was here lately: login processes, and logind's sessions.
type asked struct {
	processes map[journal.Process]time.Time
	sessions  map[string]time.Time
	swept     time.Time
}

func (a *asked) add(p journal.Process, session string, now time.Time) {
	if now.Sub(a.swept) > askedFor/4 { // not by each of many logins
		a.swept = now
		old := func(at time.Time) bool { return now.Sub(at) > askedFor }
		maps.DeleteFunc(a.processes, func(_ journal.Process, at time.Time) bool { return old(at) })
		maps.DeleteFunc(a.sessions, func(_ string, at time.Time) bool { return old(at) })
	}
	a.processes[p] = now
	if session != "" {
		a.sessions[session] = now
	}
}

// Appeared looks whether a session that logind tells of is outside, and says so
// in the log. It waits for the user manager of the session, for a while.
func (l *Logins) Appeared(ctx context.Context, s units.Session) {
	// Kinds of "user", such as "user-light", are people's sessions too.
	if !strings.HasPrefix(s.Class, "user") || s.Leader <= 0 || !l.limits.Enters(s.UID, l.config.State().Config.Login.Ranges()) {
		return
	}
	start, err := process.StartTime(s.Leader)
	if err != nil {
		return
	}
	o := outsider{Session: s, leader: journal.Process{PID: s.Leader, Start: start}}
	l.mu.Lock()
	_, asked := l.asked.processes[o.leader]
	l.mu.Unlock()
	if ns, err := process.MountNS(s.Leader); asked || err == nil && l.views.In(ns) != nil {
		return
	}
	for end := time.Now().Add(managerWithin); ; {
		if m := l.views.Manager(s.UID); m != nil {
			if m.View != nil {
				l.isOutside(o, m.View.Profile())
			}
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(end) || !process.Alive(o.leader.PID, o.leader.Start) {
			return
		}
	}
}

func (l *Logins) isOutside(o outsider, profile string) {
	l.log.Warn("a session is on the host, and its user manager in a view: the PAM stack of its service lacks the lines of pam_ninefold",
		"service", o.Service, "user", o.User, "session", o.ID, "profile", profile)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outside = append(slices.DeleteFunc(l.outside, outsider.over), o)
}

func (o outsider) over() bool { return !process.Alive(o.leader.PID, o.leader.Start) }

// Outside lists the live sessions outside, as "SERVICE (session ID of USER)".
func (l *Logins) Outside() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outside = slices.DeleteFunc(l.outside, outsider.over)
	var out []string
	for _, o := range l.outside {
		out = append(out, fmt.Sprintf("%s (session %s of %s)", o.Service, o.ID, o.User))
	}
	return out
}
