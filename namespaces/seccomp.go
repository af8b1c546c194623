package namespaces

import (
	"fmt"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"

	"ninefold/namespaces/kernel"
)

// denied are the system calls that the filter "default" refuses with EPERM:
// what a desktop session has no use for and an attacker has. clone3 answers
// ENOSYS, since its flags lie in memory where a filter cannot look; libc then
// uses clone, whose flags it can.
var denied = []string{
	"acct", "add_key", "bpf", "delete_module", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick",
	"init_module", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "kexec_file_load",
	"kexec_load", "keyctl", "lookup_dcookie", "mount", "mount_setattr", "move_mount", "name_to_handle_at",
	"open_by_handle_at", "open_tree", "perf_event_open", "pivot_root", "process_madvise", "process_vm_writev",
	"quotactl", "reboot", "request_key", "setns", "swapoff", "swapon", "syslog", "umount2", "unshare",
	"userfaultfd", "vhangup",
}

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
	policy := seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionErrno | seccomp.Action(1), Names: denied},
			{Action: seccomp.ActionErrno | seccomp.Action(38), Names: []string{"clone3"}},
		},
	}
	program, err := policy.Assemble()
	if err != nil {
		return kernel.None, fmt.Errorf("assemble the seccomp filter: %w", err)
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return kernel.None, fmt.Errorf("assemble the seccomp filter: %w", err)
	}
	return kernel.FilterFile(raw)
}
