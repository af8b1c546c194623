// What a process of the session may not have any more.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

void set_caps(uint64_t caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)caps, .permitted = (uint32_t)caps, .inheritable = (uint32_t)caps },
		{ .effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32), .inheritable = (uint32_t)(caps >> 32) },
	};
	if (syscall(SYS_capset, &header, data))
		die(FAILED, "drop capabilities: %s", strerror(errno));
}

// drop_bounding_set leaves keep of what earlier calls left; a call of prctl for
// each capability is a good part of what a start takes.
void drop_bounding_set(uint64_t keep)
{
	static uint64_t left = ~(uint64_t)0;
	for (int cap = 0; cap < 64; cap++) {
		uint64_t bit = (uint64_t)1 << cap;
		if (keep & bit || !(left & bit))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)) {
			if (errno != EINVAL)
				die(FAILED, "drop capability %d from the bounding set: %s", cap, strerror(errno));
			left &= bit - 1; // past the last capability of this kernel
			return;
		}
		left &= ~bit;
	}
}

void load_filter(int fd)
{
	static struct sock_filter code[BPF_MAXINSNS];
	ssize_t n = pread(fd, code, sizeof code, 0);
	if (n <= 0 || (size_t)n % sizeof *code)
		die(FAILED, "read the seccomp filter: %s", n < 0 ? strerror(errno) : "bad length");
	struct sock_fprog program = { .len = (unsigned short)((size_t)n / sizeof *code), .filter = code };
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		die(FAILED, "install the seccomp filter: %s", strerror(errno));
}
