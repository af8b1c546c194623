// ninefold-init is the first process of a session: it finishes what only a
// process inside the new PID namespace can do, starts the command with the
// identity and privileges of the plan, reaps, forwards signals and takes the
// session down when the command ends or its keeper dies.
//
// It is started by package namespaces (start.go builds its arguments) with an
// empty environment, as root of the session's user namespace, inside the
// finished root. It is static and single-threaded, and loads no code and reads
// no file from that root: no NSS, no dlopen, no locale. With -j it joins a
// live session first instead (setns(2) on a pidfd), which a Go program cannot
// do for user namespaces.
//
// Without a command it holds the namespaces open for others. A byte on the
// lifeline (-l) then makes it go on without its keeper; it says so with a wait
// status of 0, closes both lines, and ends with SIGTERM. The same holds from
// the start when there is no lifeline. What it got as descriptors from 9 on
// stays open for as long as it lives: locks on what the view stands on.
//
// With -q there is a guard: a program (-Q, a word at a time) that runs before the
// command, with the same identity, privileges and filter, and writes to that
// descriptor. Its wait status goes to the status pipe, before the command's. A byte
// on the lifeline then makes room for the command, or for others to join; the
// lifeline's end takes everything down.
//
// With -K the command is the first of several that come and go. It says that it is
// ready with a wait status of 0; a byte on the lifeline then starts the command,
// whose status goes to the pipe when it has ended, and the session stays. From that
// byte on the lifeline's end means the end of this command alone, if it still
// runs: the namespaces are then held open as without a command.
//
// With -H it does nothing but hold the namespaces it was started in until the
// lifeline breaks.
//
// Exit status: that of the command, 128+n when signal n ended it, 126 when it
// could not be executed, 127 when it was not found, 125 for a failure of its
// own. The wait status also goes to the status pipe (-s), four bytes in native
// order, so that a signal can be told from an exit code.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init.h"

enum { MAX_LIMITS = 32, MAX_ENV = 1024, MAX_GROUPS = 65536, MAX_GUARD = 16 };

struct config {
	int lifeline, status, seccomp, join;
	int guard;          // where it writes to
	char *guard_argv[MAX_GUARD + 1];
	size_t nguard;
	int procs;          // cgroup.procs of the command's cgroup
	int cgroup;         // the session's cgroup directory
	int cgroup_parent;  // where it is removed from, as cgroup_name
	const char *cgroup_name;
	long join_flags;
	bool proc, reaper, tty, no_new_privs, ids, hold, stay;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t ngroups;
	uint64_t caps;     // held
	uint64_t bounding; // not held, but within reach of a setuid program
	const char *cwd;
	struct { int resource; rlim_t value; } limits[MAX_LIMITS];
	size_t nlimits;
	char *env[MAX_ENV + 1];
	size_t nenv;
	char **argv;
};

static unsigned long long number(const char *text, unsigned long long max)
{
	char *end;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || n > max)
		die(FAILED, "bad number in arguments: %s", text);
	return n;
}

static void parse_groups(struct config *c, const char *list)
{
	size_t n = 1;
	for (const char *p = list; *p; p++)
		n += *p == ',';
	if (n > MAX_GROUPS || !(c->groups = calloc(n, sizeof *c->groups)))
		die(FAILED, "too many groups");
	while (*list) {
		char *end;
		unsigned long g = strtoul(list, &end, 10);
		if (*list < '0' || *list > '9' || (*end && *end != ',') || g >= UINT32_MAX)
			die(FAILED, "bad group list");
		c->groups[c->ngroups++] = (gid_t)g;
		list = *end ? end + 1 : end;
	}
}

static void parse_limit(struct config *c, const char *text)
{
	char name[8] = "";
	const char *eq = strchr(text, '=');
	if (!eq || (size_t)(eq - text) >= sizeof name || c->nlimits == MAX_LIMITS)
		die(FAILED, "bad limit: %s", text);
	memcpy(name, text, (size_t)(eq - text));
	c->limits[c->nlimits].resource = (int)number(name, RLIM_NLIMITS - 1);
	c->limits[c->nlimits++].value = number(eq + 1, UINT64_MAX);
}

static void parse(struct config *c, int argc, char **argv)
{
	int opt;
	*c = (struct config){ .lifeline = -1, .status = -1, .seccomp = -1, .join = -1,
			      .guard = -1, .procs = -1, .cgroup = -1, .cgroup_parent = -1 };
	while ((opt = getopt(argc, argv, "+l:s:f:j:J:P:q:Q:c:C:N:HKprtnu:g:G:k:b:d:L:e:")) != -1) {
		switch (opt) {
		case 'l': c->lifeline = (int)number(optarg, 65535); break;
		case 's': c->status = (int)number(optarg, 65535); break;
		case 'f': c->seccomp = (int)number(optarg, 65535); break;
		case 'j': c->join = (int)number(optarg, 65535); break;
		case 'J': c->join_flags = (long)number(optarg, UINT32_MAX); break;
		case 'P': c->procs = (int)number(optarg, 65535); break;
		case 'q': c->guard = (int)number(optarg, 65535); break;
		case 'Q':
			if (c->nguard == MAX_GUARD)
				die(FAILED, "the guard has more than %d words", MAX_GUARD);
			c->guard_argv[c->nguard++] = optarg;
			break;
		case 'c': c->cgroup = (int)number(optarg, 65535); break;
		case 'C': c->cgroup_parent = (int)number(optarg, 65535); break;
		case 'N': c->cgroup_name = optarg; break;
		case 'H': c->hold = true; break;
		case 'K': c->stay = true; break;
		case 'p': c->proc = true; break;
		case 'r': c->reaper = true; break;
		case 't': c->tty = true; break;
		case 'n': c->no_new_privs = true; break;
		case 'u': c->uid = (uid_t)number(optarg, UINT32_MAX - 1); c->ids = true; break;
		case 'g': c->gid = (gid_t)number(optarg, UINT32_MAX - 1); break;
		case 'G': parse_groups(c, optarg); break;
		case 'k': c->caps = number(optarg, UINT64_MAX); break;
		case 'b': c->bounding = number(optarg, UINT64_MAX); break;
		case 'd': c->cwd = optarg; break;
		case 'L': parse_limit(c, optarg); break;
		case 'e':
			if (c->nenv == MAX_ENV)
				die(FAILED, "more than %d environment variables", MAX_ENV);
			c->env[c->nenv++] = optarg;
			break;
		default: die(FAILED, "bad arguments");
		}
	}
	c->argv = argv + optind;
	if (!c->ids)
		die(FAILED, "no identity given");
	if ((c->guard >= 0) != (c->nguard > 0))
		die(FAILED, "a guard is a program and where it writes to");
}

// become takes on the identity and drops what the plan does not grant, then
// tries to get root back and refuses to go on if that works.
static void become(const struct config *c)
{
	for (size_t i = 0; i < c->nlimits; i++) {
		struct rlimit limit = { c->limits[i].value, c->limits[i].value };
		if (setrlimit(c->limits[i].resource, &limit))
			die(FAILED, "set resource limit %d: %s", c->limits[i].resource, strerror(errno));
	}
	drop_bounding_set(c->caps | c->bounding);
	if (c->caps && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
		die(FAILED, "keep capabilities: %s", strerror(errno));
	if (setgroups(c->ngroups, c->groups) || setresgid(c->gid, c->gid, c->gid) || setresuid(c->uid, c->uid, c->uid))
		die(FAILED, "become uid %u gid %u: %s", c->uid, c->gid, strerror(errno));
	set_caps(c->caps);
	// uid 0 gets them from the bounding set when it executes (capabilities(7)).
	for (int cap = 0; c->uid != 0 && cap < 64; cap++)
		if (c->caps >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0))
			die(FAILED, "grant capability %d: %s", cap, strerror(errno));
	if ((c->no_new_privs || c->seccomp >= 0) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die(FAILED, "set no_new_privs: %s", strerror(errno));
	if (c->uid != 0 && !(c->caps >> CAP_SETUID & 1) && setresuid(-1, 0, -1) == 0)
		die(FAILED, "root could be regained after it was given up; refusing to go on");
	if (!(c->caps >> CAP_SYS_ADMIN & 1) && unshare(CLONE_NEWUTS) == 0)
		die(FAILED, "a capability survived being dropped; refusing to go on");
	if (c->seccomp >= 0)
		load_filter(c->seccomp);
}

__attribute__((noreturn))
static void start_command(struct config *c)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	// Away from the keeper's terminal in any case: who has it as the controlling
	// one can type into it (TIOCSTI), and its shell may be root's.
	if (setsid() < 0 || (c->tty && ioctl(0, TIOCSCTTY, 0)))
		die(FAILED, "take the terminal: %s", strerror(errno));
	// Nor does it possess the keys of the keeper's login, whose uid is not asked
	// for then (keyrings(7)). EPERM is a container's filter, which holds inside too.
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS && errno != EPERM)
		die(FAILED, "leave the caller's keyring: %s", strerror(errno));
	// The command enters its limits, this program stays outside of them, so
	// that it can remove the cgroup once it is empty.
	if (c->procs >= 0 && write(c->procs, "0", 1) != 1)
		die(FAILED, "enter the session's cgroup: %s", strerror(errno));
	if (syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */))
		for (int fd = 3; fd < 64; fd++)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	become(c);
	if (c->cwd && chdir(c->cwd) && chdir("/"))
		die(FAILED, "change to %s: %s", c->cwd, strerror(errno));
	environ = c->env;
	execvp(c->argv[0], c->argv);
	die(errno == ENOENT ? NOT_FOUND : CANNOT_EXECUTE, "%s: %s", c->argv[0],
	    errno == ENOENT ? "command not found in the session" : strerror(errno));
}

// take_down ends every process of the session and waits for the last one: as
// a subreaper, or the first process of a PID namespace, all of them are, or
// become, our children. command is 0 when it has been reaped.
static void take_down(pid_t command, int cgroup_kill)
{
	// A command that joined is in another PID namespace, and the list below,
	// in that one's /proc, does not know us.
	if (command > 0) {
		kill(-command, SIGKILL);
		kill(command, SIGKILL);
	}
	ssize_t ignored = write(cgroup_kill, "1", 1);
	(void)ignored;
	if (getpid() == 1)
		kill(-1, SIGKILL);
	static char list[65536];
	char path[64];
	snprintf(path, sizeof path, "/proc/self/task/%ld/children", syscall(SYS_gettid));
	for (int rounds = 0; rounds < 20000; rounds++) {
		int status;
		pid_t pid;
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			;
		if (pid < 0 && errno == ECHILD)
			return;
		int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, list, sizeof list - 1);
		if (fd >= 0)
			close(fd);
		if (n > 0) {
			list[n] = 0;
			for (char *p = list, *end; (pid = (pid_t)strtol(p, &end, 10)) > 0 && end != p; p = end)
				if (*end == ' ')
					kill(pid, SIGKILL);
		}
		poll(NULL, 0, 1);
	}
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void report(const struct config *c, int status)
{
	if (c->status < 0)
		return;
	ssize_t ignored = write(c->status, &status, sizeof status);
	(void)ignored;
}

// forward hands a signal on. What a terminal sends to every process of a job
// goes to all of the command's process group here too.
static void forward(pid_t command, int sig)
{
	if ((sig == SIGINT || sig == SIGQUIT) && kill(-command, sig) == 0)
		return;
	kill(command, sig);
}

// let_go gives up the line to the keeper if the keeper asked for that, rather
// than having died.
static bool let_go(struct config *c)
{
	char byte;
	if (read(c->lifeline, &byte, 1) != 1)
		return false;
	close(c->lifeline);
	c->lifeline = -1;
	report(c, 0);
	close(c->status);
	c->status = -1;
	return true;
}

// alone goes on without the keeper, and without its command.
static void alone(struct config *c, pid_t command)
{
	if (command > 0) {
		kill(-command, SIGKILL);
		kill(command, SIGKILL);
	}
	close(c->lifeline);
	c->lifeline = -1;
}

// supervise returns the exit status for the session. A negative command means
// that the session is held open for others to join; one that ended becomes 0.
static int supervise(struct config *c, pid_t *command, int signals)
{
	struct pollfd fds[2] = { { .fd = signals, .events = POLLIN }, { .fd = c->lifeline, .events = POLLIN } };
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return FAILED;
		if (fds[1].revents) {
			if (c->stay)
				alone(c, *command);
			else if (*command > 0 || !let_go(c))
				return 128 + SIGKILL;
			fds[1] = (struct pollfd){ .fd = -1 };
		}
		struct signalfd_siginfo info;
		while (read(signals, &info, sizeof info) == sizeof info) {
			if (info.ssi_signo != SIGCHLD) {
				if (*command > 0)
					forward(*command, (int)info.ssi_signo);
				else if (c->lifeline < 0 && info.ssi_signo == SIGTERM)
					return 0;
				continue;
			}
			int status;
			pid_t pid;
			while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
				if (pid != *command)
					continue;
				*command = c->stay ? -1 : 0;
				report(c, status);
				if (!c->stay)
					return exit_code(status);
			}
		}
	}
}

// guarded runs the guard, and returns whether the keeper let the command in. Before
// that nothing else runs, so every child that ends is the guard's.
static bool guarded(struct config *c, int signals)
{
	pid_t guard = fork();
	if (guard == 0) {
		// No input: what it reads from is for writing only.
		for (int fd = 0; fd < 3; fd++)
			if (dup2(c->guard, fd) < 0)
				_exit(FAILED);
		struct config g = *c;
		g.tty = false;
		g.argv = c->guard_argv;
		start_command(&g);
	}
	if (guard < 0)
		die(FAILED, "start %s: %s", c->guard_argv[0], strerror(errno));
	close(c->guard);
	struct pollfd fds[2] = { { .fd = signals, .events = POLLIN }, { .fd = c->lifeline, .events = POLLIN } };
	bool ended = false;
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return false;
		char byte;
		if (fds[1].revents)
			return read(c->lifeline, &byte, 1) == 1 && ended;
		struct signalfd_siginfo info;
		while (read(signals, &info, sizeof info) == sizeof info) {
			if (info.ssi_signo != SIGCHLD)
				return false;
			int status;
			pid_t pid;
			while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
				if (pid == guard) {
					ended = true;
					if (getpid() == 1)
						kill(-1, SIGKILL); // what it may have left
					report(c, status);
				}
		}
	}
}

// wanted says that others can join, and returns whether the keeper wants the command.
static bool wanted(struct config *c)
{
	report(c, 0);
	char byte;
	return read(c->lifeline, &byte, 1) == 1;
}

// remove_cgroup removes the cgroup when it is empty. What a command that joined has
// left in the session's own PID namespace was killed, and is reaped by that one's
// first process: that is not for us to wait for but here, and not for long.
static bool remove_cgroup(const struct config *c)
{
	for (int tries = 0; unlinkat(c->cgroup_parent, c->cgroup_name, AT_REMOVEDIR); tries++) {
		if (errno != EBUSY || tries == 1000)
			return false;
		poll(NULL, 0, 1);
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct config c;
	parse(&c, argc, argv);
	umask(022); // the builder's is 0
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (c.hold) { // a namespace, until the line breaks
		char byte;
		while (read(c.lifeline, &byte, 1) < 0 && errno == EINTR)
			;
		_exit(0);
	}
	// Before joining: what is in the session must not trace us, nor reach our
	// descriptors through /proc, at any moment.
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		die(FAILED, "hide from ptrace: %s", strerror(errno));
	if (c.join >= 0 && syscall(SYS_setns, c.join, (int)c.join_flags))
		die(FAILED, "join the session: %s", strerror(errno));
	// Root of that user namespace, which may be another uid than the host's root.
	if (c.join >= 0 && c.join_flags & CLONE_NEWUSER && (setresgid(0, 0, 0) || setresuid(0, 0, 0)))
		die(FAILED, "become root of the session's user namespace: %s", strerror(errno));
	if (c.reaper && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		die(FAILED, "become the session's reaper: %s", strerror(errno));
	// What neither we nor the command keep is dropped once for both.
	const uint64_t keep = (uint64_t)1 << CAP_KILL;
	drop_bounding_set(keep | (c.argv[0] ? c.caps | c.bounding : 0));
	if (c.proc)
		mount_proc(c.uid == 0 || c.caps != 0);
	int signals = signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signals < 0)
		die(FAILED, "watch signals: %s", strerror(errno));

	const bool go = (c.guard < 0 || guarded(&c, signals)) && (!c.stay || wanted(&c));
	pid_t command = -1;
	if (go && c.argv[0]) {
		command = fork();
		if (command == 0)
			start_command(&c);
		if (command < 0)
			die(FAILED, "start %s: %s", c.argv[0], strerror(errno));
	}
	// What is left to do needs no privilege but signalling other uids.
	drop_bounding_set(keep);
	set_caps(keep);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	// No file can be opened for writing later.
	int cgroup_kill = c.cgroup_name ? openat(c.cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC) : -1;
	confine(c.cgroup_name);
	int status = go ? supervise(&c, &command, signals) : 128 + SIGKILL;
	if (c.reaper || c.cgroup_name)
		take_down(command, cgroup_kill);
	if (c.cgroup_name && !remove_cgroup(&c))
		status = status ? status : FAILED;
	_exit(status);
}
