#include "engine/base/log.h"

#include <stdarg.h>
#include <stdio.h>

void log_say(const struct log *l, enum log_level level, const char *fmt, ...)
{
	char line[1024];
	if (!l || !l->fn)
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	l->fn(l->ctx, level, line);
}
