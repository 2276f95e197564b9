/* The life of one run: from waiting to its last try. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "engine/schedule/runner_internal.h"

static void run_is_over(struct run *u)
{
	u->state = RUN_OVER;
	u->job->n_active--;
}

/* ---- may it begin? ---- */

static bool has_process(const struct run *u)
{
	return u->state == RUN_RUNNING || u->state == RUN_TERMINATING || u->state == RUN_KILLED;
}

static const char *shared_world(const struct run *a, const struct run *b)
{
	for (size_t i = 0; i < a->spec->worlds.n; i++)
		for (size_t k = 0; k < b->spec->worlds.n; k++)
			if (strcmp(a->spec->worlds.v[i], b->spec->worlds.v[k]) == 0)
				return a->spec->worlds.v[i];
	return NULL;
}

/* Whether a run of the same world has it, or is before this one in the queue. Only runs that are
 * ready count there: one that waits for another job must not keep that from its world. */
static bool world_is_taken(struct runner *r, struct run *u)
{
	bool before = true;
	for (size_t i = 0; i < r->n_runs; i++) {
		const struct run *o = r->runs[i];
		if (o == u) {
			before = false;
			continue;
		}
		bool queued = before && o->state == RUN_WAITING && o->ready;
		const char *world = has_process(o) || queued ? shared_world(u, o) : NULL;
		if (!world)
			continue;
		if (!u->said)
			say(r, LOG_INFO, u->job->name, "waits: job \"%s\" %s world \"%s\"",
				o->job->name, queued ? "is before it for" : "uses", world);
		u->said = true;
		return true;
	}
	return false;
}

/* 0: go on; 1: wait; -1: it was skipped. */
static int look_at_dependencies(struct runner *r, struct run *u)
{
	char why[200];
	if (u->cause == CAUSE_HAND)
		return 0;
	for (size_t i = 0; i < u->spec->depends_on.n; i++) {
		const char *name = u->spec->depends_on.v[i];
		const struct job *d = find_job(r, name);
		if (d && d->n_active) {
			if (!u->said)
				say(r, LOG_INFO, u->job->name, "waits for job \"%s\"", name);
			u->said = true;
			return 1;
		}
		if (d && d->last_result == RESULT_OK)
			continue;
		snprintf(why, sizeof why, "it depends on job \"%.80s\", which %s", name,
			!d || d->last_result == RESULT_NONE ? "has not run" : "failed");
		note_not_run(r, u->job, u->due, RESULT_SKIPPED, why);
		run_is_over(u);
		return -1;
	}
	return 0;
}

static void unlock_all(struct runner *r, struct run *u)
{
	while (u->n_locks)
		r->env.ops.unlock(r->env.ops.ctx, u->locks[--u->n_locks]);
}

static int lock_one(struct runner *r, struct run *u, const char *what, const char *name,
	struct err *e)
{
	char full[256];
	snprintf(full, sizeof full, "%s-%s", what, name);
	int rc = r->env.ops.lock(r->env.ops.ctx, full, &u->locks[u->n_locks], e);
	if (rc == 0)
		u->n_locks++;
	return rc;
}

/* Against other processes: "run JOB" by hand, a second scheduler. All or none. */
static int lock_all(struct runner *r, struct run *u, struct err *e)
{
	if (!r->env.ops.lock)
		return 0;
	if (!u->locks)
		u->locks = calloc(u->spec->worlds.n + 1, sizeof *u->locks);
	if (!u->locks)
		return err_set(e, E_NOMEM, 0, "no memory");
	int rc = u->spec->no_overlap ? lock_one(r, u, "job", u->job->name, e) : 0;
	for (size_t i = 0; rc == 0 && i < u->spec->worlds.n; i++)
		rc = lock_one(r, u, "world", u->spec->worlds.v[i], e);
	if (rc < 0)
		unlock_all(r, u);
	return rc;
}

/* ---- the end of a try ---- */

static void flush_line(struct runner *r, struct run *u)
{
	bool any = u->line_len || u->line_cut;
	if (any && u->lines < LINES_MAX)
		say(r, LOG_INFO, u->job->name, "| %.*s%s", (int)u->line_len, u->line,
			u->line_cut ? " [..]" : "");
	else if (any && u->lines == LINES_MAX)
		say(r, LOG_WARN, u->job->name, "has put out %d lines: more are not logged; the history "
			"keeps the end", LINES_MAX);
	if (any && u->lines <= LINES_MAX)
		u->lines++;
	u->line_len = 0;
	u->line_cut = false;
}

static void record_end(struct runner *r, struct run *u, enum run_result result, int exit_code,
	const char *message)
{
	struct history_run h = {.id = u->history_id, .job = u->job->name, .ended = r->now.wall,
		.result = result, .exit_code = exit_code, .message = message, .output = u->tail};
	struct err e = ERR_INIT;
	struct job *j = u->job;
	j->last_result = result;
	j->last_exit_code = exit_code;
	j->last_ended = r->now.wall;
	if (result == RESULT_OK)
		j->last_ok = r->now.wall;
	snprintf(j->last_message, sizeof j->last_message, "%s", message);
	if (u->history_id && history_end(r->env.history, &h, r->cfg->history_keep, &e) < 0)
		say(r, LOG_ERROR, NULL, "%s", e.msg);
	u->history_id = 0;
}

static int64_t backoff(const struct run *u)
{
	int64_t ms = u->spec->retry_delay;
	for (int i = 1; i < u->attempt && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	return ms > BACKOFF_MAX_MS && u->spec->retry_delay < BACKOFF_MAX_MS ? BACKOFF_MAX_MS : ms;
}

/* A try has failed: again later, or that was it. */
static void fail_try(struct runner *r, struct run *u, enum run_result result, int exit_code,
	const char *message)
{
	char later[40];
	record_end(r, u, result, exit_code, message);
	unlock_all(r, u);
	if (result != RESULT_INTERRUPTED && u->attempt <= u->spec->retries && !r->stopping) {
		u->state = RUN_BACKOFF;
		u->until = r->now.mono + backoff(u);
		say(r, LOG_WARN, u->job->name, "%s; try %d of %d in %s", message, u->attempt + 1,
			u->spec->retries + 1, span_words(u->until - r->now.mono, later));
		return;
	}
	say(r, result == RESULT_INTERRUPTED ? LOG_WARN : LOG_ERROR, u->job->name, "%s", message);
	run_is_over(u);
	if (result == RESULT_INTERRUPTED)
		return;
	u->job->failed++;
	hooks_tell(r, u, result, exit_code, message);
}

static void process_ended(struct runner *r, struct run *u)
{
	char message[200], took[40], limit[40];
	int s = u->status, code = WIFEXITED(s) ? WEXITSTATUS(s) : -1;
	span_words(r->now.mono - u->started.mono, took);
	flush_line(r, u);
	u->pid = 0;
	u->has_ended = false;
	u->until = INT64_MAX;
	if (u->stopped) {
		snprintf(message, sizeof message, "interrupted after %s: the scheduler stops", took);
		fail_try(r, u, RESULT_INTERRUPTED, code, message);
	} else if (u->timed_out) {
		snprintf(message, sizeof message, "failed: timed out after %s",
			span_words(u->spec->timeout, limit));
		fail_try(r, u, RESULT_TIMEOUT, code, message);
	} else if (code != 0) {
		if (code > 0)
			snprintf(message, sizeof message, "failed: exit code %d after %s", code, took);
		else
			snprintf(message, sizeof message, "failed: killed by signal %d after %s",
				WIFSIGNALED(s) ? WTERMSIG(s) : 0, took);
		fail_try(r, u, RESULT_FAILED, code, message);
	} else {
		snprintf(message, sizeof message, "finished ok in %s", took);
		say(r, LOG_INFO, u->job->name, "%s", message);
		record_end(r, u, RESULT_OK, 0, message);
		unlock_all(r, u);
		u->job->ok++;
		run_is_over(u);
		hooks_tell(r, u, RESULT_OK, 0, message);
	}
}

/* A run that was told to end is over when all of it is: its first process may be a shell that obeys
 * at once, while what it started still tidies up, or does not think of it. A run that ended by
 * itself may leave things in the background. */
static bool group_is_left(struct runner *r, const struct run *u)
{
	return u->state == RUN_TERMINATING && r->env.ops.signal(r->env.ops.ctx, u->pid, 0);
}

void run_terminate(struct runner *r, struct run *u)
{
	u->state = RUN_TERMINATING;
	u->until = r->now.mono + u->cfg->kill_after;
	r->env.ops.signal(r->env.ops.ctx, u->pid, SIGTERM);
	/* A stopped process gets to its end only when it goes on. */
	r->env.ops.signal(r->env.ops.ctx, u->pid, SIGCONT);
}

void run_give_up(struct runner *r, struct run *u, const char *why)
{
	unlock_all(r, u);
	note_not_run(r, u->job, u->due, RESULT_INTERRUPTED, why);
	run_is_over(u);
}

/* ---- the beginning ---- */

static void record_begin(struct runner *r, struct run *u)
{
	struct history_run h = {.job = u->job->name, .due = u->due, .started = r->now.wall,
		.attempt = u->attempt, .exit_code = -1};
	struct err e = ERR_INIT;
	u->history_id = 0;
	if (r->env.history && history_begin(r->env.history, &h, &u->history_id, &e) < 0) {
		say(r, LOG_ERROR, NULL, "%s", e.msg);
		u->history_id = 0;
	}
}

/* A container's name: letters, digits, _ . - only. */
static void container_name(const struct runner *r, const struct run *u, char out[96])
{
	int n = snprintf(out, 96, "mcfs-%.50s-%lld-%d", u->job->name, (long long)r->now.wall,
		u->attempt);
	for (int i = 0; i < n && i < 95; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-",
			    out[i]))
			out[i] = '_';
}

/* "2026-03-29T02:00:00Z" */
static char *due_text(int64_t t, char out[32])
{
	struct civil c;
	civil_of(t, &c);
	snprintf(out, 32, "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)(c.year % 10000), c.month, c.day,
		c.hour, c.minute, c.second);
	return out;
}

static int start_process(struct runner *r, struct run *u, struct err *e)
{
	struct argv argv = {0}, env = {0};
	char due[32];
	char name[96];
	container_name(r, u, name);
	int rc = argv_of_job(u->spec, name, &argv, e);
	for (size_t i = 0; rc == 0 && u->spec->kind == JOB_LOCAL && i < u->spec->environment.n; i++)
		rc = argv_add(&env, u->spec->environment.v[i], e);
	if (rc == 0)
		rc = argv_addf(&env, e, "MCFS_JOB=%s", u->job->name);
	if (rc == 0)
		rc = argv_addf(&env, e, "MCFS_JOB_TRY=%d", u->attempt);
	if (rc == 0)
		rc = argv_addf(&env, e, "MCFS_JOB_DUE=%s", due_text(u->due, due));
	if (rc == 0)
		rc = r->env.ops.start(r->env.ops.ctx, argv.v, env.v,
			u->spec->kind == JOB_LOCAL ? u->spec->dir : NULL, &u->pid, e);
	if (rc == E_NOTFOUND && u->spec->kind != JOB_LOCAL)
		rc = err_set(e, E_NOTFOUND, 0,
			"[%s] goes through the docker command line, and there is none here; install it "
			"or make it a [job-local]",
			job_kind_name(u->spec->kind));
	argv_free(&argv);
	argv_free(&env);
	return rc;
}

static void start(struct runner *r, struct run *u)
{
	struct err e = ERR_INIT;
	char message[200];
	u->attempt++;
	u->job->skip_told = false;
	u->said = false;
	u->timed_out = false;
	u->tail_len = 0;
	u->lines = 0;
	u->started = r->now;
	u->job->last_started = r->now.wall;
	record_begin(r, u);
	if (start_process(r, u, &e) < 0) {
		u->pid = 0;
		snprintf(message, sizeof message, "failed: %.180s", e.msg);
		fail_try(r, u, RESULT_FAILED, -1, message);
		return;
	}
	u->state = RUN_RUNNING;
	u->until = u->spec->timeout > 0 ? r->now.mono + u->spec->timeout : INT64_MAX;
	if (u->attempt > 1)
		say(r, LOG_INFO, u->job->name, "started, try %d of %d", u->attempt,
			u->spec->retries + 1);
	else
		say(r, LOG_INFO, u->job->name, "started%s",
			u->cause == CAUSE_CATCH_UP	? " (made up for)"
			: u->cause == CAUSE_DEPENDENCY ? " (after what it depends on)"
			: u->cause == CAUSE_HAND	? " (by hand)"
							: "");
}

static void try_to_start(struct runner *r, struct run *u)
{
	struct err e = ERR_INIT;
	u->ready = false;
	if (look_at_dependencies(r, u) != 0)
		return;
	u->ready = true;
	if (world_is_taken(r, u) || u->retry_lock > r->now.mono)
		return;
	int rc = lock_all(r, u, &e);
	if (rc == E_LOCKED) {
		u->retry_lock = r->now.mono + LOCK_RETRY_MS;
		if (!u->said)
			say(r, LOG_INFO, u->job->name, "waits: %s", e.msg);
		u->said = true;
		return;
	}
	if (rc < 0) /* no reason to leave a backup out */
		say(r, LOG_ERROR, u->job->name, "not locked against other processes: %s", e.msg);
	u->retry_lock = 0;
	start(r, u);
}

void run_advance(struct runner *r, struct run *u)
{
	bool over = u->until <= r->now.mono;
	if (u->has_ended && !group_is_left(r, u)) {
		process_ended(r, u);
		return;
	}
	switch (u->state) {
	case RUN_DELAYED:
	case RUN_BACKOFF:
		if (!over)
			return;
		u->state = RUN_WAITING;
		u->until = INT64_MAX;
		return;
	case RUN_WAITING:
		try_to_start(r, u);
		return;
	case RUN_RUNNING:
		if (!over)
			return;
		u->timed_out = true;
		say(r, LOG_WARN, u->job->name, "takes too long: told to end");
		run_terminate(r, u);
		return;
	case RUN_TERMINATING:
		if (!over)
			return;
		say(r, LOG_WARN, u->job->name, "does not end: killed");
		r->env.ops.signal(r->env.ops.ctx, u->pid, SIGKILL);
		u->state = RUN_KILLED;
		u->until = INT64_MAX;
		return;
	case RUN_KILLED:
	case RUN_OVER:
		return;
	}
}

/* ---- output ---- */

static void keep_tail(struct run *u, struct span b)
{
	if (!u->tail)
		u->tail = malloc(TAIL_MAX + 1);
	if (!u->tail)
		return;
	if (b.n > TAIL_MAX)
		b = span_sub(b, b.n - TAIL_MAX, TAIL_MAX);
	if (u->tail_len + b.n > TAIL_MAX) {
		size_t drop = u->tail_len + b.n - TAIL_MAX;
		memmove(u->tail, u->tail + drop, u->tail_len - drop);
		u->tail_len -= drop;
	}
	memcpy(u->tail + u->tail_len, b.p, b.n);
	for (size_t i = 0; i < b.n; i++)
		if (!u->tail[u->tail_len + i])
			u->tail[u->tail_len + i] = '?';
	u->tail_len += b.n;
	u->tail[u->tail_len] = 0;
}

void run_take_output(struct runner *r, struct run *u, struct span b)
{
	keep_tail(u, b);
	for (size_t i = 0; i < b.n; i++) {
		if (b.p[i] == '\n') {
			flush_line(r, u);
		} else if (u->line_len == sizeof u->line) {
			u->line_cut = true; /* and not told, up to the line's end */
		} else if (b.p[i] != '\r') {
			u->line[u->line_len++] = b.p[i] ? (char)b.p[i] : '?';
		}
	}
}

void run_free(struct runner *r, struct run *u)
{
	unlock_all(r, u);
	if (u->state != RUN_OVER)
		u->job->n_active--;
	schedule_config_unref(u->cfg);
	free(u->locks);
	free(u->tail);
	free(u);
}
