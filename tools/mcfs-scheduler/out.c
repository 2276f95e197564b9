#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "tools/mcfs-scheduler/scheduler.h"

int out_fail(const struct err *e)
{
	fputs("mcfs-scheduler: ", stderr);
	out_text(stderr, e->msg);
	fputc('\n', stderr);
	switch (e->code) {
	case E_USAGE:
	case E_FORMAT:
		return EXIT_USAGE;
	case E_LOCKED:
		return EXIT_LOCKED;
	case E_CANCELLED:
		return EXIT_INTERRUPTED;
	default:
		return EXIT_FAILED;
	}
}

int out_usage(const char *fmt, ...)
{
	struct err e = {.code = E_USAGE};
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(e.msg, sizeof e.msg - 40, fmt, ap);
	va_end(ap);
	strcat(e.msg, " (see 'mcfs-scheduler --help')");
	return out_fail(&e);
}

/* The length of the UTF-8 character at s; 0 when there is none. */
static size_t utf8(const char *s)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xc2 && p[0] < 0xe0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3
				  : p[0] >= 0xf0 && p[0] < 0xf5			  ? 4
										  : 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if (n == 3 && ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] >= 0xa0)))
		return 0; /* too long, or half of a pair */
	if (n == 4 && ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] >= 0x90)))
		return 0;
	return n;
}

void out_text(FILE *f, const char *s)
{
	while (*s) {
		size_t n = utf8(s);
		bool control = (n == 1 && ((uint8_t)*s < ' ' || *s == 127) && *s != '\t') ||
			       (n == 2 && (uint8_t)s[0] == 0xc2 && (uint8_t)s[1] < 0xa0);
		if (n == 0 || control) {
			fprintf(f, "\\x%02x", (uint8_t)*s++);
			continue;
		}
		fwrite(s, 1, n, f);
		s += n;
	}
}

void out_json(FILE *f, const char *s)
{
	fputc('"', f);
	while (*s) {
		size_t n = utf8(s);
		if (n == 0) {
			fputs("\\ufffd", f);
			s++;
		} else if (*s == '"' || *s == '\\') {
			fprintf(f, "\\%c", *s++);
		} else if ((uint8_t)*s < ' ' || *s == 127) {
			fprintf(f, "\\u%04x", (uint8_t)*s++);
		} else {
			fwrite(s, 1, n, f);
			s += n;
		}
	}
	fputc('"', f);
}
