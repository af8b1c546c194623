package main

import (
	"context"
	"path/filepath"

	"ninefold/sessiond/bus"
	"ninefold/sessiond/door"
	"ninefold/sessiond/keeper"
	"ninefold/sessiond/live"
	"ninefold/sessiond/machined"
	"ninefold/sessiond/units"
)

// bindsDir is where a new daemon finds the live binds of the old one.
var bindsDir = filepath.Join(filepath.Dir(door.Path), "state", "binds")

// serveBus is on the system bus until ctx ends, where systemd runs the machine.
func (d *parts) serveBus(ctx context.Context) {
	if units.Booted() {
		bus.New(bus.Options{Service: d.service, Binder: live.New(d.service, bindsDir, func() int64 { return d.config.State().Config.Mount.MemoryBytes() }), Keeper: keeper.New(d.views, d.shelf, d.manager), Jobs: d.jobs(), Log: d.log}).Serve(ctx)
	}
}

// serveMachined has systemd-machined know the views until ctx ends.
func (d *parts) serveMachined(ctx context.Context) {
	if units.Booted() {
		machined.Run(ctx, d.service, d.log)
	}
}
