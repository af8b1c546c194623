package units

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// A unit as ListUnitsByPatterns tells of it (org.freedesktop.systemd1(5)).
type listed struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	Job                                             uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}

// member is a process of a unit, as GetUnitProcesses tells of it.
type member struct {
	Cgroup  string
	PID     uint32
	Command string
}

// ForgetSessions has systemd let go of sessions of users who are over, as it does not
// by itself where a login program was killed while its session was begun: the scope
// has then failed, and keeps the program's keys through the descriptor by which
// systemd knew it; or it goes on without a process, and logind waits for its end. A
// scope that a process is in is left alone. Wanted says whose.
func (b *Bus) ForgetSessions(ctx context.Context, wanted func(uid uint32) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	conn, err := b.connection(ctx)
	if err != nil {
		return err
	}
	var scopes []listed
	systemd := conn.Object(systemdName, systemdPath)
	err = systemd.CallWithContext(ctx, systemdIf+".ListUnitsByPatterns", dbus.FlagNoAutoStart, []string{}, []string{"session-*.scope"}).Store(&scopes)
	if err != nil {
		return fmt.Errorf("list the sessions of logins: %w", err)
	}
	var failed error
	for _, s := range scopes {
		uid, err := sliceUser(ctx, conn, s.Path)
		if err != nil || !wanted(uid) {
			continue // nobody's, or gone since
		}
		if s.Active == "failed" {
			err = b.call(ctx, systemdName, systemdPath, systemdIf+".ResetFailedUnit", s.Name)
		} else {
			var in []member
			err = systemd.CallWithContext(ctx, systemdIf+".GetUnitProcesses", dbus.FlagNoAutoStart, s.Name).Store(&in)
			if err == nil && len(in) == 0 {
				err = b.StopUnit(ctx, s.Name)
			}
		}
		if err != nil && !noSuchUnit(err) {
			failed = errors.Join(failed, fmt.Errorf("let go of %s: %w", s.Name, err))
		}
	}
	return failed
}

// sliceUser is the user in whose slice the scope of a session is.
func sliceUser(ctx context.Context, conn *dbus.Conn, scope dbus.ObjectPath) (uint32, error) {
	var slice dbus.Variant
	err := conn.Object(systemdName, scope).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, systemdName+".Scope", "Slice").Store(&slice)
	if err != nil {
		return 0, err
	}
	name, _ := slice.Value().(string)
	name = strings.TrimSuffix(strings.TrimPrefix(name, "user-"), ".slice")
	uid, err := strconv.ParseUint(name, 10, 32)
	return uint32(uid), err
}
