#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"

// refused tells a caller that may not from one that only asked for nonsense, as
// these tries do where they can.
static bool refused(int error)
{
	return error == EPERM || error == ENOSYS || error == EACCES;
}

// call makes a system call that must be refused; a descriptor that it gives is
// closed.
static void call(const char *name, long number, long a, long b, long c, long d, long e)
{
	long got = syscall(number, a, b, c, d, e);
	say(name, got < 0 && refused(errno), "%s", got < 0 ? strerror(errno) : "it worked");
	if (got > 2)
		close((int)got);
}

enum { UNTRIED = -1, KILLED = -2 };

// change is a call that would change the process that makes it.
struct change {
	const char *name;
	long number, a, b;
};

// made makes the calls of changes, all in one other process, and puts what came of
// each in errors: 0 for one that worked, KILLED for one that ended the process, and
// UNTRIED for what was to come after that.
static void made(const struct change *changes, int count, int *errors)
{
	int ends[2];
	for (int i = 0; i < count; i++)
		errors[i] = UNTRIED;
	fflush(stdout);
	if (pipe(ends))
		return;
	pid_t pid = fork();
	if (pid == 0) {
		pid_t self = getpid();
		for (int i = 0; i < count; i++) {
			int error = syscall(changes[i].number, changes[i].a, changes[i].b) < 0 ? errno : 0;
			if (write(ends[1], &error, sizeof error) != sizeof error || getpid() != self)
				break;
		}
		_exit(0);
	}
	close(ends[1]);
	int error, status, next = 0;
	while (next < count && read(ends[0], &error, sizeof error) == sizeof error)
		errors[next++] = error;
	close(ends[0]);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && next < count)
		errors[next] = KILLED;
}

// try_changes has them all made by one process, since a process for each takes half
// of the time that everything takes. When anything gets through there, what
// came after it says nothing, and each is made by itself.
static void try_changes(const struct change *changes, int count)
{
	int errors[16];
	made(changes, count, errors);
	bool each = false;
	for (int i = 0; i < count; i++)
		each = each || !refused(errors[i]);
	for (int i = 0; i < count; i++) {
		if (each)
			made(changes + i, 1, errors + i);
		const char *how = errors[i] == KILLED ? "killed" : errors[i] == UNTRIED ? "it could not be tried" : strerror(errors[i]);
		say(changes[i].name, errors[i] == KILLED || refused(errors[i]), "%s", errors[i] ? how : "it worked");
	}
}

void try_processes(void)
{
	char comm[64] = "";
	read_text("/proc/1/comm", comm, sizeof comm);
	comm[strcspn(comm, "\n")] = 0;
	say("process 1", !strcmp(comm, "ninefold-init"), "%s", comm);
	int others = 0;
	DIR *dir = opendir("/proc");
	for (struct dirent *e; dir && (e = readdir(dir));)
		if (isdigit((unsigned char)*e->d_name) && atoi(e->d_name) != 1 && atoi(e->d_name) != getpid() && atoi(e->d_name) != getppid())
			others++;
	if (dir)
		closedir(dir);
	say("other processes", dir && others == 0, "%d", others);
	denied("signal the first process", kill(1, 0) != 0);
	denied("the first process's root", open("/proc/1/root", O_PATH | O_CLOEXEC) < 0);
	denied("the first process's memory", open("/proc/1/mem", O_RDWR | O_CLOEXEC) < 0);
	denied("trace the first process", ptrace(PTRACE_SEIZE, 1, 0, 0) < 0);
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)0x400000, 1 };
	// Nothing has to lie at that address.
	denied("read the first process's memory", process_vm_readv(1, &here, 1, &there, 1, 0) < 0 && errno != EFAULT);
}

void try_calls(void)
{
	const long root = (long)"/", tmp = (long)"/tmp", none = (long)"none", tmpfs = (long)"tmpfs";
	static struct {
		unsigned long flags, rest[10];
	} in_user_namespace = { .flags = CLONE_NEWUSER };
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	const struct change changes[] = {
		{ "become root", SYS_setuid, 0, 0 },
		{ "join root's group", SYS_setgid, 0, 0 },
		{ "change the root", SYS_chroot, root, 0 },
		{ "make a user namespace", SYS_unshare, CLONE_NEWUSER, 0 },
		{ "make a mount namespace", SYS_unshare, CLONE_NEWNS, 0 },
		{ "make a network namespace", SYS_unshare, CLONE_NEWNET, 0 },
		{ "join a namespace", SYS_setns, own, 0 },
		{ "make a user namespace by clone3", SYS_clone3, (long)&in_user_namespace, 64 },
		{ "make a user namespace by clone", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0 },
	};
	try_changes(changes, sizeof changes / sizeof *changes);
	if (own >= 0)
		close(own);
	// The kernel writes into it where it lets the call through.
	static char room[4096];
	call("mount", SYS_mount, none, tmp, tmpfs, 0, 0);
	call("unmount", SYS_umount2, (long)"/home/guest", MNT_DETACH, 0, 0, 0);
	call("make a file system", SYS_fsopen, tmpfs, 0, 0, 0, 0);
	call("copy a mount", SYS_open_tree, AT_FDCWD, root, 1 | 0x80000, 0, 0);
	call("move a mount", SYS_move_mount, AT_FDCWD, tmp, AT_FDCWD, (long)"/var/tmp", 0);
	call("pivot the root", SYS_pivot_root, root, root, 0, 0, 0);
	call("load a program into the kernel", SYS_bpf, 0, 0, 0, 0, 0);
	call("watch the machine", SYS_perf_event_open, 0, 0, -1, -1, 0);
	call("a ring of calls", SYS_io_uring_setup, 1, (long)room, 0, 0, 0);
	call("handle faults", SYS_userfaultfd, 0, 0, 0, 0, 0);
	call("add a key", SYS_add_key, (long)"user", (long)"x", (long)"x", 1, KEY_SPEC_USER_KEYRING);
	call("read keys", SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1, 0, 0);
	call("open by handle", SYS_open_by_handle_at, AT_FDCWD, (long)room, O_RDONLY, 0, 0);
	call("read the kernel's log", SYS_syslog, 3, tmp, 0, 0, 0);
	call("load a module", SYS_finit_module, -1, tmp, 0, 0, 0);
	call("load a kernel", SYS_kexec_file_load, -1, -1, 0, 0, 0);
	call("set the time", SYS_settimeofday, 0, 0, 0, 0, 0);
	call("set the host's name", SYS_sethostname, tmp, -1, 0, 0, 0);
	call("make a disk's device", SYS_mknodat, AT_FDCWD, (long)"/tmp/.probe", S_IFBLK | 0600, 0x800, 0);
	unlink("/tmp/.probe"); // where it could be made
	call("lock memory without bound", SYS_setrlimit, 8, (long)(unsigned long[]){ ~0UL, ~0UL }, 0, 0, 0);
	int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	say("a terminal of the host's", terminal < 0, "%s", terminal < 0 ? strerror(errno) : "there is one");
	if (terminal >= 0)
		close(terminal);
}
