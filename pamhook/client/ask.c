#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static long long now_ms(void)
{
	struct timespec t;
	if (clock_gettime(CLOCK_MONOTONIC, &t))
		return 0;
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void door_request(struct door_request *r, enum door_op op, uint32_t uid)
{
	memset(r, 0, sizeof *r);
	r->magic = DOOR_MAGIC;
	r->length = sizeof *r;
	r->version = DOOR_VERSION;
	r->op = (uint16_t)op;
	r->uid = uid;
}

bool door_text(char *field, size_t size, const char *text)
{
	bool same = true;
	size_t i = 0;
	memset(field, 0, size);
	for (; text && text[i] && i < size - 1; i++) {
		bool plain = text[i] >= ' ' && text[i] <= '~';
		field[i] = '?';
		if (plain)
			field[i] = text[i];
		same = same && plain;
	}
	return same && !(text && text[i]);
}

// wait_for waits until the socket is ready or the deadline is over.
static int wait_for(int sock, short events, long long deadline)
{
	for (;;) {
		struct pollfd p = { .fd = sock, .events = events };
		long long left = deadline - now_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		int n = poll(&p, 1, left > DOOR_TIMEOUT_MS ? DOOR_TIMEOUT_MS : (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

// connect_door never blocks: against a full backlog of a daemon that is
// stopped, a blocking connect(2) would wait for ever, and a non-blocking one
// gives EAGAIN, which poll(2) cannot wait for.
static int connect_door(int sock, long long deadline)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = DOOR_PATH };
	while (connect(sock, (struct sockaddr *)&to, sizeof to)) {
		if (errno == EISCONN)
			break;
		if (errno != EAGAIN && errno != EINTR && errno != EALREADY && errno != EINPROGRESS)
			return -errno;
		if (now_ms() >= deadline)
			return -ETIMEDOUT;
		poll(NULL, 0, 5);
	}
	// Whoever listened first owns the answer: that must have been root.
	struct ucred peer;
	socklen_t size = sizeof peer;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return -errno;
	return size == sizeof peer && peer.uid == 0 ? 0 : -EPERM;
}

static int send_request(int sock, const struct door_request *r, long long deadline)
{
	for (;;) {
		ssize_t n = send(sock, r, sizeof *r, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == (ssize_t)sizeof *r)
			return 0;
		if (n >= 0)
			return -EPROTO;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		int e = wait_for(sock, POLLOUT, deadline);
		if (e)
			return e;
	}
}

static int receive(int sock, uint16_t op, struct door_answer *a, long long deadline)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(DOOR_MAX_FDS * sizeof(int))];
	} control;
	struct iovec into = { &a->reply, sizeof a->reply };
	struct msghdr m;
	ssize_t n;
	for (;;) {
		int e = wait_for(sock, POLLIN, deadline);
		if (e)
			return e;
		memset(&m, 0, sizeof m);
		m.msg_iov = &into;
		m.msg_iovlen = 1;
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof control.bytes;
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (n >= 0)
			break;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}

	int fds[DOOR_MAX_FDS];
	size_t nfds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0) && nfds < DOOR_MAX_FDS; at += sizeof(int))
			memcpy(&fds[nfds++], CMSG_DATA(c) + at, sizeof(int));
	}
	bool sound = n == (ssize_t)sizeof a->reply && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
		     door_check(&a->reply, op, nfds);
	for (size_t i = 0; i < nfds; i++) {
		if (sound)
			a->fd[a->reply.fds[i]] = fds[i];
		else
			close(fds[i]);
	}
	if (n == 0)
		return -ECONNRESET;
	return sound ? 0 : -EPROTO;
}

int door_ask(const struct door_request *request, struct door_answer *answer)
{
	long long deadline = now_ms() + DOOR_TIMEOUT_MS;
	for (int i = 0; i < DOOR_KINDS; i++)
		answer->fd[i] = -1;
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return -errno;
	int e = connect_door(sock, deadline);
	if (!e)
		e = send_request(sock, request, deadline);
	if (!e)
		e = receive(sock, request->op, answer, deadline);
	close(sock);
	return e;
}

void door_tell(const struct door_request *request)
{
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return;
	// A deadline that is over: no step of it waits.
	if (!connect_door(sock, 0))
		send_request(sock, request, 0);
	close(sock);
}

void door_close(struct door_answer *answer)
{
	for (int i = 0; i < DOOR_KINDS; i++) {
		if (answer->fd[i] >= 0)
			close(answer->fd[i]);
		answer->fd[i] = -1;
	}
}

const char *door_why(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
	case -ENOTDIR:
		return "sessiond does not run";
	case -ECONNRESET:
	case -EPIPE:
		return "sessiond ended before it answered";
	case -ETIMEDOUT:
		return "sessiond did not answer in time";
	case -EPROTO:
		return "sessiond's answer was not understood";
	case -EPERM:
		return "what listens in sessiond's place is not root's";
	default:
		return "sessiond could not be asked";
	}
}
