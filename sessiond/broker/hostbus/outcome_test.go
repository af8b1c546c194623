package hostbus

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestAway(t *testing.T) {
	for name, away := range map[string]bool{
		"org.freedesktop.DBus.Error.NoReply": true, "org.freedesktop.DBus.Error.ServiceUnknown": true, "org.freedesktop.DBus.Error.Spawn.ChildExited": true,
		"org.freedesktop.systemd1.NoSuchUnit": false, "org.freedesktop.systemd1.UnitExists": false, "org.freedesktop.DBus.Error.AccessDenied": false,
	} {
		if got := Away(fmt.Errorf("Get: %w", dbus.Error{Name: name})); got != away {
			t.Errorf("%s: %v", name, got)
		}
	}
	for err, away := range map[error]bool{ErrBus: true, fmt.Errorf("%w: it is gone", ErrBus): true, context.DeadlineExceeded: true, context.Canceled: false, errors.New("odd"): false} {
		if got := Away(err); got != away {
			t.Errorf("%v: %v", err, got)
		}
	}
}
