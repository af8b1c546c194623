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

// child has a call that would change this process made in another one.
static void child(const char *name, long number, long a, long b)
{
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		_exit(syscall(number, a, b) < 0 ? errno & 0x7f : 0);
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		say(name, false, "it could not be tried: %s", strerror(errno));
		return;
	}
	int error = WEXITSTATUS(status);
	say(name, WIFSIGNALED(status) || refused(error), "%s", WIFSIGNALED(status) ? "killed" : error ? strerror(error) : "it worked");
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
	denied("read the first process's memory", process_vm_readv(1, &here, 1, &there, 1, 0) < 0);
}

void try_calls(void)
{
	const long root = (long)"/", tmp = (long)"/tmp", none = (long)"none", tmpfs = (long)"tmpfs";
	child("become root", SYS_setuid, 0, 0);
	child("join root's group", SYS_setgid, 0, 0);
	child("change the root", SYS_chroot, root, 0);
	child("make a user namespace", SYS_unshare, CLONE_NEWUSER, 0);
	child("make a mount namespace", SYS_unshare, CLONE_NEWNS, 0);
	child("make a network namespace", SYS_unshare, CLONE_NEWNET, 0);
	int own = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	child("join a namespace", SYS_setns, own, 0);
	if (own >= 0)
		close(own);
	static struct {
		unsigned long flags, rest[10];
	} in_user_namespace = { .flags = CLONE_NEWUSER };
	child("make a user namespace by clone3", SYS_clone3, (long)&in_user_namespace, 64);
	// The kernel writes into it where it lets the call through.
	static char room[4096];
	child("make a user namespace by clone", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0);
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
	call("set the host's name", SYS_sethostname, tmp, 4, 0, 0, 0);
	call("make a disk's device", SYS_mknodat, AT_FDCWD, (long)"/tmp/.probe", S_IFBLK | 0600, 0x800, 0);
	call("lock memory without bound", SYS_setrlimit, 8, (long)(unsigned long[]){ ~0UL, ~0UL }, 0, 0, 0);
	int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	say("a terminal of the host's", terminal < 0, "%s", terminal < 0 ? strerror(errno) : "there is one");
	if (terminal >= 0)
		close(terminal);
}
