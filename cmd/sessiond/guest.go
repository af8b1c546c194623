package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"ninefold/sessiond/broker/hostbus"
	"ninefold/sessiond/guests"
	"ninefold/sessiond/login"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/units"
)

const guestFlag, longestFlag, awayFlag = "keep-guest", "longest", "away"

// guestParts are what the logins of guests take.
func (o options) guestParts(m *manager.Manager) login.GuestParts {
	bus := hostbus.New(hostbus.DefaultSocket)
	return login.GuestParts{
		Guests: m.Guests,
		Host:   o.hostNamespace,
		Program: func() (string, error) {
			dir, err := m.InitDir()
			return filepath.Join(dir, guests.LoginShell), err
		},
		Keep: func(ctx context.Context, g *guests.Guest, b login.GuestBounds) error {
			return o.startKeeper(ctx, bus, g, b)
		},
	}
}

// startKeeper has systemd start this program anew, as the keeper of g, with the
// guest itself for its input: it outlives the daemon.
func (o options) startKeeper(ctx context.Context, bus *hostbus.Bus, g *guests.Guest, b login.GuestBounds) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	argv := []string{self, "-" + guestFlag, strconv.FormatUint(uint64(g.UID), 10), "-" + longestFlag, b.Longest.String(), "-" + awayFlag, b.Away.String()}
	if o.config != "" {
		argv = append(argv, "-config", o.config)
	}
	if o.state != "" {
		argv = append(argv, "-state", o.state)
	}
	lock, err := g.ForKeeper()
	if err != nil {
		return err
	}
	defer lock.Close()
	set := hostbus.Set
	_, err = bus.Start(ctx, "ninefold-"+g.Name+".service", []hostbus.Property{
		set("Description", "Session of the guest "+g.Name),
		set("Slice", "ninefold.slice"),
		set("CollectMode", "inactive-or-failed"),
		set("Type", "exec"),
		set("ExecStartEx", []hostbus.Exec{{Path: self, Argv: argv, Flags: []string{"no-env-expand"}}}),
		set("StandardInputFileDescriptor", dbus.UnixFD(lock.Fd())),
		// It ends what it keeps itself; what is left then is killed.
		set("KillMode", "mixed"),
		set("TimeoutStopUSec", uint64(20*time.Second/time.Microsecond)),
	})
	return err
}

// errAway says that a guest has left its session for another one.
var errAway = errors.New("nobody has come back to it (guests.away)")

// keepGuest keeps the session of a guest until that is over.
func (o options) keepGuest() error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	bus := units.New(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	defer bus.Close()
	if o.bounds.Away > 0 {
		var gone context.CancelCauseFunc
		ctx, gone = context.WithCancelCause(ctx)
		defer gone(nil)
		go func() {
			if bus.Away(ctx, uint32(o.guest), o.bounds.Away) {
				gone(errAway)
			}
		}()
	}
	// What cannot be had let go of is found, and a sweep tries again.
	letGo := func() {
		_ = bus.ForgetSessions(context.WithoutCancel(ctx), func(uid uint32) bool { return uid == uint32(o.guest) })
	}
	m := manager.Open(manager.Options{Config: o.config, State: o.state})
	if err := m.KeepGuest(ctx, uint32(o.guest), os.Stdin, o.bounds.Longest, letGo); err != nil {
		return fmt.Errorf("guest %s: %w", guests.Name(uint32(o.guest)), err)
	}
	return nil
}
