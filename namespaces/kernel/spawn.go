package kernel

import (
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Pipe returns the read and write end of a pipe, close-on-exec and blocking:
// its owner waits for a process first and then reads what is there, so the
// runtime's poller is not needed.
func Pipe() (r, w FD, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return None, None, fail("make a pipe", "", "", err)
	}
	return FD(p[0]), FD(p[1]), nil
}

// Spawn starts program with an empty environment from the calling thread,
// whose namespaces and root it inherits, and returns a pidfd for it, close-on-exec.
// files become descriptors 0, 1, 2, ...; ^0 leaves a gap.
//
// The program starts with every signal blocked and unblocks them when it is
// ready: the first process of a PID namespace would otherwise ignore what comes
// before that (pid_namespaces(7)), and a request to end would be lost.
func Spawn(program string, argv []string, files []uintptr, attr *syscall.SysProcAttr) (pid int, pidfd FD, err error) {
	if attr == nil {
		attr = &syscall.SysProcAttr{}
	}
	fd := -1
	attr.PidFD = &fd
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all, before := unix.Sigset_t{}, unix.Sigset_t{}
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &all, &before); err != nil {
		return 0, None, fail("block signals", "", "", err)
	}
	defer unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil)
	pid, _, err = syscall.StartProcess(program, argv, &syscall.ProcAttr{Env: []string{}, Files: files, Sys: attr})
	if err != nil {
		return 0, None, err
	}
	return pid, FD(fd), nil
}

// Reap waits for a child to end and collects it. pid must come from Spawn and
// not have been reaped: until then the number cannot name another process.
func Reap(pid int) (syscall.WaitStatus, error) {
	var status syscall.WaitStatus
	err := retry(func() error {
		_, err := syscall.Wait4(pid, &status, 0, nil)
		if err == nil {
			return nil
		}
		return err.(syscall.Errno)
	})
	return status, fail("wait for process", strconv.Itoa(pid), "", err)
}
