// What the parts of ninefold-init share.
#pragma once
#include <stdbool.h>

enum { FAILED = 125, CANNOT_EXECUTE = 126, NOT_FOUND = 127 };

// die says why, and ends the process with status.
__attribute__((format(printf, 2, 3), noreturn))
void die(int status, const char *format, ...);

// mount_proc mounts the session's own /proc: proc.c.
void mount_proc(bool protect);

// confine leaves ninefold-init the calls that it needs from now on: filter.c.
void confine(bool remove);
