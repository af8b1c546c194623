// pam_ninefold.so puts a login into the view that sessiond has for it.
//
//   session [success=ok perm_denied=die default=ignore] pam_ninefold.so prepare
//   session optional pam_systemd.so
//   session [success=ok perm_denied=die default=ignore] pam_ninefold.so
//
// The first line says that a login is coming, before logind starts the user
// manager, whose view it decides. The second one asks for the mount namespace
// of that view and enters it. Only trusted views (docs/security.md) are entered
// here, since this process is root and goes on to load and run what it finds
// inside; the daemon hands out a vestibule for the others.
//
//   auth [default=ignore] pam_ninefold.so
//
// before what asks for a password lets a person type NAME+PROFILE. It
// authenticates nobody and never fails. With the option ask, behind what asks
// for a password and thus for who has given the right one, it asks for the
// profile.
//
//   auth    [success=done ignore=ignore module_unknown=ignore default=die] pam_ninefold.so alias
//   account [success=done ignore=ignore module_unknown=ignore default=die] pam_ninefold.so alias
//   session [success=ok ignore=ignore module_unknown=ignore default=die] pam_ninefold.so alias
//
// first in each let sshd take NAME+PROFILE, where sessiond keeps a record of
// that name (alias.c).
//
//   auth    [success=done ignore=ignore module_unknown=ignore default=die] pam_ninefold.so guest service=NAME
//
// and the like for account and session let the service NAME have guests
// (guest.c); sessionctl guest enable writes them.
//
// Options: prepare, ask, alias, guest, service=NAME, profile=NAME, on-failure=host|deny, debug.
//
// Whatever fails leaves the login on the host with a line that says why, or
// with on-failure=deny refuses it. The module takes DOOR_TIMEOUT_MS at most,
// and where the daemon did not answer `prepare`, the second call does not ask.
// It starts no thread and installs no handler, allocates nothing of its own,
// leaves no descriptor open, and needs no symbol newer than glibc 2.17. `prepare`
// waits for an answer only where the user's manager does not run yet.

#define _GNU_SOURCE
#include "module.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

// SESSION_FILE is there in every view, and not on the host.
#define SESSION_FILE "/run/ninefold/session"

// What `prepare` leaves in the PAM handle when nobody answered in time.
static const char unanswered_key[] = "ninefold.unanswered";

static void parse(pam_handle_t *pamh, int argc, const char **argv, struct options *o)
{
	memset(o, 0, sizeof *o);
	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "prepare"))
			o->prepare = true;
		else if (!strcmp(argv[i], "ask"))
			o->ask = true;
		else if (!strcmp(argv[i], "alias"))
			o->alias = true;
		else if (!strcmp(argv[i], "guest"))
			o->guest = true;
		else if (!strncmp(argv[i], "service=", 8))
			o->service = argv[i] + 8;
		else if (!strcmp(argv[i], "debug"))
			o->debug = true;
		else if (!strcmp(argv[i], "on-failure=deny"))
			o->deny = true;
		else if (!strncmp(argv[i], "profile=", 8))
			o->profile = argv[i] + 8;
		else if (strcmp(argv[i], "on-failure=host"))
			pam_syslog(pamh, LOG_ERR, "unknown option: %s", argv[i]);
	}
}

// tell says one line to the person. It is an error message to PAM, because
// text programs print those to stderr: what `su -c` pipes stays clean. Control
// characters, and with them escape sequences, do not get to the terminal.
__attribute__((format(printf, 3, 4)))
static void tell(pam_handle_t *pamh, int flags, const char *format, ...)
{
	char line[640];
	va_list args;
	if (flags & PAM_SILENT)
		return;
	va_start(args, format);
	int n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	if (n < 0)
		return;
	for (unsigned char *c = (unsigned char *)line; *c; c++)
		if (*c < ' ' || *c == 0x7f || (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0))
			*c = '?';
	pam_error(pamh, "ninefold: %s", line);
}

// fall_back ends a call that did not get the person into a view.
static int fall_back(pam_handle_t *pamh, int flags, const struct options *o, const char *why)
{
	if (o->deny) {
		tell(pamh, flags, "%s; this login is refused", why);
		return PAM_PERM_DENIED;
	}
	if (!o->prepare) // else the second call says it
		tell(pamh, flags, "%s; you are on the host", why);
	return PAM_IGNORE;
}

// unanswered is fall_back for a daemon that hangs: the second call of the same
// login must not wait again, also where no mark can be left in /run. The key
// and the value live until pam_end(3) unloads this module.
static int unanswered(pam_handle_t *pamh, int flags, const struct options *o)
{
	const char *why = door_why(-ETIMEDOUT);
	if (o->prepare)
		pam_set_data(pamh, unanswered_key, (void *)why, NULL);
	return fall_back(pamh, flags, o, why);
}

// ask returns whether there is an answer; if not, *result is the call's.
static bool ask(pam_handle_t *pamh, int flags, const struct options *o, const struct login *login,
		struct door_answer *answer, int *result)
{
	struct door_request request;
	const void *before = NULL;
	bool hangs = !o->prepare && pam_get_data(pamh, unanswered_key, &before) == PAM_SUCCESS;
	if (hangs || door_failed_recently()) {
		pam_syslog(pamh, LOG_WARNING, "sessiond did not answer less than %d s ago: not asked", DOOR_FAILED_SECONDS);
		*result = unanswered(pamh, flags, o);
		return false;
	}
	fill_request(pamh, o, login, &request);
	if (o->prepare && manager_runs(login->uid)) {
		// This login starts none. What the daemon does ahead of the second call
		// it does meanwhile, and that call waits for what it needs.
		door_tell(&request);
		*result = PAM_IGNORE;
		return false;
	}
	int e = door_ask(&request, answer);
	if (!e) {
		door_forget_failure();
		return true;
	}
	pam_syslog(pamh, LOG_ERR, "%s for %s: %s (%s: %s)", o->prepare ? "prepare" : "enter", login->user,
		   door_why(e), DOOR_PATH, strerror(-e));
	if (e == -ETIMEDOUT) {
		door_remember_failure();
		*result = unanswered(pamh, flags, o);
	} else {
		*result = fall_back(pamh, flags, o, door_why(e));
	}
	return false;
}

static int follow(pam_handle_t *pamh, int flags, const struct options *o, const struct login *login,
		  const struct door_answer *answer)
{
	const struct door_reply *r = &answer->reply;
	const char *what;
	if (o->debug)
		pam_syslog(pamh, LOG_DEBUG, "%s for %s: verdict %u, profile '%s', view '%s', %u descriptors",
			   o->prepare ? "prepare" : "enter", login->user, r->verdict, r->profile, r->view, r->nfds);
	switch (r->verdict) {
	case DOOR_REFUSE:
		pam_syslog(pamh, LOG_NOTICE, "%s is refused: %s", login->user, r->message);
		tell(pamh, flags, "%s", *r->message ? r->message : "this login is refused");
		return PAM_PERM_DENIED;
	case DOOR_HOST:
		if (!o->prepare && *r->message) {
			pam_syslog(pamh, LOG_NOTICE, "%s stays on the host: %s", login->user, r->message);
			tell(pamh, flags, "%s", r->message);
		}
		return PAM_IGNORE;
	}
	if (o->prepare)
		return PAM_SUCCESS;
	load_names(login);
	if (!enter_view(pamh, answer, &what)) {
		pam_syslog(pamh, LOG_ERR, "enter the %s of view %s: %m", what, r->view);
		return fall_back(pamh, flags, o, "the view could not be entered");
	}
	if (*r->message)
		tell(pamh, flags, "%s", r->message);
	return PAM_SUCCESS;
}

// remind tells who becomes root inside a view what goes with it at logout. Root
// enters nothing, so that this is all that is asked for, and no failure of it
// counts.
static void remind(pam_handle_t *pamh, int flags, const struct options *o, const struct login *login)
{
	struct door_request request;
	struct door_answer answer;
	if (o->prepare || login->uid != 0 || !login->user || access(SESSION_FILE, F_OK) || door_failed_recently())
		return;
	fill_request(pamh, o, login, &request);
	if (door_ask(&request, &answer))
		return;
	if (answer.reply.verdict == DOOR_HOST && *answer.reply.message)
		tell(pamh, flags, "%s", answer.reply.message);
	door_close(&answer);
}

EXPORT int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct options o;
	struct login login;
	struct door_answer answer;
	int result = PAM_IGNORE;
	int saved = errno;
	parse(pamh, argc, argv, &o);
	if (o.alias) {
		result = alias_session(pamh);
		errno = saved;
		return result;
	}
	if (o.guest) {
		result = guest_session(pamh, flags, &o);
		errno = saved;
		return result;
	}
	if (is_guest(pamh)) // it has lines of its own
		return PAM_IGNORE;
	if (!login_of(pamh, &o, &login)) {
		remind(pamh, flags, &o, &login);
		errno = saved;
		return PAM_IGNORE;
	}
	if (ask(pamh, flags, &o, &login, &answer, &result)) {
		result = follow(pamh, flags, &o, &login, &answer);
		door_close(&answer);
	}
	// What asked for a view must not be taken for being in one.
	if (!o.prepare && result != PAM_SUCCESS && pam_getenv(pamh, "NINEFOLD_PROFILE"))
		pam_putenv(pamh, "NINEFOLD_PROFILE");
	errno = saved;
	return result;
}

// pam_sm_close_session does nothing: a login program may have given up its
// privileges, or been killed, before it gets here. sessiond follows logind.
EXPORT int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_SUCCESS;
}

EXPORT int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct options o;
	int saved = errno, result = PAM_IGNORE;
	parse(pamh, argc, argv, &o);
	if (o.alias)
		result = alias_authenticate(pamh, flags);
	else if (o.guest)
		result = guest_authenticate(pamh, flags, &o);
	else if (o.ask)
		ask_for_choice(pamh, flags, &o);
	else
		take_choice_from_name(pamh, &o);
	errno = saved;
	return result;
}

EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct options o;
	int saved = errno;
	parse(pamh, argc, argv, &o);
	int result = PAM_IGNORE;
	if (o.alias)
		result = alias_groups(pamh, flags);
	else if (o.guest && is_guest(pamh))
		result = PAM_SUCCESS; // it has no groups but its own, and no password that others know
	errno = saved;
	return result;
}

EXPORT int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	struct options o;
	int saved = errno;
	parse(pamh, argc, argv, &o);
	int result = PAM_IGNORE;
	if (o.alias)
		result = alias_account(pamh, flags);
	else if (o.guest)
		result = guest_account(pamh);
	errno = saved;
	return result;
}
