// Package units is what the daemon asks of systemd and logind: a scope of its
// own for what pins a view, the end of a session, and word of logins that are
// over. Every call is bounded in time, and the daemon goes on without an answer.
package units

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/internal/plainbus"
)

const (
	// callTimeout bounds one call. What a login waits for is bounded further
	// by its context.
	callTimeout = 2 * time.Second
	// slice holds the scopes, so that limits and listings have one place.
	slice       = "ninefold.slice"
	systemdName = "org.freedesktop.systemd1"
	systemdPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	systemdIf   = systemdName + ".Manager"
	logindName  = "org.freedesktop.login1"
	logindPath  = dbus.ObjectPath("/org/freedesktop/login1")
	logindIf    = logindName + ".Manager"
)

// ErrNoSystemd says that this machine is not run by systemd.
var ErrNoSystemd = errors.New("systemd does not run this machine")

// Booted reports whether systemd runs this machine, as sd_booted(3) does.
func Booted() bool {
	st, err := os.Lstat("/run/systemd/system")
	return err == nil && st.IsDir()
}

// Bus is systemd and logind over the system bus. It connects when it is needed
// and again after the bus was gone. It is safe for several goroutines.
type Bus struct {
	log  *slog.Logger
	mu   sync.Mutex
	conn *dbus.Conn
}

// New returns a Bus; nothing is connected yet.
func New(log *slog.Logger) *Bus { return &Bus{log: log} }

// Close drops the connection.
func (b *Bus) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
}

// connection returns the live connection, or a new one.
func (b *Bus) connection(ctx context.Context) (*dbus.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil && b.conn.Connected() {
		return b.conn, nil
	}
	conn, err := plainbus.Connect(ctx, "")
	if err != nil {
		return nil, err
	}
	b.conn = conn
	return conn, nil
}

func (b *Bus) call(ctx context.Context, name string, path dbus.ObjectPath, method string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := b.connection(ctx)
	if err != nil {
		return err
	}
	// Nothing is started to answer: on a machine without logind there is none.
	if err := conn.Object(name, path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...).Err; err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// property is one of a transient unit (a(sv)).
type property struct {
	Name  string
	Value dbus.Variant
}

// auxiliary is a further unit of StartTransientUnit; there is never one.
type auxiliary struct {
	Name       string
	Properties []property
}

// Adopt moves the process pid into a scope of its own and returns when it is
// there, so that the end of our unit leaves it alone.
func (b *Bus) Adopt(ctx context.Context, scope, description string, pid int) error {
	if in(pid, scope) {
		return nil
	}
	properties := []property{
		{"PIDs", dbus.MakeVariant([]uint32{uint32(pid)})},
		{"Description", dbus.MakeVariant(description)},
		{"Slice", dbus.MakeVariant(slice)},
		// A scope that failed to stop is forgotten like any other.
		{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
		{"TimeoutStopUSec", dbus.MakeVariant(uint64(5 * time.Second / time.Microsecond))},
	}
	err := b.call(ctx, systemdName, systemdPath, systemdIf+".StartTransientUnit", scope, "fail", properties, []auxiliary{})
	if err != nil {
		return fmt.Errorf("make scope %s: %w", scope, err)
	}
	// The answer names a job; the process moves when that is run.
	for {
		if in(pid, scope) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("make scope %s: process %d has not arrived: %w", scope, pid, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// in reports whether pid is in the cgroup of the unit.
func in(pid int, unit string) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if strings.HasSuffix(strings.TrimSuffix(line, "\n"), "/"+unit) {
			return true
		}
	}
	return false
}

// EndSession has logind end a session with all its processes.
func (b *Bus) EndSession(ctx context.Context, id string) error {
	return b.call(ctx, logindName, logindPath, logindIf+".TerminateSession", id)
}

// Watch calls changed whenever logind says that a session or user is gone, and
// when the bus comes back after it was away, since then something was missed.
// It calls appeared with the id of each session that begins. Neither may block.
// It returns when ctx ends.
func (b *Bus) Watch(ctx context.Context, changed func(), appeared func(id string)) {
	for wait := time.Second; ctx.Err() == nil; {
		began := time.Now()
		if err := b.watch(ctx, changed, appeared); err != nil && ctx.Err() == nil {
			b.log.Warn("logind is not heard; looking from time to time instead", "error", err)
		}
		changed()
		if time.Since(began) > time.Minute {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, time.Minute)
	}
}

func (b *Bus) watch(ctx context.Context, changed func(), appeared func(id string)) error {
	timed, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := b.connection(timed)
	if err != nil {
		return err
	}
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	defer conn.RemoveSignal(signals)
	for _, member := range []string{"SessionNew", "SessionRemoved", "UserRemoved"} {
		rule := []dbus.MatchOption{dbus.WithMatchSender(logindName), dbus.WithMatchObjectPath(logindPath),
			dbus.WithMatchInterface(logindIf), dbus.WithMatchMember(member)}
		if err := conn.AddMatchSignalContext(timed, rule...); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case s, ok := <-signals:
			if !ok {
				return errors.New("the bus closed the connection")
			}
			switch {
			case s.Path != logindPath || len(s.Body) == 0:
			case s.Name == logindIf+".SessionNew":
				if id, ok := s.Body[0].(string); ok {
					appeared(id)
				}
			default:
				changed()
			}
		}
	}
}

// GoingDown reports whether systemd is taking the machine down, whether to
// switch it off or to boot it again (SystemState, org.freedesktop.systemd1(5)).
// Without an answer it is not.
func (b *Bus) GoingDown(ctx context.Context) bool {
	conn, err := b.connection(ctx)
	if err != nil {
		b.log.Warn("whether the machine goes down cannot be found out", "error", err)
		return false
	}
	var state dbus.Variant
	call := conn.Object(systemdName, systemdPath).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, systemdIf, "SystemState")
	if err := call.Store(&state); err != nil {
		b.log.Warn("whether the machine goes down cannot be found out", "error", err)
		return false
	}
	return state.Value() == "stopping"
}

// Degraded lists what the daemon works without.
func (b *Bus) Degraded() []string { return nil }

// None is a machine without systemd: views are pinned by plain processes.
type None struct{}

// Adopt does nothing: there is no unit that could take the process with it.
func (None) Adopt(context.Context, string, string, int) error { return nil }

// EndSession fails with ErrNoSystemd.
func (None) EndSession(context.Context, string) error { return ErrNoSystemd }

// Watch waits for the end of ctx.
func (None) Watch(ctx context.Context, _ func(), _ func(string)) { <-ctx.Done() }

// GoingDown is false: nobody says.
func (None) GoingDown(context.Context) bool { return false }

// Degraded lists systemd and logind.
func (None) Degraded() []string { return []string{"systemd", "logind"} }

// StartManager fails with ErrNoSystemd.
func (None) StartManager(context.Context, UserManager) error { return ErrNoSystemd }

// StopUnit does nothing: there are no units.
func (None) StopUnit(context.Context, string) error { return nil }
