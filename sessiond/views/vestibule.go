package views

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"ninefold/namespaces"
	"ninefold/sessiond/origin"
	"ninefold/sessiond/process"
)

// ErrShell says that a login shell cannot be stood in for.
var ErrShell = errors.New("the login shell is not root's")

// maxVestibules bounds the vestibules kept: one for each login shell in use.
const maxVestibules = 32

// vestibule is a mount namespace and what it was made of. It is kept by
// nothing but this file and the processes in it, since there is nothing in it
// that another would not have: a daemon that starts anew makes new ones.
type vestibule struct {
	ns             *os.File
	shell, wrapper fileID
}

// fileID tells a file from the one that takes its place. A mount goes when its
// mount point is replaced (rename(2) of a package's upgrade), so a vestibule is
// good for these two files alone.
type fileID struct {
	dev, ino uint64
	changed  unix.Timespec
}

func identify(name string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return fileID{}, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
		return fileID{}, fmt.Errorf("%s is not a program", name)
	}
	return fileID{st.Dev, st.Ino, st.Ctim}, nil
}

// Vestibule returns the vestibule of a login shell: the host's mount namespace
// once more, with ninefold-enter in the place of the shell. The file is the
// caller's. The shell has to be root's alone: it is mounted over as root, and
// what a user can put a link in the place of could be anything.
func (vs *Views) Vestibule(shell string) (*os.File, error) {
	if shell == "" {
		shell = "/bin/sh"
	}
	if o, err := origin.Of(shell); err != nil {
		return nil, fmt.Errorf("the login shell: %w", err)
	} else if o != 0 {
		return nil, fmt.Errorf("%w: uid %d could change %s", ErrShell, o, shell)
	}
	wrapper, err := vs.o.Wrapper()
	if err != nil {
		return nil, err
	}
	now := vestibule{}
	if now.shell, err = identify(shell); err != nil {
		return nil, err
	}
	if now.wrapper, err = identify(wrapper); err != nil {
		return nil, err
	}
	vs.halls.Lock()
	defer vs.halls.Unlock()
	have, ok := vs.vestibules[shell]
	if !ok || have.shell != now.shell || have.wrapper != now.wrapper {
		host, err := vs.o.Host()
		if err != nil {
			return nil, err
		}
		defer host.Close()
		if now.ns, err = namespaces.Vestibule(host, shell, wrapper); err != nil {
			return nil, err
		}
		if ok || len(vs.vestibules) >= maxVestibules {
			vs.dropVestibules(shell)
		}
		vs.vestibules[shell], have = now, now
		vs.o.Log.Info("vestibule made", "shell", shell)
	}
	fd, err := unix.FcntlInt(have.ns.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), have.ns.Name()), nil
}

// dropVestibules forgets that of shell, or all when there are too many. Those
// who are in one keep it. vs.halls is held.
func (vs *Views) dropVestibules(shell string) {
	for name, v := range vs.vestibules {
		if name == shell || len(vs.vestibules) >= maxVestibules {
			v.ns.Close()
			delete(vs.vestibules, name)
		}
	}
}

// maxAncestors bounds the way from a login shell up to its login process.
const maxAncestors = 32

// LedBy returns the view of the session of uid whose leader, the process that
// opened it as root, is pid or above it; nil if there is none. The leader is
// known by pid and start time, so that no other process can pass for it.
func (vs *Views) LedBy(uid uint32, pid int) *View {
	for range maxAncestors {
		if pid <= 1 {
			return nil
		}
		start, err := process.StartTime(pid)
		if err != nil {
			return nil
		}
		if v := vs.leads(uid, pid, start); v != nil {
			return v
		}
		if pid, err = process.Parent(pid); err != nil {
			return nil
		}
	}
	return nil
}

func (vs *Views) leads(uid uint32, pid int, start uint64) *View {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, v := range vs.views {
		if v.rec.UID != uid || v.ended {
			continue
		}
		for _, s := range v.rec.Sessions {
			if s.Leader.PID == pid && s.Leader.Start == start {
				return v
			}
		}
	}
	return nil
}
