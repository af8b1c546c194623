#define _GNU_SOURCE
#include "module.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

// A prompt is at most what PAM_MAX_MSG_SIZE allows. There are two tries.
enum { PROMPT_MAX = 512, TRIES = 2 };

static const char entry[] = "NINEFOLD_CHOICE=";

// asked_at reports whether the service is a prompt at which people log in.
// Greeters offer session entries, and su and sudo are no logins.
static bool asked_at(pam_handle_t *pamh)
{
	static const char *const services[] = { "login", "remote", "sshd" };
	const void *service = NULL;
	if (pam_get_item(pamh, PAM_SERVICE, &service) != PAM_SUCCESS || !service)
		return false;
	for (size_t i = 0; i < sizeof services / sizeof *services; i++)
		if (!strcmp(service, services[i]))
			return true;
	return false;
}

// next_choice returns the name at *list, or NULL at its end. The list is an
// answer's environment, which door_ask has checked.
static const char *next_choice(const char **list)
{
	while (**list) {
		const char *name = *list;
		*list += strlen(name) + 1;
		if (!strncmp(name, entry, sizeof entry - 1))
			return name + sizeof entry - 1;
	}
	return NULL;
}

// write_prompt returns how many choices there are. What does not fit into the
// prompt can be typed all the same.
static unsigned write_prompt(char *prompt, size_t size, const char *list)
{
	static const char end[] = ": ";
	const char *name;
	unsigned n = 0;
	size_t at = (size_t)snprintf(prompt, size, "Profile");
	while ((name = next_choice(&list))) {
		char one[sizeof ((struct door_request *)0)->choice + 32];
		n++;
		int length = snprintf(one, sizeof one, "%s %u %s%s", n > 1 ? "," : "", n, name, n > 1 ? "" : " (Enter)");
		if (length > 0 && at + (size_t)length + sizeof end <= size) {
			memcpy(prompt + at, one, (size_t)length);
			at += (size_t)length;
		}
	}
	memcpy(prompt + at, end, sizeof end);
	return n;
}

// find_choice returns what an answer, a number or a name, means.
static const char *find_choice(const char *answer, const char *list)
{
	const char *name;
	for (unsigned n = 1; (name = next_choice(&list)); n++) {
		char number[16];
		snprintf(number, sizeof number, "%u", n);
		if (!strcmp(answer, number) || !strcmp(answer, name))
			return name;
	}
	return NULL;
}

static void set_choice(pam_handle_t *pamh, const char *name)
{
	char setting[sizeof "NINEFOLD_PROFILE=" + sizeof ((struct door_reply *)0)->environment];
	snprintf(setting, sizeof setting, "NINEFOLD_PROFILE=%s", name);
	if (pam_putenv(pamh, setting) != PAM_SUCCESS)
		pam_syslog(pamh, LOG_WARNING, "could not set NINEFOLD_PROFILE");
}

// converse asks until there is an answer. The time for it is the login
// program's, which bounds the whole of its conversation (LOGIN_TIMEOUT of
// login.defs(5), LoginGraceTime of sshd_config(5)).
static void converse(pam_handle_t *pamh, const char *list)
{
	char prompt[PROMPT_MAX];
	if (write_prompt(prompt, sizeof prompt, list) < 2)
		return;
	for (int i = 0; i < TRIES; i++) {
		char *answer = NULL;
		if (pam_prompt(pamh, PAM_PROMPT_ECHO_ON, &answer, "%s", prompt) != PAM_SUCCESS) {
			free(answer);
			return; // a program that can ask for a password alone
		}
		bool enter = !answer || !*answer;
		const char *name = enter ? NULL : find_choice(answer, list);
		free(answer);
		if (name)
			set_choice(pamh, name);
		if (enter || name)
			return;
	}
	pam_info(pamh, "ninefold: that is none of them; you get %s", next_choice(&list));
}

void ask_for_choice(pam_handle_t *pamh, int flags, const struct options *o)
{
	struct door_request request;
	struct door_answer answer;
	struct login login;
	if (!o->ask || (flags & PAM_SILENT) || pam_getenv(pamh, "NINEFOLD_PROFILE") || !asked_at(pamh) ||
	    !login_of(pamh, o, &login) || door_failed_recently())
		return;
	fill_request(pamh, o, &login, &request);
	request.op = DOOR_CHOICES;
	int e = door_ask(&request, &answer);
	if (e == -ETIMEDOUT)
		door_remember_failure();
	if (e) // the session says what is wrong
		return;
	converse(pamh, answer.reply.environment);
	door_close(&answer);
}
