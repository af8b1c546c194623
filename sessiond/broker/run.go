package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"ninefold/sessiond/broker/hostbus"
	"ninefold/sessiond/broker/wire"
	"ninefold/sessiond/policy"
)

// run is the conversation about one command.
// The descriptors that came along are its own.
func (b *Broker) run(ctx context.Context, c *wire.Conn, who *caller, r *wire.Request, files []wire.FD, understood func()) {
	refused := safe(who.peer.PID, r, files)
	if refused == nil && r.Apart() {
		refused = pipes(r, files)
	}
	if refused != nil {
		b.refuse(c, *refused)
		b.letGo(who.peer.UID, files)
		return
	}
	letGo := sync.OnceFunc(func() { // none of them waits for anybody
		for _, d := range files {
			d.Close()
		}
	})
	defer letGo()
	cmd, refused := b.understand(ctx, who, r, files)
	defer func() {
		if cmd != nil && cmd.place != nil {
			cmd.place.Close()
		}
	}()
	if refused != nil {
		b.refused(c, who, r, *refused)
		return
	}
	if r.Explain {
		_ = tell(c, wire.Event{Kind: wire.Explained, Text: cmd.explain(who)})
		return
	}
	// From here on the caller is listened to: when it is gone, nobody is asked
	// and nothing is started.
	heard, gone, cancel := b.listen(ctx, c, who.peer.UID)
	defer cancel()
	result, err := b.permitted(gone, who, cmd)
	if err != nil {
		b.record(who, cmd, "", result, err)
		b.refuse(c, refusal{wire.Denied, err, ""})
		return
	}
	for _, n := range cmd.notices {
		_ = tell(c, wire.Event{Kind: wire.Notice, Text: n})
	}
	t, err := b.terminal(gone, c, cmd, heard)
	if err != nil {
		b.refuse(c, refusal{wire.NotStarted, err, ""})
		return
	}
	defer t.Close()
	unit := newUnit(who.peer.UID, r.Detach)
	defer b.follow(unit)()
	started, ended, err := b.start(gone, who, cmd, unit, files, t)
	if err != nil {
		b.record(who, cmd, unit, resultFailed, err)
		b.refuse(c, notStarted(err))
		b.unanswered(ctx, unit, err)
		return
	}
	b.record(who, cmd, unit, result, nil)
	_ = tell(c, wire.Event{Kind: wire.Started, Text: unit})
	// What only the start needs goes: a caller can have hundreds of commands.
	cmd.argv, r.Argv = nil, nil
	letGo()
	understood()
	if r.Detach {
		if place := cmd.place; place != nil {
			cmd.place = nil
			b.wg.Go(func() { lend(ctx, place, started) })
		}
		return
	}
	b.attend(ctx, c, unit, heard, gone, func(ctx context.Context) (hostbus.End, error) {
		defer ended()
		return started.Wait(ctx)
	}, t.Close)
}

// lendTime is more than systemd takes to get from a job to a process.
const lendTime = time.Minute

// lend keeps a directory open for a command that nobody waits for, until it has
// certainly changed to it or has ended.
func lend(ctx context.Context, place *os.File, started *hostbus.Started) {
	defer place.Close()
	ctx, cancel := context.WithTimeout(ctx, lendTime)
	defer cancel()
	_, _ = started.Wait(ctx) // how it ended is in the journal
}

// permitted returns how the command came to be allowed, or why it is not.
func (b *Broker) permitted(ctx context.Context, who *caller, c *command) (result string, err error) {
	switch c.decision.Verdict {
	case policy.Allow:
		return resultAllowed, nil
	case policy.Ask:
		if c.request.Apart() {
			if err := b.permit(ctx, who, c); err != nil {
				return resultRefused, fmt.Errorf("%s: %w", c.decision.Why, err)
			}
			return resultAsked, nil
		}
		remembered, err := b.ask(ctx, who, c)
		switch {
		case err != nil:
			return resultRefused, fmt.Errorf("%s: %w", c.decision.Why, err)
		case remembered:
			return resultHeld, nil
		}
		return resultAsked, nil
	}
	return resultDenied, errors.New(c.decision.Why)
}

// refused tells of a request that came to no decision of the policy. What
// touches a program that is not root's is recorded all the same.
func (b *Broker) refused(c *wire.Conn, who *caller, r *wire.Request, why refusal) {
	if why.reason == wire.Denied {
		b.record(who, &command{request: r, argv: r.Argv}, "", resultDenied, why.err)
	}
	b.refuse(c, why)
}

// start has systemd start the command. It holds its place among those that are
// started until ended is called, which may be never, and for startTime at most:
// the answer says only that systemd has put it on its list.
func (b *Broker) start(ctx context.Context, who *caller, cmd *command, unit string, files []wire.FD, t *terminal) (started *hostbus.Started, ended func(), err error) {
	done, err := b.limits.start(ctx, who.peer.UID, who.session+" "+who.place.View)
	if err != nil {
		return nil, nil, err
	}
	done = sync.OnceFunc(done)
	defer func() {
		if err != nil {
			done()
		}
	}()
	// Not ctx: a start that was sent is followed to its answer, or it would run
	// with nobody to end it.
	streams, null, err := cmd.streams(files, t)
	if err != nil {
		return nil, nil, err
	}
	defer null.Close()
	started, err = b.Bus.Start(context.WithoutCancel(ctx), unit, cmd.properties(who, streams))
	if err != nil {
		return nil, nil, err
	}
	timer := time.AfterFunc(startTime, done)
	return started, func() { timer.Stop(); done() }, nil
}

// streams are the command's three: the caller's that were passed, its terminal,
// or null, which the caller closes. They are nil for a detached command that was
// passed none, which writes to the journal.
func (c *command) streams(passed []wire.FD, t *terminal) (streams []int, null *os.File, err error) {
	if null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	none := int(null.Fd())
	for _, s := range c.request.Streams {
		switch s {
		case wire.Passed:
			streams, passed = append(streams, int(passed[0])), passed[1:]
		case wire.OwnTerminal:
			streams = append(streams, int(t.slave.Fd()))
		default:
			streams = append(streams, none)
		}
	}
	if c.request.Detach && !slices.ContainsFunc(streams, func(fd int) bool { return fd != none }) {
		streams = nil
	}
	return streams, null, nil
}

func notStarted(err error) refusal {
	var failed dbus.Error
	switch {
	case errors.Is(err, context.Canceled):
		return refusal{wire.NotStarted, errors.New("the daemon is stopping"), "try again"}
	case errors.Is(err, hostbus.ErrBus):
		return refusal{wire.NotStarted, err, "see systemctl status dbus"}
	case errors.As(err, &failed):
		return refusal{wire.NotStarted, fmt.Errorf("systemd does not start it: %w", err), ""}
	}
	return refusal{wire.NotStarted, err, ""}
}

// listen reads what the caller says until it hangs up; gone ends then.
func (b *Broker) listen(ctx context.Context, c *wire.Conn, uid uint32) (heard <-chan wire.Event, gone context.Context, cancel func()) {
	events := make(chan wire.Event, 4)
	gone, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer stop()
		for {
			f, _, err := c.Receive(nil)
			b.letGo(uid, f.FDs) // none is expected any more
			if err != nil {
				return
			}
			v, err := wire.DecodeEvent(f.Kind, f.Payload)
			if err != nil || v.Kind != wire.Go && v.Kind != wire.Signal {
				return
			}
			select {
			case events <- v:
			case <-gone.Done():
				return
			}
		}
	}()
	return events, gone, func() {
		stop()
		_ = c.SetReadDeadline(time.Unix(1, 0))
		<-ended
	}
}
