// Package bus is org.ninefold on the system bus: an adapter over sessiond/api,
// with properties and signals in the manner of logind. It decides who may call
// what; callers are who the bus and the kernel say they are. docs/dbus.md is its
// manual.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/internal/plainbus"
	"ninefold/sessiond/api"
)

// The names on the bus. Views and sessions are objects below ViewsPath and
// SessionsPath, their ids escaped as sd_bus_path_encode(3) does, and jobs below
// JobsPath by their number.
const (
	Name         = "org.ninefold"
	Path         = dbus.ObjectPath("/org/ninefold")
	ViewsPath    = Path + "/view"
	SessionsPath = Path + "/session"
	JobsPath     = Path + "/job"

	ManagerInterface = Name + ".Manager"
	ViewInterface    = Name + ".View"
	SessionInterface = Name + ".Session"
	JobInterface     = Name + ".Job"

	propertiesInterface = "org.freedesktop.DBus.Properties"
	introspectInterface = "org.freedesktop.DBus.Introspectable"
	objectsInterface    = "org.freedesktop.DBus.ObjectManager"
)

// Reloader is a Service that reads its configuration anew when it is told to.
type Reloader interface {
	// Reload returns what is wrong with the configuration on disk; what was
	// right before is then still in force.
	Reload(ctx context.Context) error
}

// Options are what a server needs.
type Options struct {
	Service api.Service
	Binder  api.Binder // nil without live binds
	Keeper  api.Keeper // nil where nothing is put aside
	Jobs    api.Jobs   // nil without systemd
	Log     *slog.Logger
	// Address is the bus; "" is the system's.
	Address string
	// Tried is called once: when the server has its name, or has first failed to
	// get it, or ends. It may be nil.
	Tried func()
}

// Server serves org.ninefold on one bus.
type Server struct {
	Options
	gate     *gate
	work     *work
	patience patience
}

// New returns a server that is not connected yet.
func New(o Options) *Server {
	return &Server{Options: o, gate: newGate(), work: newWork(), patience: ordinary}
}

const (
	// callTimeout bounds one call to another service.
	callTimeout = 2 * time.Second
	// workTimeout bounds what one method does, without what polkit takes.
	workTimeout = 20 * time.Second
	// maxWait is the longest pause between two tries to get onto the bus.
	maxWait = time.Minute
	// together is how long a change waits for others that come with it.
	together = 50 * time.Millisecond
)

// Serve is on the bus until ctx ends, and comes back when the bus was away. The
// daemon works without it: logins do not come through here.
func (s *Server) Serve(ctx context.Context) {
	tried := func() {}
	if s.Tried != nil {
		tried = sync.OnceFunc(s.Tried)
	}
	defer tried()
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, maxWait) {
		began := time.Now()
		if err := s.once(ctx, tried); err != nil && ctx.Err() == nil {
			s.Log.Warn("not on the system bus", "error", err)
		}
		tried()
		if time.Since(began) > maxWait {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// once serves one connection until it breaks, and calls named when it has the name.
func (s *Server) once(ctx context.Context, named func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &connected{Server: s, ctx: ctx}
	conn, err := plainbus.Connect(ctx, s.Address, dbus.WithHandler(&handler{c}))
	if err != nil {
		return err
	}
	defer conn.Close()
	// Before the name: who waits for the name may miss no change after it.
	changes := s.Service.Subscribe(ctx)
	known, err := c.look(ctx)
	if err != nil {
		return err
	}
	var got uint32
	timed, done := context.WithTimeout(ctx, callTimeout)
	defer done()
	c.conn.Store(conn)
	err = conn.BusObject().CallWithContext(timed, "org.freedesktop.DBus.RequestName", 0, Name, uint32(dbus.NameFlagDoNotQueue)).Store(&got)
	switch {
	case err != nil:
		return fmt.Errorf("take the name %s: %w", Name, err)
	case got != uint32(dbus.RequestNameReplyPrimaryOwner):
		return fmt.Errorf("take the name %s: another process has it", Name)
	}
	s.Log.Info("on the system bus", "name", Name)
	named()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-conn.Context().Done():
			return errors.New("the bus closed the connection")
		case e, ok := <-changes:
			if !ok {
				return nil
			}
			// What comes soon after is told with it: a login is several changes, and
			// the bus carries what systemd and logind say of it at the same time.
			if !pause(ctx, together) {
				return nil
			}
			jobs := drain(changes) && e.OfJob()
			if known, err = c.announce(ctx, conn, known, jobs); err != nil {
				return err
			}
		}
	}
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// drain takes what is there: one look is enough for all of it. It reports
// whether all of it is about jobs.
func drain(changes <-chan api.Event) (jobs bool) {
	jobs = true
	for range len(changes) {
		e := <-changes
		jobs = jobs && e.OfJob()
	}
	return jobs
}
