// Preloaded into gdm on a machine that has no virtual terminals: they can be
// opened, and nothing is shown on them. gdm takes one for each session of seat0.

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>

extern long syscall(long number, ...);
extern void *dlsym(void *handle, const char *name);

enum { SYS_IOCTL = 16, SYS_OPENAT = 257 };

struct vt_state { unsigned short active, signal, state; };
struct vt_mode { char mode, waitv; short relsig, acqsig, frsig; };

// terminal reports whether path is /dev/tty0 to /dev/tty99.
static int terminal(const char *path)
{
	static const char prefix[] = "/dev/tty";
	size_t i = 0;
	for (; prefix[i]; i++)
		if (path[i] != prefix[i])
			return 0;
	return path[i] >= '0' && path[i] <= '9';
}

static int open_as(const char *path, int flags, mode_t mode)
{
	return (int)syscall(SYS_OPENAT, AT_FDCWD, terminal(path) ? "/dev/null" : path, flags, mode);
}

int open(const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	return open_as(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list args;
	va_start(args, flags);
	mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	return open_as(path, flags, mode);
}

int __open_2(const char *path, int flags) { return open_as(path, flags, 0); }
int __open64_2(const char *path, int flags) { return open_as(path, flags, 0); }

// See ioctl_vt(2) for the numbers.
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	va_start(args, request);
	void *to = va_arg(args, void *);
	va_end(args);
	switch (request) {
	case 0x5600: // VT_OPENQRY
		*(int *)to = 2;
		return 0;
	case 0x5603: // VT_GETSTATE
		*(struct vt_state *)to = (struct vt_state){ .active = 1 };
		return 0;
	case 0x4b3b: // KDGETMODE
		*(int *)to = 0;
		return 0;
	case 0x5601: // VT_GETMODE
		*(struct vt_mode *)to = (struct vt_mode){ .mode = 0 };
		return 0;
	case 0x5602: case 0x5606: case 0x5607: // VT_SETMODE, VT_ACTIVATE, VT_WAITACTIVE
	case 0x4b3a: case 0x4b45: case 0x540e: // KDSETMODE, KDSKBMODE, TIOCSCTTY
		return 0;
	}
	return (int)syscall(SYS_IOCTL, fd, request, to);
}

// logind refuses a session on a terminal of a seat that has none.
int pam_set_item(void *pamh, int type, const void *item)
{
	enum { PAM_TTY = 3 };
	int (*next)(void *, int, const void *) = (int (*)(void *, int, const void *))dlsym((void *)-1L /* RTLD_NEXT */, "pam_set_item");
	return type == PAM_TTY && item && terminal(item) ? 0 : next(pamh, type, item);
}
