// Saying what failed, on the command's error output.
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "init.h"

static void say(const char *format, va_list args)
{
	char line[1024];
	int n = vsnprintf(line, sizeof line, format, args);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof line)
		n = sizeof line - 1;
	ssize_t ignored = write(2, "ninefold-init: ", 15);
	ignored = write(2, line, (size_t)n);
	ignored = write(2, "\n", 1);
	(void)ignored;
}

void die(int status, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(format, args);
	va_end(args);
	_exit(status);
}
