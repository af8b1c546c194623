// Package views makes and keeps the views of logins: one composed root with
// its namespaces for a user and a profile, pinned by a process of its own, the
// holder. A view lives for as long as a session, the user's manager or any
// process is in it, whatever becomes of the daemon.
package views

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"ninefold/sessiond/api"
	"ninefold/sessiond/identity"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/parked"
	"ninefold/sessiond/process"
	"ninefold/sessiond/profile"
	"ninefold/sessiond/units"
)

const (
	// makeTimeout bounds the making of a view. The login that asked has gone on
	// without it long before; the next one finds it.
	makeTimeout = 20 * time.Second
	// sweepEvery is how often is looked for views that nobody uses, besides
	// whenever something says that one might be.
	sweepEvery = 30 * time.Second
	// sweepSoon is how long a change waits for others to be looked at with it.
	sweepSoon = 50 * time.Millisecond
)

// ErrUnusable says that a root lacks what a login needs.
var ErrUnusable = api.ErrUnusable

// Units puts holders out of the daemon's reach, and runs user managers.
type Units interface {
	// Adopt moves a process into a scope of its own.
	Adopt(ctx context.Context, scope, description string, pid int) error
	// StartManager returns when the manager is ready or has failed; it goes on
	// starting when ctx ends.
	StartManager(ctx context.Context, m units.UserManager) error
	StopUnit(ctx context.Context, unit string) error
}

// Options are what a Views stands on.
type Options struct {
	// Manager decides what a view is made of; asked anew for each.
	Manager func() *manager.Manager
	Journal *journal.Journal
	Units   Units
	Log     *slog.Logger
	// Needs are programs that every root must have, besides the login shell.
	Needs []string
	// Grace is how long a view waits for the login that it was made for; 0 is
	// ten seconds. A login that comes later gets a new one.
	Grace time.Duration
	// Host opens the mount namespace that vestibules are copies of, and Wrapper
	// names ninefold-enter there.
	Host    func() (*os.File, error)
	Wrapper func() (string, error)
	// ManagerProgram is the user manager for views with one of their own, with
	// its arguments; nil where there are none.
	ManagerProgram []string
	// Shelf is where logouts leave what is parked.
	Shelf *parked.Shelf
	// Event is called for each change, and must not call back.
	Event func(api.Event)
}

// Views are the live views. It is safe for use by several goroutines.
type Views struct {
	o    Options
	soon chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	views    map[string]*View
	making   map[key]*flight
	onHost   map[uint32]hostManager
	stopping bool

	parking context.Context // of what is being parked
	stop    func()          // ends it

	halls      sync.Mutex // vestibules, and the making of them
	vestibules map[string]vestibule
}

// key is what there is one view of at a time.
type key struct {
	uid     uint32
	profile string
	own     bool // with a user manager and a runtime directory of its own
}

// flight is a view in the making.
type flight struct {
	done chan struct{}
	view *View
	err  error
}

// hostManager is a user manager that stays on the host, and why.
type hostManager struct {
	journal.Process
	why string
}

// New returns a Views without views; Recover finds those that there are.
func New(o Options) *Views {
	if o.Event == nil {
		o.Event = func(api.Event) {}
	}
	if o.Grace == 0 {
		o.Grace = 10 * time.Second
	}
	vs := &Views{o: o, soon: make(chan struct{}, 1), views: map[string]*View{}, making: map[key]*flight{}, onHost: map[uint32]hostManager{},
		vestibules: map[string]vestibule{}}
	vs.parking, vs.stop = context.WithCancel(context.Background())
	return vs
}

// Acquire returns the view of a user in a profile: the one in use, or a new
// one. It waits until ctx ends; the view is made all the same, and is there for
// the next login. It stays for Options.Grace without anybody in it.
func (vs *Views) Acquire(ctx context.Context, u identity.User, p *profile.Profile) (*View, error) {
	return vs.acquire(ctx, key{u.UID, p.Name, false}, u, p)
}

// Begin has that view made, and waits for nothing. What fails in the making is told to
// who acquires it.
func (vs *Views) Begin(u identity.User, p *profile.Profile) error {
	_, _, err := vs.begin(key{u.UID, p.Name, false}, u, p)
	return err
}

// begin returns the view of k, or what makes it.
func (vs *Views) begin(k key, u identity.User, p *profile.Profile) (*View, *flight, error) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if v := vs.usable(k); v != nil {
		vs.keep(v)
		return v, nil, nil
	}
	if vs.stopping {
		return nil, nil, errors.New("the daemon is stopping")
	}
	f := vs.making[k]
	if f == nil && vs.makingFor(u.UID) >= maxMaking {
		return nil, nil, fmt.Errorf("%d views of %s are being made already", maxMaking, u.Name)
	}
	if f == nil && vs.viewsOf(u.UID) >= maxViews {
		return nil, nil, fmt.Errorf("%s has %d views, and no more are made; end some sessions", u.Name, maxViews)
	}
	if f == nil {
		f = &flight{done: make(chan struct{})}
		vs.making[k] = f
		vs.wg.Go(func() { vs.fly(k, f, u, p) })
	}
	return nil, f, nil
}

func (vs *Views) acquire(ctx context.Context, k key, u identity.User, p *profile.Profile) (*View, error) {
	v, f, err := vs.begin(k, u, p)
	if v != nil || err != nil {
		return v, err
	}
	select {
	case <-f.done:
		return f.view, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("the view of profile %s is not ready yet: %w", p.Name, ctx.Err())
	}
}

// maxMaking bounds the views in the making for one user, who could name many
// profiles and have what they bind never answer.
const maxMaking = 4

// maxViews bounds the views of one user, who could have a profile of their own
// for each of a thousand units.
const maxViews = 64

// viewsOf counts the live views of uid and those in the making. vs.mu is held.
func (vs *Views) viewsOf(uid uint32) int {
	n := vs.makingFor(uid)
	for _, v := range vs.views {
		if v.rec.UID == uid && !v.ended {
			n++
		}
	}
	return n
}

// makingFor counts the views in the making for uid. vs.mu is held.
func (vs *Views) makingFor(uid uint32) (n int) {
	for k := range vs.making {
		if k.uid == uid {
			n++
		}
	}
	return n
}

func (vs *Views) fly(k key, f *flight, u identity.User, p *profile.Profile) {
	ctx, cancel := context.WithTimeout(context.Background(), makeTimeout)
	defer cancel()
	f.view, f.err = vs.make(ctx, u, p, k.own)
	vs.mu.Lock()
	delete(vs.making, k)
	if f.err == nil {
		vs.views[f.view.rec.ID] = f.view
		vs.keep(f.view)
	}
	vs.mu.Unlock()
	close(f.done)
	if f.err == nil {
		vs.watchHolder(f.view)
		vs.Changed() // it may end unused
		vs.o.Event(api.Event{Kind: api.ViewNew, ID: f.view.rec.ID, UID: u.UID})
	}
}

// keep has v wait for a login. vs.mu is held.
func (vs *Views) keep(v *View) {
	v.until = time.Now().Add(vs.o.Grace)
	time.AfterFunc(vs.o.Grace+time.Millisecond, vs.Changed)
}

// usable returns the view of k that a login may be given. One that nobody is
// in and nobody waits for is not: the profile may say something else by now.
func (vs *Views) usable(k key) *View {
	var best *View
	for _, v := range vs.views {
		if v.rec.UID != k.uid || v.rec.Profile != k.profile || v.Own() != k.own || v.ended || v.stopping {
			continue
		}
		used := v.inUse()
		// A layer that is kept has one view, for as long as that is there.
		if !used && (v.holderGone || time.Now().After(v.until) && !v.kept) {
			continue
		}
		if best == nil || used && !best.inUse() {
			best = v
		}
	}
	return best
}

// Get returns a live view by id.
func (vs *Views) Get(id string) (*View, error) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if v := vs.views[id]; v != nil && !v.ended {
		return v, nil
	}
	return nil, fmt.Errorf("view %s: %w", id, api.ErrNotFound)
}

// List returns the live views, oldest first.
func (vs *Views) List() []*View {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	out := make([]*View, 0, len(vs.views))
	for _, v := range vs.views {
		if !v.ended {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b *View) int {
		if c := a.rec.Created.Compare(b.rec.Created); c != 0 {
			return c
		}
		return strings.Compare(a.rec.ID, b.rec.ID)
	})
	return out
}

// In returns the live view whose mount namespace has that inode number, or nil.
func (vs *Views) In(ns uint64) *View {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, v := range vs.views {
		if v.rec.MountNS == ns && !v.ended {
			return v
		}
	}
	return nil
}

// Close waits for what is under way. Live views stay as they are.
func (vs *Views) Close() {
	vs.mu.Lock()
	vs.stopping = true
	vs.mu.Unlock()
	vs.stop()
	vs.wg.Wait()
}

func newID(uid uint32) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return fmt.Sprintf("%d-%s", uid, strings.ToLower(base32.StdEncoding.EncodeToString(b[:5])))
}

// View is one live view.
type View struct {
	vs *Views
	// Guarded by vs.mu: rec's Manager and Sessions, and what follows.
	rec        journal.Record
	until      time.Time
	ended      bool
	holderGone bool
	stopping   bool          // its manager is being stopped
	starting   chan struct{} // closed when the start of its manager is over; nil before one

	adopted chan struct{} // closed when the holder has its scope, or gets none; nil if an earlier daemon saw to that
	kept    bool          // what is written is there the next time
	told    string        // what the first login in it is told
	pidfd   *os.File      // of the holder; nil when it is gone
	ns      []namespace
	layers  *os.File // what is thrown away with it; nil if nothing is
	// journalled orders the records of this view: a newer one must not be
	// overtaken by an older one.
	journalled sync.Mutex
}

func (v *View) isEnded() bool {
	v.vs.mu.Lock()
	defer v.vs.mu.Unlock()
	return v.ended
}

// inUse reports whether a session or a manager is in v: one that is the view's
// own keeps nothing. vs.mu is held.
func (v *View) inUse() bool {
	if v.Own() {
		return len(v.rec.Sessions) > 0
	}
	return len(v.rec.Sessions) > 0 || process.Alive(v.rec.Manager.PID, v.rec.Manager.Start)
}

// ID, UID and Profile never change.
func (v *View) ID() string            { return v.rec.ID }
func (v *View) UID() uint32           { return v.rec.UID }
func (v *View) Profile() string       { return v.rec.Profile }
func (v *View) Trusted() bool         { return v.rec.Class == "trusted" }
func (v *View) Environment() []string { return v.rec.Environment }

// Told returns what the person is to be told of v, once.
func (v *View) Told() string {
	v.vs.mu.Lock()
	defer v.vs.mu.Unlock()
	t := v.told
	v.told = ""
	return t
}

// Kept reports whether what is written in v is there in the next one.
func (v *View) Kept() bool { return v.kept }

// Lacks reports whether the host has a program that v's root does not: "sftp".
func (v *View) Lacks(what string) bool { return slices.Contains(v.rec.Lacks, what) }

// Describe returns the view in the words of the api.
func (v *View) Describe() api.View {
	v.vs.mu.Lock()
	defer v.vs.mu.Unlock()
	r := &v.rec
	out := api.View{ID: r.ID, UID: r.UID, User: r.User, Profile: r.Profile, Class: r.Class, Layers: r.Layers, Isolated: r.Isolated,
		Holder: r.Holder.PID, Scope: r.Scope, MountNS: r.MountNS, Created: r.Created, Plan: r.Plan, Notes: r.Notes,
		Manager: process.Alive(r.Manager.PID, r.Manager.Start)}
	for _, s := range r.Sessions {
		out.Sessions = append(out.Sessions, s.ID)
	}
	return out
}

// Sessions returns the sessions in v in the words of the api, oldest first.
func (v *View) Sessions() []api.Session {
	v.vs.mu.Lock()
	defer v.vs.mu.Unlock()
	var out []api.Session
	for _, s := range v.rec.Sessions {
		out = append(out, api.Session{ID: s.ID, View: v.rec.ID, UID: v.rec.UID, User: v.rec.User, Profile: v.rec.Profile,
			Service: s.Service, TTY: s.TTY, Rhost: s.Rhost, Leader: s.Leader.PID, Since: s.Since})
	}
	return out
}
