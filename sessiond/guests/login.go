package guests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/journal"
	"ninefold/sessiond/process"
)

// RuntimeDir is where the keepers of guests who log in listen, each on a socket
// named by the uid, and LoginHome the empty directory that such a guest's record
// calls its home: what it has itself lies in its session. Both are root's.
const (
	RuntimeDir = "/run/ninefold/guests"
	LoginHome  = RuntimeDir + "/home"
)

// LoginShell is the program that stands for a guest on the host, beside
// ninefold-init.
const LoginShell = "ninefold-guest"

// BeginLogin takes an id for a guest who logs in by service at terminal, with the
// session that a pool has prepared for such a one, if there is. Its record names
// shell, and is locked all the same. End, or HandOver, has to be called.
func (g *Guests) BeginLogin(ctx context.Context, profile, service, terminal, shell string) (*Guest, error) {
	if err := os.MkdirAll(LoginHome, 0o755); err != nil {
		return nil, fmt.Errorf("begin a guest's session: %w", err)
	}
	r := Report{Profile: profile, Service: service, Terminal: terminal}
	if guest := g.loginPrepared(r, shell); guest != nil {
		return guest, nil
	}
	for range maxTries {
		guest, err := g.begin(ctx, r, LoginHome, shell)
		if err != nil {
			return nil, err
		}
		// The login program looks the account up next.
		if err = guest.written(); err == nil {
			return guest, nil
		}
		guest.id.give()
		if !errors.Is(err, errInUse) {
			return nil, err
		}
	}
	return nil, ErrFull
}

// Entrance is where the guest's keeper waits for it.
func (g *Guest) Entrance() string { return filepath.Join(RuntimeDir, number(g.UID)) }

// NoteLent writes down that names of the host's are about to be shown in the session.
func (g *Guest) NoteLent(names ...string) error {
	g.Lent = append(g.Lent, names...)
	g.write()
	return g.written()
}

// takeOver takes the guest with the id uid, which is in that state, by its lock. What
// becomes of it is for the caller to write down.
func (g *Guests) takeOver(uid uint32, lock *os.File, state State) (*Guest, error) {
	guest := &Guest{all: g, id: &id{uid: uid, name: Name(uid), dir: g.locks, lock: lock}}
	var ours, named unix.Stat_t
	name := filepath.Join(g.locks, number(uid))
	if err := unix.Fstat(int(lock.Fd()), &ours); err != nil {
		return nil, fmt.Errorf("take over the guest %s: %w", guest.id.name, err)
	}
	if err := unix.Lstat(name, &named); err != nil || ours.Dev != named.Dev || ours.Ino != named.Ino {
		return nil, fmt.Errorf("take over the guest %s: what was handed over is not its lock %s", guest.id.name, name)
	}
	// By its name, so that giving it up removes the file.
	fd, err := unix.FcntlInt(lock.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("take over the guest %s: %w", guest.id.name, err)
	}
	lock.Close()
	guest.id.lock = os.NewFile(uintptr(fd), name)
	if err := kind.Read(g.record(uid), &guest.Report); err != nil {
		return nil, fmt.Errorf("take over the guest %s: %w", guest.id.name, err)
	}
	if guest.State != state || guest.UID != uid {
		return nil, fmt.Errorf("take over the guest %s: it is %s", guest.id.name, guest.State)
	}
	return guest, nil
}

// self is this process, which keeps a guest's session.
func self() journal.Process {
	start, err := process.StartTime(os.Getpid())
	if err != nil {
		return journal.Process{} // no /proc: no guest either
	}
	return journal.Process{PID: os.Getpid(), Start: start}
}

// ErrNoGuest says that no such guest is in.
var ErrNoGuest = errors.New("no such guest is in")

// In lists the guests whose keepers live, the oldest first.
func (g *Guests) In() ([]Report, error) {
	all, err := g.List()
	var in []Report
	for _, r := range all {
		if r.State == Live && process.Alive(r.Keeper.PID, r.Keeper.Start) {
			in = append(in, r)
		}
	}
	return in, err
}

// Taken counts the guests that are in or on their way.
func (g *Guests) Taken() (int, error) {
	all, err := g.List()
	n := 0
	for _, r := range all {
		if r.State != Live || r.For != 0 {
			continue // what users have beside their own sessions is bounded by itself
		}
		// Its lock is its keeper's, or that of who has one started.
		there, perr := g.Present(&r)
		err = errors.Join(err, perr)
		if there {
			n++
		}
	}
	return n, err
}

// Signal sends sig to the keeper of a guest.
func (r *Report) Signal(sig unix.Signal) error {
	fd, err := unix.PidfdOpen(r.Keeper.PID, 0)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrNoGuest, r.Name)
	}
	defer unix.Close(fd)
	// Alive after its number was used, it was the one that was looked at.
	if !process.Alive(r.Keeper.PID, r.Keeper.Start) {
		return fmt.Errorf("%w: %s", ErrNoGuest, r.Name)
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		return fmt.Errorf("%w: %s", ErrNoGuest, r.Name)
	}
	return nil
}

// Present reports whether the id of r is held: by its keeper, or by a sweep.
func (g *Guests) Present(r *Report) (bool, error) {
	f, err := os.OpenFile(filepath.Join(g.locks, number(r.UID)), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK), nil
}
