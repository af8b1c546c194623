// ninefold-guest stands in the place of everything that a login program would
// start for a guest: it hands its terminal to the keeper of the guest's session,
// waits for the end of that, and ends as it did.
//
// It is all of the guest's that ever runs on the host, as the guest's uid and
// without any privilege. It executes nothing, opens nothing but the socket, the
// X server's cookie and /dev/null, and does not look at what its arguments mean.
// The keeper takes from the kernel who asks, and lets one in once.
//
// Exit status: that of the guest's session, or 125 for a failure of its own.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
	FAILED = 125,
	MOST = 8192,   // bytes of the first message
	FILES = 4,     // that go with it
	WAIT_MS = 30000 // for the keeper, which makes the session meanwhile
};

// SOCKETS is sessiond/guests' runtime directory.
#define SOCKETS "/run/ninefold/guests/"

static const char greeting[] = "9fguest1";

static struct termios before;
static bool terminal;
static int wake[2];

// leave gives the terminal back as it was: the keeper may have been killed.
__attribute__((noreturn))
static void leave(int status)
{
	if (terminal)
		tcsetattr(0, TCSADRAIN, &before);
	_exit(status);
}

// fail tells one line without control characters.
__attribute__((noreturn))
static void fail(const char *what, const char *why)
{
	char line[512];
	int n = snprintf(line, sizeof line - 1, "ninefold: %s%s%s", what, *why ? ": " : "", why);
	size_t end = n < 0 ? 0 : strlen(line);
	for (size_t i = 0; i < end; i++) {
		unsigned char c = (unsigned char)line[i];
		if (c < ' ' || c == 0x7f || (c >= 0x80 && c < 0xa0))
			line[i] = '?';
	}
	line[end] = '\n';
	if (terminal) // the keeper may have left it raw
		tcsetattr(0, TCSADRAIN, &before);
	ssize_t ignored = write(2, line, end + 1);
	(void)ignored;
	leave(FAILED);
}

static long long now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int keeper(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	snprintf(to.sun_path, sizeof to.sun_path, SOCKETS "%u", geteuid());
	long long deadline = now_ms() + WAIT_MS;
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		fail("make a socket", strerror(errno));
	while (connect(sock, (struct sockaddr *)&to, sizeof to)) {
		if ((errno != ENOENT && errno != EAGAIN && errno != EINTR) || now_ms() >= deadline)
			fail("no guest's session waits for you", strerror(errno));
		poll(NULL, 0, 5);
	}
	struct ucred peer;
	socklen_t size = sizeof peer;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) || peer.uid != 0)
		fail("what waits for you is not root's", "");
	if (fcntl(sock, F_SETFL, 0)) // from here on it is waited for
		fail("use the socket", strerror(errno));
	return sock;
}

// add puts a string with its kind into the message; what does not fit is left out.
static size_t add(char *message, size_t at, char kind, const char *text)
{
	size_t n = strlen(text) + 1;
	if (at + n + 1 > MOST)
		return at;
	message[at] = kind;
	memcpy(message + at + 1, text, n);
	return at + 1 + n;
}

// wanted reports whether the keeper is told of a variable; it decides what of it counts.
static bool wanted(const char *variable)
{
	static const char *const names[] = { "TERM=", "COLORTERM=", "LANG=", "LC_", "DISPLAY=", "DESKTOP_SESSION=", "XDG_SESSION_" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strncmp(variable, names[i], strlen(names[i])))
			return true;
	return false;
}

// greet sends who we are to be, with our files.
static void greet(int sock, char **argv)
{
	static char message[MOST];
	int files[FILES] = { 0, 1, 2 }, n = 3;
	size_t at = sizeof greeting - 1;
	memcpy(message, greeting, at);
	for (char **a = argv; *a; a++)
		at = add(message, at, 'A', *a);
	for (char **e = environ; e && *e; e++)
		if (wanted(*e))
			at = add(message, at, 'E', *e);
	const char *cookie = getenv("XAUTHORITY");
	int fd = cookie ? open(cookie, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	if (fd >= 0)
		files[n++] = fd;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof files)];
	} control;
	memset(&control, 0, sizeof control);
	struct iovec what = { message, at };
	struct msghdr m = { .msg_iov = &what, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = (socklen_t)CMSG_SPACE((size_t)n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = (socklen_t)CMSG_LEN((size_t)n * sizeof(int));
	memcpy(CMSG_DATA(c), files, (size_t)n * sizeof(int));
	if (sendmsg(sock, &m, MSG_NOSIGNAL) != (ssize_t)at)
		fail("tell the keeper of the session", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void resized(int signal)
{
	int saved = errno;
	ssize_t ignored = write(wake[1], "", 1);
	(void)signal, (void)ignored;
	errno = saved;
}

int main(int argc, char **argv)
{
	// A descriptor below 3 that is free would be given to the socket.
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			_exit(FAILED);
	if (argc < 1 || geteuid() == 0 || geteuid() != getuid() || getegid() != getgid())
		fail("this is for guests alone", "");
	terminal = !tcgetattr(0, &before);
	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK))
		fail("make a pipe", strerror(errno));
	struct sigaction on = { .sa_handler = resized };
	sigaction(SIGWINCH, &on, NULL);
	// Keys are the guest's own terminal's; a hang-up and an end are ours.
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTSTP, SIG_IGN);
	signal(SIGHUP, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	int sock = keeper();
	greet(sock, argv);
	for (;;) {
		// A hang-up is told to the leader of the session alone, which may not listen.
		struct pollfd p[] = { { .fd = sock, .events = POLLIN }, { .fd = wake[0], .events = POLLIN }, { .fd = terminal ? 0 : -1 } };
		char answer[512];
		int32_t code;
		if (poll(p, 3, -1) < 0 && errno != EINTR)
			fail("wait for the session", strerror(errno));
		if (p[2].revents & (POLLHUP | POLLERR))
			_exit(FAILED);
		if (p[1].revents & POLLIN) {
			while (read(wake[0], answer, sizeof answer) > 0)
				;
			send(sock, "W", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		if (!(p[0].revents & (POLLIN | POLLHUP | POLLERR)))
			continue;
		ssize_t n = recv(sock, answer, sizeof answer - 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			fail("the session's keeper has ended", "");
		answer[n] = 0;
		if (answer[0] == 'E')
			fail(answer + 1, "");
		if (answer[0] == 'X' && n == 1 + (ssize_t)sizeof code) {
			memcpy(&code, answer + 1, sizeof code);
			leave(code);
		}
	}
}
