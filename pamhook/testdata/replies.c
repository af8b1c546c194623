// Mutates replies and walks those that door_check lets pass as the callers do;
// the sanitizers see what goes wrong. Fixed seed: every run is the same one.
#include "../client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state = 20261127;

static uint32_t next(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static void sound(struct door_reply *r)
{
	memset(r, 0, sizeof *r);
	r->magic = DOOR_MAGIC;
	r->length = sizeof *r;
	r->version = DOOR_VERSION;
	r->op = DOOR_SESSION;
	r->verdict = DOOR_ENTER;
	r->nfds = 2;
	r->fds[0] = DOOR_FD_MOUNT;
	r->fds[1] = DOOR_FD_IPC;
	strcpy(r->view, "v1");
	strcpy(r->message, "welcome");
	memcpy(r->environment, "A=1\0B=\0_C9=x y", 15);
}

int main(void)
{
	size_t passed = 0, walked = 0;
	for (int round = 0; round < 300000; round++) {
		// On the heap, exactly as long as it is: a read past the end is seen.
		struct door_reply *r = malloc(sizeof *r);
		if (!r)
			return 2;
		sound(r);
		for (uint32_t n = next() % 4; n; n--) {
			size_t at = next() % 2 ? next() % sizeof *r : next() % 40;
			size_t run = next() % 8 ? 1 : next() % (sizeof *r - at) + 1;
			memset((char *)r + at, next() % 3 ? (int)(next() & 255) : "A=\0\x01"[next() % 4], run);
		}
		size_t nfds = next() % 4 ? 2 : next() % 12;
		if (door_check(r, DOOR_SESSION, nfds)) {
			int fd[DOOR_KINDS];
			passed++;
			for (size_t i = 0; i < nfds; i++)
				fd[r->fds[i]] = (int)i;
			walked += (size_t)fd[DOOR_FD_MOUNT] + strlen(r->view) + strlen(r->profile) + strlen(r->message);
			for (const char *s = r->environment; *s; s += strlen(s) + 1)
				walked += strcspn(s, "=");
		}
		char field[16], text[40];
		size_t length = next() % sizeof text;
		for (size_t i = 0; i < length; i++)
			text[i] = (char)next();
		text[length] = 0;
		bool same = door_text(field, sizeof field, text);
		if (same != !strncmp(field, text, sizeof field)) {
			printf("door_text lies\n");
			return 1;
		}
		free(r);
	}
	printf("%zu passed, %zu walked\n", passed, walked);
	return passed > 1000 ? 0 : 1;
}
