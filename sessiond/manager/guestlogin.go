package manager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/sessiond/decided"
	"ninefold/sessiond/entrance"
	"ninefold/sessiond/guests"
)

// guestComes is how long a guest who was let in may take to stand in front of
// its session: the rest of its PAM stack, and an X server's start.
const guestComes = time.Minute

// KeepGuest keeps the session of a guest that sessiond let in: it takes the guest
// over by its lock, makes the session, has tried what must fail in it, waits for
// the guest and then runs the session until that ends, the guest goes, ctx ends or
// the time is over (0: none). Afterwards it looks for what is left. What goes wrong
// is told to the guest, who gets nothing else. letGo is the guest's (guests.Guest).
func (m *Manager) KeepGuest(ctx context.Context, uid uint32, lock *os.File, longest time.Duration, letGo func()) (err error) {
	guest, err := m.Guests().Adopt(uid, lock)
	if err != nil {
		return err
	}
	guest.LetGo = letGo
	door, err := entrance.Open(guest.Entrance(), uid)
	if err != nil {
		return errors.Join(err, guest.End())
	}
	defer door.Close()
	// A guest is in front of its session as long as the program is there by which it came.
	ctx, cancel := guest.ByLogin(ctx)
	defer cancel()
	made := make(chan madeGuest, 1)
	go func() { made <- m.makeGuest(ctx, guest) }()

	arrive, late := context.WithTimeout(ctx, guestComes)
	visitor, absent := door.Wait(arrive)
	late()
	got := <-made
	defer func() {
		// First, since the kernel keeps the visitor's keys for its socket (unix(7), SO_PEERCRED).
		if visitor != nil {
			err = errors.Join(err, visitor.Close())
		}
		err = got.end(err)
	}()
	if err := errors.Join(got.err, absent); err != nil {
		if visitor != nil {
			visitor.Fail(said(err))
		}
		return err
	}
	if longest > 0 {
		var over context.CancelFunc
		ctx, over = context.WithTimeoutCause(ctx, longest, errTime)
		defer over()
		defer got.warn(ctx, visitor, longest)()
	}
	code, err := got.serve(ctx, visitor)
	switch {
	case err != nil:
		visitor.Fail(said(err))
	case context.Cause(ctx) != nil && ctx.Err() != nil:
		visitor.Fail("your session was ended: " + said(context.Cause(ctx)))
	default:
		visitor.Leave(code)
	}
	return err
}

// errTime says that a guest has been in for as long as guests may.
var errTime = errors.New("guests may stay no longer")

// said is what a guest is told of an error.
func said(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// madeGuest is a guest's session without a command, tried.
type madeGuest struct {
	guest   *guests.Guest
	p       *prepared
	session *namespaces.Session
	err     error
}

func (m *Manager) makeGuest(ctx context.Context, guest *guests.Guest) madeGuest {
	g := madeGuest{guest: guest}
	if g.p, g.err = m.prepare(ctx, Request{Profile: guest.Profile}, true); g.err != nil {
		return g
	}
	if g.p.session.Guest == 0 {
		g.err = fmt.Errorf("profile %s: %w", guest.Profile, ErrGuest)
		return g
	}
	if g.err = rely(m.state); g.err == nil {
		g.session, g.err = guest.Start(ctx, &g.p.session)
	}
	return g
}

// end takes the session down and looks for what is left.
func (g *madeGuest) end(err error) error {
	if g.session != nil {
		err = errors.Join(err, g.session.Close())
	}
	if g.p != nil {
		g.p.release()
	}
	return errors.Join(err, g.guest.End())
}

// serve runs the session in front of the visitor.
func (g *madeGuest) serve(ctx context.Context, v *entrance.Visitor) (code int, err error) {
	c := namespaces.Command{Argv: g.p.session.Command, Environment: slices.Clone(v.Environment)}
	if decided.IsTerminal(v.Files[0]) && decided.IsTerminal(v.Files[1]) {
		c.TTY, c.Stdin, c.Stdout = true, v.Files[0], v.Files[1]
	} // else nothing of the host's goes in
	if err := g.giveScreen(v, &c); err != nil {
		return 0, err
	}
	command, err := g.session.Enter(c)
	if err != nil {
		return 0, fmt.Errorf("start %s in the session of %s: %w", c.Argv[0], g.guest.Name, err)
	}
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	v.Watch(func() { _ = unix.Kill(os.Getpid(), unix.SIGWINCH) }, gone)
	defer context.AfterFunc(ctx, func() { _ = g.session.Close() })()
	status, err := command.Wait()
	return status.Code, errors.Join(err, command.Close())
}
