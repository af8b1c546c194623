package hostbus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	polkitName  = "org.freedesktop.PolicyKit1"
	polkitPath  = dbus.ObjectPath("/org/freedesktop/PolicyKit1/Authority")
	polkitIface = polkitName + ".Authority"
)

// The answers of polkit that are no yes.
var (
	// ErrNotAuthorized says that who was asked said no, or nobody could be asked.
	ErrNotAuthorized = errors.New("it was not authorised")
	// ErrNoPolkit says that there is no polkit to ask.
	ErrNoPolkit = errors.New("there is no polkit to ask")
)

// Process is who wants something: a process by pid and start time (clock ticks
// since boot), and its uid.
type Process struct {
	PID   int
	Start uint64
	UID   uint32
}

// Authorize asks polkit whether p may do action, and with interactive a person,
// until ctx ends. details are shown to that person. nil is yes.
func (s *Bus) Authorize(ctx context.Context, p Process, action string, details map[string]string, interactive bool) error {
	c, err := s.connection(ctx)
	if err != nil {
		return err
	}
	type subject struct {
		Kind    string
		Details map[string]dbus.Variant
	}
	who := subject{"unix-process", map[string]dbus.Variant{
		"pid": dbus.MakeVariant(uint32(p.PID)), "start-time": dbus.MakeVariant(p.Start), "uid": dbus.MakeVariant(int32(p.UID)),
	}}
	flags := uint32(0)
	if interactive {
		flags = 1 // AllowUserInteraction
	}
	id := rand.Text()
	body, err := c.call(ctx, nil, polkitName, polkitPath, polkitIface, "CheckAuthorization", []any{who, action, details, flags, id})
	var answer struct {
		Authorized, Challenge bool
		Details               map[string]string
	}
	if err == nil {
		err = dbus.Store(body, &answer)
	}
	var failed dbus.Error
	switch {
	case err == nil && answer.Authorized:
		return nil
	case err == nil && answer.Challenge && interactive:
		return fmt.Errorf("%w: nobody is there to ask: no authentication agent runs in this session", ErrNotAuthorized)
	case err == nil && answer.Challenge:
		return fmt.Errorf("%w: somebody would have to be asked", ErrNotAuthorized)
	case err == nil:
		return fmt.Errorf("%w: polkit says no", ErrNotAuthorized)
	case ctx.Err() != nil:
		// The window that asks for a password goes away.
		_, _ = c.send(nil, 0, polkitName, polkitPath, polkitIface, "CancelCheckAuthorization", []any{id})
		return fmt.Errorf("%w: no answer came in time", ErrNotAuthorized)
	case errors.As(err, &failed) && (failed.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || failed.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" ||
		failed.Name == "org.freedesktop.systemd1.NoSuchUnit" || failed.Name == "org.freedesktop.DBus.Error.Spawn.ChildExited" ||
		failed.Name == "org.freedesktop.systemd1.LoadFailed" || failed.Name == "org.freedesktop.systemd1.UnitMasked"):
		return fmt.Errorf("%w (%w)", ErrNoPolkit, err)
	}
	return fmt.Errorf("%w: polkit could not be asked: %w", ErrNotAuthorized, err)
}

// Patience is how long a person may take.
const Patience = 2 * time.Minute
