#include "engine/config/schedule_config.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/cleanup.h"
#include "engine/base/duration.h"
#include "engine/base/io.h"
#include "engine/config/inifile.h"

#define FILE_MAX ((size_t)1 << 20)
#define NAME_MAX_CHARS 100
#define NOTES_MAX 200

enum { LOCAL = 1, EXEC = 2, RUN = 4, GLOBAL = 8, JOBS = LOCAL | EXEC | RUN, ANY = JOBS | GLOBAL };

enum type {
	TEXT,	/* char * */
	TEXTS,	/* struct texts; may be given more than once */
	NAMES,	/* struct texts from a list with commas */
	YESNO,	/* bool */
	SPAN,	/* int64_t of ms */
	NUMBER, /* int */
	STOP,	/* enum stop_policy */
	NOTHING /* has no meaning here */
};

struct key {
	const char *name;
	unsigned where;
	enum type type;
	size_t at; /* in struct job_spec; for CONFIG_KEYs in struct schedule_config */
	int min, max;
	const char *instead; /* of NOTHING */
};

#define J(field) offsetof(struct job_spec, field)
#define C(field) offsetof(struct schedule_config, field)

#define INSTEAD_SAVE "the output is in the log, its end in 'mcfs-scheduler history JOB'"
#define INSTEAD_MAIL "use 'on-failure = COMMAND' with a mailer's command, or a web hook's URL"

static const struct key job_keys[] = {
	{"schedule", JOBS, TEXT, J(schedule)},
	{"command", JOBS, TEXT, J(command)},
	{"dir", JOBS, TEXT, J(dir)},
	{"user", JOBS, TEXT, J(user)},
	{"environment", ANY, TEXTS, J(environment)},
	{"container", EXEC | RUN, TEXT, J(container)},
	{"image", RUN, TEXT, J(image)},
	{"network", RUN, TEXT, J(network)},
	{"hostname", RUN, TEXT, J(hostname)},
	{"volume", RUN, TEXTS, J(volumes)},
	{"volumes-from", RUN, TEXTS, J(volumes_from)},
	{"tty", EXEC | RUN, YESNO, J(tty)},
	{"delete", RUN, YESNO, J(remove)},
	{"pull", RUN, YESNO, J(pull)},
	{"no-overlap", ANY, YESNO, J(no_overlap)},
	{"timeout", ANY, SPAN, J(timeout)},
	{"retries", ANY, NUMBER, J(retries), 0, 100},
	{"retry-delay", ANY, SPAN, J(retry_delay)},
	{"catch-up", ANY, YESNO, J(catch_up)},
	{"jitter", ANY, SPAN, J(jitter)},
	{"nice", ANY, NUMBER, J(nice), -20, 19},
	{"depends-on", JOBS, NAMES, J(depends_on)},
	{"world", JOBS, NAMES, J(worlds)},
	{"on-failure", ANY, TEXTS, J(hooks.on_failure)},
	{"on-success", ANY, TEXTS, J(hooks.on_success)},
	{"slack-webhook", ANY, TEXT, J(hooks.slack)},
	{"slack-only-on-error", ANY, YESNO, J(hooks.slack_only_on_error)},
	{"save-folder", ANY, NOTHING, 0, 0, 0, INSTEAD_SAVE},
	{"save-only-on-error", ANY, NOTHING, 0, 0, 0, INSTEAD_SAVE},
	{"smtp-host", ANY, NOTHING, 0, 0, 0, INSTEAD_MAIL},
	{"smtp-port", ANY, NOTHING, 0, 0, 0, INSTEAD_MAIL},
	{"smtp-user", ANY, NOTHING, 0, 0, 0, INSTEAD_MAIL},
	{"smtp-password", ANY, NOTHING, 0, 0, 0, INSTEAD_MAIL},
	{"smtp-tls-skip-verify", ANY, NOTHING, 0, 0, 0, INSTEAD_MAIL},
	{"email-to", ANY, NOTHING, 0, 0, 0, INSTEAD_MAIL},
	{"email-from", ANY, NOTHING, 0, 0, 0, INSTEAD_MAIL},
	{"mail-only-on-error", ANY, NOTHING, 0, 0, 0, INSTEAD_MAIL},
};

static const struct key config_keys[] = {
	{"timezone", GLOBAL, TEXT, C(timezone)},
	{"status-port", GLOBAL, NUMBER, C(status_port), 0, 65535},
	{"status-file", GLOBAL, TEXT, C(status_file)},
	{"on-stop", GLOBAL, STOP, C(on_stop)},
	{"stop-timeout", GLOBAL, SPAN, C(stop_timeout)},
	{"kill-after", GLOBAL, SPAN, C(kill_after)},
	{"history-keep", GLOBAL, NUMBER, C(history_keep), 1, 1000000},
};

#define N_OF(a) (sizeof(a) / sizeof *(a))

const char *job_kind_name(enum job_kind k)
{
	static const char *const names[] = {"job-local", "job-exec", "job-run"};
	return names[k];
}

/* ---- memory ---- */

static void texts_free(struct texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->v[i]);
	free(t->v);
	*t = (struct texts){0};
}

/* Takes the text over, also on failure. */
static int texts_add(struct texts *t, char *text, struct err *e)
{
	char **v = text ? realloc(t->v, (t->n + 1) * sizeof *v) : NULL;
	if (!v) {
		free(text);
		return err_set(e, E_NOMEM, 0, "no memory for the schedule");
	}
	t->v = v;
	t->v[t->n++] = text;
	return 0;
}

static int texts_copy(struct texts *to, const struct texts *from, struct err *e)
{
	for (size_t i = 0; i < from->n; i++) {
		int rc = texts_add(to, strdup(from->v[i]), e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static void spec_free(struct job_spec *j)
{
	free(j->name);
	for (size_t i = 0; i < N_OF(job_keys); i++) {
		void *at = (char *)j + job_keys[i].at;
		if (job_keys[i].type == TEXT)
			free(*(char **)at);
		else if (job_keys[i].type == TEXTS || job_keys[i].type == NAMES)
			texts_free(at);
	}
}

struct schedule_config *schedule_config_ref(struct schedule_config *c)
{
	c->refs++;
	return c;
}

void schedule_config_unref(struct schedule_config *c)
{
	if (!c || --c->refs)
		return;
	for (size_t i = 0; i < c->n; i++)
		spec_free(&c->jobs[i]);
	free(c->jobs);
	spec_free(&c->defaults);
	texts_free(&c->notes);
	free(c->path);
	free(c->timezone);
	free(c->status_file);
	free(c);
}

const struct job_spec *schedule_config_job(const struct schedule_config *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->jobs[i].name, name) == 0)
			return &c->jobs[i];
	return NULL;
}

/* ---- values ---- */

struct parsing {
	struct schedule_config *c;
	struct job_spec *job; /* of the section; NULL in [global] */
	bool globals;	      /* the first pass: only [global], whose defaults the jobs start from */
	bool in_global;
	bool seen[N_OF(job_keys) + N_OF(config_keys)]; /* in this section */
};

static int note(struct parsing *p, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int note(struct parsing *p, int line, const char *fmt, ...)
{
	char text[400], *out = NULL;
	va_list ap;
	if (p->c->notes.n >= NOTES_MAX)
		return 0;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (asprintf(&out, "line %d: %s", line, text) < 0)
		out = NULL;
	return texts_add(&p->c->notes, out, NULL);
}

static int wrong(const struct inifile_item *it, struct err *e, const char *what)
{
	return err_set(e, E_USAGE, 0, "line %d: %s = %.60s: %s", it->line, it->key, it->value, what);
}

static int set_yesno(const struct inifile_item *it, bool *ret, struct err *e)
{
	static const char *const yes[] = {"true", "yes", "on", "1"};
	static const char *const no[] = {"false", "no", "off", "0"};
	for (size_t i = 0; i < N_OF(yes); i++) {
		if (strcasecmp(it->value, yes[i]) == 0)
			*ret = true;
		else if (strcasecmp(it->value, no[i]) == 0)
			*ret = false;
		else
			continue;
		return 0;
	}
	return wrong(it, e, "this is true or false");
}

static int set_span(const struct inifile_item *it, int64_t *ret, struct err *e)
{
	int64_t n;
	if (duration_parse_go(it->value, &n, NULL) == 0)
		*ret = n / 1000000;
	else if (duration_parse_words(it->value, &n, NULL) == 0)
		*ret = n * 1000;
	else
		return wrong(it, e, "this is a duration, as '90s', '1h30m' or '2 days'");
	return 0;
}

static int set_number(const struct inifile_item *it, const struct key *k, int *ret, struct err *e)
{
	char *end, why[64];
	long n = strtol(it->value, &end, 10);
	if (*end || end == it->value || n < k->min || n > k->max) {
		snprintf(why, sizeof why, "this is a number from %d to %d", k->min, k->max);
		return wrong(it, e, why);
	}
	*ret = (int)n;
	return 0;
}

/* Names as file names and label values can hold them. */
static bool name_ok(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 127 || s[i] == '"' || s[i] == '\\')
			return false;
	return n > 0 && n <= NAME_MAX_CHARS;
}

static int add_names(const struct inifile_item *it, struct texts *to, struct err *e)
{
	for (const char *s = it->value; *s;) {
		size_t n = strcspn(s, ","), from = 0, to_ = n;
		while (from < to_ && (s[from] == ' ' || s[from] == '\t'))
			from++;
		while (to_ > from && (s[to_ - 1] == ' ' || s[to_ - 1] == '\t'))
			to_--;
		if (!name_ok(s + from, to_ - from))
			return wrong(it, e, "this is a list of names, with commas between");
		int rc = texts_add(to, strndup(s + from, to_ - from), e);
		if (rc < 0)
			return rc;
		s += n + (s[n] == ',');
	}
	return 0;
}

static int set_value(struct parsing *p, const struct inifile_item *it, const struct key *k, void *at,
	struct err *e)
{
	char *copy;
	switch (k->type) {
	case TEXT:
	case TEXTS:
		if (!*it->value)
			return wrong(it, e, "it has no value");
		copy = strdup(it->value);
		if (k->type == TEXTS)
			return texts_add(at, copy, e);
		*(char **)at = copy;
		return copy ? 0 : err_set(e, E_NOMEM, 0, "no memory for the schedule");
	case NAMES:
		return add_names(it, at, e);
	case YESNO:
		return set_yesno(it, at, e);
	case SPAN:
		return set_span(it, at, e);
	case NUMBER:
		return set_number(it, k, at, e);
	case STOP:
		if (strcmp(it->value, "wait") != 0 && strcmp(it->value, "terminate") != 0)
			return wrong(it, e, "this is 'wait' or 'terminate'");
		*(enum stop_policy *)at = it->value[0] == 'w' ? STOP_WAIT : STOP_TERMINATE;
		return 0;
	case NOTHING:
		return note(p, it->line, "'%s' has no meaning here: %s", it->key, k->instead);
	}
	return 0;
}

/* ---- sections and keys ---- */

static const struct {
	const char *name;
	enum job_kind kind;
} sections[] = {{"job-local", JOB_LOCAL}, {"job-exec", JOB_EXEC}, {"job-run", JOB_RUN}};

/* What [global] may hold, for a new job. */
static int inherit(struct job_spec *j, const struct job_spec *from, struct err *e)
{
	for (size_t i = 0; i < N_OF(job_keys); i++) {
		const struct key *k = &job_keys[i];
		const void *src = (const char *)from + k->at;
		void *dst = (char *)j + k->at;
		int rc = 0;
		if (!(k->where & GLOBAL))
			continue;
		if (k->type == TEXTS)
			rc = texts_copy(dst, src, e);
		else if (k->type == YESNO)
			*(bool *)dst = *(const bool *)src;
		else if (k->type == SPAN)
			*(int64_t *)dst = *(const int64_t *)src;
		else if (k->type == NUMBER)
			*(int *)dst = *(const int *)src;
		else if (k->type == TEXT && *(char *const *)src &&
			 !(*(char **)dst = strdup(*(char *const *)src)))
			rc = err_set(e, E_NOMEM, 0, "no memory for the schedule");
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int add_job(struct parsing *p, const struct inifile_item *it, enum job_kind kind,
	struct err *e)
{
	struct schedule_config *c = p->c;
	if (!it->sub || !name_ok(it->sub, strlen(it->sub)))
		return err_set(e, E_USAGE, 0,
			"line %d: a job needs a name of at most %d characters: [%s \"name\"]", it->line,
			NAME_MAX_CHARS, it->section);
	const struct job_spec *same = schedule_config_job(c, it->sub);
	if (same)
		return err_set(e, E_USAGE, 0, "line %d: there is a job \"%s\" in line %d already",
			it->line, it->sub, same->line);
	if (c->n >= SCHEDULE_JOBS_MAX)
		return err_set(e, E_USAGE, 0, "line %d: more than %d jobs", it->line,
			SCHEDULE_JOBS_MAX);
	struct job_spec *v = realloc(c->jobs, (c->n + 1) * sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for the schedule");
	c->jobs = v;
	p->job = &v[c->n];
	*p->job = (struct job_spec){.line = it->line, .kind = kind, .remove = true, .pull = true};
	c->n++;
	p->job->name = strdup(it->sub);
	if (!p->job->name)
		return err_set(e, E_NOMEM, 0, "no memory for the schedule");
	return inherit(p->job, &c->defaults, e);
}

static int begin_section(struct parsing *p, const struct inifile_item *it, struct err *e)
{
	memset(p->seen, 0, sizeof p->seen);
	p->in_global = false;
	p->job = NULL;
	if (strcmp(it->section, "global") == 0 && !it->sub) {
		p->in_global = true;
		return 0;
	}
	if (p->globals)
		return 0;
	for (size_t i = 0; i < N_OF(sections); i++)
		if (strcmp(it->section, sections[i].name) == 0)
			return add_job(p, it, sections[i].kind, e);
	if (strcmp(it->section, "job-service-run") == 0)
		return err_set(e, E_USAGE, 0,
			"line %d: [job-service-run] needs a Docker swarm, which is not supported here; "
			"use [job-run] or a [job-local] that calls 'docker service'",
			it->line);
	return err_set(e, E_USAGE, 0,
		"line %d: there is no section [%s]; there are [global], [job-local \"name\"], "
		"[job-exec \"name\"] and [job-run \"name\"]",
		it->line, it->section);
}

static const struct key *find_key(const struct key *keys, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static int warn_of_quoting(struct parsing *p, const struct inifile_item *it)
{
	int rc = 0;
	if (it->glued_comment)
		rc = note(p, it->line,
			"'%s': what follows '%.40s' is a comment; put the value into \"..\" if it is not "
			"meant as one",
			it->key, it->value);
	return rc;
}

/* The key and where its value goes, if it may stand in this section. */
static int place_key(struct parsing *p, const struct inifile_item *it, const struct key **ret,
	void **ret_at, bool **ret_seen, struct err *e)
{
	unsigned where = p->in_global ? GLOBAL : 1u << p->job->kind;
	const struct key *k = find_key(job_keys, N_OF(job_keys), it->key);
	const struct key *g = find_key(config_keys, N_OF(config_keys), it->key);
	if (!k && !g)
		return err_set(e, E_USAGE, 0, "line %d: there is no key '%s' (see mcfs-scheduler(1))",
			it->line, it->key);
	if (k && (k->where & where)) {
		*ret_at = (char *)(p->in_global ? &p->c->defaults : p->job) + k->at;
		*ret_seen = &p->seen[k - job_keys];
		*ret = k;
	} else if (g && p->in_global) {
		*ret_at = (char *)p->c + g->at;
		*ret_seen = &p->seen[N_OF(job_keys) + (size_t)(g - config_keys)];
		*ret = g;
	} else {
		return err_set(e, E_USAGE, 0, "line %d: '%s' has no place in [%s]", it->line, it->key,
			it->section);
	}
	return 0;
}

static int take_key(struct parsing *p, const struct inifile_item *it, struct err *e)
{
	const struct key *k = NULL;
	void *at = NULL;
	bool *seen = NULL;
	if (p->in_global != p->globals)
		return 0; /* the other pass */
	int rc = place_key(p, it, &k, &at, &seen, e);
	if (rc < 0)
		return rc;
	bool many = k->type == TEXTS || k->type == NAMES;
	if (*seen && !many && k->type != NOTHING)
		return err_set(e, E_USAGE, 0, "line %d: '%s' is there twice", it->line, it->key);
	if (!*seen && k->type == TEXT) { /* in place of what [global] said */
		free(*(char **)at);
		*(char **)at = NULL;
	} else if (!*seen && many && strcmp(k->name, "environment") != 0) {
		texts_free(at);
	}
	*seen = true;
	rc = set_value(p, it, k, at, e);
	if (p->job && strcmp(k->name, "schedule") == 0)
		p->job->schedule_line = it->line;
	return rc < 0 ? rc : warn_of_quoting(p, it);
}

static bool is_command(const char *key)
{
	return strcmp(key, "command") == 0 || strcmp(key, "on-failure") == 0 ||
	       strcmp(key, "on-success") == 0;
}

static int on_item(void *ctx, const struct inifile_item *it, struct err *e)
{
	struct parsing *p = ctx;
	return it->key ? take_key(p, it, e) : begin_section(p, it, e);
}

/* ---- what must be said, and what fits together ---- */

static int check_job(const struct job_spec *j, struct err *e)
{
	if (!j->schedule && j->depends_on.n == 0)
		return err_set(e, E_USAGE, 0,
			"line %d: job \"%s\" has neither a schedule nor depends-on", j->line, j->name);
	if (!j->command && j->kind != JOB_RUN)
		return err_set(e, E_USAGE, 0, "line %d: job \"%s\" has no command", j->line, j->name);
	if (j->kind == JOB_EXEC && !j->container)
		return err_set(e, E_USAGE, 0, "line %d: job \"%s\" has no container", j->line, j->name);
	if (j->kind == JOB_RUN && !j->image == !j->container)
		return err_set(e, E_USAGE, 0,
			"line %d: job \"%s\" needs an image for a new container, or a container to "
			"start: one of them",
			j->line, j->name);
	for (size_t i = 0; i < j->environment.n; i++) {
		const char *eq = strchr(j->environment.v[i], '=');
		if (!eq || eq == j->environment.v[i])
			return err_set(e, E_USAGE, 0,
				"line %d: job \"%s\": environment is NAME=VALUE, not '%.40s'", j->line,
				j->name, j->environment.v[i]);
	}
	return 0;
}

/* Words that only a shell understands. */
static int warn_of_shell(struct parsing *p, const struct job_spec *j)
{
	static const char *const shell[] = {" | ", " > ", " >> ", " && ", " || ", " ; ", " 2>", "$("};
	if (!j->command || strchr(j->command, '\'') || strchr(j->command, '"'))
		return 0;
	for (size_t i = 0; i < N_OF(shell); i++)
		if (strstr(j->command, shell[i]))
			return note(p, j->line,
				"job \"%s\": there is no shell between here and the command, which gets "
				"'%s' as an argument; use: sh -c '...'",
				j->name, shell[i]);
	return 0;
}

/* Each dependency is there, and none leads back. `mark`: 0 new, 1 on the way, 2 done. */
static int check_depends(const struct schedule_config *c, size_t i, uint8_t *mark, int depth,
	struct err *e)
{
	const struct job_spec *j = &c->jobs[i];
	if (mark[i] == 2)
		return 0;
	if (mark[i] == 1 || depth > 64)
		return err_set(e, E_USAGE, 0, "line %d: job \"%s\" %s", j->line, j->name,
			mark[i] == 1 ? "depends on itself, directly or through others"
				     : "has more than 64 jobs before it");
	mark[i] = 1;
	for (size_t k = 0; k < j->depends_on.n; k++) {
		const struct job_spec *d = schedule_config_job(c, j->depends_on.v[k]);
		if (!d)
			return err_set(e, E_USAGE, 0,
				"line %d: job \"%s\" depends on \"%s\", which is not there", j->line,
				j->name, j->depends_on.v[k]);
		int rc = check_depends(c, (size_t)(d - c->jobs), mark, depth + 1, e);
		if (rc < 0)
			return rc;
	}
	mark[i] = 2;
	return 0;
}

static int check_all(struct parsing *p, struct err *e)
{
	struct schedule_config *c = p->c;
	int rc = 0;
	CLEANUP_FREE uint8_t *mark = calloc(c->n + 1, 1);
	if (!mark)
		return err_set(e, E_NOMEM, 0, "no memory for the schedule");
	for (size_t i = 0; rc == 0 && i < c->n; i++) {
		rc = check_job(&c->jobs[i], e);
		if (rc == 0)
			rc = warn_of_shell(p, &c->jobs[i]);
	}
	for (size_t i = 0; rc == 0 && i < c->n; i++)
		rc = check_depends(c, i, mark, 0, e);
	return rc;
}

int schedule_config_parse(struct span text, const char *path, struct schedule_config **ret,
	struct err *e)
{
	struct schedule_config *c = calloc(1, sizeof *c);
	struct parsing p = {.c = c, .globals = true};
	if (!c)
		return err_set(e, E_NOMEM, 0, "no memory for the schedule");
	*c = (struct schedule_config){.refs = 1, .path = strdup(path), .on_stop = STOP_TERMINATE,
		.stop_timeout = 300000, .kill_after = 10000, .history_keep = 1000,
		.defaults = {.no_overlap = true, .retry_delay = 30000}};
	int rc = c->path ? inifile_read(text, is_command, on_item, &p, e)
			 : err_set(e, E_NOMEM, 0, "no memory for the schedule");
	if (rc == 0) {
		p.globals = false;
		p.in_global = false;
		rc = inifile_read(text, is_command, on_item, &p, e);
	}
	if (rc == 0)
		rc = check_all(&p, e);
	if (rc < 0) {
		schedule_config_unref(c);
		return err_wrap(e, "%s", path);
	}
	*ret = c;
	return 0;
}

int schedule_config_load(const char *path, struct schedule_config **ret, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int rc = io_read_file(AT_FDCWD, path, &b, FILE_MAX, e);
	return rc < 0 ? rc : schedule_config_parse(buf_span(&b), path, ret, e);
}
