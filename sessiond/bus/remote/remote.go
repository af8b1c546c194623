// Package remote is the asking side of org.ninefold: sessiond/api's words over
// the system bus, for commands.
package remote

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/internal/plainbus"
	"ninefold/sessiond/api"
	"ninefold/sessiond/bus"
)

// The errors that a command tells apart.
var (
	// ErrNoDaemon says that sessiond does not run, or that there is no system bus.
	ErrNoDaemon = errors.New("sessiond does not run")
	// ErrNoAnswer says that it runs, or did, and has not answered in time.
	ErrNoAnswer = errors.New("sessiond does not answer")
	// ErrDenied says that the caller may not do it.
	ErrDenied = errors.New("not permitted")
)

const (
	// answerTimeout is for what takes the daemon no time.
	answerTimeout = 5 * time.Second
	// workTimeout is for what ends processes, or asks a person for a password.
	workTimeout = 150 * time.Second
)

// Daemon is the running sessiond.
type Daemon struct{ conn *dbus.Conn }

// Dial connects to the system bus and looks whether the daemon is there. It
// does not start one: whoever only looks changes nothing.
func Dial(ctx context.Context) (*Daemon, error) {
	conn, err := plainbus.Connect(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("%w, or cannot be asked: %w", ErrNoDaemon, err)
	}
	var has bool
	timed, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := conn.BusObject().CallWithContext(timed, "org.freedesktop.DBus.NameHasOwner", 0, bus.Name).Store(&has); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%w, or cannot be asked: %w", ErrNoDaemon, err)
	}
	if !has {
		conn.Close()
		return nil, ErrNoDaemon
	}
	return &Daemon{conn}, nil
}

// Close ends the connection.
func (d *Daemon) Close() { d.conn.Close() }

// ask calls a method. The message is made here because the library's calls drop
// the flag that lets polkit ask a person for a password.
func (d *Daemon) ask(ctx context.Context, timeout time.Duration, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	i := strings.LastIndexByte(method, '.')
	m := &dbus.Message{Type: dbus.TypeMethodCall, Flags: dbus.FlagNoAutoStart | dbus.FlagAllowInteractiveAuthorization, Body: args,
		Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(bus.Name), dbus.FieldPath: dbus.MakeVariant(path),
			dbus.FieldInterface: dbus.MakeVariant(method[:i]), dbus.FieldMember: dbus.MakeVariant(method[i+1:]),
		}}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	c := <-d.conn.SendWithContext(ctx, m, make(chan *dbus.Call, 1)).Done
	c.Err = told(c.Err)
	return c
}

// told gives an error of the daemon its place among ours.
func told(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, dbus.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrNoAnswer, err)
	}
	var e dbus.Error
	if !errors.As(err, &e) {
		return err
	}
	message := e.Error()
	switch e.Name {
	case bus.Name + ".Error.NotFound", "org.freedesktop.DBus.Error.NoSuchObject":
		return &said{message, api.ErrNotFound}
	case bus.Name + ".Error.Policy":
		return &said{message, api.ErrPolicy}
	case bus.Name + ".Error.Busy":
		return &said{message, api.ErrBusy}
	case "org.freedesktop.DBus.Error.InvalidArgs":
		return &said{message, api.ErrInvalid}
	case "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired":
		return &said{message, ErrDenied}
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner":
		return fmt.Errorf("%w any more: %s", ErrNoDaemon, message)
	case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Timeout", "org.freedesktop.DBus.Error.LimitsExceeded":
		return fmt.Errorf("%w: %s", ErrNoAnswer, message)
	}
	return err
}

// said is what the daemon said, and what it is.
type said struct {
	text string
	is   error
}

func (s *said) Error() string { return s.text }
func (s *said) Unwrap() error { return s.is }

// Status tells of the daemon as a whole.
func (d *Daemon) Status(ctx context.Context) (api.Status, error) {
	var p map[string]dbus.Variant
	if err := d.ask(ctx, answerTimeout, bus.Path, "org.freedesktop.DBus.Properties.GetAll", bus.ManagerInterface).Store(&p); err != nil {
		return api.Status{}, err
	}
	r := record(p)
	return api.Status{Views: int(r.number("NViews")), Sessions: int(r.number("NSessions")), ConfigError: r.text("ConfigurationError"),
		Degraded: r.texts("Degraded"), Outside: r.texts("Outside"), Started: r.time("StartTimestamp")}, nil
}

// All returns the live views and sessions, each the oldest first.
func (d *Daemon) All(ctx context.Context) (views []api.View, sessions []api.Session, err error) {
	objects, err := d.objects(ctx)
	if err != nil {
		return nil, nil, err
	}
	views, sessions = []api.View{}, []api.Session{}
	for _, o := range objects {
		if p, ok := o[bus.ViewInterface]; ok {
			views = append(views, viewOf(p))
		}
		if p, ok := o[bus.SessionInterface]; ok {
			sessions = append(sessions, sessionOf(p))
		}
	}
	sortByAge(views, sessions)
	return views, sessions, nil
}

// objects are the properties of all objects, by interface.
func (d *Daemon) objects(ctx context.Context) (all map[dbus.ObjectPath]map[string]map[string]dbus.Variant, err error) {
	err = d.ask(ctx, answerTimeout, bus.Path, "org.freedesktop.DBus.ObjectManager.GetManagedObjects").Store(&all)
	return all, err
}

// View returns one view, or api.ErrNotFound.
func (d *Daemon) View(ctx context.Context, id string) (api.View, error) {
	return d.viewAt(ctx, "view "+id, bus.ManagerInterface+".GetView", id)
}

// ViewOf returns the view that a process is in, or api.ErrNotFound; 0 is this
// process.
func (d *Daemon) ViewOf(ctx context.Context, pid int) (api.View, error) {
	return d.viewAt(ctx, "the view of a process", bus.ManagerInterface+".GetViewByPID", uint32(pid))
}

func (d *Daemon) viewAt(ctx context.Context, what, method string, args ...any) (api.View, error) {
	r, err := d.at(ctx, answerTimeout, bus.ViewInterface, what, method, args...)
	if err != nil {
		return api.View{}, err
	}
	return viewOf(r), nil
}

// at returns the properties of the object whose path a method of the manager
// answers within timeout; what is the object's name in an error.
func (d *Daemon) at(ctx context.Context, timeout time.Duration, iface, what, method string, args ...any) (record, error) {
	var path dbus.ObjectPath
	if err := d.ask(ctx, timeout, bus.Path, method, args...).Store(&path); err != nil {
		return nil, err
	}
	var p map[string]dbus.Variant
	if err := d.ask(ctx, answerTimeout, path, "org.freedesktop.DBus.Properties.GetAll", iface).Store(&p); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return p, nil
}

// NamespaceFile returns the plan of a view: to its user and to root.
func (d *Daemon) NamespaceFile(ctx context.Context, id string) (text string, err error) {
	err = d.ask(ctx, answerTimeout, bus.ViewPath(id), bus.ViewInterface+".GetNamespaceFile").Store(&text)
	return text, err
}

// Outlook says what a login of user would get.
func (d *Daemon) Outlook(ctx context.Context, user, choice string) (api.Outlook, error) {
	o := api.Outlook{User: user}
	err := d.ask(ctx, workTimeout, bus.Path, bus.ManagerInterface+".GetOutlook", user, choice).Store(&o.UID, &o.Profile, &o.View, &o.Why, &o.Refused)
	return o, err
}

// EndView ends every process in a view, and EndSession a session.
func (d *Daemon) EndView(ctx context.Context, id string) error {
	return d.ask(ctx, workTimeout, bus.Path, bus.ManagerInterface+".EndView", id).Err
}

// EndSession ends one session.
func (d *Daemon) EndSession(ctx context.Context, id string) error {
	return d.ask(ctx, workTimeout, bus.Path, bus.ManagerInterface+".EndSession", id).Err
}

// Bind binds source, as this process sees it, at target in a view.
func (d *Daemon) Bind(ctx context.Context, view, source, target string, readOnly bool) error {
	return d.ask(ctx, workTimeout, bus.ViewPath(view), bus.ViewInterface+".Bind", source, target, readOnly).Err
}

// Mount mounts a file system into a view: from a file, or with the source
// "tmpfs" an empty one in memory of at most size bytes.
func (d *Daemon) Mount(ctx context.Context, view, source, target, typ string, readOnly bool, size uint64) error {
	return d.ask(ctx, workTimeout, bus.ViewPath(view), bus.ViewInterface+".Mount", source, target, typ, readOnly, size).Err
}

// Unmount takes off what was bound last at target in a view.
func (d *Daemon) Unmount(ctx context.Context, view, target string) error {
	return d.ask(ctx, workTimeout, bus.ViewPath(view), bus.ViewInterface+".Unmount", target).Err
}

// Binds returns the live binds of a view: to its user and to root.
func (d *Daemon) Binds(ctx context.Context, view string) (out []api.Bind, err error) {
	var rows []struct {
		Target   string
		ReadOnly bool
	}
	err = d.ask(ctx, answerTimeout, bus.ViewPath(view), bus.ViewInterface+".ListBinds").Store(&rows)
	for _, r := range rows {
		out = append(out, api.Bind{Target: r.Target, ReadOnly: r.ReadOnly})
	}
	return out, err
}
