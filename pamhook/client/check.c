#include "client.h"

#include <string.h>

static bool ended(const char *field, size_t size)
{
	return memchr(field, 0, size) != NULL;
}

static bool letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

// environment_sound: NAME=VALUE strings and then nothing but NUL, so that a
// reader may walk them with strlen.
static bool environment_sound(const char *env, size_t size)
{
	if (env[size - 1])
		return false;
	size_t at = 0;
	while (env[at]) {
		size_t n = at;
		if (!letter(env[n]))
			return false;
		while (letter(env[n]) || (env[n] >= '0' && env[n] <= '9'))
			n++;
		if (env[n] != '=')
			return false;
		at += strlen(env + at) + 1;
		if (at == size)
			return false; // no room for the end of the list
	}
	for (; at < size; at++)
		if (env[at])
			return false;
	return true;
}

bool door_check(const struct door_reply *r, uint16_t op, size_t nfds)
{
	bool seen[DOOR_KINDS] = { false };
	if (r->magic != DOOR_MAGIC || r->length != sizeof *r || r->version != DOOR_VERSION || r->op != op)
		return false;
	if (r->verdict < DOOR_ENTER || r->verdict > DOOR_REFUSE)
		return false;
	if (r->nfds != nfds || nfds > DOOR_MAX_FDS)
		return false;
	for (size_t i = 0; i < DOOR_MAX_FDS; i++) {
		uint8_t kind = r->fds[i];
		if (i >= nfds) {
			if (kind != DOOR_FD_NONE)
				return false;
			continue;
		}
		if (kind == DOOR_FD_NONE || kind >= DOOR_KINDS || seen[kind])
			return false;
		seen[kind] = true;
	}
	// A view is a mount namespace at the least. What is to come, and nothing
	// that could be entered now, is the answer to a preparation.
	bool enters = r->verdict == DOOR_ENTER && op != DOOR_PREPARE && op != DOOR_PING && op != DOOR_GUEST;
	if (enters != seen[DOOR_FD_MOUNT] || (!enters && nfds))
		return false;
	return ended(r->view, sizeof r->view) && ended(r->profile, sizeof r->profile) &&
	       ended(r->message, sizeof r->message) && environment_sound(r->environment, sizeof r->environment);
}
