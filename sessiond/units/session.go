package units

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// Session is a session that logind knows.
type Session struct {
	ID string
	// Service is the PAM service that opened it, and Class what logind has it
	// for: "user", "greeter", "manager" and kinds of these.
	Service, Class string
	User           string
	UID            uint32
	// Leader is the process that opened it.
	Leader int
}

// Session asks logind for a session.
func (b *Bus) Session(ctx context.Context, id string) (Session, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := b.connection(ctx)
	if err != nil {
		return Session{}, err
	}
	var path dbus.ObjectPath
	if err := conn.Object(logindName, logindPath).CallWithContext(ctx, logindIf+".GetSession", dbus.FlagNoAutoStart, id).Store(&path); err != nil {
		return Session{}, fmt.Errorf("find session %s: %w", id, err)
	}
	var p map[string]dbus.Variant
	if err := conn.Object(logindName, path).CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", dbus.FlagNoAutoStart, logindName+".Session").Store(&p); err != nil {
		return Session{}, fmt.Errorf("look at session %s: %w", id, err)
	}
	s := Session{ID: id}
	s.Service, _ = p["Service"].Value().(string)
	s.Class, _ = p["Class"].Value().(string)
	s.User, _ = p["Name"].Value().(string)
	leader, _ := p["Leader"].Value().(uint32)
	s.Leader = int(leader)
	if user, ok := p["User"].Value().([]any); ok && len(user) > 0 {
		s.UID, _ = user[0].(uint32)
	}
	return s, nil
}

// Session fails with ErrNoSystemd.
func (None) Session(context.Context, string) (Session, error) { return Session{}, ErrNoSystemd }
