// Package hostbus has systemd start commands as transient units, with descriptors
// of the caller's, over one connection to the system bus that is kept. The end
// of a command is the end of the start job of its unit (Type=oneshot), which
// systemd tells whoever made the job: nothing is subscribed to and nothing
// looks from time to time.
package hostbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	busName      = "org.freedesktop.DBus"
	busPath      = dbus.ObjectPath("/org/freedesktop/DBus")
	systemdName  = "org.freedesktop.systemd1"
	systemdPath  = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerIface = systemdName + ".Manager"
	unitIface    = systemdName + ".Unit"
	serviceIface = systemdName + ".Service"
	propsIface   = "org.freedesktop.DBus.Properties"

	// DefaultSocket is the system bus's (dbus-daemon(1)).
	DefaultSocket = "/run/dbus/system_bus_socket"

	// maxCalls is less than what the bus allows.
	maxCalls = 100

	connectTimeout = 5 * time.Second
	writeTimeout   = 10 * time.Second
	// callTimeout bounds one call. PID 1 can be away for seconds while it reads
	// all units anew.
	callTimeout = 25 * time.Second
)

// ErrBus says that systemd cannot be spoken to.
var ErrBus = errors.New("systemd cannot be reached over the system bus")

// Bus is PID 1, and polkit, over the bus at a socket. It connects when it is needed and
// again after the bus was gone. It is safe for several goroutines.
type Bus struct {
	socket string
	mu     sync.Mutex
	conn   *conn
}

// New returns a Bus; nothing is connected yet.
func New(socket string) *Bus { return &Bus{socket: socket} }

// Close drops the connection.
func (s *Bus) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.close(ErrBus)
	}
}

func (s *Bus) connection(ctx context.Context) (*conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.conn.alive() {
		return s.conn, nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	c, err := dial(ctx, s.socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBus, err)
	}
	s.conn = c
	return c, nil
}

// Property is one of a transient unit (a(sv)); its value may be a dbus.UnixFD.
type Property struct {
	Name  string
	Value dbus.Variant
}

// Set makes a Property.
func Set(name string, value any) Property { return Property{name, dbus.MakeVariant(value)} }

// Exec is a command of ExecStartEx: a(sasas).
type Exec struct {
	Path  string
	Argv  []string
	Flags []string
}

// auxiliary is a further unit of StartTransientUnit; there is never one.
type auxiliary struct {
	Name       string
	Properties []Property
}

// Started is a unit on its way.
type Started struct {
	Unit   string
	s      *Bus
	conn   *conn
	result chan string
}

// Start starts a unit of that name with its properties. When it returns without
// an error, systemd has the descriptors.
func (s *Bus) Start(ctx context.Context, name string, properties []Property) (*Started, error) {
	c, err := s.connection(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	u := &Started{Unit: name, s: s, conn: c, result: make(chan string, 1)}
	_, err = c.call(ctx, u.result, systemdName, systemdPath, managerIface, "StartTransientUnit",
		[]any{name, "fail", properties, []auxiliary{}})
	if err != nil {
		return nil, err
	}
	return u, nil
}

// End is how a command ended.
type End struct {
	// Code is the exit status, or Signal what ended it, not both.
	Code, Signal int
}

// Wait returns how the command of u ended. On an error this is not known, or
// not yet: ErrBus is a bus that went away, and Recover may know later.
func (u *Started) Wait(ctx context.Context) (End, error) {
	select {
	case result := <-u.result:
		if result == "done" {
			return End{}, nil
		}
		return u.s.Failed(ctx, u.Unit)
	case <-u.conn.dead:
		return End{}, u.conn.failure
	case <-ctx.Done():
		return End{}, ctx.Err()
	}
}

// ErrUnknown says that systemd does not know how a command ended.
var ErrUnknown = errors.New("systemd does not know how it ended")

// The values of ExecMainCode (waitid(2), si_code).
const (
	exited = 1
	killed = 2
	dumped = 3
)

// Failed reads how the command of a unit that did not succeed ended, and has
// systemd forget the unit.
func (s *Bus) Failed(ctx context.Context, unit string) (End, error) {
	st, err := s.State(ctx, unit)
	// One that somebody stops is on its way; only when it has failed can it be
	// forgotten.
	for wait := 5 * time.Millisecond; err == nil && (st.Active == "deactivating" || st.Active == "activating"); wait = min(2*wait, time.Second) {
		select {
		case <-ctx.Done():
			return End{}, ctx.Err()
		case <-time.After(wait):
		}
		st, err = s.State(ctx, unit)
	}
	if err != nil {
		return End{}, err
	}
	s.Forget(unit)
	return st.end()
}

// end is how the main process of a unit ended.
func (st State) end() (End, error) {
	switch st.code {
	case exited:
		return End{Code: int(st.status)}, nil
	case killed, dumped:
		return End{Signal: int(st.status)}, nil
	}
	// It was never executed: an exec that fails exits (systemd.exec(5)).
	return End{}, fmt.Errorf("%w (%s)", ErrUnknown, st.Result)
}

// State is what systemd knows of a unit.
type State struct {
	// Active is "activating" while the command runs, "failed" after it failed,
	// and "inactive" after it succeeded, when nothing more is known of it.
	Active string
	// Result says how systemd sees it: "success", "exit-code", "timeout".
	Result       string
	MainPID      uint32
	code, status int32
}

// State asks for the state of a unit.
func (s *Bus) State(ctx context.Context, unit string) (st State, err error) {
	c, err := s.connection(ctx)
	if err != nil {
		return st, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	path := unitPath(unit)
	asked := []struct {
		iface, name string
		into        any
		w           *call
	}{
		{iface: unitIface, name: "ActiveState", into: &st.Active}, {iface: serviceIface, name: "Result", into: &st.Result},
		{iface: serviceIface, name: "MainPID", into: &st.MainPID}, {iface: serviceIface, name: "ExecMainCode", into: &st.code},
		{iface: serviceIface, name: "ExecMainStatus", into: &st.status},
	}
	// One after the other they would be five ways there and back; all
	// properties together are many times the bytes.
	for i := range asked {
		a := &asked[i]
		a.w = &call{answer: make(chan *dbus.Message, 1)}
		if err := c.enter(ctx); err != nil {
			return st, err
		}
		if _, err = c.send(a.w, 0, systemdName, path, propsIface, "Get", []any{a.iface, a.name}); err != nil {
			return st, err
		}
	}
	for i := range asked {
		a := &asked[i]
		body, err := c.await(ctx, a.w, "Get "+a.name)
		if err != nil {
			return st, err
		}
		if err := dbus.Store(body, a.into); err != nil {
			return st, fmt.Errorf("%s of %s: %w", a.name, unit, err)
		}
	}
	return st, nil
}

// Forget has systemd forget a unit that failed.
func (s *Bus) Forget(unit string) {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if c, err := s.connection(ctx); err == nil {
		_, _ = c.send(nil, 0, systemdName, systemdPath, managerIface, "ResetFailedUnit", []any{unit})
	}
}

// Kill signals the main process of a unit, or with all every process in it.
func (s *Bus) Kill(ctx context.Context, unit string, all bool, signal int32) error {
	whom := "main"
	if all {
		whom = "all"
	}
	_, err := s.manager(ctx, nil, "KillUnit", unit, whom, signal)
	return err
}

// Stop ends a unit and returns when it has ended.
func (s *Bus) Stop(ctx context.Context, unit string) error {
	ended := make(chan string, 1)
	if _, err := s.manager(ctx, ended, "StopUnit", unit, "replace"); err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop %s: %w", unit, ctx.Err())
	}
}

// List names the loaded units that match a pattern (fnmatch(3)).
func (s *Bus) List(ctx context.Context, pattern string) ([]string, error) {
	body, err := s.manager(ctx, nil, "ListUnitsByPatterns", []string{}, []string{pattern})
	if err != nil {
		return nil, err
	}
	var units []struct {
		Name, Description, Load, Active, Sub, Following string
		Path                                            dbus.ObjectPath
		Job                                             uint32
		JobType                                         string
		JobPath                                         dbus.ObjectPath
	}
	if err := dbus.Store(body, &units); err != nil {
		return nil, fmt.Errorf("list units: %w", err)
	}
	var names []string
	for _, u := range units {
		names = append(names, u.Name)
	}
	return names, nil
}

func (s *Bus) manager(ctx context.Context, job chan string, method string, args ...any) ([]any, error) {
	c, err := s.connection(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.call(ctx, job, systemdName, systemdPath, managerIface, method, args)
}

// unitPath is the object of a unit: its name as sd_bus_path_encode(3) does it.
func unitPath(unit string) dbus.ObjectPath {
	var b strings.Builder
	b.WriteString("/org/freedesktop/systemd1/unit/")
	for i := range len(unit) {
		c := unit[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' && i > 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return dbus.ObjectPath(b.String())
}
