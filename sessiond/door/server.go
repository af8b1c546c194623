package door

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Handler answers requests. It must return when ctx ends. The server closes
// the files of a reply, in the order of Reply.FDs, after it is sent.
type Handler interface {
	Answer(ctx context.Context, r Request, from Peer) (Reply, []*os.File)
}

// The bounds of the server. A user's connections never take the places that
// root's login processes need.
const (
	maxConnections = 256
	maxOfUsers     = 64
	maxOfOneUser   = 8
	ratePerSecond  = 20 // requests of one user
	rateBurst      = 60
	// budget is how long a request may take in all: a little less than the
	// client waits, so that it still hears the answer.
	budget = (TimeoutMS - 100) * time.Millisecond
	// sending is what an answer at the last moment has left.
	sending = 50 * time.Millisecond
)

// Server serves the door on one listener.
type Server struct {
	handler Handler
	log     *slog.Logger
	slots   chan struct{}
	limits  limiter
	wg      sync.WaitGroup
}

// NewServer returns a server that asks h.
func NewServer(h Handler, log *slog.Logger) *Server {
	return &Server{handler: h, log: log, slots: make(chan struct{}, maxConnections), limits: newLimiter()}
}

// Listen makes the door's socket at path, for who runs without socket
// activation, in place of one that a dead process left. Everybody may connect:
// authority comes from who the kernel says they are.
func Listen(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Accept waits for a connection, and says when it came (Identify). Connections that
// go again, and times without a free descriptor, it lets pass. The error is that of a
// broken listener, or of ctx.
func Accept(ctx context.Context, l *net.UnixListener, log *slog.Logger) (*net.UnixConn, time.Duration, error) {
	for {
		c, err := l.AcceptUnix()
		if err == nil {
			return c, bootTime(), nil
		}
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		if !errors.Is(err, unix.EMFILE) && !errors.Is(err, unix.ENFILE) && !errors.Is(err, unix.ECONNABORTED) {
			return nil, 0, err
		}
		log.Error("cannot accept a connection", "socket", l.Addr().String(), "error", err)
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// Serve answers until ctx ends, then closes l and waits for what is under way,
// which is over within a second. The error is that of a broken listener.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	defer s.wg.Wait()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		c, accepted, err := Accept(ctx, l, s.log)
		if err != nil {
			<-s.slots
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		s.wg.Go(func() {
			defer func() { <-s.slots }()
			defer c.Close()
			s.serve(ctx, c, accepted)
		})
	}
}

// serve answers one connection. What a stranger sends is never written to the
// log beyond its size and who sent it.
func (s *Server) serve(ctx context.Context, c *net.UnixConn, accepted time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), budget)
	defer cancel()
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline.Add(sending))
	uid, err := uidOf(c)
	if err != nil {
		return
	}
	release, ok := s.limits.admit(uid, time.Now())
	if !ok {
		return
	}
	defer release()
	buf := make([]byte, requestLen+1)
	n, err := c.Read(buf)
	if err != nil {
		return
	}
	// What it says comes first: who asks costs more to find out.
	r, err := DecodeRequest(buf[:n])
	if err != nil {
		s.log.Debug("refused a message at the door", "uid", uid, "bytes", n, "error", err)
		return
	}
	if r.Op == Guest && hungUp(c) {
		return // what would be made for it would be nobody's
	}
	from, err := Identify(c, accepted)
	if err != nil {
		s.log.Warn("refused a caller at the door", "uid", uid, "error", err)
		return
	}
	reply, files := Reply{Verdict: Host}, []*os.File(nil)
	if r.Op != Ping {
		reply, files = s.handler.Answer(ctx, r, from)
	}
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	reply.Op = r.Op
	if err := send(c, reply, files); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.log.Debug("the answer did not arrive", "uid", uid, "pid", from.PID, "error", err)
	}
}

func uidOf(c syscall.Conn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil {
		return 0, cerr
	}
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// hungUp reports whether the other end has closed the connection.
func hungUp(c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	over := false
	cerr := raw.Control(func(fd uintptr) {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(ready, 0)
		over = err == nil && n > 0
	})
	return over || cerr != nil
}

func send(c *net.UnixConn, r Reply, files []*os.File) error {
	b, err := r.Encode()
	if err != nil {
		return err
	}
	var control []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		control = unix.UnixRights(fds...)
	}
	_, _, err = c.WriteMsgUnix(b, control, nil)
	return err
}
