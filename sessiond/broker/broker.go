// Package broker is the one door from a session back to the host: it runs a
// command there, outside of everything that the session did to its view, if the
// host policy says so. Who asks is taken from the kernel, what runs is found on
// the host, and systemd starts it as a transient unit with the caller's streams
// as descriptors, or with a terminal of the broker's own.
package broker

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"ninefold/sessiond/broker/hostbus"
	"ninefold/sessiond/broker/wire"
	"ninefold/sessiond/door"
	"ninefold/sessiond/policy"
	"ninefold/sessiond/views"
)

// Where says from which view a process asks; see views.Locate.
type Where interface {
	Locate(uid uint32, session string, manager bool, mountNS uint64) views.Place
}

// Options are what a Broker stands on.
type Options struct {
	Where Where
	// Policy is the host policy in force; asked anew for each request.
	Policy func() *policy.Set
	// Bus is for systemd; Polkit is another connection, since a person takes minutes
	// to answer and the bus bounds what waits.
	Bus, Polkit *hostbus.Bus
	// Host opens the host's mount namespace.
	Host func() (*os.File, error)
	Log  *slog.Logger
	// Descriptors is how many the daemon may have open (RLIMIT_NOFILE).
	Descriptors uint64
	// Enter is the program that enters a view for "in another session": the
	// commands of sessionctl, which root runs.
	Enter string
	// View finds a view of uid by its id or that of a session in it.
	View func(uid uint32, id string) (view string, err error)
}

// Broker serves the callers of one machine.
type Broker struct {
	Options
	limits  *limits
	asked   *answers
	people  *people
	started time.Time
	wg      sync.WaitGroup
	// closing are descriptors of callers that take their time to close.
	closing sync.WaitGroup
	cutting sync.Mutex

	mu       sync.Mutex
	followed map[string]int // units that a conversation here is about
}

// New returns a broker that serves nobody yet.
func New(o Options) *Broker {
	return &Broker{Options: o, limits: newLimits(o.Descriptors), asked: newAnswers(), people: newPeople(), started: time.Now(), followed: map[string]int{}}
}

// requestTimeout is how long a caller may take to say what it wants.
const requestTimeout = 10 * time.Second

// Serve answers until ctx ends. Commands that run then go on: their callers
// find them again with the next daemon. The error is that of a broken listener.
func (b *Broker) Serve(ctx context.Context, l *net.UnixListener) error {
	defer b.closed()
	defer b.wg.Wait()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	b.wg.Go(func() { b.reapOrphans(ctx) })
	for {
		c, accepted, err := door.Accept(ctx, l, b.Log)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		b.wg.Go(func() {
			defer c.Close()
			b.serve(ctx, &wire.Conn{Socket: c}, accepted)
		})
	}
}

// serve is one conversation. What a stranger sends is not written to the log.
func (b *Broker) serve(ctx context.Context, c *wire.Conn, accepted time.Duration) {
	uid, err := door.UID(c)
	if err != nil {
		return
	}
	release, ok := b.limits.admit(uid)
	if !ok {
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_ = c.Send(wire.Event{Kind: wire.Refused, Code: uint32(wire.Busy), Text: "too many commands of yours are under way"})
		return
	}
	defer release()
	_ = c.SetDeadline(time.Now().Add(requestTimeout))
	frame, give, err := c.Receive(func(n int) (func(), error) { return b.limits.borrow(uid, n) })
	defer func() { b.letGo(uid, frame.FDs) }()
	if err != nil {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			b.refuse(c, refusal{wire.Mistaken, err, "use the sessionctl that belongs to this daemon"})
		}
		return
	}
	var once sync.Once
	give2 := func() { once.Do(give) }
	defer give2()
	who, err := b.identify(ctx, c, accepted)
	if err != nil {
		b.Log.Warn("refused a caller of the broker", "uid", uid, "error", err)
		b.refuse(c, refusal{wire.Denied, err, ""})
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	switch frame.Kind {
	case wire.Run:
		r, err := wire.DecodeRequest(frame.Payload)
		frame.Payload = nil
		if err == nil && len(frame.FDs) != r.FDs() {
			err = wire.ErrBad
		}
		if err != nil {
			b.refuse(c, refusal{wire.Mistaken, err, ""})
			return
		}
		passed := frame.FDs
		frame.FDs = nil
		b.run(ctx, c, who, r, passed, give2)
	case wire.Attach:
		v, err := wire.DecodeEvent(frame.Kind, frame.Payload)
		if err != nil || len(frame.FDs) > 0 {
			b.refuse(c, refusal{wire.Mistaken, errors.Join(wire.ErrBad, err), ""})
			return
		}
		b.attach(ctx, c, who, v.Text)
	default:
		b.refuse(c, refusal{wire.Mistaken, wire.ErrBad, ""})
	}
}

// refusal is why a request goes no further.
type refusal struct {
	reason wire.Reason
	err    error
	hint   string
}

func (b *Broker) refuse(c *wire.Conn, r refusal) { _ = tell(c, r.event()) }

func (r refusal) event() wire.Event {
	return wire.Event{Kind: wire.Refused, Code: uint32(r.reason), Text: r.err.Error(), Hint: r.hint}
}

// tell sends an event to a caller who may have stopped listening.
func tell(c *wire.Conn, v wire.Event, files ...*os.File) error {
	_ = c.SetWriteDeadline(time.Now().Add(requestTimeout))
	return c.Send(v, files...)
}
