package script

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"deny": deny})
}

// denied are the system calls by which Ninefold meets what a kernel lacks.
var denied = map[string]uint32{
	"fsopen": unix.SYS_FSOPEN, "mount_setattr": unix.SYS_MOUNT_SETATTR, "openat2": unix.SYS_OPENAT2,
	"unshare": unix.SYS_UNSHARE, "pivot_root": unix.SYS_PIVOT_ROOT, "clone3": unix.SYS_CLONE3,
}

// deny runs a command for which a system call fails, as on a kernel that lacks
// it or a container that forbids it:
//
//	deny CALL ERROR COMMAND ARG...
func deny() {
	err := func() error {
		args := os.Args[1:]
		if len(args) < 3 || denied[args[0]] == 0 {
			return fmt.Errorf("usage: deny CALL ERROR COMMAND ARG...")
		}
		var with unix.Errno
		for e := unix.Errno(1); e < 134; e++ {
			if unix.ErrnoName(e) == strings.ToUpper(args[1]) {
				with = e
			}
		}
		if with == 0 {
			return fmt.Errorf("deny: no error is called %s", args[1])
		}
		program, err := exec.LookPath(args[2])
		if err != nil {
			return err
		}
		// The numbers of these calls are the machine's own; the programs here
		// are built for no other.
		filter := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: denied[args[0]]},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(with)},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		}
		prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		runtime.LockOSThread() // the thread that has the filter becomes the command
		_, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)))
		if e != 0 {
			return e
		}
		return unix.Exec(program, args[2:], os.Environ())
	}()
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
