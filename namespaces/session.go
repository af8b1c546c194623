package namespaces

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// Session is a live session, or a further command in one. Close must be
// called; it ends what the Session started and waits for it. A Session is safe
// for use by several goroutines.
type Session struct {
	first    firstProcess
	hostInit string
	cgroup   string // its name, or empty

	pid     int
	adopted bool      // the first process is another's child
	stays   bool      // it outlives the command, and the keeper (Open)
	status  kernel.FD // read end
	guard   kernel.FD // read end of what the guard writes, or None
	relay   *relay

	mu       sync.Mutex
	pidfd    kernel.FD
	lifeline kernel.FD // write end: closing it ends the session

	wait sync.Once
	how  Status
	err  error
}

// Start builds the session that p describes and starts c in it. On any error
// nothing is left of it. When ctx ends before the session does, the session
// is closed. The caller needs CAP_SYS_ADMIN.
func Start(ctx context.Context, p *plan.Plan, c Command) (*Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	null, err := c.fill()
	if err != nil {
		return nil, err
	}
	defer null.Close()
	b, err := newBuilder(p, c)
	if err != nil {
		return nil, err
	}
	var s *Session
	if err := kernel.OnThread(func() (err error) {
		s, err = b.run()
		return err
	}); err != nil {
		return nil, err
	}
	if err := s.passGuard(c.Guard); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if len(c.Argv) == 0 && b.first.proc {
		if err := s.ready(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	if ctx.Done() != nil {
		context.AfterFunc(ctx, s.hangUp)
	}
	return s, nil
}

// Run starts c in a new session of p, waits for it and closes the session. It
// costs less than Start and Wait: the thread that made the session waits for it.
func Run(ctx context.Context, p *plan.Plan, c Command) (status Status, err error) {
	if err := ctx.Err(); err != nil {
		return Status{}, err
	}
	null, err := c.fill()
	if err != nil {
		return Status{}, err
	}
	defer null.Close()
	b, err := newBuilder(p, c)
	if err != nil {
		return Status{}, err
	}
	whole := func() (err error) {
		status, err = b.runToEnd(ctx)
		return err
	}
	if c.Here {
		before, err := kernel.OpenPlace()
		if err != nil {
			return status, err
		}
		defer before.Close()
		if err := whole(); err != nil {
			// What the caller does next is not to be done as a half-made session.
			return status, errors.Join(err, before.Return())
		}
		return status, nil
	}
	return status, kernel.OnThread(whole)
}

// runToEnd builds, starts and waits on the calling thread. The thread leaves
// the session's namespaces before it waits: what the session mounted is
// gone when its last process is, and so before this returns.
func (b *builder) runToEnd(ctx context.Context) (Status, error) {
	home, err := kernel.OpenHome(b.unshared())
	if err != nil {
		return Status{}, err
	}
	defer home.Close()
	s, err := b.run()
	if b.away {
		if lerr := home.Enter(); lerr != nil {
			err = errors.Join(ErrAway, lerr, err)
			if s != nil {
				err = errors.Join(err, s.Close())
			}
			return Status{}, err
		}
	}
	if err != nil {
		return Status{}, err
	}
	if err := s.passGuard(b.command.Guard); err != nil {
		return Status{}, errors.Join(err, s.Close())
	}
	if b.command.Started != nil {
		b.command.Started(s)
	}
	defer context.AfterFunc(ctx, s.hangUp)()
	status, err := s.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return status, errors.Join(err, s.Close())
}

// PID is the session's first process as the host numbers it.
func (s *Session) PID() int { return s.pid }

// Signal sends sig to the session's command. Signals that the first process
// cannot forward (SIGKILL, SIGSTOP) end or stop the session as a whole.
func (s *Session) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := unix.PidfdSendSignal(s.pidfd.Int(), sig, nil, 0); err != nil {
		return fmt.Errorf("signal session %d: %w", s.pid, err)
	}
	return nil
}

// Wait returns when the command has ended and every process of the session is
// gone, but for a session that stays. It holds one thread while it waits.
func (s *Session) Wait() (Status, error) {
	s.wait.Do(func() {
		if s.stays {
			if raw, err := s.said(); err == nil {
				s.over(syscall.WaitStatus(raw))
				return
			}
			// The session has been ended.
		}
		if s.adopted {
			s.err = s.ended()
			s.release()
			return
		}
		state, err := kernel.Reap(s.pid)
		if err != nil {
			s.err = fmt.Errorf("wait for session %d: %w", s.pid, err)
			return
		}
		var raw [4]byte
		if n, _ := unix.Read(s.status.Int(), raw[:]); n == len(raw) {
			// What the command itself did; state says it of the first process,
			// which cannot end by a signal of its own choice.
			state = syscall.WaitStatus(binary.NativeEndian.Uint32(raw[:]))
		}
		s.over(state)
	})
	return s.how, s.err
}

// over is for a command that has ended.
func (s *Session) over(state syscall.WaitStatus) {
	s.how = statusOf(state)
	if s.relay != nil {
		s.relay.finish()
	}
	s.release()
}

func statusOf(w syscall.WaitStatus) Status {
	if w.Signaled() {
		return Status{Code: 128 + int(w.Signal()), Signal: w.Signal()}
	}
	return Status{Code: w.ExitStatus()}
}

// Close ends the session and waits until its processes are gone; with them go
// its namespaces and mounts. It returns nil when the session had already ended.
func (s *Session) Close() error {
	s.hangUp()
	_, err := s.Wait()
	return err
}

// hangUp tells the first process to take everything down.
func (s *Session) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifeline.Close()
}

func (s *Session) release() {
	s.hangUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Close()
	s.guard.Close()
	s.pidfd.Close()
	if s.relay != nil {
		s.relay.abandon()
	}
}
