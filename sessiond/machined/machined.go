// Package machined has systemd-machined know the live views while it runs, so that
// machinectl lists them and says what is in them. Logins do not wait for it, and it is
// never started for it.
package machined

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"ninefold/internal/plainbus"
	"ninefold/sessiond/api"
	"ninefold/sessiond/process"
)

// The interface is org.freedesktop.machine1(5).
const (
	busName = "org.freedesktop.machine1"
	busPath = dbus.ObjectPath("/org/freedesktop/machine1")
	manager = busName + ".Manager"

	// service says in machinectl's list whose machine it is.
	service = "ninefold"
	// prefix and the id of a view are a machine's name.
	prefix = "ninefold-"
	// class is that of machines into which machined does not reach. For a
	// "container" it would speak to the bus at /run/dbus of the leader's mount
	// namespace. There that is the host's, so who may have a shell in a container
	// would have had root's on the host.
	class = "vm"
)

const (
	callTimeout = 2 * time.Second
	// maxWait is the longest pause between two tries to get onto the bus.
	maxWait = time.Minute
	// scopeSoon is how often is looked whether a young view has its scope.
	scopeSoon = 100 * time.Millisecond
	young     = 10 * time.Second
	// lookEvery is how often is looked although no view is said to have come or
	// gone: of very many changes at once some are not heard.
	lookEvery = time.Minute
)

// Views are the live views; a part of api.Service.
type Views interface {
	Views(ctx context.Context) ([]api.View, error)
	Subscribe(ctx context.Context) <-chan api.Event
}

// Run keeps machined's list right until ctx ends, whichever of the two starts
// anew meanwhile.
func Run(ctx context.Context, views Views, log *slog.Logger) {
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, maxWait) {
		began := time.Now()
		if err := follow(ctx, views, log); err != nil && ctx.Err() == nil {
			log.Warn("systemd-machined is not told of views", "error", err)
		}
		if time.Since(began) > maxWait {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// follow compares the lists whenever one of them may have changed, until the
// connection breaks.
func follow(ctx context.Context, views Views, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := plainbus.Connect(ctx, "")
	if err != nil {
		return err
	}
	defer conn.Close()
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	timed, done := context.WithTimeout(ctx, callTimeout)
	err = conn.AddMatchSignalContext(timed, dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
		dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, busName))
	done()
	if err != nil {
		return fmt.Errorf("hear of %s: %w", busName, err)
	}
	changes := views.Subscribe(ctx)
	again := time.NewTimer(0)
	defer again.Stop()
	var looked time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-conn.Context().Done():
			return errors.New("the bus closed the connection")
		case <-signals:
		case e := <-changes:
			if !e.OfView() && time.Since(looked) < lookEvery {
				continue
			}
		case <-again.C:
		}
		looked = time.Now()
		later, err := compare(ctx, conn, views, log)
		if err != nil && ctx.Err() == nil {
			log.Warn("systemd-machined is not told of views", "error", err)
		}
		if later {
			again.Reset(scopeSoon)
		}
	}
}

// compare registers the views that machined does not know, and takes off what
// is no view any more. later says that a view has no scope yet.
func compare(ctx context.Context, conn *dbus.Conn, views Views, log *slog.Logger) (later bool, err error) {
	known, there, err := listed(ctx, conn)
	if err != nil || !there {
		return false, err
	}
	all, err := views.Views(ctx)
	if err != nil {
		return false, err
	}
	for _, v := range all {
		name := prefix + v.ID
		if known[name] {
			delete(known, name)
			continue
		}
		switch homed, err := inScope(v); {
		case err != nil: // its holder has ended
		case !homed:
			later = later || time.Since(v.Created) < young
		default:
			if err := register(ctx, conn, name, v); err != nil && ctx.Err() == nil {
				log.Warn("systemd-machined does not take a view", "view", v.ID, "error", err)
			}
		}
	}
	for name := range known {
		// One that it has taken off itself meanwhile is as good.
		_ = call(ctx, conn, "UnregisterMachine", nil, name)
	}
	return later, nil
}

// listed returns the machines that are ours. there is false where machined does
// not run.
func listed(ctx context.Context, conn *dbus.Conn) (known map[string]bool, there bool, err error) {
	var machines []struct {
		Name, Class, Service string
		Path                 dbus.ObjectPath
	}
	err = call(ctx, conn, "ListMachines", &machines)
	var answer dbus.Error
	if errors.As(err, &answer) && (answer.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" || answer.Name == "org.freedesktop.DBus.Error.ServiceUnknown") {
		return nil, false, nil
	}
	known = map[string]bool{}
	for _, m := range machines {
		if m.Service == service && strings.HasPrefix(m.Name, prefix) {
			known[m.Name] = true
		}
	}
	return known, true, err
}

// inScope reports whether the holder of v is in its scope, which machined takes
// for the machine's unit. Before, it is in the daemon's. The error is a holder
// that has ended.
func inScope(v api.View) (bool, error) {
	cgroup, err := process.CgroupOf(v.Holder)
	if err != nil {
		return false, err
	}
	ns, err := process.MountNS(v.Holder)
	if err != nil {
		return false, err
	}
	if ns != v.MountNS {
		return false, fmt.Errorf("process %d is not in view %s", v.Holder, v.ID)
	}
	return v.Scope != "" && strings.HasSuffix(cgroup, "/"+v.Scope), nil
}

// register makes v known. The number of its holder can have become another
// process's until machined looks, so what it has found is looked at.
func register(ctx context.Context, conn *dbus.Conn, name string, v api.View) error {
	var path dbus.ObjectPath
	if err := call(ctx, conn, "RegisterMachine", &path, name, []byte{}, service, class, uint32(v.Holder), ""); err != nil {
		return err
	}
	var unit dbus.Variant
	timed, done := context.WithTimeout(ctx, callTimeout)
	defer done()
	err := conn.Object(busName, path).CallWithContext(timed, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, busName+".Machine", "Unit").Store(&unit)
	if err == nil && unit.Value() != v.Scope {
		err = fmt.Errorf("its unit is %v, not %s", unit.Value(), v.Scope)
	}
	if err != nil {
		return errors.Join(err, call(ctx, conn, "UnregisterMachine", nil, name))
	}
	return nil
}

// call calls a method of machined's, if that runs, and stores its answer unless
// into is nil.
func call(ctx context.Context, conn *dbus.Conn, method string, into any, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c := conn.Object(busName, busPath).CallWithContext(ctx, manager+"."+method, dbus.FlagNoAutoStart, args...)
	err := c.Err
	if err == nil && into != nil {
		err = c.Store(into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}
