package namespaces

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// start starts the first process from the builder's thread, whose namespaces
// and root it inherits.
func (b *builder) start() (*Session, error) {
	s := &Session{first: b.first, hostInit: b.hostInit(), stays: b.stays}
	var extra []string
	switch {
	case !b.first.namespaces.PID:
		extra = []string{"-r"}
	case b.first.proc:
		extra = []string{"-p"}
	}
	if b.stays {
		extra = append(extra, "-K")
	}
	held, err := b.stamp()
	if err != nil {
		return nil, err
	}
	l := launch{held: held, procs: kernel.None, program: InitPath, attr: b.first.clone(), root: b.root, session: kernel.None, extra: extra}
	if b.cgroup != nil {
		l.in(b.cgroup)
		s.cgroup = b.cgroup.Path()
	}
	return s, s.launch(b.command, l)
}

// firstHeld is the first descriptor that ninefold-init keeps without using it.
const firstHeld = 9

// launch is how ninefold-init is started: as the first process, or to join.
type launch struct {
	program string
	attr    *syscall.SysProcAttr
	root    kernel.FD    // where the session's devpts is found
	session kernel.FD    // pidfd to join, or None
	cgroup  [2]kernel.FD // directory and parent; used with -c and -C in extra
	procs   kernel.FD    // where a command enters its cgroup, or None
	held    kernel.FD    // the throw-away layers, or None
	extra   []string
}

// in has the command enter c, which ninefold-init removes in the end.
func (l *launch) in(c *kernel.Cgroup) {
	l.cgroup, l.procs = [2]kernel.FD{c.Dir, c.Parent}, c.Procs
	l.extra = append(l.extra, "-c", "7", "-C", "8", "-N", c.Name)
}

// stamp opens the throw-away layers for the holder, and marks them.
func (b *builder) stamp() (kernel.FD, error) {
	if b.command.Stamp == "" || b.stack == nil || b.stack.Kept() {
		return kernel.None, nil
	}
	dir, err := b.stack.Stamp(b.command.Stamp)
	return b.hold(dir), err
}

// hostInit is the host's name of the program at InitPath.
func (b *builder) hostInit() string {
	for _, op := range b.plan.Ops {
		if bind, ok := op.(plan.Bind); ok && bind.Target == filepath.Dir(InitPath) {
			return filepath.Join(bind.Source, filepath.Base(InitPath))
		}
	}
	return ""
}

// launch starts ninefold-init for c, whose streams are all set. On an error
// everything is closed.
func (s *Session) launch(c Command, l launch) (err error) {
	var own []kernel.FD // descriptors that only the new process needs
	defer func() {
		for i := range own {
			own[i].Close()
		}
		if err != nil {
			s.release()
		}
	}()
	s.lifeline, s.status, s.pidfd, s.guard = kernel.None, kernel.None, kernel.None, kernel.None
	lifeR, lifeW, err := kernel.Pipe()
	if err != nil {
		return err
	}
	own, s.lifeline = append(own, lifeR), lifeW
	statusR, statusW, err := kernel.Pipe()
	if err != nil {
		return err
	}
	own, s.status = append(own, statusW), statusR
	files := []uintptr{c.Stdin.Fd(), c.Stdout.Fd(), c.Stderr.Fd(), uintptr(lifeR), uintptr(statusW), ^uintptr(0), uintptr(l.session)}
	if l.cgroup != [2]kernel.FD{} {
		files = append(files, uintptr(l.cgroup[0]), uintptr(l.cgroup[1]))
	}
	if (len(c.Argv) == 0 || s.stays) && (l.held != kernel.None || len(c.Hold) > 0) {
		for len(files) < firstHeld {
			files = append(files, ^uintptr(0))
		}
		if l.held != kernel.None {
			files = append(files, uintptr(l.held))
		}
		for _, f := range c.Hold {
			files = append(files, f.Fd())
		}
	}
	var enter []string
	if (len(c.Argv) > 0 || c.Guard != nil) && l.procs != kernel.None {
		for len(files) < firstHeld {
			files = append(files, ^uintptr(0))
		}
		enter = []string{"-P", strconv.Itoa(len(files))}
		files = append(files, uintptr(l.procs))
	}
	if c.Guard != nil {
		guard, err := s.guardPipe()
		if err != nil {
			return err
		}
		own = append(own, guard)
		for len(files) < firstHeld {
			files = append(files, ^uintptr(0))
		}
		enter = append(enter, "-q", strconv.Itoa(len(files)))
		for _, word := range c.Guard.Argv {
			enter = append(enter, "-Q", word)
		}
		for _, device := range c.Guard.Disks {
			enter = append(enter, "-Q", "disk="+device)
		}
		files = append(files, uintptr(guard))
	}
	filter, err := seccompFilter(s.first.privileges.Seccomp)
	if err != nil {
		return err
	}
	own = append(own, filter)
	files[5] = uintptr(filter)
	if c.TTY {
		slave, err := s.openTerminal(c, l.root)
		if err != nil {
			return err
		}
		defer slave.Close()
		files[0], files[1], files[2] = slave.Fd(), slave.Fd(), slave.Fd()
	}
	argv := s.first.arguments(c, filter != kernel.None, append(enter, l.extra...)...)
	s.pid, s.pidfd, err = kernel.Spawn(l.program, argv, files, l.attr)
	if err != nil {
		return fmt.Errorf("start the session's first process %s: %w", l.program, err)
	}
	if s.relay != nil {
		s.relay.start()
	}
	return nil
}

// openTerminal opens a terminal in the session's devpts and prepares its relay.
func (s *Session) openTerminal(c Command, root kernel.FD) (*os.File, error) {
	if s.first.devpts == "" {
		return nil, fmt.Errorf("%w: a terminal was asked for, but the plan mounts no devpts", ErrPlan)
	}
	master, slave, err := kernel.OpenPTY(root, below(s.first.devpts, "ptmx"), s.first.namespaces.OnHost(s.first.identity.UID))
	if err != nil {
		return nil, err
	}
	s.relay = newRelay(master, c.Stdin, c.Stdout)
	return slave, nil
}
