#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

// field returns what stands behind a name in /proc/self/status, or NULL.
static const char *field(const char *text, const char *name)
{
	size_t n = strlen(name);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, name, n) && line[n] == ':') {
			for (line += n + 1; *line == '\t' || *line == ' '; line++)
				;
			return line;
		}
	}
	return NULL;
}

static void all_ids_are(const char *name, const char *text, const char *what, unsigned id)
{
	unsigned ids[4];
	const char *f = field(text, what);
	bool own = f && sscanf(f, "%u %u %u %u", &ids[0], &ids[1], &ids[2], &ids[3]) == 4;
	for (int i = 0; own && i < 4; i++)
		own = ids[i] == id;
	say(name, own, "%.*s", f ? (int)strcspn(f, "\n") : 7, f ? f : "unknown");
}

static void no_capabilities(const char *text)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb" };
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
		const char *f = field(text, sets[i]);
		say(sets[i], f && strspn(f, "0") == strspn(f, "0123456789abcdef"), "%.16s", f ? f : "unknown");
	}
}

static void only_three_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	if (!dir) {
		say("descriptors", false, "%s", strerror(errno));
		return;
	}
	int most = -1;
	for (struct dirent *e; (e = readdir(dir));) {
		int fd = isdigit((unsigned char)*e->d_name) ? atoi(e->d_name) : -1;
		if (fd > most && fd != dirfd(dir))
			most = fd;
	}
	closedir(dir);
	say("descriptors", most <= 2, "the highest is %d", most);
}

void try_identity(unsigned uid)
{
	static char text[8192];
	if (!read_text("/proc/self/status", text, sizeof text)) {
		say("status", false, "%s", strerror(errno));
		return;
	}
	all_ids_are("uid", text, "Uid", uid);
	all_ids_are("gid", text, "Gid", uid);
	unsigned group = uid, more;
	const char *groups = field(text, "Groups");
	int n = groups && *groups != '\n' ? sscanf(groups, "%u %u", &group, &more) : 0;
	say("groups", groups && n <= 1 && group == uid, "%d", n);
	no_capabilities(text);
	const char *f = field(text, "NoNewPrivs");
	say("no-new-privileges", f && *f == '1', "%c", f ? *f : '?');
	f = field(text, "Seccomp");
	say("filter", f && *f == '2', "%c", f ? *f : '?');
	only_three_descriptors();
}

void try_namespaces(int count, char **of_host)
{
	for (int i = 0; i < count; i++) {
		char kind[32], link[64], own[64];
		size_t n = strcspn(of_host[i], ":");
		if (n >= sizeof kind) {
			say("namespace", false, "%.60s", of_host[i]);
			continue;
		}
		memcpy(kind, of_host[i], n);
		kind[n] = 0;
		snprintf(link, sizeof link, "/proc/self/ns/%s", kind);
		ssize_t got = readlink(link, own, sizeof own - 1);
		own[got < 0 ? 0 : got] = 0;
		char name[64];
		snprintf(name, sizeof name, "%s-namespace", kind);
		say(name, got > 0 && strcmp(own, of_host[i]), "%s", own);
	}
}
