package namespaces

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// Session is a live session. Close must be called; it ends every process in
// it and waits for them. A Session is safe for use by several goroutines.
type Session struct {
	init     *os.Process
	lifeline *os.File // write end: closing it ends the session
	status   *os.File // read end
	relay    *relay

	wait  sync.Once
	close sync.Once
	ended Status
	err   error
}

// Start builds the session that p describes and starts c in it. On any error
// nothing is left of it. When ctx ends before the session does, the session
// is closed. The caller needs CAP_SYS_ADMIN.
func Start(ctx context.Context, p *plan.Plan, c Command) (*Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
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
	if ctx.Done() != nil {
		context.AfterFunc(ctx, func() { s.Close() })
	}
	return s, nil
}

// Run starts c in a new session of p, waits for it and closes the session.
func Run(ctx context.Context, p *plan.Plan, c Command) (Status, error) {
	s, err := Start(ctx, p, c)
	if err != nil {
		return Status{}, err
	}
	status, err := s.Wait()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return status, errors.Join(err, s.Close())
}

// PID is the session's first process as the host numbers it.
func (s *Session) PID() int { return s.init.Pid }

// Signal sends sig to the session's command. Signals that the first process
// cannot forward (SIGKILL, SIGSTOP) end or stop the session as a whole.
func (s *Session) Signal(sig syscall.Signal) error {
	if err := s.init.Signal(sig); err != nil {
		return fmt.Errorf("signal session %d: %w", s.PID(), err)
	}
	return nil
}

// Wait returns when the command has ended and every process of the session is gone.
func (s *Session) Wait() (Status, error) {
	s.wait.Do(func() {
		var raw [4]byte
		_, reported := io.ReadFull(s.status, raw[:])
		state, err := s.init.Wait()
		s.status.Close()
		if s.relay != nil {
			s.relay.finish()
		}
		switch {
		case err != nil:
			s.err = fmt.Errorf("wait for session %d: %w", s.PID(), err)
		case reported == nil:
			s.ended = statusOf(syscall.WaitStatus(binary.NativeEndian.Uint32(raw[:])))
		default:
			s.ended = statusOf(state.Sys().(syscall.WaitStatus))
		}
	})
	return s.ended, s.err
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
	s.close.Do(func() { s.lifeline.Close() })
	_, err := s.Wait()
	return err
}
