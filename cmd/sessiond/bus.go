package main

import (
	"context"

	"ninefold/sessiond/bus"
	"ninefold/sessiond/units"
)

// serveBus is on the system bus until ctx ends, where systemd runs the machine.
func (d *parts) serveBus(ctx context.Context) {
	if units.Booted() {
		bus.New(bus.Options{Service: d.service, Log: d.log}).Serve(ctx)
	}
}
