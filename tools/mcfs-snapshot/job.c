/* What the job says, and what it remembers of it. */
#include "tools/mcfs-snapshot/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define LOG_KEEP ((size_t)256 << 10)

void job_keep_log(struct job *j, const char *p, size_t n)
{
	struct err ignored = ERR_INIT;
	if (n > LOG_KEEP) {
		p += n - LOG_KEEP;
		n = LOG_KEEP;
	}
	if (j->log.len + n > 2 * LOG_KEEP) {
		memmove(j->log.p, j->log.p + j->log.len - LOG_KEEP, LOG_KEEP);
		j->log.len = LOG_KEEP;
	}
	(void)!buf_add(&j->log, p, n, &ignored); /* a log that is short of memory is shorter */
}

static void keep_line(struct job *j, const char *line)
{
	job_keep_log(j, line, strlen(line));
	job_keep_log(j, "\n", 1);
}

void job_code(struct job *j, int code)
{
	if (j->code == EXIT_DONE || (j->code == EXIT_PARTLY && code != EXIT_DONE))
		j->code = code;
}

void job_say(struct job *j, const char *fmt, ...)
{
	char line[1000];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	keep_line(j, line);
	if (j->cron || j->cli.quiet || j->cli.json)
		return;
	cli_print_name(stdout, line, strlen(line));
	putchar('\n');
	fflush(stdout);
}

static void complain(struct job *j, int code, const char *line)
{
	keep_line(j, line);
	fputs("mcfs: ", stderr);
	cli_print_name(stderr, line, strlen(line));
	fputc('\n', stderr);
	if (j->cli.json)
		cli_json(json_pack("{s:s, s:o}", "type", "problem", "message",
			cli_json_string(line, strlen(line))));
	job_code(j, code);
}

void job_warn(struct job *j, int code, const char *fmt, ...)
{
	char line[1000];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	complain(j, code, line);
}

void job_fail(struct job *j, int code, const char *fmt, ...)
{
	char line[1000];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	complain(j, code, line);
	if (!j->failed)
		snprintf(j->first_error, sizeof j->first_error, "%s", line);
	j->failed = true;
}
