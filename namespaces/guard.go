package namespaces

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

// ErrGuard says that a session's guard did not come to an end as it should have.
var ErrGuard = errors.New("what was to look at the session first did not end")

// guardPipe is what the guard writes to; the caller hands on the end that is
// returned.
func (s *Session) guardPipe() (kernel.FD, error) {
	r, w, err := kernel.Pipe()
	s.guard = r
	return w, err
}

// passGuard waits for the guard, asks what is thought of it, and lets the command
// in. On an error the caller closes the session.
func (s *Session) passGuard(g *Guard) error {
	if g == nil {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("%w: %s: %w", ErrGuard, path.Base(g.Argv[0]), err) }
	begun := time.Now()
	until := begun.Add(g.Time)
	said, err := readBounded(s.guard, g.Max, until)
	s.guard.Close()
	if err != nil {
		return fail(err)
	}
	var raw [4]byte
	if err := readable(s.status, until); err != nil {
		return fail(err)
	}
	if n, _ := unix.Read(s.status.Int(), raw[:]); n != len(raw) {
		return fail(errEnded)
	}
	g.Took = time.Since(begun)
	if err := g.Passed(said, statusOf(syscall.WaitStatus(binary.NativeEndian.Uint32(raw[:])))); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lifeline == kernel.None {
		return fail(errEnded)
	}
	if _, err := unix.Write(s.lifeline.Int(), []byte{1}); err != nil {
		return fail(err)
	}
	return nil
}

var errTooMuch = errors.New("it writes more than it may")

// readBounded reads until the end.
func readBounded(fd kernel.FD, most int, until time.Time) ([]byte, error) {
	said := make([]byte, 0, 16<<10)
	for {
		if err := readable(fd, until); err != nil {
			return nil, err
		}
		if len(said) == cap(said) {
			said = append(said, 0)[:len(said)]
		}
		n, err := unix.Read(fd.Int(), said[len(said):cap(said)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case n == 0:
			return said, nil
		default:
			if said = said[:len(said)+n]; len(said) > most {
				return nil, errTooMuch
			}
		}
	}
}

// readable waits until there is something to read, or the end.
func readable(fd kernel.FD, until time.Time) error {
	for {
		left := time.Until(until)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd.Int()), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil && err != unix.EINTR {
			return err
		}
		if n > 0 {
			return nil
		}
	}
}
