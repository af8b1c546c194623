package units

import (
	"context"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// lookAway is how often it is looked whether somebody is away.
const lookAway = 5 * time.Second

// Away returns true when the user uid has been logged in for limit without any
// of the sessions being the one in front of its seat (State in
// org.freedesktop.login1(5), "online"), and false when ctx ends. A session without
// a seat is in front always. While logind does not answer, nobody counts as away.
func (b *Bus) Away(ctx context.Context, uid uint32, limit time.Duration) bool {
	var since time.Time
	tick := time.NewTicker(min(lookAway, max(limit/4, 100*time.Millisecond)))
	defer tick.Stop()
	for {
		state, err := b.userState(ctx, uid)
		switch {
		case err != nil || state != "online":
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= limit:
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// userState is the state of a user that is logged in.
func (b *Bus) userState(ctx context.Context, uid uint32) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := b.connection(ctx)
	if err != nil {
		return "", err
	}
	var path dbus.ObjectPath
	if err := conn.Object(logindName, logindPath).CallWithContext(ctx, logindIf+".GetUser", dbus.FlagNoAutoStart, uid).Store(&path); err != nil {
		return "", fmt.Errorf("find user %d: %w", uid, err)
	}
	var state dbus.Variant
	if err := conn.Object(logindName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, logindName+".User", "State").Store(&state); err != nil {
		return "", fmt.Errorf("look at user %d: %w", uid, err)
	}
	text, _ := state.Value().(string)
	return text, nil
}
