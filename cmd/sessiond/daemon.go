package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"ninefold/sessiond/aliases"
	"ninefold/sessiond/door"
	"ninefold/sessiond/entries"
	"ninefold/sessiond/login"
	"ninefold/sessiond/manager"
)

// options are the command line.
type options struct {
	config, state, runtime string
	entries                string
	userdb                 string
	grace                  time.Duration
	debug, forget          bool
	guest                  uint
	bounds                 login.GuestBounds // of that guest
	inside                 int               // descriptor of the host's mount namespace, -1 before that is left
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("sessiond", flag.ContinueOnError)
	f.StringVar(&o.config, "config", "", "read profiles and ninefold.toml from `DIR` (default /etc/ninefold over /usr/lib/ninefold)")
	f.StringVar(&o.state, "state", "", "the store is in `DIR` (default /var/lib/ninefold)")
	f.StringVar(&o.runtime, "runtime", filepath.Dir(door.Path), "the door and the journal are in `DIR`")
	f.StringVar(&o.entries, "entries", entries.Dir, "keep the session entries of profiles below `DIR`; empty keeps none")
	f.StringVar(&o.userdb, "userdb", aliases.Dir, "keep the records of names with a profile in `DIR`; empty keeps none")
	f.DurationVar(&o.grace, "grace", 0, "keep a view that nobody is in for `DURATION` (default 1m)")
	f.BoolVar(&o.debug, "debug", false, "log every question")
	f.BoolVar(&o.forget, "forget", false, "take away the records of names with a profile, and end")
	f.UintVar(&o.guest, guestFlag, 0, "used by sessiond itself: keep the session of the guest with this `UID`, whose lock is the standard input")
	f.DurationVar(&o.bounds.Longest, longestFlag, 0, "used by sessiond itself: how long that guest may stay")
	f.DurationVar(&o.bounds.Away, awayFlag, 0, "used by sessiond itself: for how long that guest may leave its session")
	f.IntVar(&o.inside, insideFlag, -1, "used by sessiond itself: its mount namespace is made, and `FD` is the host's")
	err := f.Parse(args)
	if err == nil && f.NArg() > 0 {
		err = fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	return o, err
}

func run(args []string) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return manager.ErrNotRoot
	}
	if o.forget && o.userdb != "" {
		return aliases.Sync(o.userdb, nil)
	}
	if o.guest != 0 {
		return o.keepGuest()
	}
	if o.inside < 0 {
		return enterOwnNamespace(args)
	}
	unix.CloseOnExec(o.inside)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	return o.serve(ctx)
}

// serve runs the daemon until ctx ends, and then until what is under way is
// done. Views stay.
func (o options) serve(ctx context.Context) error {
	// The live heap is a few MiB; without a floor every view that is made would
	// make the collector run, and each run costs a login time.
	debug.SetGCPercent(200)
	level := slog.LevelInfo
	if o.debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutTime}))
	d, err := o.assemble(ctx, log)
	if err != nil {
		return err
	}
	listeners, hosts, err := o.listen()
	if err != nil {
		return err
	}

	// What fails alone does not end the daemon; a door that fails does.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	d.run(ctx, &wg)
	server := door.NewServer(d.logins, log)
	for _, l := range listeners {
		wg.Go(func() {
			if err := server.Serve(ctx, l); err != nil {
				cancel(fmt.Errorf("the door: %w", err))
			}
		})
	}
	o.serveHost(ctx, d, hosts, &wg)
	wg.Go(func() { watchdog(ctx, d) })
	d.awaitBus(ctx)
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady) // there may be nobody to notify
	log.Info("ready", "views", len(d.views.List()))
	<-ctx.Done()
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	wg.Wait()
	d.closeViews()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// withoutTime leaves the time to the journal, which has its own.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey && os.Getenv("JOURNAL_STREAM") != "" {
		return slog.Attr{}
	}
	return a
}

// listen returns the door and the broker's sockets: what systemd hands over,
// or a door of our own. A broker without systemd would have nobody to start
// anything.
func (o options) listen() (doors, hosts []*net.UnixListener, err error) {
	byName, err := activation.ListenersWithNames()
	if err != nil {
		return nil, nil, fmt.Errorf("take over the sockets: %w", err)
	}
	for name, listeners := range byName {
		for _, l := range listeners {
			u, ok := l.(*net.UnixListener)
			if !ok {
				if l != nil {
					l.Close()
				}
				continue
			}
			// The socket is systemd's and stays when we go.
			u.SetUnlinkOnClose(false)
			switch name {
			case "door":
				doors = append(doors, u)
			case "host":
				hosts = append(hosts, u)
			default:
				u.Close()
			}
		}
	}
	if len(doors) == 0 {
		l, err := door.Listen(filepath.Join(o.runtime, filepath.Base(door.Path)))
		if err != nil {
			return nil, nil, fmt.Errorf("make the door: %w", err)
		}
		doors = append(doors, l)
	}
	return doors, hosts, nil
}

// watchdog tells systemd that the daemon lives, twice in the time it allows. It
// takes the lock that every login takes: a daemon that is stuck there is dead.
func watchdog(ctx context.Context, d *parts) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	t := time.NewTicker(interval / 2)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			d.views.List()
			_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		}
	}
}
