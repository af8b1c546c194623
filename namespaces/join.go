package namespaces

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// Enter runs a further command in the live session, with the same identity,
// privileges and filter as the first one. The result ends with its command, or
// with Close, and does not end s; when s ends, it ends too if the session has
// a PID namespace.
func (s *Session) Enter(c Command) (*Session, error) {
	pidfd, err := unix.PidfdOpen(s.PID(), 0)
	if err != nil {
		return nil, fmt.Errorf("enter session %d: it has ended: %w", s.PID(), err)
	}
	session := kernel.FD(pidfd)
	defer session.Close()
	return s.enter(session, c)
}

// Join is Enter for a session that somebody else started from p, whose first
// process has the number pid and is behind pidfd. The caller has looked that it
// is that one. p comes from whom the caller trusts: it says which program does
// the work, and whom the command runs as.
func Join(p *plan.Plan, pidfd *os.File, pid int, c Command) (*Session, error) {
	b, err := newBuilder(p, c)
	if err != nil {
		return nil, err
	}
	if b.first.devpts == "" {
		b.first.devpts = "/dev/pts" // a login's, which has the host's /dev
	}
	s := &Session{first: b.first, hostInit: b.hostInit(), pid: pid}
	return s.enter(kernel.FD(pidfd.Fd()), c)
}

func (s *Session) enter(session kernel.FD, c Command) (_ *Session, err error) {
	c.Guard = nil
	root := kernel.None
	if c.TTY {
		// A magic link, which is what leads into the session.
		name := "/proc/" + strconv.Itoa(s.PID()) + "/root"
		fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
		root = kernel.FD(fd)
		defer root.Close()
		// Alive after the number was used: it was that process's.
		gone := []unix.PollFd{{Fd: int32(session), Events: unix.POLLIN}}
		if n, err := unix.Poll(gone, 0); err == nil && n > 0 {
			return nil, fmt.Errorf("enter session %d: %w", s.PID(), errEnded)
		}
	}
	null, err := c.fill()
	if err != nil {
		return nil, err
	}
	defer null.Close()
	extra := []string{"-j", "6", "-J", strconv.Itoa(s.first.joinFlags()), "-r"}
	l := launch{held: kernel.None, procs: kernel.None, program: s.hostInit, root: root, session: session, extra: extra}
	joined := &Session{first: s.first, hostInit: s.hostInit}
	if own, err := bounded(c.Tasks); err == nil {
		l.in(&own)
		if err := joined.launch(c, l); err != nil {
			own.Remove()
			return joined, err
		}
		own.Close()
		return joined, nil
	}
	if s.cgroup != "" {
		c, err := kernel.OpenCgroup(s.cgroup)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		l.procs = c.Procs
	}
	return joined, joined.launch(c, l)
}

// bounded makes a cgroup for so many tasks; 0 is an error, as is a machine that
// has no controller for it.
func bounded(tasks int) (kernel.Cgroup, error) {
	if tasks == 0 {
		return kernel.Cgroup{}, ErrUnsupported
	}
	return newCgroup(&cgroup{own: map[string]string{"pids.max": strconv.Itoa(tasks)}})
}

var errEnded = errors.New("it has ended")

func (f *firstProcess) joinFlags() int {
	ns := f.namespaces
	flags := unix.CLONE_NEWNS
	for flag, made := range map[int]bool{
		unix.CLONE_NEWPID: ns.PID, unix.CLONE_NEWIPC: ns.IPC, unix.CLONE_NEWUTS: ns.UTS,
		unix.CLONE_NEWCGROUP: ns.Cgroup, unix.CLONE_NEWNET: ns.Net == plan.NetNone,
		unix.CLONE_NEWUSER: ns.User == plan.UserMapped || ns.User == plan.UserRange,
	} {
		if made {
			flags |= flag
		}
	}
	return flags
}
