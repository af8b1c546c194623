// ninefold-enter runs a command in the view that sessiond has for the caller.
//
//   ninefold-enter user@ -- COMMAND [ARGUMENT…]             the user manager
//   ninefold-enter view -- COMMAND [ARGUMENT…]              that of one view, which is not to run on the host
//   ninefold-enter session [-p PROFILE] -- COMMAND [ARGUMENT…]
//
// By any other name it stands in a vestibule in the place of a login shell: what
// it was executed as is then run in the view, and DOOR_SHELL where there is none.
//
// Its privilege comes from file capabilities alone (cap_sys_admin and
// cap_sys_chroot, permitted but not effective, so that a kernel that may not
// grant them still runs the program): AmbientCapabilities= in a unit would stay
// with whatever else is run there, and would not set AT_SECURE. It decides
// nothing. The daemon takes from the kernel who asks, and hands out nothing but
// the caller's own view; so whoever runs this by hand ends where they could have
// been anyway, without any privilege.
//
// It is static and single-threaded, reads no file and no environment (which the
// command gets as it is), and waits for nothing but the door, DOOR_TIMEOUT_MS.
// Every path to the command goes through give_up_privileges. What fails before
// the view is entered, or can be undone, leads to the command on the host, since
// a user manager that does not start costs the person the login.
//
// Exit status, where it does not become the command: 1 when the daemon refuses,
// 125 for a failure of its own, 126 when the command cannot be executed, 127
// when it is not there.

#define _GNU_SOURCE
#include "../client/client.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REFUSED = 1, FAILED = 125, CANNOT_EXECUTE = 126, NOT_FOUND = 127 };

// command is what is to be run, by its path in the view and that on the host,
// which is NULL for what is not to run there.
struct command {
	const char *in_view, *on_host;
	char **argv;
};

// The ids that systemd gives out for a while (its UIDS-GIDS document), which
// guests have too: theirs have nothing on the host.
enum { FIRST_DYNAMIC = 61184, LAST_DYNAMIC = 65519 };

#define NEEDED ((1u << CAP_SYS_ADMIN) | (1u << CAP_SYS_CHROOT))

static void say(const char *format, va_list args)
{
	char line[1024] = "ninefold-enter: ";
	size_t at = strlen(line);
	int n = vsnprintf(line + at, sizeof line - at - 1, format, args);
	if (n < 0)
		return;
	size_t end = strlen(line);
	for (size_t i = at; i < end; i++) {
		unsigned char c = (unsigned char)line[i];
		bool c1 = c == 0xc2 && (unsigned char)line[i + 1] >= 0x80 && (unsigned char)line[i + 1] < 0xa0;
		if (c < ' ' || c == 0x7f || c1)
			line[i] = '?';
	}
	line[end] = '\n';
	ssize_t ignored = write(2, line, end + 1);
	(void)ignored;
}

__attribute__((format(printf, 1, 2)))
static void warn(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(format, args);
	va_end(args);
}

__attribute__((format(printf, 2, 3), noreturn))
static void die(int status, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(format, args);
	va_end(args);
	_exit(status);
}

// get_capabilities and set_capabilities: the first 32 capabilities in the low
// half, as capset(2) has them in two words.
static bool get_capabilities(uint64_t *permitted, uint64_t *effective, uint64_t *inheritable)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 }, { 0 } };
	if (syscall(SYS_capget, &header, data))
		return false;
	*permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	*effective = data[0].effective | (uint64_t)data[1].effective << 32;
	*inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	return true;
}

// set_effective keeps nothing but the two capabilities that are needed, if the
// kernel gave them.
static bool set_effective(void)
{
	uint64_t permitted, effective, inheritable;
	if (!get_capabilities(&permitted, &effective, &inheritable))
		return false;
	uint32_t caps = (uint32_t)permitted & NEEDED;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = caps, .permitted = caps }, { 0 } };
	return !syscall(SYS_capset, &header, data) && caps == NEEDED;
}

// give_up_privileges empties every capability set and looks whether it is so.
// The bounding set stays on trusted views: sudo inside is to work as it does on
// the host, and dropping it takes CAP_SETPCAP. In a user namespace this process
// has that, and a view with one is the untrusted kind, which is to have nothing.
static void give_up_privileges(bool untrusted, bool no_new_privs)
{
	for (int cap = 0; untrusted && cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EINVAL) // EINVAL: past the kernel's last
			die(FAILED, "drop capability %d from the bounding set: %s", cap, strerror(errno));
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); // what is left is seen below
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };
	uint64_t permitted = 1, effective = 1, inheritable = 1;
	if (syscall(SYS_capset, &header, none) || !get_capabilities(&permitted, &effective, &inheritable))
		die(FAILED, "drop capabilities: %s", strerror(errno));
	if (permitted || effective || inheritable)
		die(FAILED, "a capability survived being dropped");
	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			die(FAILED, "ambient capability %d survived being dropped", cap);
	if ((untrusted || no_new_privs) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		die(FAILED, "set no_new_privs: %s", strerror(errno));
}

__attribute__((noreturn))
static void run(const char *path, char **argv, char **environment)
{
	execve(path, argv, environment);
	die(errno == ENOENT ? NOT_FOUND : CANNOT_EXECUTE, "%s: %s", path, strerror(errno));
}

__attribute__((noreturn))
static void run_on_host(const struct command *c)
{
	if (!c->on_host)
		die(FAILED, "%s: not in the view, so not at all", c->argv[0]);
	give_up_privileges(false, false);
	run(c->on_host, c->argv, environ);
}

// with_settings returns the environment with the answer's NAME=VALUE strings
// in the place of, or beside, those of the same name.
static char **with_settings(char *settings)
{
	size_t n = 0, more = 0;
	while (environ && environ[n])
		n++;
	for (char *s = settings; *s; s += strlen(s) + 1)
		more++;
	char **all = calloc(n + more + 1, sizeof *all);
	if (!all)
		die(FAILED, "no memory for the environment");
	size_t out = 0;
	for (size_t i = 0; i < n; i++) {
		bool replaced = false;
		for (char *s = settings; *s; s += strlen(s) + 1)
			replaced = replaced || !strncmp(environ[i], s, strcspn(s, "=") + 1);
		if (!replaced)
			all[out++] = environ[i];
	}
	for (char *s = settings; *s; s += strlen(s) + 1)
		all[out++] = s;
	return all;
}

// enter_and_run comes back where the host is still the way to go.
static void enter_and_run(struct door_answer *answer, const struct command *c)
{
	struct door_way_back back;
	const char *failed;
	char cwd[PATH_MAX];
	uid_t uid = getuid();
	gid_t gid = getgid();
	bool untrusted = answer->fd[DOOR_FD_USER] >= 0;
	if (!getcwd(cwd, sizeof cwd))
		cwd[0] = 0;
	switch (door_join(answer, &back, &failed)) {
	case JOIN_DONE:
		break;
	case JOIN_STUCK:
		die(FAILED, "enter the %s of the view: %s", failed, strerror(errno));
	case JOIN_UNCHANGED:
		warn("enter the %s of the view: %s", failed, strerror(errno));
		door_stay(&back);
		door_close(answer);
		return;
	}
	door_close(answer);
	// The user namespace has to hold the caller's ids, or files would change hands.
	if (getuid() != uid || getgid() != gid)
		die(FAILED, "the view's user namespace has no uid %u and gid %u", uid, gid);
	// While there is a way back: is there something to run?
	if (!back.none && access(c->in_view, X_OK)) {
		warn("%s in the view: %s", c->in_view, strerror(errno));
		if (!door_go_back(&back))
			die(FAILED, "go back to the host: %s", strerror(errno));
		if (cwd[0] == '/' && chdir(cwd))
			cwd[0] = 0; // setns(2) has gone to the root already
		return;
	}
	door_stay(&back);
	give_up_privileges(untrusted, answer->reply.flags & DOOR_NO_NEW_PRIVS);
	// By name and without privilege: the way is the view's.
	if ((cwd[0] != '/' || chdir(cwd)) && chdir("/"))
		die(FAILED, "change to the root of the view: %s", strerror(errno));
	run(c->in_view, c->argv, with_settings(answer->reply.environment));
}

// is_self reports whether path is this program.
static bool is_self(const char *path)
{
	struct stat self, other;
	return !stat("/proc/self/exe", &self) && !stat(path, &other) && self.st_dev == other.st_dev && self.st_ino == other.st_ino;
}

// parse_shell is for a call by the name of a login shell, such as "-bash". The
// path comes from the kernel, but whoever runs this by hand chooses it: it is
// used after everything is given up, inside the view alone. For a script, whose
// interpreter this stands in for, it is the script's, and execve(2) has put the
// interpreter's and the script's before the arguments.
static void parse_shell(char **argv, struct door_request *request, struct command *c)
{
	const char *path = (const char *)getauxval(AT_EXECFN); // getauxval(3)
	door_request(request, DOOR_JOIN, geteuid());
	c->argv = argv;
	c->on_host = DOOR_SHELL;
	c->in_view = path && path[0] == '/' ? path : DOOR_SHELL;
	if (argv[0][0] == '/' && path && !is_self(path))
		c->in_view = argv[0];
}

static void parse(int argc, char **argv, struct door_request *request, struct command *c)
{
	static const char usage[] = "usage: ninefold-enter user@|view|session [-p PROFILE] -- /COMMAND [ARGUMENT…]";
	int at = 2;
	if (argc < 1)
		die(FAILED, "%s", usage);
	const char *slash = strrchr(argv[0], '/');
	if (strcmp(slash ? slash + 1 : argv[0], "ninefold-enter")) {
		parse_shell(argv, request, c);
		return;
	}
	bool view = argc > 1 && !strcmp(argv[1], "view");
	if (view || (argc > 1 && !strcmp(argv[1], "user@")))
		door_request(request, DOOR_MANAGER, geteuid());
	else if (argc > 1 && !strcmp(argv[1], "session"))
		door_request(request, DOOR_JOIN, geteuid());
	else
		die(FAILED, "%s", usage);
	if (request->op == DOOR_JOIN && argc > at + 1 && !strcmp(argv[at], "-p")) {
		if (!door_text(request->choice, sizeof request->choice, argv[at + 1]))
			door_text(request->choice, sizeof request->choice, "?"); // no profile's name
		at += 2;
	}
	if (argc < at + 2 || strcmp(argv[at], "--"))
		die(FAILED, "%s", usage);
	c->argv = argv + at + 1;
	c->in_view = c->on_host = c->argv[0];
	if (c->argv[0][0] != '/')
		die(FAILED, "%s: give the whole path, since PATH is not looked at", c->argv[0]);
	if (view)
		c->on_host = NULL;
}

int main(int argc, char **argv)
{
	static struct door_request request;
	static struct door_answer answer;
	// A descriptor below 3 that is free would be given to the door's socket, and
	// what is written to stderr would go there.
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			_exit(FAILED);
	bool able = set_effective();
	struct command command;
	parse(argc, argv, &request, &command);
	if (geteuid() >= FIRST_DYNAMIC && geteuid() <= LAST_DYNAMIC)
		command.on_host = NULL;
	if (geteuid() == 0 || geteuid() != getuid() || getegid() != getgid())
		run_on_host(&command);
	if (!able) {
		warn("no capability to enter a view (no file capabilities, no_new_privs or nosuid?); staying on the host");
		run_on_host(&command);
	}
	if (door_failed_recently()) {
		warn("sessiond did not answer less than %d s ago; staying on the host", DOOR_FAILED_SECONDS);
		run_on_host(&command);
	}
	int e = door_ask(&request, &answer);
	if (e) {
		warn("%s (%s: %s); staying on the host", door_why(e), DOOR_PATH, strerror(-e));
		run_on_host(&command);
	}
	if (*answer.reply.message)
		warn("%s", answer.reply.message);
	if (answer.reply.verdict == DOOR_REFUSE)
		die(REFUSED, "refused");
	if (answer.reply.verdict == DOOR_ENTER) {
		enter_and_run(&answer, &command);
		if (command.on_host)
			warn("staying on the host");
	}
	run_on_host(&command);
}
