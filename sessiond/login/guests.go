package login

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/sessiond/config"
	"ninefold/sessiond/door"
	"ninefold/sessiond/guestpam"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/process"
)

// GuestParts are what letting guests in takes; without them none comes in.
type GuestParts struct {
	Guests func() *guests.Guests
	// Host opens the machine's own mount namespace, and Program is where
	// guests.LoginShell lies.
	Host    func() (*os.File, error)
	Program func() (string, error)
	// Keep has the keeper of a guest's session started, and returns when that has
	// the guest's lock, or will have.
	Keep func(ctx context.Context, g *guests.Guest, b GuestBounds) error
}

// GuestBounds are how long a guest may be in, and for how long it may leave its
// session for another one; 0 is no bound.
type GuestBounds struct{ Longest, Away time.Duration }

// LetGuestsIn gives l what it takes. It is called before the door is served.
func (l *Logins) LetGuestsIn(p GuestParts) {
	l.guests, l.tickets, l.beginning = p, map[uint32]ticket{}, make(chan struct{}, 1)
}

// GuestName is what a guest types. An account of that name is somebody else.
const GuestName = "guest"

// ticket lets one login process go on as one guest, once.
type ticket struct {
	service, terminal string
	login             journal.Process
	until             time.Time
}

// ticketTime is how long the rest of a PAM stack may take.
const ticketTime = time.Minute

// errNoGuest is what a guest who is refused is told.
type errNoGuest struct{ why string }

func (e *errNoGuest) Error() string { return e.why }

// answerGuest answers the login program of a guest. There is no way to the host
// here: what is not to be had is refused.
func (l *Logins) answerGuest(ctx context.Context, r door.Request, from door.Peer) (door.Reply, []*os.File) {
	refuse := func(err error) (door.Reply, []*os.File) {
		l.log.Warn("a guest is refused", "service", r.Service, "terminal", r.TTY, "uid", from.UID, "pid", from.PID, "why", err)
		why := "an error, which sessiond's journal has"
		if no := (*errNoGuest)(nil); errors.As(err, &no) || errors.Is(err, guests.ErrFull) {
			why = reason(err)
		}
		return door.Reply{Verdict: door.Refuse, Message: why}, nil
	}
	if why := authorised(r, from); why != "" {
		return refuse(&errNoGuest{why})
	}
	if r.Service == guestpam.ByEntry {
		r.Service = guestpam.Lightdm // another way through the same greeter
	}
	if l.guests.Guests == nil {
		return refuse(&errNoGuest{"this sessiond has none"})
	}
	if r.Op == door.GuestSession {
		ns, err := l.guestVestibule(r, from)
		if err != nil {
			return refuse(err)
		}
		return door.Reply{Verdict: door.Enter, Flags: door.Vestibule, FDs: []door.FDKind{door.FDMount}, View: guests.Name(r.UID)}, []*os.File{ns}
	}
	g, err := l.beginGuest(ctx, r, from)
	if err != nil {
		return refuse(err)
	}
	l.log.Info("a guest is let in", "guest", g.Name, "profile", g.Profile, "service", r.Service, "terminal", r.TTY)
	return door.Reply{Verdict: door.Enter, View: g.Name, Profile: g.Profile}, nil
}

// beginGuest makes an account for a guest whose login program asks rightly, and
// has the keeper of its session started.
func (l *Logins) beginGuest(ctx context.Context, r door.Request, from door.Peer) (*guests.Guest, error) {
	l.config.Settled(ctx)
	state := l.config.State()
	policy := state.Config.Guests
	if err := l.mayComeIn(ctx, policy, r, from); err != nil {
		return nil, err
	}
	name := policy.ProfileName()
	if r.Choice != "" { // root's, in the line of the PAM stack
		name = r.Choice
	}
	p, err := state.Find(name)
	if err != nil {
		return nil, err
	}
	if !p.Guest() {
		return nil, fmt.Errorf("profile %s has somebody's user, and not a dynamic one", name)
	}
	program, err := l.guests.Program()
	if err != nil {
		return nil, err
	}
	all := l.guests.Guests()
	// One at a time, so that two do not take the last place; apart from the logins of
	// others, who wait for no disk.
	select {
	case l.beginning <- struct{}{}:
		defer func() { <-l.beginning }()
	case <-ctx.Done():
		return nil, fmt.Errorf("another guest is on the way in: %w", ctx.Err())
	}
	if n, err := all.Taken(); err != nil {
		return nil, err
	} else if n >= policy.AtOnce() {
		return nil, &errNoGuest{fmt.Sprintf("there are %d already, and not to be more", n)}
	}
	g, err := all.BeginLogin(ctx, name, r.Service, r.TTY, program)
	if err != nil {
		return nil, err
	}
	now, asks := time.Now(), journal.Process{PID: from.PID, Start: from.Start}
	g.ComesBy(asks)
	l.mu.Lock()
	defer l.mu.Unlock()
	for uid, t := range l.tickets {
		if now.After(t.until) {
			delete(l.tickets, uid)
		}
	}
	l.tickets[g.UID] = ticket{r.Service, r.TTY, asks, now.Add(ticketTime)}
	go l.startKeeper(g, GuestBounds{policy.Longest(), policy.MostAway()})
	return g, nil
}

// startKeeper hands the guest to a keeper of its own, which the guest's one
// process on the host waits for.
func (l *Logins) startKeeper(g *guests.Guest, b GuestBounds) {
	err := l.guests.Keep(context.Background(), g, b)
	if err != nil {
		l.log.Error("the session of a guest cannot be kept", "guest", g.Name, "error", err)
		l.mu.Lock()
		delete(l.tickets, g.UID)
		l.mu.Unlock()
		if err := g.End(); err != nil {
			l.log.Error("a guest that did not come in is not gone", "guest", g.Name, "error", err)
		}
		return
	}
	if err := g.HandOver(); err != nil {
		l.log.Warn("hand over a guest", "guest", g.Name, "error", err)
	}
}

// mayComeIn says why no guest may come in by that login program, or nil.
func (l *Logins) mayComeIn(ctx context.Context, policy config.Guests, r door.Request, from door.Peer) error {
	if !policy.By(r.Service) {
		return &errNoGuest{fmt.Sprintf("the configuration lets none in by %s", r.Service)}
	}
	if r.User != GuestName {
		return &errNoGuest{"guests are called " + GuestName}
	}
	if r.Rhost != "" {
		return &errNoGuest{"guests sit in front of this machine"}
	}
	if from.Unit.Kind != door.OtherUnit {
		return &errNoGuest{"the login program runs in somebody's session"}
	}
	if err := local(r.Service, r.TTY, from.PID); err != nil {
		return err
	}
	_, err := l.users.ByName(ctx, GuestName)
	switch {
	case err == nil:
		return &errNoGuest{"there is a user called " + GuestName}
	case !errors.Is(err, identity.ErrNoUser):
		return fmt.Errorf("whether there is a user called %s cannot be found out: %w", GuestName, err)
	}
	return nil
}

var (
	display  = regexp.MustCompile(`^:[0-9]{1,4}$`)
	terminal = regexp.MustCompile(`^(/dev/)?([A-Za-z0-9]{1,32})$`)
)

// local says why a terminal is not one of this machine's, or nil. Where the login
// program has a terminal of its own, as login(1) has, it must be that one: what
// PAM was told is looked at, and what the kernel says counts. Others than login
// have the seat that their display manager has.
func local(service, tty string, pid int) error {
	no := func(why string) error { return &errNoGuest{"guests sit in front of this machine: " + why} }
	own, err := process.Terminal(pid)
	if err != nil {
		return err
	}
	if service != "login" && (tty == "" || display.MatchString(tty)) {
		if own != 0 && remote(own) {
			return no("the display manager runs on a terminal of somebody's")
		}
		return nil
	}
	name := terminal.FindStringSubmatch(tty)
	if name == nil {
		return no(strconv.Quote(tty) + " is no terminal of it")
	}
	var st unix.Stat_t
	if err := unix.Stat("/dev/"+name[2], &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return no("there is no terminal " + name[2])
	}
	// A container's console is what its manager put there.
	if name[2] != "console" && remote(st.Rdev) {
		return no("anybody can have a terminal like " + name[2])
	}
	if service == "login" && own == 0 || own != 0 && own != st.Rdev {
		return no("the login program is on another terminal than " + name[2])
	}
	return nil
}

// remote reports whether a terminal is a pseudo-terminal, by the major numbers in
// the kernel's devices.txt.
func remote(device uint64) bool {
	m := unix.Major(device)
	return m == 2 || m == 3 || m >= 136 && m <= 143
}

// coveredForGuests are what login programs start, besides a shell that the
// account names: greetd a shell, lightdm its script for sessions.
var coveredForGuests = []string{"/bin/sh", "/bin/bash", "/usr/sbin/lightdm-session", "/etc/X11/Xsession"}

// guestVestibule takes the ticket of a guest and makes where its login program
// goes on.
func (l *Logins) guestVestibule(r door.Request, from door.Peer) (*os.File, error) {
	l.mu.Lock()
	t, ok := l.tickets[r.UID]
	right := ok && t.login == journal.Process{PID: from.PID, Start: from.Start} && t.service == r.Service && r.User == guests.Name(r.UID) && r.Rhost == ""
	if right {
		delete(l.tickets, r.UID)
	}
	l.mu.Unlock()
	switch {
	case !right:
		return nil, &errNoGuest{"nobody let that guest in by this login"}
	case time.Now().After(t.until):
		return nil, &errNoGuest{"it took too long"}
	case t.terminal != "" && strings.TrimPrefix(r.TTY, "/dev/") != strings.TrimPrefix(t.terminal, "/dev/"):
		return nil, &errNoGuest{"it was let in at another terminal"}
	}
	// lightdm knows its display by now alone.
	if err := local(r.Service, r.TTY, from.PID); err != nil {
		return nil, err
	}
	program, err := l.guests.Program()
	if err != nil {
		return nil, err
	}
	host, err := l.guests.Host()
	if err != nil {
		return nil, err
	}
	defer host.Close()
	return namespaces.GuestHall(host, program, coveredForGuests, guests.LoginHome, r.UID)
}
