package namespaces

import (
	"fmt"
	"os"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
	"ninefold/namespaces/plan"
)

// Lend shows a file of the host's, such as a socket, in the live session at
// target, read-only; a socket can be talked to all the same. source may be open as
// O_PATH and stays the caller's. Missing directories are made, the last one for
// everybody to use, as /tmp is. The caller needs CAP_SYS_ADMIN and sees to it that
// nothing of the session's user has run yet: who runs there could be making the
// same names.
func (s *Session) Lend(source *os.File, target string) error {
	err := s.inside(func() (kernel.FD, error) { return kernel.OpenTree(kernel.FD(source.Fd()), false) }, func(root, tree kernel.FD) error {
		if err := kernel.Private(tree, false); err != nil {
			return err
		}
		if err := kernel.SetAttr(tree, kernel.ReadOnly|kernel.NoSuid|kernel.NoDev|kernel.NoExec, false); err != nil {
			return err
		}
		dir, err := kernel.MkdirAllIn(root, path.Dir(target), 0o1777)
		if err != nil {
			return err
		}
		dir.Close()
		at, err := kernel.TouchIn(root, target)
		if err != nil {
			return err
		}
		defer at.Close()
		return kernel.Attach(tree, at, target)
	})
	if err != nil {
		return fmt.Errorf("show %s in session %d: %w", target, s.PID(), err)
	}
	return nil
}

// Write writes a file in the live session, under the conditions of Lend. Its
// content may be of any bytes.
func (s *Session) Write(f plan.File) error {
	err := s.inside(nil, func(root, _ kernel.FD) error {
		dir, name, err := kernel.ParentIn(root, f.Path)
		if err != nil {
			return err
		}
		defer dir.Close()
		return kernel.WriteFile(dir, name, []byte(f.Content), f.Mode, f.UID, f.GID)
	})
	if err != nil {
		return fmt.Errorf("write %s in session %d: %w", f.Path, s.PID(), err)
	}
	return nil
}

// inside runs do on a thread in the session's mount namespace, with its root. What
// take opens is taken before, outside: a mount can be copied in its own namespace
// alone (open_tree(2)).
func (s *Session) inside(take func() (kernel.FD, error), do func(root, taken kernel.FD) error) error {
	return kernel.OnThread(func() (err error) {
		if err := kernel.Unshare(0); err != nil {
			return err
		}
		taken := kernel.None
		if take != nil {
			if taken, err = take(); err != nil {
				return err
			}
			defer taken.Close()
		}
		ns, err := s.mounts()
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := kernel.EnterMountNamespace(ns); err != nil {
			return err
		}
		root, err := kernel.OpenHost("/") // the session's: that is where the thread is
		if err != nil {
			return err
		}
		defer root.Close()
		return do(root, taken)
	})
}

// mounts opens the session's mount namespace.
func (s *Session) mounts() (kernel.FD, error) {
	name := "/proc/" + strconv.Itoa(s.PID()) + "/ns/mnt"
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return kernel.None, &os.PathError{Op: "open", Path: name, Err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Alive after the number was used: it was that process's.
	gone := []unix.PollFd{{Fd: int32(s.pidfd), Events: unix.POLLIN}}
	if n, err := unix.Poll(gone, 0); s.pidfd == kernel.None || err == nil && n > 0 {
		unix.Close(fd)
		return kernel.None, errEnded
	}
	return kernel.FD(fd), nil
}
