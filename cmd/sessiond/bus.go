package main

import (
	"context"
	"path/filepath"
	"time"

	"ninefold/sessiond/bus"
	"ninefold/sessiond/door"
	"ninefold/sessiond/keeper"
	"ninefold/sessiond/live"
	"ninefold/sessiond/machined"
	"ninefold/sessiond/units"
)

// bindsDir is where a new daemon finds the live binds of the old one.
var bindsDir = filepath.Join(filepath.Dir(door.Path), "state", "binds")

// busTime bounds how long the daemon is not ready because it is not on the bus yet.
// It is no login's time: the door is open before.
const busTime = 3 * time.Second

// awaitBus waits until the daemon has its name on the system bus, or cannot get
// it: whoever asks it when systemd says that it runs gets an answer.
func (d *parts) awaitBus(ctx context.Context) {
	select {
	case <-d.busTried:
	case <-ctx.Done():
	case <-time.After(busTime):
	}
}

// serveBus is on the system bus until ctx ends, where systemd runs the machine.
func (d *parts) serveBus(ctx context.Context) {
	tried := func() { close(d.busTried) }
	if !units.Booted() {
		tried()
		return
	}
	bus.New(bus.Options{Service: d.service, Binder: live.New(d.service, bindsDir, func() int64 { return d.config.State().Config.Mount.MemoryBytes() }), Keeper: keeper.New(d.views, d.shelf, d.manager), Jobs: d.jobs(), Log: d.log, Tried: tried}).Serve(ctx)
}

// serveMachined has systemd-machined know the views until ctx ends.
func (d *parts) serveMachined(ctx context.Context) {
	if units.Booted() {
		machined.Run(ctx, d.service, d.log)
	}
}
