package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"ninefold/sessiond/broker/hostbus"
	"ninefold/sessiond/broker/wire"
)

// forwarded are the signals that a caller can have sent to its command, and
// those that a terminal would send to all of its processes.
var (
	forwarded = []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGCONT, unix.SIGSTOP}
	ofAll     = []unix.Signal{unix.SIGINT, unix.SIGQUIT, unix.SIGCONT, unix.SIGSTOP}
)

// attend hands signals on until the command ends, and tells the caller how it
// did. When the caller goes away the command is ended; when the daemon does, it
// is left alone. closed, if it is set, is called before the end is told.
func (b *Broker) attend(ctx context.Context, c *wire.Conn, unit string, heard <-chan wire.Event, gone context.Context,
	wait func(context.Context) (hostbus.End, error), closed func()) {
	type result struct {
		end hostbus.End
		err error
	}
	waiting, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan result, 1)
	go func() {
		end, err := wait(waiting)
		if errors.Is(err, hostbus.ErrBus) && waiting.Err() == nil {
			end, err = b.recover(waiting, unit)
		}
		ended <- result{end, err}
	}()
	for {
		select {
		case r := <-ended:
			if ctx.Err() != nil {
				return
			}
			if closed != nil {
				closed()
			}
			_ = tell(c, endOf(r.end, r.err, unit))
			return
		case v := <-heard:
			if v.Kind == wire.Signal {
				b.signal(ctx, unit, unix.Signal(v.Number))
			}
		case <-gone.Done():
			if ctx.Err() != nil {
				<-ended
				return
			}
			b.stop(ctx, unit)
			<-ended // which has systemd forget it
			return
		}
	}
}

func endOf(end hostbus.End, err error, unit string) wire.Event {
	if err != nil {
		return refusal{wire.Lost, fmt.Errorf("the command has ended, and nobody knows how: %w", err), "see systemctl status " + unit}.event()
	}
	return wire.Event{Kind: wire.Ended, Code: uint32(end.Code), Number: uint32(end.Signal)}
}

// signal sends a signal to the command. The unit can be so young that there is
// no process yet.
func (b *Broker) signal(ctx context.Context, unit string, sig unix.Signal) {
	if !slices.Contains(forwarded, sig) {
		return
	}
	for range 100 {
		err := b.Bus.Kill(ctx, unit, slices.Contains(ofAll, sig), int32(sig))
		if err == nil || errors.Is(err, hostbus.ErrBus) {
			return
		}
		st, err := b.Bus.State(ctx, unit)
		if err != nil || st.Active != "activating" || st.MainPID != 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop ends a command whose caller is gone. What is stopped is let go on, so
// that it can end.
func (b *Broker) stop(ctx context.Context, unit string) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout+10*time.Second)
	defer cancel()
	_ = b.Bus.Kill(ctx, unit, true, int32(unix.SIGCONT))
	if err := b.Bus.Stop(ctx, unit); err != nil && ctx.Err() == nil {
		b.Log.Warn("a command whose caller is gone cannot be ended", "unit", unit, "error", err)
	}
}

// lateTime is how long PID 1 may be away before a start is no longer undone.
const lateTime = 5 * time.Minute

// unanswered ends a command whose start failed with err, if systemd could still
// get to it: its caller was told that it does not run.
func (b *Broker) unanswered(ctx context.Context, unit string, err error) {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, hostbus.ErrBus) {
		return
	}
	leave := b.follow(unit)
	b.wg.Go(func() {
		defer leave()
		ctx, cancel := context.WithTimeout(ctx, lateTime)
		defer cancel()
		for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
			// On one connection systemd takes it after the start.
			err := b.Bus.Stop(ctx, unit)
			var answer dbus.Error
			switch {
			case err == nil:
				b.Log.Info("a command that was started too late is ended", "unit", unit)
				b.Bus.Forget(unit)
				return
			case errors.As(err, &answer):
				return // it was never started, or has ended
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	})
}

// recover waits for the end of a command that this daemon or this connection
// did not start. One that failed is kept; of one that succeeded nothing is left.
func (b *Broker) recover(ctx context.Context, unit string) (hostbus.End, error) {
	o, err := b.Bus.Outcome(ctx, unit)
	if err != nil || o.Active != "failed" {
		return hostbus.End{}, err
	}
	return b.Bus.Failed(ctx, unit)
}

// follow notes that a conversation is about unit.
func (b *Broker) follow(unit string) (leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.followed[unit]++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.followed[unit]--; b.followed[unit] == 0 {
			delete(b.followed, unit)
		}
	}
}

// attach goes on with a command that an earlier daemon started for the same
// user.
func (b *Broker) attach(ctx context.Context, c *wire.Conn, who *caller, unit string) {
	uid, detached, ok := unitOf(unit)
	if !ok || uid != who.peer.UID {
		b.refuse(c, refusal{wire.Mistaken, errors.New("that is no command of yours"), ""})
		return
	}
	defer b.follow(unit)()
	heard, gone, cancel := b.listen(ctx, c, who.peer.UID)
	defer cancel()
	if detached {
		gone = context.WithoutCancel(gone)
	}
	_ = tell(c, wire.Event{Kind: wire.Started, Text: unit})
	b.attend(ctx, c, unit, heard, gone, func(ctx context.Context) (hostbus.End, error) { return b.recover(ctx, unit) }, nil)
}

// orphanGrace is how long the callers of an earlier daemon have to come back.
const orphanGrace = 10 * time.Second

// reapOrphans ends the commands of an earlier daemon whose callers have not
// come back, and has systemd forget those that failed.
func (b *Broker) reapOrphans(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(orphanGrace):
	}
	units, err := b.Bus.List(ctx, unitPrefix+"*"+unitSuffix)
	if err != nil {
		if ctx.Err() == nil {
			b.Log.Warn("commands of an earlier daemon are not looked for", "error", err)
		}
		return
	}
	for _, unit := range units {
		_, detached, ok := unitOf(unit)
		b.mu.Lock()
		mine := b.followed[unit] > 0
		b.mu.Unlock()
		if !ok || detached || mine {
			continue
		}
		b.Log.Info("the caller of a command has not come back", "unit", unit)
		b.stop(ctx, unit)
		b.Bus.Forget(unit)
	}
}
