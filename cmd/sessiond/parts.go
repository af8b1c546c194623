package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ninefold/namespaces/plan"
	"ninefold/sessiond/api"
	"ninefold/sessiond/config"
	"ninefold/sessiond/jobs"
	"ninefold/sessiond/journal"
	"ninefold/sessiond/login"
	"ninefold/sessiond/manager"
	"ninefold/sessiond/parked"
	"ninefold/sessiond/service"
	"ninefold/sessiond/units"
	"ninefold/sessiond/views"
)

// parts are the rooms of the daemon, joined.
type parts struct {
	log     *slog.Logger
	config  *config.Live
	views   *views.Views
	logins  *login.Logins
	shelf   *parked.Shelf
	units   unitsOfMachine
	manager func() *manager.Manager
	ready   chan struct{} // the configuration or an image changed
	entries string        // where session entries are kept; "" is nowhere
	names   names
	// service is what every surface stands on.
	service *service.Service
	events  *service.Events
	// work does jobs; nil without systemd.
	work *jobs.Jobs
	// busTried is closed when the daemon is on the system bus, or has failed to get there.
	busTried chan struct{}
}

// assemble makes the parts and finds the views that there are.
func (o options) assemble(ctx context.Context, log *slog.Logger) (*parts, error) {
	// Everybody passes through here to the door.
	if err := os.MkdirAll(o.runtime, 0o755); err != nil {
		return nil, fmt.Errorf("make the runtime directory: %w", err)
	}
	// Views without a broker have something mounted over it, sockets or not.
	if err := os.MkdirAll(filepath.Join(o.runtime, filepath.Base(plan.Broker)), 0o755); err != nil {
		return nil, fmt.Errorf("make the runtime directory: %w", err)
	}
	j, err := journal.Open(filepath.Join(o.runtime, "state", "views"))
	if err != nil {
		return nil, err
	}
	base := manager.Open(manager.Options{Config: o.config, State: o.state, HostMounts: o.hostNamespace})
	events := service.NewEvents()
	var live *config.Live
	m := func() *manager.Manager { return base.WithConfig(live.State().Config) }
	ready, changed := make(chan struct{}, 1), make(chan struct{}, 1)
	live = config.Follow(base.Config(), log, func() {
		events.Publish(api.Event{Kind: api.ConfigChanged})
		wake(ready)
		wake(changed)
	})
	u, needs := machineUnits(log)
	shelf := parked.On(base.State())
	vs := views.New(views.Options{Shelf: shelf, Manager: m, Journal: j, Units: u, Log: log, Needs: needs, Grace: o.grace, Event: events.Publish,
		Host: o.hostNamespace, Wrapper: func() (string, error) { return wrapper(m()) }, ManagerProgram: userManager(base)})
	if err := vs.Recover(ctx); err != nil {
		return nil, err
	}
	logins := login.New(live, vs, log)
	logins.LetGuestsIn(o.guestParts(base))
	d := &parts{shelf: shelf, log: log, config: live, views: vs, logins: logins, units: u, manager: m, ready: ready, entries: o.entries,
		names:   names{dir: o.userdb, changed: changed, log: log},
		service: service.New(live, vs, logins, m, u, events), events: events, busTried: make(chan struct{})}
	if units.Booted() {
		d.work = o.work(d)
	}
	return d, nil
}

// run starts what the parts do on their own until ctx ends. None of it failing
// ends the daemon.
func (d *parts) run(ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() { d.views.Run(ctx) })
	wg.Go(func() {
		d.units.Watch(ctx, d.views.Changed, func(id string) { wg.Go(func() { d.appeared(ctx, id) }) })
	})
	wg.Go(func() {
		if err := d.config.Watch(ctx); err != nil {
			d.log.Error("changes of the configuration are not seen until the daemon starts anew", "error", err)
		}
	})
	wg.Go(func() { d.makeReady(ctx) })
	wg.Go(func() {
		if err := d.watchImages(ctx); err != nil {
			d.log.Warn("session entries do not follow new images until the daemon starts anew", "error", err)
		}
	})
	wg.Go(func() {
		if err := d.names.keep(ctx, d.config.State); err != nil {
			d.log.Error("ssh knows no names with a profile until the daemon starts anew", "error", err)
		}
	})
	wg.Go(func() { d.serveBus(ctx) })
	wg.Go(func() { d.serveMachined(ctx) })
	if d.work != nil {
		wg.Go(func() { d.work.Run(ctx) })
	}
	wg.Go(func() { d.tidy(ctx) })
}

// lookAfter is how long a session is left alone before it is looked at. A login is
// then through, and what it waits for, logind and the bus, was not asked for us.
const lookAfter = time.Second

// appeared looks at a session that began, unless it is over by then.
func (d *parts) appeared(ctx context.Context, id string) {
	select {
	case <-time.After(lookAfter):
	case <-ctx.Done():
		return
	}
	if d.logins.Asked(id) {
		return // as nearly all do
	}
	s, err := d.units.Session(ctx, id)
	if err != nil {
		d.log.Debug("a session that began was not looked at", "session", id, "error", err) // it may be over
		return
	}
	d.logins.Appeared(ctx, s)
}

// tidy looks after what is parked, at the start and then once a day.
func (d *parts) tidy(ctx context.Context) {
	t := time.NewTicker(24 * time.Hour)
	defer t.Stop()
	for {
		d.shelf.Tidy(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// unitsOfMachine is what the parts of the daemon ask of systemd.
type unitsOfMachine interface {
	views.Units
	service.Units
	Watch(ctx context.Context, changed func(), appeared func(id string))
	Session(ctx context.Context, id string) (units.Session, error)
	GoingDown(ctx context.Context) bool
}

// machineUnits returns systemd where it runs the machine. The user's manager
// then runs in the view, so every root needs one.
func machineUnits(log *slog.Logger) (unitsOfMachine, []string) {
	if units.Booted() {
		return units.New(log), []string{managerProgram}
	}
	return units.None{}, nil
}

const managerProgram = "/usr/lib/systemd/systemd"

// userManager is what a view's own user manager is started as. "view" does not
// stay on the host, where there is one manager already.
func userManager(m *manager.Manager) []string {
	enter, err := wrapper(m)
	if err != nil || !units.Booted() {
		return nil
	}
	return []string{enter, "view", "--", managerProgram, "--user"}
}

// wrapper is ninefold-enter, beside ninefold-init.
func wrapper(m *manager.Manager) (string, error) {
	dir, err := m.InitDir()
	return filepath.Join(dir, "ninefold-enter"), err
}
