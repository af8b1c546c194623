package namespaces

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// Held is a session that is held open for others, as one keeper hands it to
// another. The files are whose it is.
type Held struct {
	PID    int
	Cgroup string // "" is none
	// Pidfd is that of the first process. Lifeline ends the session when the last
	// copy of it is closed.
	Pidfd, Lifeline *os.File
}

// HandOver returns s for another keeper. s stays its own until LetGo.
func (s *Session) HandOver() (Held, error) {
	h := Held{PID: s.pid, Cgroup: s.cgroup}
	for _, f := range []struct {
		fd   kernel.FD
		into **os.File
	}{{s.pidfd, &h.Pidfd}, {s.lifeline, &h.Lifeline}} {
		fd, err := kernel.Duplicate(f.fd)
		if err != nil {
			h.Close()
			return Held{}, err
		}
		*f.into = os.NewFile(uintptr(fd), fmt.Sprintf("session %d", s.pid))
	}
	return h, nil
}

// Close closes the files.
func (h Held) Close() {
	for _, f := range []*os.File{h.Pidfd, h.Lifeline} {
		if f != nil {
			f.Close()
		}
	}
}

// LetGo leaves s to whom it was handed over, and returns when it has ended: its
// first process is a child of this one, and has to be reaped.
func (s *Session) LetGo() error {
	s.hangUp() // this copy of the line, and not the other's
	_, err := s.Wait()
	return err
}

// Adopt takes over a session that was made from p, with its files. Wait says of
// it only that it has ended.
func Adopt(p *plan.Plan, h Held) (*Session, error) {
	b, err := newBuilder(p, Command{})
	if err != nil {
		h.Close()
		return nil, err
	}
	s := &Session{first: b.first, hostInit: b.hostInit(), cgroup: h.Cgroup, pid: h.PID, adopted: true, status: kernel.None, guard: kernel.None}
	s.pidfd, err = kernel.Duplicate(kernel.FD(h.Pidfd.Fd()))
	if err == nil {
		s.lifeline, err = kernel.Duplicate(kernel.FD(h.Lifeline.Fd()))
	}
	h.Close()
	if err != nil {
		s.pidfd.Close()
		return nil, err
	}
	return s, nil
}

// Alive reports whether the first process has not ended.
func (s *Session) Alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pidfd == kernel.None {
		return false
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.pidfd), Events: unix.POLLIN}}, 0)
	return err == nil && n == 0
}

// ended waits for a first process that is another's child.
func (s *Session) ended() error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.pidfd), Events: unix.POLLIN}}, -1)
		if n > 0 {
			return nil
		}
		if err != nil && err != unix.EINTR {
			return err
		}
	}
}
