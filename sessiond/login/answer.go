package login

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"ninefold/sessiond/door"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/views"
)

// prepare is the first word of a login: its view is begun, so that it is there
// when the user's manager asks, and the choice is kept for that.
func (l *Logins) prepare(ctx context.Context, p pick, u identity.User, r door.Request) (door.Reply, []*os.File, error) {
	l.remember(r.UID, p)
	if p.profile == nil {
		return door.Reply{Verdict: door.Host, Message: p.note}, nil, nil
	}
	if m := l.views.Manager(r.UID); m != nil && (m.View == nil || m.View.Profile() != p.profile.Name) {
		// The manager is not asked again. What the session gets is decided when
		// it asks; until then a manager beside the other one can be starting.
		if beside(m, p) {
			_, _ = l.views.AcquireOwn(ctx, u, p.profile) // the session is told why not
		}
		return door.Reply{Verdict: door.Enter, Profile: p.profile.Name}, nil, nil
	}
	// The login goes on meanwhile: logind makes its session, and systemd begins to
	// start the manager, which waits for the view.
	if err := l.views.Begin(u, p.profile); err != nil {
		return door.Reply{}, nil, err
	}
	return door.Reply{Verdict: door.Enter, Profile: p.profile.Name}, nil, nil
}

// remember keeps the choice of a login for the manager that it starts.
func (l *Logins) remember(uid uint32, p pick) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for u, old := range l.pending {
		if now.Sub(old.at) > pendingFor {
			delete(l.pending, u)
		}
	}
	p.at = now
	l.pending[uid] = p
}

// manager answers user@UID.service. What it is told is recorded, for the
// sessions that follow. A process of the user in that unit that asks later
// gets the manager's view, and changes nothing.
func (l *Logins) manager(ctx context.Context, p pick, u identity.User, r door.Request, caller journal.Process) (door.Reply, []*os.File, error) {
	if m := l.views.Manager(r.UID); m != nil && m.Process != caller {
		if m.View == nil {
			return door.Reply{Verdict: door.Host}, nil, nil
		}
		return l.enter(m.View, "")
	}
	if p.profile == nil {
		l.views.ManagerOnHost(r.UID, caller, cmp.Or(p.why, "no profile applied when it was started"))
		return door.Reply{Verdict: door.Host}, nil, nil
	}
	v, err := l.views.Acquire(ctx, u, p.profile)
	if err != nil {
		l.views.ManagerOnHost(r.UID, caller, reason(err))
		return door.Reply{}, nil, err
	}
	if err := v.SetManager(caller); err != nil {
		l.views.ManagerOnHost(r.UID, caller, "its record could not be written")
		return door.Reply{}, nil, err
	}
	return l.enter(v, "")
}

// session answers a session: never with another view than that of the user's
// manager, since both share one bus.
func (l *Logins) session(ctx context.Context, p pick, u identity.User, r door.Request, caller journal.Process) (door.Reply, []*os.File, error) {
	m := l.views.Manager(r.UID)
	var v *views.View
	note := p.note
	switch {
	case m == nil && p.profile == nil:
		return door.Reply{Verdict: door.Host, Message: note}, nil, nil
	case m == nil:
		var err error
		if v, err = l.views.Acquire(ctx, u, p.profile); err != nil {
			return door.Reply{}, nil, err
		}
	case m.View == nil && p.profile == nil:
		return door.Reply{Verdict: door.Host, Message: note}, nil, nil
	case m.View != nil && p.profile != nil && p.profile.Name == m.View.Profile():
		v = m.View
	case beside(m, p):
		var err error
		if v, note, err = l.second(ctx, m, p, u); err != nil {
			return door.Reply{}, nil, err
		}
	case p.explicit:
		return door.Reply{Verdict: door.Host,
			Message: fmt.Sprintf("you are on the host; your user manager and its bus are in profile %s until you have ended all your sessions", m.View.Profile())}, nil, nil
	default:
		v = m.View
		note = fmt.Sprintf("you join your running session in profile %s; what the configuration says now holds after you have ended all your sessions", v.Profile())
	}
	if r.Service == "sshd" && v.Lacks("sftp") {
		return door.Reply{}, nil, &errHost{why: fmt.Sprintf("profile %s has no sftp-server, so ssh logins stay on the host; put openssh-sftp-server into its image", v.Profile())}
	}
	if note == "" {
		note = v.Told()
	}
	reply, files, err := l.let(ctx, v, u, r, note)
	if err != nil {
		return reply, files, err
	}
	if _, err := v.Attach(views.Login{Session: r.Session, Service: r.Service, TTY: r.TTY, Rhost: r.Rhost, Leader: caller}); err != nil {
		for _, f := range files {
			f.Close()
		}
		return door.Reply{}, nil, err
	}
	return reply, files, nil
}

// let hands a session's view to who asks for it. A login process goes on as
// root inside, so it gets a view that is not root's alone only by way of a
// vestibule: the host with ninefold-enter in the place of the login shell, which
// asks for the view itself when it is the user's. So does a display manager whose
// own programs the root does not have.
func (l *Logins) let(ctx context.Context, v *views.View, u identity.User, r door.Request, note string) (door.Reply, []*os.File, error) {
	if r.Op != door.Session || v.Trusted() && !startsOnHost(v, r.Service) {
		return l.enter(v, note)
	}
	if strings.HasPrefix(r.Service, "sddm") {
		// Its script goes through the login shell, which would enter where the X
		// server's cookie is out of sight. The entry enters, with the cookie.
		return door.Reply{Verdict: door.Host, Message: note}, nil, nil
	}
	if u.Name == "" {
		var err error
		if u, err = l.users.ByUID(ctx, r.UID); err != nil {
			return door.Reply{}, nil, fmt.Errorf("who uid %d is cannot be found out: %w", r.UID, err)
		}
	}
	ns, err := l.views.Vestibule(u.Shell)
	if err != nil {
		return door.Reply{}, nil, err
	}
	// No environment yet: it would be the user's word in a process of root's.
	return door.Reply{Verdict: door.Enter, Flags: door.Vestibule, FDs: []door.FDKind{door.FDMount}, View: v.ID(), Profile: v.Profile(), Message: note},
		[]*os.File{ns}, nil
}

// startsOnHost reports whether a display manager has to start its sessions on
// the host: gdm by programs that are its own, the others by what the root lacks.
// A profile's session entry enters the view from there.
func startsOnHost(v *views.View, service string) bool {
	switch {
	case isGDM(service):
		return true
	case strings.HasPrefix(service, "lightdm"):
		return v.Lacks("xsession")
	case strings.HasPrefix(service, "sddm"):
		return v.Lacks("xauth") || v.Lacks("xsession") // which sddm's own script ends in
	}
	return false
}

// guest is the view that a login shell in a vestibule comes for: that of the
// session whose login process, known to have asked as root, it descends from.
// So it is right for a su in the session of somebody else, too.
func (l *Logins) guest(r door.Request, from door.Peer) *views.View {
	if r.Op != door.Join || r.Choice != "" || from.UID != r.UID {
		return nil
	}
	if v := l.views.LedBy(r.UID, from.PID); v != nil && !v.Trusted() {
		return v
	}
	return nil
}

var kinds = map[string]door.FDKind{"mount": door.FDMount, "ipc": door.FDIPC, "uts": door.FDUTS, "user": door.FDUser}

// enter makes the reply that hands out a view.
func (l *Logins) enter(v *views.View, note string) (door.Reply, []*os.File, error) {
	files, names, err := v.Namespaces()
	if err != nil {
		return door.Reply{}, nil, err
	}
	reply := door.Reply{Verdict: door.Enter, View: v.ID(), Profile: v.Profile(), Message: note}
	if !v.Trusted() {
		reply.Flags = door.NoNewPrivs
	}
	for _, name := range names {
		reply.FDs = append(reply.FDs, kinds[name])
	}
	env, left := fit(append([]string{"NINEFOLD_VIEW=" + v.ID()}, v.Environment()...))
	reply.Environment = env
	if left > 0 {
		l.log.Warn("the environment of a profile does not fit into an answer", "profile", v.Profile(), "left out", left)
	}
	return reply, files, nil
}

// fit returns the variables that fit into an answer, and how many do not.
func fit(env []string) (in []string, left int) {
	room := 1024 - 1
	for _, e := range env {
		if len(e)+1 > room {
			left++
			continue
		}
		room -= len(e) + 1
		in = append(in, e)
	}
	return in, left
}
