#define _GNU_SOURCE
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

static const struct {
	enum door_fd kind;
	int flag;
	const char *own, *name;
} order[] = {
	{ DOOR_FD_USER, CLONE_NEWUSER, NULL, "user namespace" },
	{ DOOR_FD_IPC, CLONE_NEWIPC, "/proc/thread-self/ns/ipc", "ipc namespace" },
	{ DOOR_FD_UTS, CLONE_NEWUTS, "/proc/thread-self/ns/uts", "uts namespace" },
	{ DOOR_FD_NET, CLONE_NEWNET, "/proc/thread-self/ns/net", "net namespace" },
	{ DOOR_FD_CGROUP, CLONE_NEWCGROUP, "/proc/thread-self/ns/cgroup", "cgroup namespace" },
	{ DOOR_FD_MOUNT, CLONE_NEWNS, "/proc/thread-self/ns/mnt", "mount namespace" },
};

void door_stay(struct door_way_back *back)
{
	int saved = errno;
	for (int i = 0; i < DOOR_KINDS; i++) {
		if (back->fd[i] >= 0)
			close(back->fd[i]);
		back->fd[i] = -1;
	}
	errno = saved;
}

bool door_go_back(struct door_way_back *back)
{
	bool done = !back->none;
	int saved = errno;
	for (size_t i = sizeof order / sizeof *order; i-- > 0 && !back->none;)
		if (back->fd[order[i].kind] >= 0 && setns(back->fd[order[i].kind], order[i].flag))
			done = false;
	errno = saved;
	door_stay(back);
	return done;
}

enum join door_join(const struct door_answer *a, struct door_way_back *back, const char **failed)
{
	back->none = false;
	for (int i = 0; i < DOOR_KINDS; i++)
		back->fd[i] = -1;
	*failed = "pid namespace"; // only children would be in it
	if (a->fd[DOOR_FD_PID] >= 0) {
		errno = EOPNOTSUPP;
		return JOIN_UNCHANGED;
	}
	// setns(2) refuses a mount namespace to a thread that shares its root and
	// working directory with others, as those of a threaded login program do.
	*failed = "file system context";
	if (unshare(CLONE_FS))
		return JOIN_UNCHANGED;
	// All ways back first: once the mount namespace has changed, /proc is
	// another one.
	for (size_t i = 0; i < sizeof order / sizeof *order && a->fd[DOOR_FD_USER] < 0; i++) {
		*failed = order[i].name;
		if (a->fd[order[i].kind] < 0)
			continue;
		back->fd[order[i].kind] = open(order[i].own, O_RDONLY | O_CLOEXEC);
		if (back->fd[order[i].kind] < 0) {
			door_stay(back);
			return JOIN_UNCHANGED;
		}
	}
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		int fd = a->fd[order[i].kind];
		if (fd < 0)
			continue;
		*failed = order[i].name;
		if (!setns(fd, order[i].flag)) {
			back->none = back->none || order[i].kind == DOOR_FD_USER;
			continue;
		}
		int why = errno;
		for (size_t j = i; j < sizeof order / sizeof *order; j++) { // not entered, so not to be left
			if (back->fd[order[j].kind] >= 0)
				close(back->fd[order[j].kind]);
			back->fd[order[j].kind] = -1;
		}
		bool whole = door_go_back(back);
		errno = why;
		return whole ? JOIN_UNCHANGED : JOIN_STUCK;
	}
	return JOIN_DONE;
}
