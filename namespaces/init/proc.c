// The session's own /proc.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "init.h"

static int open_tree_clone(int dir, const char *path)
{
	return (int)syscall(SYS_open_tree, dir, path,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW);
}

static void set_read_only(int mount, bool on)
{
	struct mount_attr attr = { 0 };
	*(on ? &attr.attr_set : &attr.attr_clr) = MOUNT_ATTR_RDONLY;
	if (syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH, &attr, sizeof attr))
		die(FAILED, "make /proc read-only: %s", strerror(errno));
}

// new_proc makes the session's own /proc, which has to come from a process inside
// the PID namespace.
static int new_proc(void)
{
	int fs = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		die(FAILED, "mount proc: %s", strerror(errno));
	int mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
				 MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mount < 0)
		die(FAILED, "mount proc: %s", strerror(errno));
	close(fs);
	return mount;
}

// mount_proc mounts it. /proc is resolved without following links: the
// root may hold what a user wrote, though nothing of theirs runs yet. For uid 0
// the knobs that reach the whole machine without a capability become read-only.
void mount_proc(bool protect)
{
	static const char *const knobs[] = { "sys", "sysrq-trigger", "irq", "bus", "fs" };
	struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS };
	int mount = new_proc();
	int target = (int)syscall(SYS_openat2, AT_FDCWD, "/proc", &how, sizeof how);
	if (target < 0)
		die(FAILED, "mount proc on /proc: %s", strerror(errno));
	if (syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH))
		die(FAILED, "attach proc on /proc: %s", strerror(errno));
	// The knobs are copies of the mount from a moment in which it is read-only.
	if (protect)
		set_read_only(mount, true);
	for (size_t i = 0; protect && i < sizeof knobs / sizeof *knobs; i++) {
		int tree = open_tree_clone(mount, knobs[i]);
		if (tree < 0 && errno == ENOENT)
			continue;
		if (tree < 0 || syscall(SYS_move_mount, tree, "", mount, knobs[i], MOVE_MOUNT_F_EMPTY_PATH))
			die(FAILED, "make /proc/%s read-only: %s", knobs[i], strerror(errno));
		close(tree);
	}
	if (protect)
		set_read_only(mount, false);
	char self[16];
	ssize_t n = readlinkat(mount, "self", self, sizeof self);
	if (n != 1 || self[0] != '1' || getpid() != 1)
		die(FAILED, "/proc shows another PID namespace; refusing to go on");
	close(mount);
	close(target);
}
