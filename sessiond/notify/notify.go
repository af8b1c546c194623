// Package notify shows something on the desktop of the session that it runs in, as
// that session's user, by the desktop's own bus.
package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/internal/plainbus"
)

// The service that shows notifications (Desktop Notifications Specification 1.2).
const (
	name = "org.freedesktop.Notifications"
	path = dbus.ObjectPath("/org/freedesktop/Notifications")
)

// Of its arguments.
const (
	critical = byte(2) // the urgency that is shown until the user takes it away
	never    = int32(0)
)

// busTime is how long a bus may take, the start of the service on it included.
const busTime = 6 * time.Second

// ErrNobody says that nothing was shown.
var ErrNobody = errors.New("no desktop of this session shows notifications")

// Notice is what is shown: one line, and a text without markup.
type Notice struct{ Summary, Text string }

// Show has the first of buses that has such a service show n, until the user takes
// it away. A bus that does not answer takes some seconds.
func Show(ctx context.Context, buses []string, n Notice) error {
	failed := ErrNobody
	for _, address := range buses {
		err := show(ctx, address, n)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s: %w", address, err))
	}
	return failed
}

func show(ctx context.Context, address string, n Notice) error {
	ctx, cancel := context.WithTimeout(ctx, busTime)
	defer cancel()
	conn, err := plainbus.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	hints := map[string]dbus.Variant{"urgency": dbus.MakeVariant(critical)}
	return conn.Object(name, path).CallWithContext(ctx, name+".Notify", 0,
		"Ninefold", uint32(0), "dialog-warning", n.Summary, n.Text, []string{}, hints, never).Err
}
