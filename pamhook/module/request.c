#define _GNU_SOURCE
#include "module.h"

#include <string.h>
#include <syslog.h>

static const char *item(pam_handle_t *pamh, int item)
{
	const void *have = NULL;
	return pam_get_item(pamh, item, &have) == PAM_SUCCESS ? have : NULL;
}

// choice is the profile asked for: by name in the PAM environment (typed, or
// set by a greeter), by the session entry that was picked, or by the service.
// lightdm and greetd say the entry in both variables, sddm in the second one.
static const char *choice(pam_handle_t *pamh, const struct options *o)
{
	static const char prefix[] = "ninefold-";
	static const char *const entries[] = { "XDG_SESSION_DESKTOP", "DESKTOP_SESSION" };
	const char *name = pam_getenv(pamh, "NINEFOLD_PROFILE");
	if (name && *name)
		return name;
	for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
		const char *entry = pam_getenv(pamh, entries[i]);
		if (entry && !strncmp(entry, prefix, sizeof prefix - 1) && entry[sizeof prefix - 1])
			return entry + sizeof prefix - 1;
	}
	return o->profile;
}

void fill_request(pam_handle_t *pamh, const struct options *o, const struct login *login, struct door_request *r)
{
	door_request(r, o->prepare ? DOOR_PREPARE : DOOR_SESSION, login->uid);
	// The name as it is: the daemon looks it up itself and compares the uid. A
	// name that does not fit belongs to no account that can log in.
	size_t n = strnlen(login->user, sizeof r->user - 1);
	memcpy(r->user, login->user, n);
	door_text(r->service, sizeof r->service, item(pamh, PAM_SERVICE));
	door_text(r->tty, sizeof r->tty, item(pamh, PAM_TTY));
	door_text(r->rhost, sizeof r->rhost, item(pamh, PAM_RHOST));
	door_text(r->session, sizeof r->session, pam_getenv(pamh, "XDG_SESSION_ID"));
	door_text(r->session_class, sizeof r->session_class, pam_getenv(pamh, "XDG_SESSION_CLASS"));
	// A choice that no profile can be called is asked for all the same, as "?":
	// the daemon then answers as for any unknown profile, and records it.
	if (!door_text(r->choice, sizeof r->choice, choice(pamh, o))) {
		door_text(r->choice, sizeof r->choice, "?");
		pam_syslog(pamh, LOG_NOTICE, "the profile asked for is no name of a profile");
	}
}
