// What the parts of ninefold-init share.
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { FAILED = 125, CANNOT_EXECUTE = 126, NOT_FOUND = 127 };

// die says why, and ends the process with status.
__attribute__((format(printf, 2, 3), noreturn))
void die(int status, const char *format, ...);

// mount_proc mounts the session's own /proc: proc.c.
void mount_proc(bool protect);

// confine leaves ninefold-init the calls that it needs from now on: filter.c.
void confine(bool remove);

// set_caps holds these capabilities and no others, drop_bounding_set leaves those
// within reach, and load_filter takes on a seccomp filter: privileges.c.
void set_caps(uint64_t caps);
void drop_bounding_set(uint64_t keep);
void load_filter(int fd);
