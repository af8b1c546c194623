package namespaces

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

// Detach makes a session without a command outlive this process: until then
// it ends with us, from then on with SIGTERM or when all who know it are gone.
// Its first process, the holder, becomes the caller's to watch and to reap;
// the pidfd, non-blocking, too. The Session is of no further use.
func (s *Session) Detach() (pidfd *os.File, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lifeline == kernel.None {
		return nil, fmt.Errorf("detach session %d: it has ended", s.pid)
	}
	if _, err := unix.Write(s.lifeline.Int(), []byte{'d'}); err != nil {
		return nil, fmt.Errorf("detach session %d: %w", s.pid, err)
	}
	var said [4]byte
	if n, err := unix.Read(s.status.Int(), said[:]); n != len(said) {
		return nil, errors.Join(fmt.Errorf("detach session %d: its first process has ended", s.pid), err)
	}
	fd := s.pidfd.Int()
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("detach session %d: %w", s.pid, err)
	}
	s.pidfd = kernel.None
	s.lifeline.Close()
	s.status.Close()
	return os.NewFile(uintptr(fd), "pidfd of "+strconv.Itoa(s.pid)), nil
}
