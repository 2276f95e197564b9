#include "engine/schedule/argv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

static int take_word(struct argv *a, char *word, struct err *e)
{
	char **v = word ? realloc(a->v, (a->n + 2) * sizeof *v) : NULL;
	if (!v) {
		free(word);
		return err_set(e, E_NOMEM, 0, "no memory for a command");
	}
	a->v = v;
	v[a->n++] = word;
	v[a->n] = NULL;
	return 0;
}

int argv_add(struct argv *a, const char *word, struct err *e)
{
	return take_word(a, strdup(word), e);
}

int argv_addf(struct argv *a, struct err *e, const char *fmt, ...)
{
	char *word = NULL;
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(&word, fmt, ap) < 0)
		word = NULL;
	va_end(ap);
	return take_word(a, word, e);
}

void argv_free(struct argv *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i]);
	free(a->v);
	*a = (struct argv){0};
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One word from *s on into `out`, which has room for all of the text. False: an open quote. */
static bool one_word(const char **s, char *out)
{
	const char *p = *s;
	char quote = 0;
	for (; *p && (quote || !is_blank(*p)); p++) {
		if (quote ? *p == quote : *p == '\'' || *p == '"') {
			quote = quote ? 0 : *p;
		} else if (*p == '\\' && quote != '\'') {
			if (!p[1])
				return false;
			if (quote && !strchr("\"\\$`", p[1]))
				*out++ = '\\';
			*out++ = *++p;
		} else {
			*out++ = *p;
		}
	}
	*out = 0;
	*s = p;
	return !quote;
}

int argv_split(struct argv *a, const char *text, struct err *e)
{
	CLEANUP_FREE char *word = malloc(strlen(text) + 1);
	if (!word)
		return err_set(e, E_NOMEM, 0, "no memory for a command");
	for (const char *s = text;;) {
		while (is_blank(*s))
			s++;
		if (!*s)
			return 0;
		if (!one_word(&s, word))
			return err_set(e, E_USAGE, 0,
				"the command '%.100s' ends within quotes or behind a backslash", text);
		int rc = argv_add(a, word, e);
		if (rc < 0)
			return rc;
	}
}

static int add_pair(struct argv *a, const char *option, const char *value, struct err *e)
{
	if (!value)
		return 0;
	int rc = argv_add(a, option, e);
	return rc < 0 ? rc : argv_add(a, value, e);
}

static int add_pairs(struct argv *a, const char *option, const struct texts *values, struct err *e)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < values->n; i++)
		rc = add_pair(a, option, values->v[i], e);
	return rc;
}

static int add_words(struct argv *a, const char *words, struct err *e)
{
	return argv_split(a, words, e);
}

static int of_local(const struct job_spec *j, struct argv *a, struct err *e)
{
	int rc = 0;
	if (j->nice)
		rc = argv_addf(a, e, "nice") < 0 ? E_NOMEM : argv_addf(a, e, "-n%d", j->nice);
	if (rc == 0 && j->user) {
		rc = add_words(a, "setpriv --init-groups", e);
		if (rc == 0)
			rc = argv_addf(a, e, "--reuid=%s", j->user);
		if (rc == 0)
			rc = argv_addf(a, e, "--regid=%s", j->user);
		if (rc == 0)
			rc = argv_add(a, "--", e);
	}
	return rc;
}

static int of_exec(const struct job_spec *j, struct argv *a, struct err *e)
{
	int rc = add_words(a, "docker exec", e);
	if (rc == 0)
		rc = add_pair(a, "-u", j->user, e);
	if (rc == 0)
		rc = add_pair(a, "-w", j->dir, e);
	if (rc == 0 && j->tty)
		rc = argv_add(a, "-t", e);
	if (rc == 0)
		rc = add_pairs(a, "-e", &j->environment, e);
	return rc == 0 ? argv_add(a, j->container, e) : rc;
}

static int of_run(const struct job_spec *j, const char *run_name, struct argv *a, struct err *e)
{
	int rc;
	if (j->container)
		rc = add_words(a, "docker start -a", e);
	else
		rc = add_words(a, "docker run --init --name", e);
	if (rc < 0 || j->container)
		return rc < 0 ? rc : argv_add(a, j->container, e);
	rc = argv_add(a, run_name, e);
	if (rc == 0 && j->remove)
		rc = argv_add(a, "--rm", e);
	if (rc == 0 && j->tty)
		rc = argv_add(a, "-t", e);
	if (rc == 0)
		rc = add_pair(a, "--pull", j->pull ? "always" : "missing", e);
	if (rc == 0)
		rc = add_pair(a, "-u", j->user, e);
	if (rc == 0)
		rc = add_pair(a, "-w", j->dir, e);
	if (rc == 0)
		rc = add_pair(a, "--network", j->network, e);
	if (rc == 0)
		rc = add_pair(a, "--hostname", j->hostname, e);
	if (rc == 0)
		rc = add_pairs(a, "-v", &j->volumes, e);
	if (rc == 0)
		rc = add_pairs(a, "--volumes-from", &j->volumes_from, e);
	if (rc == 0)
		rc = add_pairs(a, "-e", &j->environment, e);
	return rc == 0 ? argv_add(a, j->image, e) : rc;
}

int argv_of_job(const struct job_spec *j, const char *run_name, struct argv *ret, struct err *e)
{
	int rc = 0;
	size_t before;
	*ret = (struct argv){0};
	switch (j->kind) {
	case JOB_LOCAL:
		rc = of_local(j, ret, e);
		break;
	case JOB_EXEC:
		rc = of_exec(j, ret, e);
		break;
	case JOB_RUN:
		rc = of_run(j, run_name, ret, e);
		break;
	}
	before = ret->n;
	/* A container that is only started again has its command already. */
	if (rc == 0 && j->command && !(j->kind == JOB_RUN && j->container))
		rc = argv_split(ret, j->command, e);
	if (rc == 0 && j->kind != JOB_RUN && ret->n == before)
		rc = err_set(e, E_USAGE, 0, "the command is empty");
	if (rc < 0)
		argv_free(ret);
	return rc;
}
