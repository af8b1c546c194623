// ninefold-probe tries, inside a guest's session and as the guest, what must fail
// there, and says on its output what came of each try: a line of NAME, "held" or
// "through", and how, separated by tabs. A line "writable" names a mount that can be
// written to. It ends with 0 when everything held, with 1 when something got
// through, and 2 when it could not try.
//
// Its arguments are the guest's uid, the host's namespaces, as the links in
// /proc/self/ns name them ("mnt:[4026531841]"), and last disk=MAJOR:MINOR where the
// profile keeps a home: the one file system on a disk that can be written to. It runs before anybody works in
// the session, so that what it finds is how the session was built. What a try would
// do is harmless where it gets through: nothing is written, mounted or ended.
//
// It is static and single-threaded, loads nothing and reads no environment.

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

static bool got_through;

void say(const char *name, bool held, const char *format, ...)
{
	char how[512];
	va_list args;
	va_start(args, format);
	vsnprintf(how, sizeof how, format, args);
	va_end(args);
	for (char *c = how; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	printf("%s\t%s\t%s\n", name, held ? "held" : "through", how);
	got_through = got_through || !held;
}

void denied(const char *name, bool failed)
{
	say(name, failed, "%s", failed ? strerror(errno) : "it worked");
}

bool read_text(const char *name, char *text, size_t size)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size_t have = 0;
	for (ssize_t n; have < size - 1 && (n = read(fd, text + have, size - 1 - have)) > 0;)
		have += (size_t)n;
	text[have] = 0;
	close(fd);
	return true;
}

int main(int argc, char **argv)
{
	char *end;
	unsigned long uid = argc > 1 ? strtoul(argv[1], &end, 10) : 0;
	if (argc < 2 || *end || uid == 0 || uid > 0xfffffffe) {
		fprintf(stderr, "usage: ninefold-probe UID [NAMESPACE...] [disk=MAJOR:MINOR]\n");
		return 2;
	}
	if (getuid() != uid || geteuid() != uid) {
		// As somebody else, root above all, tries could do what they must not.
		fprintf(stderr, "ninefold-probe: this is uid %u and not the guest %lu\n", geteuid(), uid);
		return 2;
	}
	const char *disk = NULL;
	if (!strncmp(argv[argc - 1], "disk=", 5))
		disk = argv[--argc] + 5;
	try_identity((unsigned)uid);
	try_namespaces(argc - 2, argv + 2);
	try_files((unsigned)uid);
	try_mounts(disk);
	try_sockets();
	try_network();
	try_processes();
	try_calls();
	if (fflush(stdout) || ferror(stdout))
		return 2;
	return got_through ? 1 : 0;
}
