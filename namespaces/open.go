package namespaces

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// Open builds the session that p describes for several who come and go, and runs c
// in it as the first of them: the same process is the session's first and looks
// after c, which saves what Start, Detach and Join cost. Before c is started, and
// when others can Join, ready is called; unless it returns nil nothing of the session
// is left.
//
// The session outlives c, and from when ready has returned nil the caller too. Wait
// waits for c alone. If the caller dies c is killed, and the session stays. It ends
// when its first process is killed; that is the caller's child, and to be reaped
// by it. c.Hold stays open for as long as the session lives.
func Open(ctx context.Context, p *plan.Plan, c Command, ready func(*Session) error) (_ *Session, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(c.Argv) == 0 {
		return nil, fmt.Errorf("%w: there is no command", ErrPlan)
	}
	null, err := c.fill()
	if err != nil {
		return nil, err
	}
	defer null.Close()
	c.Guard = nil
	b, err := newBuilder(p, c)
	if err != nil {
		return nil, err
	}
	b.stays = true
	var s *Session
	if err := kernel.OnThread(func() (err error) {
		s, err = b.run()
		return err
	}); err != nil {
		return nil, err
	}
	if _, err = s.said(); err == nil {
		err = ready(s)
	}
	if err == nil {
		_, err = unix.Write(s.lifeline.Int(), []byte{'c'})
	}
	if err != nil {
		s.stays = false // it ends with the lifeline, and is waited for
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// said reads the next wait status that the first process sends.
func (s *Session) said() (uint32, error) {
	var raw [4]byte
	for {
		n, err := unix.Read(s.status.Int(), raw[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != len(raw) {
			return 0, errors.Join(fmt.Errorf("session %d: its first process has ended", s.pid), err)
		}
		return binary.NativeEndian.Uint32(raw[:]), nil
	}
}
