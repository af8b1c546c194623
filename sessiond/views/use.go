package views

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"ninefold/sessiond/api"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/process"
)

// Login is who uses a view.
type Login struct {
	// Session is logind's id, "" where there is none.
	Session, Service, TTY, Rhost string
	Leader                       journal.Process
}

// maxSessions bounds the sessions in one view: a user's own processes can ask
// for them.
const maxSessions = 1024

// logindSessions is where logind keeps a file for each session.
const logindSessions = "/run/systemd/sessions/"

// ofLogind reports whether logind knows session id as one of uid. A su inside
// a session of somebody else carries that one's id.
func ofLogind(id string, uid uint32) bool {
	if id == "" || strings.ContainsAny(id, "/.") {
		return false
	}
	b, err := os.ReadFile(logindSessions + id)
	return err == nil && strings.Contains("\n"+string(b), "\nUID="+strconv.FormatUint(uint64(uid), 10)+"\n")
}

// Attach records a login in v and returns the session's id.
func (v *View) Attach(l Login) (string, error) {
	id := l.Session
	if !ofLogind(id, v.rec.UID) {
		id = ""
	}
	v.vs.mu.Lock()
	for _, other := range v.vs.views {
		if slices.ContainsFunc(other.rec.Sessions, func(s journal.Session) bool { return s.ID == id && s.Leader != l.Leader }) {
			id = ""
		}
	}
	if id == "" {
		id = "p" + strconv.Itoa(l.Leader.PID)
	}
	if v.ended {
		v.vs.mu.Unlock()
		return "", fmt.Errorf("view %s has ended", v.rec.ID)
	}
	if len(v.rec.Sessions) >= maxSessions {
		v.vs.mu.Unlock()
		return "", fmt.Errorf("view %s: %d sessions are in it, and no more are let in", v.rec.ID, maxSessions)
	}
	// A process that asks twice is one login.
	before := len(v.rec.Sessions)
	v.rec.Sessions = slices.DeleteFunc(v.rec.Sessions, func(s journal.Session) bool { return s.Leader == l.Leader })
	again := len(v.rec.Sessions) < before
	s := journal.Session{ID: id, Service: l.Service, TTY: l.TTY, Rhost: l.Rhost, Leader: l.Leader, Since: time.Now().UTC()}
	v.rec.Sessions = append(v.rec.Sessions, s)
	v.until = time.Time{} // the login that it was kept for has come
	v.vs.mu.Unlock()
	if err := v.save(); err != nil {
		return "", err
	}
	if again {
		return id, nil
	}
	v.vs.watchLeader(l.Leader)
	v.vs.o.Event(api.Event{Kind: api.SessionNew, ID: id, UID: v.rec.UID})
	return id, nil
}

// SetManager records that the user's manager was let into v.
func (v *View) SetManager(p journal.Process) error {
	v.vs.mu.Lock()
	v.rec.Manager = p
	if !v.Own() {
		v.until = time.Time{}
		delete(v.vs.onHost, v.rec.UID)
	}
	v.vs.mu.Unlock()
	v.vs.watchLeader(p)
	return v.save()
}

// save writes the record as it is now.
func (v *View) save() error {
	v.journalled.Lock()
	defer v.journalled.Unlock()
	v.vs.mu.Lock()
	r := v.rec
	r.Sessions = slices.Clone(r.Sessions)
	ended := v.ended
	v.vs.mu.Unlock()
	if ended {
		return nil // its record goes, and must not come back
	}
	return v.vs.o.Journal.Write(&r)
}

// ManagerOnHost records that the user's manager stays on the host, and why.
func (vs *Views) ManagerOnHost(uid uint32, p journal.Process, why string) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for u, m := range vs.onHost {
		if !process.Alive(m.PID, m.Start) {
			delete(vs.onHost, u)
		}
	}
	vs.onHost[uid] = hostManager{p, why}
}

// UserManager is where the manager of a user runs.
type UserManager struct {
	journal.Process
	// View is nil on the host; Why then says why, as far as it is known.
	View *View
	Why  string
}

// Manager finds the running manager of user@UID.service, or nil. What counts is the
// namespace that it is in, not what it was told: it may have failed to enter.
func (vs *Views) Manager(uid uint32) *UserManager {
	vs.mu.Lock()
	candidates, why := []journal.Process{}, ""
	for _, v := range vs.views {
		if v.rec.UID == uid && v.rec.Manager.PID != 0 && !v.Own() {
			candidates = append(candidates, v.rec.Manager)
		}
	}
	if m, ok := vs.onHost[uid]; ok {
		candidates, why = append(candidates, m.Process), m.why
	}
	vs.mu.Unlock()
	if pid, start := process.UserManager(uid); pid != 0 {
		candidates = append(candidates, journal.Process{PID: pid, Start: start})
	}
	for _, c := range candidates {
		ns, err := process.MountNS(c.PID)
		if err != nil || !process.Alive(c.PID, c.Start) {
			continue
		}
		m := &UserManager{Process: c, Why: why}
		vs.mu.Lock()
		for _, v := range vs.views {
			if v.rec.UID == uid && v.rec.MountNS == ns && !v.ended {
				m.View = v
			}
		}
		vs.mu.Unlock()
		return m
	}
	return nil
}

// FindSession returns a session and its view.
func (vs *Views) FindSession(id string) (api.Session, *View, error) {
	for _, v := range vs.List() {
		for _, s := range v.Sessions() {
			if s.ID == id {
				return s, v, nil
			}
		}
	}
	return api.Session{}, nil, fmt.Errorf("session %s: %w", id, api.ErrNotFound)
}

// Leader returns the process of a session, for ending it.
func (vs *Views) Leader(id string) (journal.Process, error) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, v := range vs.views {
		for _, s := range v.rec.Sessions {
			if s.ID == id {
				return s.Leader, nil
			}
		}
	}
	return journal.Process{}, fmt.Errorf("session %s: %w", id, api.ErrNotFound)
}

// live reports whether a session is still there: its leader, or what logind
// knows. A session whose leader died can have processes for a while.
func live(s journal.Session, uid uint32) bool {
	return process.Alive(s.Leader.PID, s.Leader.Start) || !strings.HasPrefix(s.ID, "p") && ofLogind(s.ID, uid)
}
