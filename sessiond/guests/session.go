package guests

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ninefold/namespaces"
	"ninefold/namespaces/plan"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/process"
)

// Guests are the guests of a machine.
type Guests struct {
	dir, locks, users string
	pool              string // where prepared sessions are asked for; "" is nowhere
	of                owner
}

// Open returns the guests whose records lie below state. Nothing is read or made
// before it is needed.
func Open(state string) *Guests {
	return &Guests{dir: filepath.Join(state, "guests"), locks: lockDir, users: recordDir, pool: DefaultPool}
}

// Asking returns g with another pool; "" is none.
func (g *Guests) Asking(pool string) *Guests {
	other := *g
	other.pool = pool
	return &other
}

func (g *Guests) taken() string            { return filepath.Join(g.dir, "taken") }
func (g *Guests) reports() string          { return filepath.Join(g.dir, "reports") }
func (g *Guests) record(uid uint32) string { return filepath.Join(g.taken(), number(uid)) }
func (g *Guests) isTaken(uid uint32) bool {
	_, err := os.Lstat(g.record(uid))
	return err == nil
}

// Guest is one that is being had in. End has to be called.
type Guest struct {
	Report
	// LetGo, if there is one, has others than the kernel let go of the guest's login. It
	// is called when something of the guest does not go by itself.
	LetGo func()

	all     *Guests
	id      *id
	guard   *namespaces.Guard
	inUse   bool // somebody else has the id
	login   journal.Process
	handed  *handed      // the session that it is to have, if one was prepared
	pending <-chan error // the end of what is being written; nil for nothing
}

// User is what a session of a guest with that id is for.
func User(uid uint32) identity.User {
	return identity.User{Name: Name(uid), UID: uid, GID: uid, Comment: "Guest", Home: plan.GuestHome, Shell: "/bin/bash",
		Groups: []uint32{uid}, GroupNames: map[uint32]string{uid: Name(uid)}, Directory: true}
}

// Begin takes an id for a session of profile. That it is taken is written down, and
// name services get to know it, before anybody is let in (Guard).
func (g *Guests) Begin(ctx context.Context, profile string) (*Guest, error) {
	return g.begin(ctx, Report{Profile: profile, Keeper: self()}, plan.GuestHome, noShell)
}

// noShell is the shell of a guest who does not log in.
const noShell = "/usr/sbin/nologin"

// begin is Begin for a guest with that home and shell on the host.
func (g *Guests) begin(ctx context.Context, r Report, home, shell string) (*Guest, error) {
	for _, dir := range []string{g.dir, g.taken(), g.reports()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("begin a guest's session: %w", err)
		}
	}
	r.For = g.of.uid
	shared := r.For != 0 || r.State == Waiting
	first := uint32(FirstID)
	if shared {
		first = firstShared
	}
	id, err := take(g.locks, first, func(uid uint32) bool { return !g.isTaken(uid) })
	if err != nil {
		return nil, err
	}
	r.Name, r.UID, r.State, r.Begun = id.name, id.uid, cmp.Or(r.State, Live), time.Now()
	guest := &Guest{all: g, id: id, Report: r}
	unused := sideways(func() error { return unused(id.uid) })
	guest.pending = sideways(func() error { return r.claim(ctx, g, home, shell, unused) })
	return guest, nil
}

// claim looks whether anybody has the id, by accounts and by what unused says,
// writes down that it is taken, and makes it known. After an error nothing of
// that is left.
func (r *Report) claim(ctx context.Context, g *Guests, home, shell string, unused <-chan error) error {
	if err := unclaimed(ctx, r.UID); err != nil {
		return err
	}
	err := r.write(g)
	if err == nil {
		err = notice(g.users, r.UID, home, shell)
	}
	if err == nil {
		err = <-unused
	}
	if err != nil {
		return errors.Join(err, forget(g.users, r.UID), gone(os.Remove(g.record(r.UID))))
	}
	return nil
}

// gone is err, unless it says that there is nothing.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sideways does f beside what the caller goes on with.
func sideways(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// later does f once what was to be done before is done, beside what the caller
// goes on with: to have something on disk takes as long as to make a session. After
// an error nothing more is done.
func (g *Guest) later(f func() error) {
	before := g.pending
	g.pending = sideways(func() error {
		if before != nil {
			if err := <-before; err != nil {
				return err
			}
		}
		return f()
	})
}

// written waits until all of that is done.
func (g *Guest) written() error {
	if g.pending == nil {
		return nil
	}
	err := <-g.pending
	g.pending = nil
	return err
}

// write writes the report down as it is now, some time before written returns.
func (g *Guest) write() {
	now, all := g.Report, g.all
	g.later(func() error { return now.write(all) })
}

func (r *Report) write(g *Guests) error {
	if err := kind.Write(g.record(r.UID), r); err != nil {
		return fmt.Errorf("write down the guest %s: %w", r.Name, err)
	}
	return nil
}

// End is called when the session is over. It looks for what is left of the
// guest; ErrRemains says that something is, and the id stays taken. Otherwise the
// id is free once file systems have been searched (Sweep), of which a session
// that never began needs none, unless it is of somebody who logged in.
func (g *Guest) End() error {
	defer g.id.give()
	g.drop()
	begun := g.written()
	if errors.Is(begun, errInUse) || g.inUse {
		return nil // what has the id is nothing of this guest's, who never was in
	}
	g.Ended = time.Now()
	var err error
	if g.Left, err = lasting(g.UID, g.Ended.Add(lingers), g.LetGo); err != nil {
		return fmt.Errorf("look for what is left of %s: %w", g.Name, err)
	}
	switch {
	case len(g.Left) > 0:
		g.State = Remains
	case g.Service == "" && len(g.Tries) == 0 || g.State == Waiting:
		g.State = Clean // nobody ever was in it, nor logged in, for which others keep something
	default:
		g.State = Ended
	}
	if g.State == Clean {
		return errors.Join(begun, g.settle())
	}
	g.write()
	if err := errors.Join(begun, g.written()); err != nil || g.State == Ended {
		return err
	}
	return fmt.Errorf("%w: %s: %s; see sessionctl guest report %s", ErrRemains, g.Name, strings.Join(g.Left, ", "), g.Name)
}

// settle moves the record of a guest of whom nothing is left to the reports, and
// makes the id free.
func (g *Guest) settle() error {
	if err := forget(g.all.users, g.UID); err != nil {
		return err
	}
	if err := kind.Write(filepath.Join(g.all.reports(), reportName(&g.Report)), g.Report); err != nil {
		return err
	}
	if err := gone(os.Remove(g.all.record(g.UID))); err != nil {
		return err
	}
	return g.all.prune()
}

// reportName sorts by time.
func reportName(r *Report) string {
	name := strconv.FormatInt(r.Begun.UnixMicro(), 10) + "-" + r.Name
	if r.For != 0 {
		name += ofUsers
	}
	return name
}

// ofUsers ends the names of reports on guests that users have begun, who are to
// push out no others.
const ofUsers = "-for"

// maxReports is how many reports are kept of each kind.
const maxReports = 200

func (g *Guests) prune() error {
	names, err := namesIn(g.reports())
	if err != nil {
		return err
	}
	kept := map[bool]int{}
	for _, name := range slices.Backward(names) {
		kind := strings.HasSuffix(name, ofUsers)
		if kept[kind]++; kept[kind] <= maxReports {
			continue
		}
		if err := gone(os.Remove(filepath.Join(g.reports(), name))); err != nil {
			return err
		}
	}
	return nil
}

// namesIn lists the records of a directory, sorted.
func namesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), halfRecord) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// List returns the guests whose ids are taken and the reports that are kept, the
// oldest first. What cannot be read is left out, with the error.
func (g *Guests) List() ([]Report, error) {
	var all []Report
	var failed error
	for _, dir := range []string{g.reports(), g.taken()} {
		names, err := namesIn(dir)
		failed = errors.Join(failed, err)
		for _, name := range names {
			var r Report
			err := kind.Read(filepath.Join(dir, name), &r)
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has just been settled
			}
			if failed = errors.Join(failed, err); err != nil {
				continue
			}
			if (r.State == Live || r.State == Waiting) && r.Keeper.PID != 0 && !process.Alive(r.Keeper.PID, r.Keeper.Start) {
				r.State = Ended // with its keeper, which had no time to say so
			}
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Report) int { return a.Begun.Compare(b.Begun) })
	return all, failed
}
