// The door: how a login process asks sessiond for the namespaces of its view.
//
// A SOCK_SEQPACKET socket at DOOR_PATH; one request, one reply, then both
// sides close. Every field has a fixed place and width; integers are in native
// byte order, since both ends are the same machine; strings are padded with
// NUL and end with at least one. A message of another length than its version
// says is refused. The daemon answers the version it was asked in, the current
// one and the one before: a module stays loaded through an upgrade.
//
// Nothing in a request proves who asks. The daemon takes that from the kernel:
// SO_PEERCRED, the peer's pidfd where there is one, its start time, and the
// root-owned part of its cgroup (docs/security.md).

#ifndef NINEFOLD_DOOR_H
#define NINEFOLD_DOOR_H

#include <stdint.h>

#define DOOR_PATH "/run/ninefold/door"
#define DOOR_MAGIC 0x524f4f44u // "DOOR", read as bytes on a little-endian machine
#define DOOR_VERSION 1
#define DOOR_TIMEOUT_MS 1000   // for connect, request and reply together
#define DOOR_MAX_FDS 8

// What is asked.
enum door_op {
	DOOR_PREPARE = 1, // PAM, before pam_systemd: this login is coming (root only)
	DOOR_SESSION = 2, // PAM, after pam_systemd: the namespaces of this session (root only)
	DOOR_MANAGER = 3, // ninefold-enter in user@UID.service: the view of that uid
	DOOR_JOIN = 4,    // ninefold-enter as a session entry or in a vestibule
	DOOR_PING = 5,    // is anybody there? (anybody)
	DOOR_CHOICES = 6, // PAM, in auth: what to ask this person for (root only); environment
	                  // holds NINEFOLD_CHOICE=PROFILE for each, the default first
	DOOR_GUEST = 7,   // PAM, in auth: a guest wants in (root only); view is the name of the
	                  // account that was made, which this process alone may go on with
	DOOR_GUEST_SESSION = 8, // PAM, last in session: the vestibule of that guest (root only), once
};

// What is answered.
enum door_verdict {
	DOOR_ENTER = 1,  // enter the namespaces that come with the reply
	DOOR_HOST = 2,   // stay on the host; message says why, empty if that is as asked
	DOOR_REFUSE = 3, // refuse the login; message says why
};

// What a descriptor in the reply is, in the order of door_reply.fds.
enum door_fd {
	DOOR_FD_NONE = 0,
	DOOR_FD_MOUNT = 1,
	DOOR_FD_USER = 2,
	DOOR_FD_PID = 3,
	DOOR_FD_IPC = 4,
	DOOR_FD_UTS = 5,
	DOOR_FD_NET = 6,
	DOOR_FD_CGROUP = 7,
};

// Flags of a reply.
#define DOOR_VESTIBULE 1u   // the mount namespace is a vestibule: the way in follows at the login shell
#define DOOR_NO_NEW_PRIVS 2u // the wrapper sets no_new_privs before it executes

// In a vestibule ninefold-enter is bound over the login shell, without nosuid;
// this is the shell itself, for whom the view is not to be had, and for root.
#define DOOR_SHELL "/run/ninefold/vestibule/shell"

struct door_request {
	uint32_t magic, length;
	uint16_t version, op;
	uint32_t uid;         // of the login; for DOOR_MANAGER and DOOR_JOIN the caller's own
	char user[256];       // as PAM has it
	char service[64];     // PAM_SERVICE
	char tty[64];         // PAM_TTY
	char rhost[256];      // PAM_RHOST
	char choice[128];     // the profile asked for, or empty: from the PAM environment or the typed name
	char session[64];     // XDG_SESSION_ID where there is one
	char session_class[32];
};

struct door_reply {
	uint32_t magic, length;
	uint16_t version, op;
	uint32_t verdict;
	uint32_t flags;
	uint32_t nfds;
	uint8_t fds[DOOR_MAX_FDS]; // enum door_fd of each descriptor that comes along
	char view[64];             // the view's id
	char profile[128];
	char message[512];         // one line for the person, or empty
	char environment[1024];    // NAME=VALUE strings, each ended by NUL, set after entering
};

_Static_assert(sizeof(struct door_request) == 880, "the layout of a request is fixed");
_Static_assert(sizeof(struct door_reply) == 1760, "the layout of a reply is fixed");

#endif
