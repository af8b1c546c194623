// What ninefold-init itself can still ask of the kernel once the command runs.
//
// It has root's uid in most sessions and reads a pipe from outside, and every
// process of the session is below it: a flaw in it must not open the rest of the
// kernel. A call outside the list fails with EPERM rather than ends the process,
// which would take the whole session along.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "init.h"

// Above HIGHEST no call is allowed. The kernel runs a filter for every call
// there is when it takes it; this spares it half of that.
#if defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#define POLL SYS_poll
#define HIGHEST SYS_unlinkat
#elif defined __aarch64__
#define ARCH AUDIT_ARCH_AARCH64
#define POLL SYS_ppoll
#define HIGHEST SYS_wait4
#else
#error "which AUDIT_ARCH is this?"
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define REFUSE RETURN(SECCOMP_RET_ERRNO | 1 /* EPERM */)
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define IF_ANY_OF(bits, skip) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, skip, 0)
#define ALLOW(call) UNLESS(call, 1), RETURN(SECCOMP_RET_ALLOW)
// With an argument; its low half comes first on both processors. What follows
// is skipped for other calls, and must end in a return.
#define FOR(call, argument, length) UNLESS(call, (length) + 1), LOAD(args[argument])

// confine leaves what waiting, forwarding signals and taking the session down
// need. Files can be read and not written or made; with remove, empty directories
// can be removed. A kernel or container without seccomp goes without: this is a
// second wall, and the command runs already.
void confine(bool remove)
{
	struct sock_filter code[] = {
		LOAD(arch),
		UNLESS(ARCH, 2),
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, HIGHEST, 0, 1),
		REFUSE,
		// A process that is stopped and continued goes on with restart_syscall.
		ALLOW(POLL), ALLOW(SYS_restart_syscall), ALLOW(SYS_read), ALLOW(SYS_write), ALLOW(SYS_wait4),
		ALLOW(SYS_kill), ALLOW(SYS_close), ALLOW(SYS_getpid), ALLOW(SYS_gettid), ALLOW(SYS_exit_group),
		FOR(SYS_openat, 2, 3),
		IF_ANY_OF(~(uint32_t)(O_CLOEXEC | O_LARGEFILE), 1),
		RETURN(SECCOMP_RET_ALLOW),
		REFUSE,
		FOR(SYS_unlinkat, 2, 3),
		UNLESS(remove ? AT_REMOVEDIR : UINT32_MAX, 1),
		RETURN(SECCOMP_RET_ALLOW),
		REFUSE,
		REFUSE, // any other call
	};
	struct sock_fprog program = { .len = sizeof code / sizeof *code, .filter = code };
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}
