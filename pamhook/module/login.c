#define _GNU_SOURCE
#include "module.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <security/pam_modutil.h>
#include <shadow.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum { UID_MIN = 1000, UID_NOBODY = 65534, LOGIN_DEFS_MAX = 256 * 1024 };

// uid_min_line reads "UID_MIN <number>" and leaves *min alone otherwise.
static void uid_min_line(const char *line, unsigned long *min)
{
	while (*line == ' ' || *line == '\t')
		line++;
	if (strncmp(line, "UID_MIN", 7) || (line[7] != ' ' && line[7] != '\t'))
		return;
	for (line += 7; *line == ' ' || *line == '\t'; line++)
		;
	unsigned long n = 0;
	int digits = 0;
	for (; *line >= '0' && *line <= '9' && digits < 9; line++, digits++)
		n = n * 10 + (unsigned long)(*line - '0');
	if (digits && (*line == 0 || *line == ' ' || *line == '\t' || *line == '\r'))
		*min = n;
}

// uid_min is login.defs' UID_MIN, and 1000 where the file has none.
static unsigned long uid_min(void)
{
	unsigned long min = UID_MIN;
	char buffer[1024], line[128];
	size_t length = 0, total = 0;
	ssize_t n;
	int fd = open("/etc/login.defs", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return min;
	while ((n = read(fd, buffer, sizeof buffer)) > 0 && total < LOGIN_DEFS_MAX) {
		total += (size_t)n;
		for (ssize_t i = 0; i < n; i++) {
			if (buffer[i] != '\n') {
				if (length < sizeof line - 1)
					line[length++] = buffer[i];
				continue;
			}
			line[length] = 0;
			length = 0;
			uid_min_line(line, &min);
		}
	}
	line[length] = 0;
	uid_min_line(line, &min);
	close(fd);
	return min;
}

static bool item_is(pam_handle_t *pamh, int item, const char *value)
{
	const void *have = NULL;
	return pam_get_item(pamh, item, &have) == PAM_SUCCESS && have && !strcmp(have, value);
}

bool login_of(pam_handle_t *pamh, const struct options *o, struct login *login)
{
	const char *why = NULL;
	const char *class = pam_getenv(pamh, "XDG_SESSION_CLASS");
	const void *user = NULL;
	login->user = NULL;
	if (geteuid() != 0)
		why = "the caller is not root";
	else if (item_is(pamh, PAM_SERVICE, "systemd-user"))
		why = "a user manager enters by ninefold-enter";
	else if (class && !strcmp(class, "greeter"))
		why = "it is a greeter";
	else if (pam_get_item(pamh, PAM_USER, &user) != PAM_SUCCESS || !user || !*(const char *)user)
		why = "it has no user";
	if (!why) {
		login->user = user;
		const struct passwd *p = pam_modutil_getpwnam(pamh, login->user);
		login->uid = p ? p->pw_uid : 0;
		login->gid = p ? p->pw_gid : 0;
		if (!p)
			why = "the user is not known";
		else if (p->pw_uid == 0 || p->pw_uid < uid_min() || p->pw_uid == UID_NOBODY || p->pw_uid == (uid_t)-1)
			why = "root and system users stay on the host";
	}
	if (why && o->debug)
		pam_syslog(pamh, LOG_DEBUG, "not for this login: %s", why);
	return !why;
}

bool manager_runs(uid_t uid)
{
	// Where systemd keeps its tree, alone or beside others (cgroups(7)).
	static const char *const trees[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/systemd" };
	for (size_t i = 0; i < sizeof trees / sizeof *trees; i++) {
		char unit[128];
		snprintf(unit, sizeof unit, "%s/user.slice/user-%u.slice/user@%u.service", trees[i], uid, uid);
		if (!access(unit, F_OK))
			return true;
	}
	return false;
}

void load_names(const struct login *login)
{
	gid_t groups[1];
	int count = 1;
	struct spwd entry, *found = NULL;
	char secrets[4096];
	// Root is in the files, and name services are asked for nobody's sake: looking
	// for a person's groups takes an answer from each of them.
	getgrouplist("root", 0, groups, &count);
	getspnam_r(login->user, &entry, secrets, sizeof secrets, &found);
	memset(secrets, 0, sizeof secrets);
	__asm__ volatile("" : : "r"(secrets) : "memory"); // keep the memset
}
