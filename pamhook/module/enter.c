#define _GNU_SOURCE
#include "module.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

bool enter_view(pam_handle_t *pamh, const struct door_answer *answer, const char **failed)
{
	char cwd[PATH_MAX];
	struct door_way_back back;
	if (answer->fd[DOOR_FD_USER] >= 0) {
		// In another user namespace the program's setuid would mean another
		// user: that way is ninefold-enter's.
		*failed = "user namespace";
		errno = EOPNOTSUPP;
		return false;
	}
	if (!getcwd(cwd, sizeof cwd))
		cwd[0] = 0;
	enum join came = door_join(answer, &back, failed);
	int why = errno;
	door_stay(&back);
	// By name, since a descriptor of the old directory would lead out of the
	// view. setns(2) has gone to the root already.
	if (came == JOIN_DONE && (cwd[0] != '/' || chdir(cwd)) && chdir("/"))
		pam_syslog(pamh, LOG_WARNING, "chdir /: %m");
	errno = why;
	if (came != JOIN_DONE)
		return false;
	const char *set = answer->reply.environment;
	for (; *set; set += strlen(set) + 1)
		if (pam_putenv(pamh, set) != PAM_SUCCESS)
			pam_syslog(pamh, LOG_WARNING, "could not set %.*s", (int)strcspn(set, "="), set);
	return true;
}
