// Guests: "guest", typed in front of this machine, as an account that sessiond
// makes for one login.
//
// sessiond decides, by what the kernel says of this process and by what root
// configured, and it makes the account known under a name of its own, whose
// record is locked and expired: whatever asks PAM about that name without these
// lines refuses it. What lets it pass here is kept in the PAM handle of the one
// process that sessiond made it for. A guest has nothing on the host: on any
// failure the login is refused.

#define _GNU_SOURCE
#include "module.h"

#include <errno.h>
#include <pwd.h>
#include <security/pam_modutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

// What is typed, and what lightdm says of who took the entry for guests
// (ninefold-guest-account), for which it goes through a stack of its own: a name
// that is nobody's, since that stack asks for no password.
static const char typed_name[] = "guest", entry_name[] = ":guest", entry_service[] = "lightdm-autologin";

// The range out of which sessiond takes ids for guests (sessiond/guests).
enum { FIRST_ID = 61184, LAST_ID = 65519 };

// What guest_authenticate leaves in the PAM handle; the values live as long as
// this module.
static const char guest_key[] = "ninefold.guest", entered_key[] = "ninefold.guest.entered";

static const char *item(pam_handle_t *pamh, int item)
{
	const void *have = NULL;
	return pam_get_item(pamh, item, &have) == PAM_SUCCESS && have ? have : "";
}

bool is_guest(pam_handle_t *pamh)
{
	const void *mark = NULL;
	return pam_get_data(pamh, guest_key, &mark) == PAM_SUCCESS;
}

// passwd_of returns the account of a guest's name, if it is one.
static const struct passwd *passwd_of(pam_handle_t *pamh, const char *name)
{
	char own[64];
	const struct passwd *p = pam_modutil_getpwnam(pamh, name);
	if (!p || p->pw_uid < FIRST_ID || p->pw_uid > LAST_ID)
		return NULL;
	snprintf(own, sizeof own, "guest-%u", p->pw_uid);
	return strcmp(own, name) ? NULL : p;
}

static int refuse(pam_handle_t *pamh, int flags, const char *why, int result)
{
	pam_syslog(pamh, LOG_NOTICE, "a guest is refused: %s", why);
	if (!(flags & PAM_SILENT))
		pam_error(pamh, "ninefold: no guest can come in: %s", why);
	return result;
}

// ask puts a guest's question. It leaves no mark when nobody answers, which
// would cost the logins of others their views.
static bool ask(pam_handle_t *pamh, enum door_op op, uint32_t uid, const char *user, const struct options *o,
		struct door_answer *answer, const char **why)
{
	struct door_request r;
	*why = "a login program says what cannot be";
	door_request(&r, op, uid);
	if (!door_text(r.user, sizeof r.user, user) || !door_text(r.service, sizeof r.service, item(pamh, PAM_SERVICE)) ||
	    !door_text(r.tty, sizeof r.tty, item(pamh, PAM_TTY)) || !door_text(r.rhost, sizeof r.rhost, item(pamh, PAM_RHOST)) ||
	    !door_text(r.choice, sizeof r.choice, o->profile))
		return false;
	door_text(r.session, sizeof r.session, pam_getenv(pamh, "XDG_SESSION_ID"));
	if (door_failed_recently()) {
		*why = door_why(-ETIMEDOUT);
		return false;
	}
	int e = door_ask(&r, answer);
	if (e) {
		*why = door_why(e);
		return false;
	}
	if (answer->reply.verdict == DOOR_ENTER)
		return true;
	*why = *answer->reply.message ? answer->reply.message : "sessiond refuses it";
	door_close(answer);
	return false;
}

// confirmed has lightdm's greeters ask for a key: without any question they wait for
// a click on a button, where a password would have been followed by the session.
static bool confirmed(pam_handle_t *pamh, int flags)
{
	char *answer = NULL;
	if ((flags & PAM_SILENT) || strcmp(item(pamh, PAM_SERVICE), "lightdm"))
		return true;
	int result = pam_prompt(pamh, PAM_PROMPT_ECHO_ON, &answer, "%s", "A guest keeps nothing. Press Enter: ");
	free(answer);
	return result == PAM_SUCCESS;
}

int guest_authenticate(pam_handle_t *pamh, int flags, const struct options *o)
{
	struct door_answer answer;
	const char *typed = NULL, *why;
	bool entry = o->service && !strcmp(o->service, entry_service);
	if (geteuid() != 0 || !o->service || strcmp(item(pamh, PAM_SERVICE), o->service) ||
	    pam_get_user(pamh, &typed, NULL) != PAM_SUCCESS || !typed || strcmp(typed, entry ? entry_name : typed_name))
		return PAM_IGNORE;
	if (pam_modutil_getpwnam(pamh, typed_name)) {
		pam_syslog(pamh, LOG_NOTICE, "there is a user called %s, so there are no guests", typed_name);
		return entry ? PAM_AUTH_ERR : PAM_IGNORE;
	}
	if (*item(pamh, PAM_RHOST))
		return refuse(pamh, flags, "guests sit in front of this machine", PAM_AUTH_ERR);
	if (!access("/run/nologin", F_OK) || !access("/etc/nologin", F_OK)) // pam_nologin may come later
		return refuse(pamh, flags, "nobody can log in just now (nologin(5))", PAM_AUTH_ERR);
	if (!confirmed(pamh, flags))
		return PAM_AUTH_ERR;
	if (!ask(pamh, DOOR_GUEST, 0, typed_name, o, &answer, &why))
		return refuse(pamh, flags, why, PAM_AUTH_ERR);
	const char *name = answer.reply.view; // ended, as door_ask has checked
	if (!passwd_of(pamh, name))
		return refuse(pamh, flags, "the name services do not know the account that was made (libnss-systemd?)", PAM_AUTH_ERR);
	if (pam_set_data(pamh, guest_key, (void *)guest_key, NULL) != PAM_SUCCESS)
		return PAM_AUTH_ERR;
	return pam_set_item(pamh, PAM_USER, name) == PAM_SUCCESS ? PAM_SUCCESS : PAM_AUTH_ERR;
}

int guest_account(pam_handle_t *pamh)
{
	if (!is_guest(pamh))
		return PAM_IGNORE;
	return passwd_of(pamh, item(pamh, PAM_USER)) ? PAM_SUCCESS : PAM_PERM_DENIED;
}

int guest_session(pam_handle_t *pamh, int flags, const struct options *o)
{
	struct door_answer answer;
	const void *before = NULL;
	const char *why;
	if (!is_guest(pamh))
		return PAM_IGNORE;
	if (pam_get_data(pamh, entered_key, &before) == PAM_SUCCESS)
		return PAM_SUCCESS; // greetd's stack includes that of login
	const char *user = item(pamh, PAM_USER);
	const struct passwd *p = passwd_of(pamh, user);
	if (geteuid() != 0 || !p)
		return refuse(pamh, flags, "the account is none of a guest's", PAM_SESSION_ERR);
	struct login login = { .user = user, .uid = p->pw_uid, .gid = p->pw_gid };
	if (!ask(pamh, DOOR_GUEST_SESSION, login.uid, user, o, &answer, &why))
		return refuse(pamh, flags, why, PAM_SESSION_ERR);
	load_names(&login);
	bool in = enter_view(pamh, &answer, &why);
	if (!in)
		pam_syslog(pamh, LOG_ERR, "enter the %s of a guest's vestibule: %m", why);
	door_close(&answer);
	if (!in || pam_set_data(pamh, entered_key, (void *)entered_key, NULL) != PAM_SUCCESS)
		return refuse(pamh, flags, "its way in could not be entered", PAM_SESSION_ERR);
	return PAM_SUCCESS;
}
