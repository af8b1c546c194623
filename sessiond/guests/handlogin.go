package guests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/process"
)

// loginTime is how long a login waits for a pool, besides which it has a second for
// everything.
const loginTime = 200 * time.Millisecond

// handed is a session that a pool has prepared, on its way to the keeper of the guest
// who logs in to it.
type handed struct {
	offer
	held namespaces.Held
}

// drop ends it, unless somebody else has it by now.
func (g *Guest) drop() {
	if g.handed != nil {
		g.handed.held.Close()
		g.handed = nil
	}
}

// loginPrepared makes the guest of a session that a pool has prepared the one of r,
// who logs in with that shell; nil without one. Whether it is what would be made now
// is for its keeper to find out (Start).
func (g *Guests) loginPrepared(r Report, shell string) *Guest {
	text, files := g.ask(g.anySession(r.Profile), loginTime)
	o, err := readOffer(text, files)
	if err != nil || o.PID == 0 {
		closeAll(files)
		return nil
	}
	guest, err := g.takeOver(o.UID, files[0], Waiting)
	if err != nil {
		closeAll(files)
		return nil
	}
	guest.handed = &handed{o, namespaces.Held{PID: o.PID, Cgroup: o.Cgroup, Pidfd: files[1], Lifeline: files[2]}}
	guest.State, guest.Service, guest.Terminal, guest.Begun = Live, r.Service, r.Terminal, time.Now()
	guest.Keeper.PID, guest.Keeper.Start = 0, 0 // who it will be is not known yet
	guest.write()
	if err = notice(g.users, guest.UID, LoginHome, shell); err == nil {
		err = guest.written()
	}
	if err != nil {
		_ = guest.End() // what is left of it, a sweep looks after
		return nil
	}
	return guest
}

// ForKeeper returns what the keeper of the guest is to Adopt: a socket that holds its
// lock, and the session that was prepared for it, if one was. It is the caller's.
func (g *Guest) ForKeeper() (*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("hand over the guest %s: %w", g.Name, err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "guest "+g.Name)
	o, files := offer{UID: g.UID}, []*os.File{g.id.lock}
	if g.handed != nil {
		o, files = g.handed.offer, append(files, g.handed.held.Pidfd, g.handed.held.Lifeline)
	}
	o.Login = g.login
	if err := o.send(pair[0], files...); err != nil {
		theirs.Close()
		return nil, fmt.Errorf("hand over the guest %s: %w", g.Name, err)
	}
	return theirs, nil
}

// HandOver leaves the guest to who Adopts it.
func (g *Guest) HandOver() error {
	g.drop() // our copies
	return g.id.lock.Close()
}

// Adopt takes over the guest with the id uid from who began it and sent it through
// from (ForKeeper), and notes that this process is its keeper. End has to be called.
func (g *Guests) Adopt(uid uint32, from *os.File) (*Guest, error) {
	text, files, err := receive(int(from.Fd()))
	var o offer
	if err == nil {
		o, err = readOffer(text, files)
	}
	if err == nil && o.UID != uid {
		err = errOffer
	}
	if err != nil {
		closeAll(files)
		return nil, fmt.Errorf("take over the guest %s: %w", Name(uid), err)
	}
	guest, err := g.takeOver(uid, files[0], Live)
	if err != nil {
		closeAll(files)
		return nil, err
	}
	if o.PID != 0 {
		guest.handed = &handed{o, namespaces.Held{PID: o.PID, Cgroup: o.Cgroup, Pidfd: files[1], Lifeline: files[2]}}
	}
	guest.login, guest.Keeper = o.Login, self()
	guest.write()
	return guest, nil
}

// ComesBy says which process is the login program of the guest.
func (g *Guest) ComesBy(login journal.Process) { g.login = login }

// ErrLogin says that the login program of a guest is gone.
var ErrLogin = errors.New("its login program has ended")

// ByLogin returns a context that ends with the login program of the guest, for the
// cause ErrLogin, if not before. It is the caller's to cancel.
func (g *Guest) ByLogin(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if g.login.PID != 0 {
		pidfd, err := process.Open(g.login.PID, g.login.Start)
		if err != nil {
			cancel(ErrLogin)
		} else {
			go func() {
				defer pidfd.Close()
				if process.Wait(ctx, pidfd) == nil {
					cancel(ErrLogin)
				}
			}()
		}
	}
	return ctx, func() { cancel(nil) }
}

// prepared returns the session that was handed over with the guest, if it is what
// would be made of s; another one is ended, and nil for none.
func (g *Guest) prepared(s *decided.Session) (*namespaces.Session, error) {
	h := g.handed
	if h == nil {
		return nil, nil
	}
	g.handed = nil
	made, err := namespaces.Adopt(g.plan(s), h.held)
	if err != nil {
		return nil, err
	}
	if h.Same == g.all.sameSession(s) && made.Alive() {
		return made, nil
	}
	return nil, made.Close() // nobody was in it, and nobody is to meet its processes
}

// Start makes the session of a guest who logs in, as Run does, without a command, or
// takes the one that was prepared.
func (g *Guest) Start(ctx context.Context, s *decided.Session) (*namespaces.Session, error) {
	made, err := g.prepared(s)
	if made != nil || err != nil {
		return made, err
	}
	guard, err := g.Guard()
	if err == nil {
		err = g.all.readyHome(ctx, s.Plan)
	}
	if err == nil {
		made, err = namespaces.Start(ctx, g.plan(s), namespaces.Command{Guard: guard})
	}
	if err != nil {
		return nil, fmt.Errorf("make a session of profile %s: %w", s.Profile, inHome(err))
	}
	return made, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// errOffer says that what was handed over is neither a session nor a guest's lock.
var errOffer = errors.New("what is handed over is no session")
