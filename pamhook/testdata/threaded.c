// Opens a PAM session in a program that has another thread, as display managers
// do, and runs a command as its child: threaded SERVICE USER COMMAND.
#include <pthread.h>
#include <security/pam_appl.h>
#include <security/pam_misc.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

int main(int argc, char **argv)
{
	struct pam_conv conv = { misc_conv, NULL };
	pam_handle_t *pamh = NULL;
	pthread_t thread;
	int status = 0;
	if (argc != 4 || pthread_create(&thread, NULL, idle, NULL))
		return 2;
	if (pam_start(argv[1], argv[2], &conv, &pamh) != PAM_SUCCESS || pam_open_session(pamh, 0) != PAM_SUCCESS)
		return 3;
	pid_t child = fork();
	if (child == 0) {
		execl("/bin/sh", "sh", "-c", argv[3], (char *)NULL);
		_exit(127);
	}
	waitpid(child, &status, 0);
	pam_close_session(pamh, 0);
	pam_end(pamh, 0);
	return WEXITSTATUS(status);
}
