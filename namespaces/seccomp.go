package namespaces

import (
	"fmt"
	"runtime"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"ninefold/namespaces/kernel"
)

// denied are the system calls that the filter "default" refuses with EPERM:
// what a desktop session has no use for and an attacker has.
var denied = []uint32{
	unix.SYS_ACCT, unix.SYS_ADD_KEY, unix.SYS_BPF, unix.SYS_DELETE_MODULE, unix.SYS_FINIT_MODULE,
	unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSOPEN, unix.SYS_FSPICK, unix.SYS_INIT_MODULE,
	unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_IO_URING_SETUP, unix.SYS_KEXEC_FILE_LOAD,
	unix.SYS_KEXEC_LOAD, unix.SYS_KEYCTL, unix.SYS_MOUNT, unix.SYS_MOUNT_SETATTR, unix.SYS_MOVE_MOUNT,
	unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_OPEN_TREE, unix.SYS_PERF_EVENT_OPEN,
	unix.SYS_PIVOT_ROOT, unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_QUOTACTL, unix.SYS_REBOOT,
	unix.SYS_REQUEST_KEY, unix.SYS_SETNS, unix.SYS_SWAPOFF, unix.SYS_SWAPON, unix.SYS_SYSLOG, unix.SYS_UMOUNT2,
	unix.SYS_UNSHARE, unix.SYS_USERFAULTFD, unix.SYS_VHANGUP,
	unix.SYS_FANOTIFY_INIT, unix.SYS_KCMP, unix.SYS_QUOTACTL_FD, unix.SYS_OPEN_TREE_ATTR,
}

// allowedSockets are the families of sockets that a session has: local ones, the
// internet's, what network tools ask the kernel by, and packets, for which the kernel wants a
// capability. Others reach past a network namespace (vsock(7): the hypervisor and other
// guests), or into parts of the kernel that no desktop asks for and that are loaded when
// anybody does (the crypto interface, X.25, TIPC and thirty more).
var allowedSockets = []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK, unix.AF_PACKET}

// newNamespaces are clone's flags that make namespaces.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// Offsets in struct seccomp_data (linux/seccomp.h), little-endian.
const (
	dataNumber = 0
	dataArch   = 4
	dataArg0   = 16
)

// seccompFilter assembles a named filter into a sealed memory file that
// ninefold-init reads; None for no filter.
func seccompFilter(name string) (kernel.FD, error) {
	switch name {
	case "":
		return kernel.None, nil
	case "default":
	default:
		return kernel.None, fmt.Errorf("%w: no seccomp filter is called %q", ErrPlan, name)
	}
	arch, x32, err := auditArch()
	if err != nil {
		return kernel.None, err
	}
	raw, err := bpf.Assemble(filterProgram(arch, x32))
	if err != nil {
		return kernel.None, fmt.Errorf("assemble the seccomp filter: %w", err)
	}
	return kernel.FilterFile(raw)
}

// auditArch is how seccomp names this architecture's system calls; x32 is the
// bit of the second set of numbers that amd64 has, or 0.
func auditArch() (arch, x32 uint32, err error) {
	switch runtime.GOARCH {
	case "amd64":
		return unix.AUDIT_ARCH_X86_64, 0x40000000, nil
	case "arm64":
		return unix.AUDIT_ARCH_AARCH64, 0, nil
	}
	return 0, 0, fmt.Errorf("%w: the seccomp filter is not written for %s", ErrUnsupported, runtime.GOARCH)
}

// filterProgram is the filter "default". Another architecture's calls (i386 on
// amd64), whose numbers would slip past, kill the process. clone3 answers
// ENOSYS, since its flags lie in memory where a filter cannot look; libc then
// uses clone, whose flags it can. TIOCSTI, which types into a terminal, is
// left to the terminal of its own that a session gets.
func filterProgram(arch, x32 uint32) []bpf.Instruction {
	load := func(offset uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: offset, Size: 4} }
	answer := func(errno unix.Errno) bpf.Instruction {
		return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)}
	}
	program := []bpf.Instruction{
		load(dataArch),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: arch, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		load(dataNumber),
	}
	if x32 != 0 {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: x32, SkipTrue: 1}, answer(unix.ENOSYS))
	}
	for _, call := range denied {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: call, SkipTrue: 1}, answer(unix.EPERM))
	}
	n := len(allowedSockets)
	program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_SOCKET, SkipTrue: uint8(n + 2)}, load(dataArg0))
	for i, family := range allowedSockets {
		program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: family, SkipTrue: uint8(n - i)})
	}
	program = append(program, answer(unix.EAFNOSUPPORT))
	// The number is looked at once more: a socket call has put its family in its place.
	return append(program, load(dataNumber),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLONE3, SkipTrue: 1}, answer(unix.ENOSYS),
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLONE, SkipTrue: 3},
		load(dataArg0),
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: newNamespaces, SkipTrue: 1}, answer(unix.EPERM),
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
}
