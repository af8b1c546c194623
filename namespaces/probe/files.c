#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe.h"

static void cannot_open(const char *what, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	char name[256];
	snprintf(name, sizeof name, "%s %s", what, path);
	denied(name, fd < 0);
	if (fd >= 0)
		close(fd);
}

// can_make tries to make something in a directory, and leaves nothing there. An
// overlay has nameless files since Linux 6.3; before that, it is a directory.
static bool can_make(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (errno != EOPNOTSUPP && errno != EISDIR)
		return false;
	char name[256];
	snprintf(name, sizeof name, "%s/.ninefold-probe-%d", dir, getpid());
	if (mkdir(name, 0700))
		return false;
	rmdir(name);
	return true;
}

// empty reports a directory in which nothing is but, perhaps, own.
static void empty(const char *path, const char *own)
{
	char name[256];
	snprintf(name, sizeof name, "look into %s", path);
	DIR *dir = opendir(path);
	if (!dir) {
		say(name, true, "%s", strerror(errno));
		return;
	}
	for (struct dirent *e; (e = readdir(dir));)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") && strcmp(e->d_name, own)) {
			say(name, false, "%s is there", e->d_name);
			closedir(dir);
			return;
		}
	closedir(dir);
	say(name, true, "it is empty");
}

void try_files(unsigned uid)
{
	static const char *const secret[] = { "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/ssh/ssh_host_ed25519_key",
		"/proc/kcore", "/proc/kmsg", "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/nvme0n1", "/dev/uinput", "/dev/fuse" };
	for (size_t i = 0; i < sizeof secret / sizeof *secret; i++)
		cannot_open("read", secret[i], O_RDONLY);
	static const char *const knobs[] = { "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
		"/proc/sys/vm/overcommit_memory", "/proc/sys/net/ipv4/ip_forward", "/sys/kernel/uevent_helper",
		"/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/cgroup.procs" };
	for (size_t i = 0; i < sizeof knobs / sizeof *knobs; i++)
		cannot_open("write", knobs[i], O_WRONLY);
	static const char *const places[] = { "/", "/etc", "/usr", "/usr/bin", "/usr/local/bin", "/opt", "/var", "/var/lib", "/var/cache",
		"/home", "/srv", "/boot", "/run", "/run/lock", "/dev", "/sys/fs/cgroup" };
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		char name[128];
		snprintf(name, sizeof name, "make a file in %s", places[i]);
		denied(name, !can_make(places[i]));
	}
	static const char *const people[] = { "/root", "/media", "/mnt", "/srv", "/var/mail", "/var/spool", "/var/log", "/var/backups" };
	for (size_t i = 0; i < sizeof people / sizeof *people; i++)
		empty(people[i], "");
	empty("/home", "guest");
	char runtime[32];
	snprintf(runtime, sizeof runtime, "%u", uid);
	empty("/run/user", runtime);
}

// in_memory are the file systems whose content ends with the session.
static bool in_memory(const char *type)
{
	static const char *const types[] = { "tmpfs", "ramfs", "proc", "devpts", "mqueue" };
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (!strcmp(type, types[i]))
			return true;
	return false;
}

// has reports whether an option is among those of a mount, which commas part.
static bool has(const char *options, const char *option)
{
	size_t n = strlen(option);
	for (const char *at = options; at; at = strchr(at, ','), at += at != NULL)
		if (!strncmp(at, option, n) && (!at[n] || at[n] == ','))
			return true;
	return false;
}

// home reports what the profile keeps: mounted once, whole, and without what would
// count on the host.
static void home(const char *path, const char *root, const char *own)
{
	static bool before;
	char name[512];
	snprintf(name, sizeof name, "keep more in %.400s than the files of a home", path);
	bool as_kept = !before && !strcmp(root, "/") && has(own, "nosuid") && has(own, "nodev");
	say(name, as_kept, "%s%.100s", before ? "there is another one, " : "", own);
	before = true;
}

// writable reports one line of mountinfo (proc_pid_mountinfo(5)) that can be
// written to: by its own options or, where those say rw, by the file system's. It
// returns whether that is disk.
static bool writable(char *line, const char *disk)
{
	char *save, *word = strtok_r(line, " ", &save), *path = NULL, *own = NULL, *type = NULL, *all = NULL, *device = NULL, *root = NULL;
	for (int i = 0; word; word = strtok_r(NULL, " ", &save), i++) {
		if (i == 2)
			device = word;
		if (i == 3)
			root = word;
		if (i == 4)
			path = word;
		if (i == 5)
			own = word;
		if (i >= 6 && !strcmp(word, "-")) {
			type = strtok_r(NULL, " ", &save);
			strtok_r(NULL, " ", &save); // the source
			all = strtok_r(NULL, " ", &save);
			break;
		}
	}
	if (!path || !own || !type || !all) {
		say("mounts", false, "a line that cannot be read");
		return false;
	}
	if (!strncmp(own, "ro", 2) || !strncmp(all, "ro", 2))
		return false;
	printf("writable\t%s\t%s\n", path, type);
	if (disk && !strcmp(device, disk)) {
		home(path, root, own);
		return true;
	}
	char name[512];
	snprintf(name, sizeof name, "keep something in %.400s", path);
	say(name, in_memory(type), "%.40s", type);
	return false;
}

void try_mounts(const char *disk)
{
	static char text[256 << 10];
	if (!read_text("/proc/self/mountinfo", text, sizeof text) || strlen(text) == sizeof text - 1) {
		say("mounts", false, "the mount table cannot be read whole");
		return;
	}
	char *save;
	bool seen = !disk;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		seen = writable(line, disk) || seen;
	if (!seen)
		say("find the home that is kept", false, "no mount is on %.20s", disk);
}
