// The asking side of the door (../door.h), shared by the PAM module and by
// ninefold-enter. It starts no thread, installs no signal handler, changes no
// signal mask, allocates no memory and reads no environment, since it runs
// inside sshd, login or su. Every descriptor is close-on-exec and is owned by
// the answer that it came with.

#ifndef NINEFOLD_CLIENT_H
#define NINEFOLD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "../door.h"

#define DOOR_KINDS (DOOR_FD_CGROUP + 1)
#define DOOR_FAILED "/run/ninefold/door.failed"
#define DOOR_FAILED_SECONDS 30

struct door_answer {
	struct door_reply reply;
	int fd[DOOR_KINDS]; // by enum door_fd; -1 where none came
};

// door_request starts a request: everything but what the caller fills in.
void door_request(struct door_request *r, enum door_op op, uint32_t uid);

// door_text copies text into a padded field. Bytes outside printable ASCII
// become '?', and what does not fit is cut off: for fields that inform. For
// those that decide, it returns whether the text came over unchanged.
bool door_text(char *field, size_t size, const char *text);

// door_ask asks and waits for the answer, DOOR_TIMEOUT_MS in all. It returns 0
// with a checked answer, or a negative errno: -ETIMEDOUT when the daemon did
// not answer, -EPROTO when it answered something else than the header says,
// -EPERM when what listens does not belong to root. After a failure the answer
// holds no descriptor.
int door_ask(const struct door_request *request, struct door_answer *answer);

// door_tell sends a request whose answer nobody waits for. It never blocks, and
// what it could not send is not sent.
void door_tell(const struct door_request *request);

// door_check reports whether a reply keeps to the header: it came with nfds
// descriptors and answers op.
bool door_check(const struct door_reply *reply, uint16_t op, size_t nfds);

// door_close gives back the answer's descriptors.
void door_close(struct door_answer *answer);

// door_why is a door_ask failure in words for the person who logs in.
const char *door_why(int error);

// A daemon that hangs costs a login its second once: door_remember_failure
// (root) leaves a mark, and for DOOR_FAILED_SECONDS door_failed_recently says
// so to whoever asks next, ninefold-enter in user@UID.service among them.
bool door_failed_recently(void);
void door_remember_failure(void);
void door_forget_failure(void);

// How far door_join came.
enum join {
	JOIN_DONE,      // in all of the namespaces
	JOIN_UNCHANGED, // not possible, and everything is as before
	JOIN_STUCK,     // not possible, and there is no way back
};

// door_way_back holds the caller's own namespaces until door_stay or
// door_go_back.
struct door_way_back {
	int fd[DOOR_KINDS];
	bool none; // a user namespace was entered: nothing leads out of it
};

// door_join enters the namespaces of the answer: the user namespace first,
// whose capabilities the others then ask for, and the mount namespace last,
// so that a failure before it can be undone. In a process with threads only the
// calling one moves, with the children that it forks (setns(2)); a user
// namespace needs a process with one thread. *failed says what did not work.
// The way back is to be closed by door_stay or door_go_back in any case.
enum join door_join(const struct door_answer *answer, struct door_way_back *back, const char **failed);
bool door_go_back(struct door_way_back *back);
void door_stay(struct door_way_back *back);

#endif
