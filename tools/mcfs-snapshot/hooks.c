/* Commands around the steps, and messages to those who watch. */
#include "tools/mcfs-snapshot/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"

#define VALUE_MAX ((size_t)64 << 10) /* one variable of an environment holds at most 128 KiB */

/* borgmatic's placeholders. Their values reach the command as variables, so that a file name in a
 * message is never read as shell. */
static const struct {
	const char *placeholder, *variable;
} placeholders[] = {
	{"{error}", "MCFS_HOOK_ERROR"},
	{"{output}", "MCFS_HOOK_OUTPUT"},
	{"{repository}", "MCFS_HOOK_REPOSITORY"},
	{"{repository_label}", "MCFS_HOOK_REPOSITORY_LABEL"},
	{"{configuration_filename}", "MCFS_HOOK_CONFIGURATION"},
	{"{snapshot}", "MCFS_HOOK_SNAPSHOT"},
};
#define N_PLACEHOLDERS (sizeof placeholders / sizeof *placeholders)

/* `value` has no zero byte at its end. */
static void set(const char *name, const char *value, size_t n)
{
	size_t len = n > VALUE_MAX ? VALUE_MAX : n;
	char *copy = malloc(len + 1);
	if (copy) {
		if (len)
			memcpy(copy, value, len);
		copy[len] = '\0';
		setenv(name, copy, 1);
	}
	free(copy);
}

static void set_values(struct job *j)
{
	const char *text[] = {j->first_error, NULL, j->repository, j->label, j->cfg->path, j->snapshot};
	for (size_t i = 0; i < N_PLACEHOLDERS; i++)
		if (i != 1)
			set(placeholders[i].variable, text[i], text[i] ? strlen(text[i]) : 0);
	set(placeholders[1].variable, (const char *)j->output.p, j->output.len);
}

/* "{error}" becomes the variable, in the quotes that are open there: as one word outside of quotes, as text
 * within. */
static int put_variable(struct buf *out, char quote, const char *variable, struct err *e)
{
	char text[80];
	int n = snprintf(text, sizeof text, quote == '\'' ? "'\"${%s}\"'" : quote ? "${%s}" : "\"${%s}\"",
		variable);
	return buf_add(out, text, (size_t)n, e);
}

static int expand(const char *s, struct buf *out, struct err *e)
{
	char quote = 0;
	int r = 0;
	while (*s && r == 0) {
		size_t k = 0;
		while (k < N_PLACEHOLDERS && strncmp(s, placeholders[k].placeholder,
						     strlen(placeholders[k].placeholder)) != 0)
			k++;
		if (k < N_PLACEHOLDERS) {
			r = put_variable(out, quote, placeholders[k].variable, e);
			s += strlen(placeholders[k].placeholder);
			continue;
		}
		if (*s == '\\' && quote != '\'' && s[1]) {
			r = buf_add(out, s, 2, e);
			s += 2;
			continue;
		}
		if (*s == quote)
			quote = 0;
		else if (!quote && (*s == '\'' || *s == '"'))
			quote = *s;
		r = buf_add(out, s++, 1, e);
	}
	return r < 0 ? r : buf_add(out, "", 1, e);
}

static int run_one(struct job *j, const struct backup_hook *h, const char *line)
{
	CLEANUP_BUF struct buf full = BUF_INIT, output = BUF_INIT;
	struct err e = ERR_INIT;
	if (expand(line, &full, &e) < 0) {
		job_fail(j, EXIT_FAILED, "%s", e.msg);
		return EXIT_FAILED;
	}
	if (j->dry_run) {
		job_say(j, "would run: %s", line);
		return 0;
	}
	set_values(j);
	int code = shell_run(j, (const char *)full.p, &output);
	if (code != 0 && !(h->before && code == HOOK_SOFT)) {
		if (j->cron || j->cli.quiet || j->cli.json)
			(void)!fwrite(output.p ? (char *)output.p : "", 1, output.len, stderr);
		buf_free(&j->output);
		j->output = take_buf(&output);
		job_fail(j, EXIT_FAILED, "%s:%u: the command '%s' (%s) failed with exit status %d", h->file,
			h->line, line, h->key, code);
	}
	return code;
}

int hooks_run(struct job *j, bool before, enum hook_point point, unsigned actions,
	enum notify_state state)
{
	int first = 0;
	for (size_t i = 0; i < j->cfg->n_hooks; i++) {
		const struct backup_hook *h = &j->cfg->hooks[i];
		if (h->before != before || h->point != point ||
			(h->actions && !(h->actions & actions)) ||
			(!before && !(h->states & NOTIFY_STATE_BIT(state))))
			continue;
		for (size_t k = 0; k < h->run.n; k++) {
			int code = run_one(j, h, h->run.v[k]);
			if (code != 0 && before)
				return code;
			if (code != 0) {
				first = first ? first : code;
				break; /* the rest of this hook, as borgmatic does */
			}
		}
	}
	return first;
}

void job_notify(struct job *j, enum notify_state state, double seconds)
{
	char host[256] = "";
	const struct backup_config *c = j->cfg;
	gethostname(host, sizeof host - 1);
	const char *name = c->n_repositories && c->repositories[0].label ? c->repositories[0].label
									   : c->sources.v[0];
	char message[1000];
	char a[16];
	if (state == NOTIFY_FAIL)
		snprintf(message, sizeof message, "%s", j->first_error);
	else if (state == NOTIFY_FINISH)
		snprintf(message, sizeof message, "%s, %llu files, %s added, %.0f s%s", j->snapshot,
			(unsigned long long)j->files, cli_bytes(j->added, a), seconds,
			j->code == EXIT_PARTLY ? "; not everything was done, see the log" : "");
	else
		message[0] = 0;
	struct notify_event ev = {.state = state, .name = name, .message = message,
		.log = buf_span(&j->log), .host = host, .snapshot = j->snapshot, .files = j->files,
		.bytes = j->bytes, .added_bytes = j->added, .seconds = seconds, .exit_code = j->code};
	for (size_t i = 0; i < c->n_notify && !j->dry_run; i++) {
		struct err e = ERR_INIT;
		if (notify_tell(&c->notify[i], &ev, &e) < 0)
			job_warn(j, EXIT_DONE, "notification: %s", e.msg);
	}
}
