package units

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
)

// ManagerPrefix begins the name of a unit with a user manager of its own for
// one view; the view's id and ".service" follow.
const ManagerPrefix = "ninefold-manager-"

// UserManager is a user manager besides the one of user@UID.service.
type UserManager struct {
	Unit, Description string
	UID               uint32
	// After are units that it stops before.
	After []string
	// Argv is what runs, Argv[0] by its whole path.
	Argv []string
}

// command is one of ExecStart= (a(sasb)).
type command struct {
	Path   string
	Argv   []string
	Ignore bool
}

// StartManager starts a user manager and returns when it says that it is
// ready, has failed, or ctx ends; in the last case it goes on starting. The
// unit is what user@.service is, in the same slice, which root alone makes
// units in: where its processes are says whose they are.
func (b *Bus) StartManager(ctx context.Context, m UserManager) error {
	uid := strconv.FormatUint(uint64(m.UID), 10)
	conn, err := b.connection(ctx)
	if err != nil {
		return err
	}
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	defer conn.RemoveSignal(signals)
	rule := []dbus.MatchOption{dbus.WithMatchSender(systemdName), dbus.WithMatchObjectPath(systemdPath),
		dbus.WithMatchInterface(systemdIf), dbus.WithMatchMember("JobRemoved"), dbus.WithMatchArg(2, m.Unit)}
	if err := conn.AddMatchSignalContext(ctx, rule...); err != nil {
		return fmt.Errorf("start %s: %w", m.Unit, err)
	}
	defer func() {
		// The library waits for the answer, and a login must not.
		go func() { _ = conn.RemoveMatchSignal(rule...) }()
	}()
	seconds := func(n time.Duration) dbus.Variant {
		return dbus.MakeVariant(uint64(n * time.Second / time.Microsecond))
	}
	properties := []property{
		{"Description", dbus.MakeVariant(m.Description)},
		{"Slice", dbus.MakeVariant("user-" + uid + ".slice")},
		{"After", dbus.MakeVariant(append([]string{"user-runtime-dir@" + uid + ".service", "systemd-user-sessions.service", "dbus.service"}, m.After...))},
		{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
		{"User", dbus.MakeVariant(uid)},
		{"PAMName", dbus.MakeVariant("systemd-user")},
		{"Type", dbus.MakeVariant("notify")},
		{"ExecStart", dbus.MakeVariant([]command{{m.Argv[0], m.Argv, false}})},
		{"KillMode", dbus.MakeVariant("mixed")},
		{"Delegate", dbus.MakeVariant(true)},
		{"TasksMax", dbus.MakeVariant(uint64(math.MaxUint64))},
		{"KeyringMode", dbus.MakeVariant("inherit")},
		{"OOMScoreAdjust", dbus.MakeVariant(int32(100))},
		{"TimeoutStartUSec", seconds(15)},
		{"TimeoutStopUSec", seconds(120)},
	}
	var job dbus.ObjectPath
	call := conn.Object(systemdName, systemdPath).CallWithContext(ctx, systemdIf+".StartTransientUnit", dbus.FlagNoAutoStart, m.Unit, "fail", properties, []auxiliary{})
	if err := call.Store(&job); err != nil {
		return fmt.Errorf("start %s: %w", m.Unit, err)
	}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w", m.Unit, ctx.Err())
		case s, ok := <-signals:
			if !ok {
				return fmt.Errorf("start %s: the bus closed the connection", m.Unit)
			}
			if s.Name != systemdIf+".JobRemoved" || len(s.Body) < 4 || s.Body[1] != job {
				continue
			}
			if result, _ := s.Body[3].(string); result != "done" {
				return fmt.Errorf("start %s: the job's result is %s; see journalctl -u %s", m.Unit, result, m.Unit)
			}
			return nil
		}
	}
}

// StopUnit has systemd stop a unit and does not wait for it. One that there is
// not is fine.
func (b *Bus) StopUnit(ctx context.Context, unit string) error {
	err := b.call(ctx, systemdName, systemdPath, systemdIf+".StopUnit", unit, "replace")
	if err != nil && noSuchUnit(err) {
		return nil
	}
	return err
}

func noSuchUnit(err error) bool {
	var e dbus.Error
	return errors.As(err, &e) && e.Name == "org.freedesktop.systemd1.NoSuchUnit"
}
