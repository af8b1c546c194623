// What an image could have loaded into programs of root's: a preloaded library, a
// name service and a PAM module. Each leaves a mark, a file named after it and the
// uid that it ran as.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void mark(const char *name)
{
	char path[128];
	snprintf(path, sizeof path, "/home/bob/marks/%s.%u", name, (unsigned)geteuid());
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd >= 0)
		close(fd);
}

#ifdef PRELOAD
__attribute__((constructor)) static void loaded(void) { mark(PRELOAD); }
#endif

enum { NSS_NOT_FOUND = 0, PAM_IGNORE = 25 };

int _nss_planted_getpwnam_r(void) { return mark("nss"), NSS_NOT_FOUND; }
int _nss_planted_getpwuid_r(void) { return mark("nss"), NSS_NOT_FOUND; }
int _nss_planted_initgroups_dyn(void) { return mark("nss"), NSS_NOT_FOUND; }
int pam_sm_authenticate(void) { return mark("pam"), PAM_IGNORE; }
int pam_sm_setcred(void) { return mark("pam"), PAM_IGNORE; }
int pam_sm_acct_mgmt(void) { return mark("pam"), PAM_IGNORE; }
int pam_sm_open_session(void) { return mark("pam"), PAM_IGNORE; }
int pam_sm_close_session(void) { return mark("pam"), PAM_IGNORE; }
