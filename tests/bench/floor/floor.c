// floor does the job of the benchmark and nothing else: the least that any
// program pays for it. Make compiles it; nothing installs it.
//
//   floor job JOB CMD         the whole job; exit status is the command's
//   floor time JOB CMD        the same, and prints its nanoseconds without the
//                             start of floor itself
//   floor overlay JOB CMD...  composes JOB/merged in a mount namespace of its
//                             own and executes CMD there: for tools that make
//                             no overlay themselves
//   floor pause               waits for a signal: the lightest process there is
//
// JOB is the directory that ../job.go lays out. Plain mount(2) is used so that it
// runs on every kernel the bench may meet.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
		_exit(125);
	}
}

static void bind(const char *from, const char *to, unsigned long flags)
{
	check(mount(from, to, NULL, MS_BIND, NULL) == 0, to);
	// MS_RDONLY has no effect on the bind itself.
	if (flags)
		check(mount(NULL, to, NULL, MS_BIND | MS_REMOUNT | flags, NULL) == 0, to);
}

// compose mounts the two lowers under a fresh tmpfs upper on JOB/merged, and
// leaves JOB as the working directory.
static void compose(const char *job)
{
	check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private propagation");
	check(chdir(job) == 0, job);
	check(mount("tmpfs", "scratch", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") == 0, "scratch");
	check(mkdir("scratch/upper", 0755) == 0 && mkdir("scratch/work", 0755) == 0, "upper");
	check(mount("overlay", "merged", "overlay", 0, "lowerdir=runtime:base,upperdir=scratch/upper,workdir=scratch/work") == 0, "overlay");
}

static void devices(void)
{
	static const char *const nodes[] = { "null", "zero", "full", "random", "urandom", "tty" };
	char from[32], to[32];

	check(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=0755") == 0, "dev");
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes); i++) {
		snprintf(from, sizeof(from), "/dev/%s", nodes[i]);
		snprintf(to, sizeof(to), "dev/%s", nodes[i]);
		int fd = open(to, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
		check(fd >= 0, to);
		close(fd);
		bind(from, to, 0);
	}
	check(mkdir("dev/pts", 0755) == 0 && mkdir("dev/shm", 01777) == 0, "dev/pts");
	check(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") == 0, "devpts");
	check(mount("tmpfs", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0, "dev/shm");
	check(symlink("pts/ptmx", "dev/ptmx") == 0 && symlink("/proc/self/fd", "dev/fd") == 0, "dev/ptmx");
}

// session is the first process of the new namespaces.
static int session(const char *job, char *const cmd[])
{
	compose(job);
	check(chdir("merged") == 0, "merged");
	check(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0, "proc");
	devices();
	bind("../binds/home", "home", 0);
	bind("../binds/user", "run/user", 0);
	bind("../binds/machine", "run/machine", MS_RDONLY | MS_NOSUID | MS_NODEV);
	bind("../binds/tools", "run/tools", MS_RDONLY | MS_NOSUID | MS_NODEV);
	check(syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
	check(umount2(".", MNT_DETACH) == 0 && chdir("/") == 0, "old root");

	char *const env[] = { "PATH=/usr/bin:/bin", NULL };
	pid_t pid, got;
	int status, code = 125;
	errno = posix_spawn(&pid, cmd[0], NULL, NULL, cmd, env);
	check(errno == 0, cmd[0]);
	while ((got = wait(&status)) > 0)
		if (got == pid)
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return code;
}

static int job(const char *dir, char *const cmd[])
{
	struct clone_args args = {
		.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = SIGCHLD,
	};
	int status;
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	check(pid >= 0, "clone3");
	if (pid == 0)
		_exit(session(dir, cmd));
	check(waitpid((pid_t)pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static long long nanoseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "pause") == 0) {
		pause();
		return 0;
	}
	if (argc < 4) {
		fprintf(stderr, "floor: see the head of floor.c\n");
		return 2;
	}
	if (strcmp(argv[1], "overlay") == 0) {
		check(unshare(CLONE_NEWNS) == 0, "unshare");
		compose(argv[2]);
		execv(argv[3], argv + 3);
		check(0, argv[3]);
	}
	long long start = nanoseconds();
	int code = job(argv[2], argv + 3);
	if (strcmp(argv[1], "time") == 0)
		printf("%lld\n", nanoseconds() - start);
	return code;
}
