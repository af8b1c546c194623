#define _GNU_SOURCE
#include "module.h"

#include <pwd.h>
#include <security/pam_modutil.h>
#include <string.h>
#include <syslog.h>

const char *split_name(const char *typed, char *name, size_t size)
{
	const char *plus = strrchr(typed, '+');
	if (!plus || plus == typed || !plus[1] || (size_t)(plus - typed) >= size)
		return NULL;
	memcpy(name, typed, (size_t)(plus - typed));
	name[plus - typed] = 0;
	return plus + 1;
}

void take_choice_from_name(pam_handle_t *pamh, const struct options *o)
{
	char name[sizeof ((struct door_request *)0)->user];
	char setting[sizeof "NINEFOLD_PROFILE=" + sizeof ((struct door_request *)0)->choice];
	static const char variable[] = "NINEFOLD_PROFILE=";
	const char *typed = NULL;
	if (pam_get_user(pamh, &typed, NULL) != PAM_SUCCESS || !typed || is_alias_by_sshd(pamh))
		return;
	const char *profile = split_name(typed, name, sizeof name);
	if (!profile || strlen(profile) >= sizeof ((struct door_request *)0)->choice)
		return;
	const struct passwd *whole = pam_modutil_getpwnam(pamh, typed);
	uid_t uid = whole ? whole->pw_uid : 0;
	const struct passwd *person = pam_modutil_getpwnam(pamh, name);
	// An account of that very name is somebody else, unless it is an alias.
	if (!person || (whole && person->pw_uid != uid))
		return;
	memcpy(setting, variable, sizeof variable - 1);
	strcpy(setting + sizeof variable - 1, profile);
	// The choice first: without it the rest of the name must not get lost.
	if (pam_putenv(pamh, setting) != PAM_SUCCESS)
		return;
	if (pam_set_item(pamh, PAM_USER, name) != PAM_SUCCESS)
		pam_putenv(pamh, "NINEFOLD_PROFILE");
	else if (o->debug)
		pam_syslog(pamh, LOG_DEBUG, "%s asks for a profile by name", name);
}
