// Killat runs a command and kills it at one of its steps: just before the Nth
// system call that could change something, which then does not happen. With 0 it
// lets the command end. It writes how many steps there were to a file.
//
//	killat N FILE CMD ARG...
//
// What the command starts is not followed, and not killed by it.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: killat N FILE CMD ARG...")
		os.Exit(125)
	}
	n, err := strconv.Atoi(os.Args[1])
	var code, steps int
	if err == nil {
		code, steps, err = run(n, os.Args[3:])
	}
	if err == nil {
		err = os.WriteFile(os.Args[2], []byte(strconv.Itoa(steps)), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "killat:", err)
		code = 125
	}
	os.Exit(code)
}

// changing are the calls that change files, mounts or processes. The rest of a
// program's calls leave everything as it was.
var changing = []uint64{
	unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE, unix.SYS_COPY_FILE_RANGE, unix.SYS_SENDFILE,
	unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_MKDIRAT, unix.SYS_MKNODAT, unix.SYS_UNLINKAT, unix.SYS_SYMLINKAT, unix.SYS_LINKAT,
	unix.SYS_FSYNC, unix.SYS_SYNCFS, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_UTIMENSAT,
	unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_FLOCK, unix.SYS_IOCTL,
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_FSMOUNT, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_CLONE, unix.SYS_CLONE3, unix.SYS_EXECVE, unix.SYS_WAIT4, unix.SYS_WAITID, unix.SYS_PIDFD_SEND_SIGNAL, unix.SYS_EXIT_GROUP,
}

// syscallInfo is the head of struct ptrace_syscall_info of an entry, ptrace(2).
type syscallInfo struct {
	op   uint8
	_    [3]uint8
	_    uint32 // arch
	_, _ uint64 // instruction and stack pointers
	nr   uint64
	args [6]uint64
	_    [8]uint64 // room for what newer kernels add
}

const entry = 1 // PTRACE_SYSCALL_INFO_ENTRY

func (i *syscallInfo) step() bool {
	if i.op != entry {
		return false
	}
	return slices.Contains(changing, i.nr) || i.nr == unix.SYS_OPENAT && i.args[2]&(unix.O_CREAT|unix.O_TRUNC) != 0
}

func run(n int, argv []string) (code, steps int, err error) {
	// The tracer is a thread.
	runtime.LockOSThread()
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &unix.SysProcAttr{Ptrace: true}
	if err := c.Start(); err != nil {
		return 0, 0, err
	}
	main := c.Process.Pid
	var status unix.WaitStatus
	if _, err := unix.Wait4(main, &status, 0, nil); err != nil || !status.Stopped() {
		return 0, 0, fmt.Errorf("the command did not begin: %v", err)
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(main, options); err != nil {
		return 0, 0, err
	}
	if err := unix.PtraceSyscall(main, 0); err != nil {
		return 0, 0, err
	}
	for {
		tid, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, steps, err
		}
		if status.Exited() || status.Signaled() {
			if tid != main {
				continue
			}
			if status.Signaled() {
				return 128 + int(status.Signal()), steps, nil
			}
			return status.ExitStatus(), steps, nil
		}
		signal := 0
		switch stop := status.StopSignal(); {
		case stop == unix.SIGTRAP|0x80:
			var info syscallInfo
			if _, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0); errno == 0 && info.step() {
				if steps++; steps == n {
					if err := unix.Kill(main, unix.SIGKILL); err != nil {
						return 0, steps, err
					}
					continue // a call that is about to begin does not
				}
			}
		case stop == unix.SIGTRAP && status.TrapCause() > 0, stop == unix.SIGSTOP && tid != main:
			if !threadOf(main, tid) {
				_ = unix.PtraceDetach(tid) // else it has ended
				continue
			}
		case stop != unix.SIGTRAP:
			signal = int(stop)
		}
		_ = unix.PtraceSyscall(tid, signal) // else it was killed meanwhile
	}
}

// threadOf reports whether a thread is one of a process.
func threadOf(pid, tid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	return err == nil && strings.Contains(string(b), "\nTgid:\t"+strconv.Itoa(pid)+"\n")
}
