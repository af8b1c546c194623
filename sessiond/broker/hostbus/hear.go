package hostbus

import (
	"time"

	"github.com/godbus/dbus/v5"
)

// hearsFor is how long the ends of jobs are heard after the last one was waited for.
// Every login is a job of systemd's: who hears of all of them takes part in each login.
const hearsFor = 20 * time.Second

// jobEnds is what the bus is to hand us: systemd sends it when a job is over.
const jobEnds = "type='signal',sender='" + systemdName + "',path='" + string(systemdPath) + "',interface='" + managerIface + "',member='JobRemoved'"

// sendHearing is send for a call that makes a job. From before it on the bus hands us the
// ends of jobs: it takes what we send in its order, so nobody waits for an answer.
func (c *conn) sendHearing(w *call, flags dbus.Flags, name string, path dbus.ObjectPath, iface, method string, body []any) (uint32, error) {
	c.hearing.Lock()
	defer c.hearing.Unlock()
	if c.hears != nil {
		c.hears.Reset(hearsFor)
	} else if _, err := c.send(nil, 0, busName, busPath, busName, "AddMatch", []any{jobEnds}); err != nil {
		c.leave(w)
		return 0, err
	} else {
		c.hears = time.AfterFunc(hearsFor, c.hearNoMore)
	}
	return c.send(w, flags, name, path, iface, method, body)
}

// hearNoMore ends that once no job is waited for.
func (c *conn) hearNoMore() {
	c.hearing.Lock()
	defer c.hearing.Unlock()
	if !c.alive() {
		return
	}
	c.mu.Lock()
	waited := len(c.jobs) > 0
	for _, w := range c.calls {
		waited = waited || w.job != nil
	}
	c.mu.Unlock()
	if waited {
		c.hears.Reset(hearsFor)
		return
	}
	c.hears = nil
	_, _ = c.send(nil, 0, busName, busPath, busName, "RemoveMatch", []any{jobEnds}) // a connection that fails is closed
}
