package guests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/sessiond/decided"
)

const (
	// MaxPool bounds how many sessions are kept prepared.
	MaxPool = 64
	// poolTime is how long either side of a pool waits for the other.
	poolTime = 5 * time.Second
	// lookEvery is how often is looked whether what is prepared is still what
	// would be made, besides whenever somebody asks for something else.
	lookEvery = 30 * time.Second
	// breath is how long a pool waits before it makes another session.
	breath = 100 * time.Millisecond
	// spare is the part of the machine's memory that has to be free for anything
	// to be kept prepared.
	spare = 16
)

// Pool keeps sessions prepared, so that a guest's first process begins at once.
type Pool struct {
	Guests *Guests
	// Size is how many, at most MaxPool.
	Size int
	// Decide decides what is to be prepared. release is called when that is no
	// longer kept.
	Decide func(ctx context.Context) (s *decided.Session, release func(), err error)
	Log    *slog.Logger

	mu    sync.Mutex
	same  string // what is prepared, as sameSession has it, and anySession
	any   string
	ready []*Prepared
	wake  chan struct{}
	given sync.WaitGroup
}

// Serve keeps sessions prepared, and hands them out at the socket called name, until
// ctx ends. Those that were handed out go on.
func (p *Pool) Serve(ctx context.Context, name string) error {
	if p.Size < 1 || p.Size > MaxPool {
		return fmt.Errorf("a pool keeps 1 to %d sessions, and not %d", MaxPool, p.Size)
	}
	p.wake = make(chan struct{}, 1)
	fd, err := listen(name)
	if err != nil {
		return fmt.Errorf("offer sessions to guests at %s: %w", name, err)
	}
	defer os.Remove(name)
	defer unix.Close(fd)
	var wg sync.WaitGroup
	wg.Go(func() { p.fill(ctx) })
	defer wg.Wait()
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 200)
		if n <= 0 {
			if err != nil && err != unix.EINTR {
				return err
			}
			continue
		}
		conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
		if err != nil {
			continue
		}
		wg.Go(func() { p.answer(conn) })
	}
	return nil
}

// listen makes the socket anew, for root alone.
func listen(name string) (int, error) {
	if err := gone(os.Remove(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err == nil {
		err = os.Chmod(name, 0o600)
	}
	if err == nil {
		err = unix.Listen(fd, 64)
	}
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// answer hands a session over to who asks for one that is like those in p.
func (p *Pool) answer(conn int) {
	defer unix.Close(conn)
	patience := unix.NsecToTimeval(int64(poolTime))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		_ = unix.SetsockoptTimeval(conn, unix.SOL_SOCKET, option, &patience)
	}
	if who, err := unix.GetsockoptUcred(conn, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil || who.Uid != 0 {
		return
	}
	question := make([]byte, maxMessage)
	n, err := unix.Read(conn, question)
	if err != nil || n <= 0 {
		return
	}
	one, same := p.take(string(question[:n]))
	if one == nil {
		return
	}
	if err := one.handOver(conn, same); err != nil {
		p.close(one)
		return
	}
	p.given.Go(one.letGo)
}

// take returns one that is what is asked for and whose first process lives, and what
// it is like; nil for none.
func (p *Pool) take(question string) (one *Prepared, same string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.look()
	if question != p.same && question != p.any || question == "" {
		return nil, ""
	}
	for len(p.ready) > 0 {
		one := p.ready[0]
		p.ready = p.ready[1:]
		if one.session.Alive() {
			return one, p.same
		}
		p.given.Go(func() { p.close(one) })
	}
	return nil, ""
}

func (p *Pool) look() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Pool) close(one *Prepared) {
	if err := one.Close(); err != nil {
		p.Log.Warn("a session that was prepared is not gone", "guest", one.Name(), "error", err)
	}
}

// fill keeps p full of what would be made now.
func (p *Pool) fill(ctx context.Context) {
	release := func() {}
	defer func() { p.replace("", ""); release() }()
	for ctx.Err() == nil {
		s, newer, err := p.Decide(ctx)
		if err != nil {
			p.Log.Error("no session is prepared", "error", err)
			p.replace("", "")
		} else {
			p.replace(p.Guests.sameSession(s), p.Guests.anySession(s.Profile))
			release()
			release = newer
			p.prepare(ctx, s)
		}
		select {
		case <-ctx.Done():
		case <-p.wake:
			// First who was just let in, with the same disk and processors.
			select {
			case <-ctx.Done():
			case <-time.After(breath):
			}
		case <-time.After(lookEvery):
		}
	}
}

// replace gives up what is prepared unless it is the same.
func (p *Pool) replace(same, kind string) {
	p.mu.Lock()
	old := p.ready
	if p.same == same && same != "" && plenty() {
		old = nil
	} else {
		p.ready, p.same = nil, same
	}
	p.any = kind
	p.mu.Unlock()
	for _, one := range old {
		p.close(one)
	}
}

func (p *Pool) prepare(ctx context.Context, s *decided.Session) {
	for ctx.Err() == nil {
		p.mu.Lock()
		full := len(p.ready) >= p.Size
		p.mu.Unlock()
		if full || !plenty() {
			return
		}
		one, err := p.Guests.Prepare(ctx, s)
		if err != nil {
			p.Log.Error("no session is prepared", "error", err)
			return
		}
		p.mu.Lock()
		p.ready = append(p.ready, one)
		p.mu.Unlock()
	}
}

// plenty reports whether the machine has memory to spare (proc_meminfo(5)).
func plenty() bool {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return false
	}
	amount := map[string]uint64{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 {
			amount[f[0]], _ = strconv.ParseUint(f[1], 10, 64)
		}
	}
	return amount["MemAvailable:"] > amount["MemTotal:"]/spare
}
