package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/godbus/dbus/v5"
)

// The actions of org.ninefold.policy.
const (
	actionEnd   = "org.ninefold.session.end"
	actionEnter = "org.ninefold.session.enter"
	actionMount = "org.ninefold.session.mount"
	// Of what is the machine's.
	actionBuild  = "org.ninefold.image.build"
	actionPull   = "org.ninefold.image.pull"
	actionVerify = "org.ninefold.image.verify"
	actionRemove = "org.ninefold.image.remove"
	actionCancel = "org.ninefold.job.cancel"
)

const (
	polkitName      = "org.freedesktop.PolicyKit1"
	polkitPath      = dbus.ObjectPath("/org/freedesktop/PolicyKit1/Authority")
	polkitInterface = polkitName + ".Authority"
)

// patience is how long polkit may take for an answer, without a person in
// front of it and with one.
type patience struct{ alone, person time.Duration }

var ordinary = patience{5 * time.Second, 2 * time.Minute}

// subject and answer are polkit's (sa{sv}) and (bba{ss}).
type subject struct {
	Kind    string
	Details map[string]dbus.Variant
}

type answer struct {
	Authorized, Challenge bool
	Details               map[string]string
}

// permit lets c.sender have its way with what belongs to owner: its own and
// root's way freely, others' if polkit says so. what names the thing for who is
// asked for a password.
func (c *call) permit(ctx context.Context, owner uint32, action string, what map[string]string) error {
	who, err := c.bus.identify(ctx, c.sender)
	if err != nil {
		return err
	}
	if who.root() || who.uid == owner {
		return nil
	}
	release, ok := c.bus.gate.ask(who.uid)
	if !ok {
		return busy("too many questions of uid %d are under way", who.uid)
	}
	defer release()
	whose := "it belongs to another user"
	if owner == 0 {
		whose = "it is root's to do"
	}
	return c.bus.askPolkit(ctx, who, whose, action, what, c.flags&dbus.FlagAllowInteractiveAuthorization != 0)
}

// own lets in whom the thing belongs to, and root.
func (c *call) own(ctx context.Context, owner uint32, what string) error {
	who, err := c.bus.identify(ctx, c.sender)
	if err != nil {
		return err
	}
	if who.root() || who.uid == owner {
		return nil
	}
	return denied("%s is for whom it belongs to, and root", what)
}

func (c *connected) askPolkit(ctx context.Context, who caller, whose, action string, what map[string]string, interactive bool) error {
	timeout, flags := c.patience.alone, uint32(0)
	if interactive {
		timeout, flags = c.patience.person, 1 // AllowUserInteraction
	}
	timed, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := subject{"unix-process", map[string]dbus.Variant{
		"pid":        dbus.MakeVariant(uint32(who.pid)),
		"start-time": dbus.MakeVariant(who.start),
		"uid":        dbus.MakeVariant(int32(who.uid)),
	}}
	details := map[string]string{}
	for k, v := range what {
		details[k] = text(v)
	}
	id := rand.Text()
	conn := c.conn.Load()
	authority := conn.Object(polkitName, polkitPath)
	var a answer
	err := authority.CallWithContext(timed, polkitInterface+".CheckAuthorization", 0, s, action, details, flags, id).Store(&a)
	var failed dbus.Error
	switch {
	case err == nil && a.Authorized:
		return nil
	case err == nil && a.Challenge && !interactive:
		return &dbus.Error{Name: "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
			Body: []any{whose + "; the action " + action + " needs authentication"}}
	case err == nil:
		return denied("%s, and polkit does not let you (%s)", whose, action)
	case timed.Err() != nil:
		// The window that asks for a password goes away.
		conn.Object(polkitName, polkitPath).Go(polkitInterface+".CancelCheckAuthorization", dbus.FlagNoReplyExpected, nil, id)
		return denied("%s, and polkit gave no answer in time (%s)", whose, action)
	case errors.As(err, &failed) && failed.Name == "org.freedesktop.DBus.Error.ServiceUnknown":
		return denied("%s, and there is no polkit to ask; root can", whose)
	}
	return denied("%s, and polkit could not be asked: %v", whose, err)
}
