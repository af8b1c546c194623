package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// stopMore is what systemd is asked for when the machine goes down, beyond what
// parking takes.
const stopMore = "EXTEND_TIMEOUT_USEC=30000000"

// closeViews waits for what is under way. Views stay, unless the machine goes
// down: then what they hold is parked. The sessions have ended by then, since
// they are ordered after systemd-user-sessions.service, and that after us.
func (d *parts) closeViews() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if !d.units.GoingDown(ctx) {
		d.views.Close()
		return
	}
	_, _ = daemon.SdNotify(false, stopMore) // there may be nobody to notify
	d.log.Info("the machine goes down; what views hold is parked")
	d.views.GoDown()
}
