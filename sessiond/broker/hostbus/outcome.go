package hostbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

// Outcome is how a unit ended.
type Outcome struct {
	// Active is what State has it for: "failed", "active" for one that succeeded
	// and remains (RemainAfterExit=), "inactive" when nothing is known any more.
	Active string
	// Result says how systemd sees a failure: "exit-code", "signal", "oom-kill".
	Result string
	// End is how its main process ended, if there was one.
	End End
}

// Outcome waits for the end of a unit that this connection need not have
// started: nobody is told of that, so it is looked for. A bus and a systemd that
// go away come back, or ctx ends. A unit that failed is not forgotten.
func (s *Bus) Outcome(ctx context.Context, unit string) (Outcome, error) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		// A unit that is about to be started is inactive, and has a job. It is
		// asked for that first: what it had before it has got further since.
		var job struct {
			ID   uint32
			Path dbus.ObjectPath
		}
		err := s.property(ctx, unit, unitIface, "Job", &job)
		var st State
		if err == nil {
			st, err = s.State(ctx, unit)
		}
		switch {
		case err != nil && !Away(err):
			return Outcome{}, err
		case err == nil && job.ID == 0 && st.Active != "activating" && st.Active != "deactivating" && st.Active != "reloading":
			o := Outcome{Active: st.Active, Result: st.Result}
			o.End, _ = st.end() // there is none of what was never executed
			return o, nil
		}
		select {
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// Away reports whether an error says no more than that the bus or PID 1 did not
// answer: both come back, after systemctl daemon-reexec for one, and nobody
// knows whether what was asked for was done.
func Away(err error) bool {
	var answer dbus.Error
	if errors.As(err, &answer) {
		switch strings.TrimPrefix(answer.Name, "org.freedesktop.DBus.Error.") {
		case "NoReply", "ServiceUnknown", "NameHasNoOwner", "Timeout", "TimedOut", "Disconnected":
			return true
		}
		return strings.HasPrefix(answer.Name, "org.freedesktop.DBus.Error.Spawn.")
	}
	return errors.Is(err, ErrBus) || errors.Is(err, context.DeadlineExceeded)
}

// StatusText is the last STATUS= that a unit sent (sd_notify(3)).
func (s *Bus) StatusText(ctx context.Context, unit string) (text string, err error) {
	err = s.property(ctx, unit, serviceIface, "StatusText", &text)
	return text, err
}

func (s *Bus) property(ctx context.Context, unit, iface, name string, into any) error {
	c, err := s.connection(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := c.call(ctx, nil, systemdName, unitPath(unit), propsIface, "Get", []any{iface, name})
	if err != nil {
		return err
	}
	if err := dbus.Store(body, into); err != nil {
		return fmt.Errorf("%s of %s: %w", name, unit, err)
	}
	return nil
}
