// PERSON+PROFILE as a name that sshd(8) knows. sessiond/aliases writes the
// records; this is what keeps a login by one from being weaker than the person's.
//
// The record is locked and expired, so that whatever asks PAM without these
// lines refuses it. Here every question about the alias is put to the whole
// stack of the same service again, about the person: who that refuses is refused.

#define _GNU_SOURCE
#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <security/pam_modutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define RECORDS "/run/userdb/"
#define RECORD_START "{\"service\":\"org.ninefold\",\"uid\":"

enum { NAME_MAX_ALIAS = 256 };

// What the session of an alias leaves in the PAM handle. The value is that of
// the key, which lives as long as this module.
static const char person_key[] = "ninefold.person";

struct alias {
	char person[NAME_MAX_ALIAS];
	const char *profile; // in PAM_USER
	gid_t gid;
};

enum alias_kind { ALIAS_NONE, ALIAS_SOUND, ALIAS_STALE };

// record_uid reads the uid of an alias record, and returns false where name has
// none. The directory is root's; sessiond is the one that writes files which
// begin like this.
static bool record_uid(const char *name, uid_t *uid)
{
	char path[sizeof RECORDS + NAME_MAX_ALIAS + sizeof ".user"], start[sizeof RECORD_START + 16], *end;
	if (strchr(name, '/') || strlen(name) >= NAME_MAX_ALIAS)
		return false;
	snprintf(path, sizeof path, RECORDS "%s.user", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	ssize_t n = pread(fd, start, sizeof start - 1, 0);
	close(fd);
	if (n < 0)
		return false;
	start[n] = 0;
	if (strncmp(start, RECORD_START, sizeof RECORD_START - 1))
		return false;
	errno = 0;
	unsigned long number = strtoul(start + sizeof RECORD_START - 1, &end, 10);
	*uid = (uid_t)number;
	return !errno && *end == ',' && number == *uid;
}

// alias_of tells whether PAM_USER is an alias, and whose. An account of the
// machine's with that very name is none, whatever record there still is.
static enum alias_kind alias_of(pam_handle_t *pamh, struct alias *a)
{
	const void *user = NULL;
	uid_t recorded, uid;
	if (pam_get_item(pamh, PAM_USER, &user) != PAM_SUCCESS || !user || !record_uid(user, &recorded))
		return ALIAS_NONE;
	const struct passwd *p = pam_modutil_getpwnam(pamh, user);
	if (!p)
		return ALIAS_STALE;
	if (p->pw_uid != recorded)
		return ALIAS_NONE;
	uid = p->pw_uid;
	a->gid = p->pw_gid;
	a->profile = split_name(user, a->person, sizeof a->person);
	if (!a->profile || !(p = pam_modutil_getpwnam(pamh, a->person)))
		return ALIAS_STALE;
	return p->pw_uid == uid && p->pw_gid == a->gid && uid != 0 ? ALIAS_SOUND : ALIAS_STALE;
}

// by_sshd: other services know people by their names, in rules of their own
// (sudoers, limits, lists of who may), so that no alias is for them.
static bool by_sshd(pam_handle_t *pamh)
{
	const void *service = NULL;
	return pam_get_item(pamh, PAM_SERVICE, &service) == PAM_SUCCESS && service && !strcmp(service, "sshd");
}

bool is_alias_by_sshd(pam_handle_t *pamh)
{
	struct alias a;
	return by_sshd(pamh) && alias_of(pamh, &a) != ALIAS_NONE;
}

static bool choose(pam_handle_t *pamh, const char *profile)
{
	char setting[sizeof "NINEFOLD_PROFILE=" + NAME_MAX_ALIAS];
	snprintf(setting, sizeof setting, "NINEFOLD_PROFILE=%s", profile);
	return pam_putenv(pamh, setting) == PAM_SUCCESS;
}

// copy gives the inner handle what the outer one knows of where the login comes from.
static bool copy(pam_handle_t *from, pam_handle_t *to)
{
	static const int items[] = { PAM_RHOST, PAM_TTY, PAM_RUSER, PAM_XDISPLAY };
	bool whole = true;
	for (size_t i = 0; i < sizeof items / sizeof *items; i++) {
		const void *value = NULL;
		if (pam_get_item(from, items[i], &value) != PAM_SUCCESS)
			return false;
		if (value && pam_set_item(to, items[i], value) != PAM_SUCCESS)
			return false;
	}
	char **list = pam_getenvlist(from);
	for (char **e = list; e && *e; e++) {
		whole = whole && pam_putenv(to, *e) == PAM_SUCCESS;
		free(*e);
	}
	free(list);
	return whole && list;
}

// as_person asks the whole stack of the service about the person. The answer
// counts only if it still is about that person.
static int as_person(pam_handle_t *pamh, const struct alias *a, int (*question)(pam_handle_t *, int), int flags)
{
	const void *service = NULL, *conversation = NULL, *user = NULL;
	pam_handle_t *inner = NULL;
	int result = PAM_SYSTEM_ERR;
	if (pam_get_item(pamh, PAM_SERVICE, &service) != PAM_SUCCESS || !service ||
	    pam_get_item(pamh, PAM_CONV, &conversation) != PAM_SUCCESS || !conversation ||
	    pam_start(service, a->person, conversation, &inner) != PAM_SUCCESS)
		return PAM_SYSTEM_ERR;
	if (copy(pamh, inner) && choose(inner, a->profile))
		result = question(inner, flags);
	if (result == PAM_SUCCESS &&
	    (pam_get_item(inner, PAM_USER, &user) != PAM_SUCCESS || !user || strcmp(user, a->person)))
		result = PAM_PERM_DENIED;
	pam_end(inner, result);
	return result == PAM_IGNORE ? PAM_PERM_DENIED : result; // for the outer stack it would be no answer
}

int alias_authenticate(pam_handle_t *pamh, int flags)
{
	struct alias a;
	// Elsewhere the name goes on to what refuses its password like an unknown one's.
	enum alias_kind kind = by_sshd(pamh) ? alias_of(pamh, &a) : ALIAS_NONE;
	if (kind == ALIAS_NONE)
		return PAM_IGNORE;
	return kind == ALIAS_SOUND ? as_person(pamh, &a, pam_authenticate, flags) : PAM_USER_UNKNOWN;
}

// good is PAM_SUCCESS for an alias that may go on, and otherwise the answer.
static int good(pam_handle_t *pamh, struct alias *a)
{
	enum alias_kind kind = alias_of(pamh, a);
	if (kind == ALIAS_NONE)
		return PAM_IGNORE;
	if (kind == ALIAS_SOUND && by_sshd(pamh))
		return PAM_SUCCESS;
	pam_syslog(pamh, LOG_NOTICE, "a name with a profile is for sshd alone, and for as long as its person is there");
	return PAM_PERM_DENIED;
}

int alias_account(pam_handle_t *pamh, int flags)
{
	struct alias a;
	int result = good(pamh, &a);
	if (result != PAM_SUCCESS)
		return result;
	result = as_person(pamh, &a, pam_acct_mgmt, flags);
	if (result != PAM_NEW_AUTHTOK_REQD)
		return result;
	// A new one would be asked for, and set, for the alias.
	pam_error(pamh, "ninefold: the password has expired; log in as %s to change it", a.person);
	return PAM_ACCT_EXPIRED;
}

int alias_session(pam_handle_t *pamh)
{
	char setting[sizeof "/var/mail/" + 8 + NAME_MAX_ALIAS];
	static const char *const names[] = { "USER=", "LOGNAME=", "MAIL=/var/mail/" };
	struct alias a;
	int result = good(pamh, &a);
	if (result != PAM_SUCCESS)
		return result;
	// sshd has set these from the name that was typed, and takes PAM's over them.
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(setting, sizeof setting, "%s%s", names[i], a.person);
		if (pam_putenv(pamh, setting) != PAM_SUCCESS)
			return PAM_PERM_DENIED;
	}
	// Limits, login records and logind are about the person from here on.
	if (!choose(pamh, a.profile) || pam_set_data(pamh, person_key, (void *)person_key, NULL) != PAM_SUCCESS ||
	    pam_set_item(pamh, PAM_USER, a.person) != PAM_SUCCESS)
		return PAM_PERM_DENIED;
	return PAM_SUCCESS;
}

int alias_groups(pam_handle_t *pamh, int flags)
{
	const void *mark = NULL, *user = NULL;
	if (pam_get_data(pamh, person_key, &mark) != PAM_SUCCESS || geteuid() != 0 ||
	    !(flags & (PAM_ESTABLISH_CRED | PAM_REINITIALIZE_CRED)) || pam_get_item(pamh, PAM_USER, &user) != PAM_SUCCESS || !user)
		return PAM_IGNORE;
	const struct passwd *p = pam_modutil_getpwnam(pamh, user);
	return p && !initgroups(user, p->pw_gid) ? PAM_SUCCESS : PAM_CRED_ERR;
}
