// Package process looks at processes without trusting a number alone: a pid
// and a start time name one for good.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrGone says that a process has ended.
var ErrGone = errors.New("the process has ended")

// StartTime returns when the process pid started, in clock ticks since boot
// (proc_pid_stat(5), field 22). A zombie has ended.
func StartTime(pid int) (uint64, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(fields[19], 10, 64)
}

// Parent returns the pid of the process's parent, 0 where that is outside of
// this PID namespace. It may have ended, and its pid be another's, by now.
func Parent(pid int) (int, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(fields[1])
}

// read returns what a file of /proc or of cgroups holds. Each is read for every
// login, and os.ReadFile makes twice as many system calls, to wait for what never
// has to be waited for.
func read(name string) ([]byte, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 1024)
	for {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: name, Err: err}
		case n == 0:
			return b, nil
		default:
			b = slices.Grow(b[:len(b)+n], 512)
		}
	}
}

// stat returns the fields of proc_pid_stat(5) after the name, from the state on.
func stat(pid int) ([]string, error) {
	b, err := read("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	// The name in parentheses may hold anything, parentheses too.
	end := bytes.LastIndexByte(b, ')')
	fields := strings.Fields(string(b[end+1:]))
	if end < 0 || len(fields) < 20 {
		return nil, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return nil, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	return fields, nil
}

// Alive reports whether the process that had pid and started then still runs.
func Alive(pid int, start uint64) bool {
	if pid <= 0 {
		return false
	}
	now, err := StartTime(pid)
	return err == nil && now == start
}

// Open returns a pidfd of the process, or ErrGone. Its owner closes it.
func Open(pid int, start uint64) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	f := os.NewFile(uintptr(fd), "pidfd of "+strconv.Itoa(pid))
	// The pidfd is of who has the pid now; the start time says who that is.
	if !Alive(pid, start) {
		f.Close()
		return nil, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	return f, nil
}

// Signal sends sig to the process behind a pidfd.
func Signal(pidfd *os.File, sig unix.Signal) error {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); cerr != nil {
		return cerr
	}
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	return err
}

// Wait returns when the process behind a pidfd has ended, or ctx has. It holds
// no thread: a pidfd is readable once its process has ended (pidfd_open(2)).
// When ctx ends, the pidfd is of no further use for waiting.
func Wait(ctx context.Context, pidfd *os.File) error {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = pidfd.SetReadDeadline(unixEpoch) })
	defer stop()
	err = raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return err == nil && n > 0
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// MountNS returns the inode number of a process's mount namespace.
func MountNS(pid int) (uint64, error) {
	return inode("/proc/" + strconv.Itoa(pid) + "/ns/mnt")
}

func inode(name string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return st.Ino, nil
}

// All returns the pids of all processes.
func All() ([]int, error) { return In("/proc", -1) }

// In returns the pids of the processes in proc (proc(5)), of at most so many names
// in it; -1 does not bound.
func In(proc string, most int) ([]int, error) {
	d, err := os.Open(proc)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(most)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// ByMountNS returns the pids of all processes by mount namespace. What ends
// meanwhile is left out.
func ByMountNS() (map[uint64][]int, error) {
	pids, err := All()
	if err != nil {
		return nil, err
	}
	out := map[uint64][]int{}
	for _, pid := range pids {
		if ns, err := MountNS(pid); err == nil {
			out[ns] = append(out[ns], pid)
		}
	}
	return out, nil
}

// Terminal returns the device number of the process's controlling terminal, 0
// where it has none (proc_pid_stat(5), field 7).
func Terminal(pid int) (uint64, error) {
	fields, err := stat(pid)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(fields[4], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("/proc/%d/stat is not understood", pid)
	}
	// The kernel writes it as an int of 32 bits: the minor's high bits, the major, its low ones.
	d := uint32(n)
	return unix.Mkdev(d>>8&0xfff, d&0xff|d>>12&0xfff00), nil
}
