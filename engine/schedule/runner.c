/* The table of jobs and time: what is due, what was missed, another configuration, the end. */
#include "engine/schedule/runner.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/schedule/runner_internal.h"

#define SET_BACK_MS ((int64_t)3 * 3600 * 1000)
#define COUNT_MISSED 1000
#define PARALLEL_MAX 16
#define WAKE_MS 60000 /* so that a clock that was set is noticed */

void say(struct runner *r, enum log_level level, const char *job, const char *fmt, ...)
{
	char text[LINE_MAX_CHARS + 64];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (job)
		log_say(r->env.log, level, "[job \"%s\"] %s", job, text);
	else
		log_say(r->env.log, level, "%s", text);
}

char *span_words(int64_t ms, char out[40])
{
	int64_t s = ms / 1000;
	if (s < 60)
		snprintf(out, 40, s < 10 && ms % 1000 >= 100 ? "%lld.%lld s" : "%lld s", (long long)s,
			(long long)(ms % 1000 / 100));
	else if (s < 3600)
		snprintf(out, 40, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
	else
		snprintf(out, 40, "%lld h %lld min", (long long)(s / 3600), (long long)(s / 60 % 60));
	return out;
}

struct job *find_job(const struct runner *r, const char *name)
{
	for (size_t i = 0; i < r->n_jobs; i++)
		if (strcmp(r->jobs[i]->name, name) == 0)
			return r->jobs[i];
	return NULL;
}

/* ---- runs ---- */

void note_not_run(struct runner *r, struct job *j, int64_t due, enum run_result result,
	const char *why)
{
	struct history_run h = {.job = j->name, .due = due, .ended = r->now.wall, .result = result,
		.exit_code = -1, .message = why};
	struct err e = ERR_INIT;
	int64_t id;
	say(r, LOG_WARN, j->name, "%s: %s", run_result_name(result), why);
	snprintf(j->last_message, sizeof j->last_message, "%s: %s", run_result_name(result), why);
	if (result == RESULT_SKIPPED)
		j->skipped++;
	else if (result == RESULT_MISSED)
		j->missed++;
	if (r->env.history && history_begin(r->env.history, &h, &id, &e) < 0)
		say(r, LOG_ERROR, NULL, "%s", e.msg);
}

struct run *add_run(struct runner *r, struct job *j, enum run_cause cause, int64_t due)
{
	struct run *u = calloc(1, sizeof *u);
	if (u && r->n_runs == r->cap_runs) {
		size_t cap = r->cap_runs ? r->cap_runs * 2 : 16;
		struct run **v = realloc(r->runs, cap * sizeof *v);
		if (!v) {
			free(u);
			u = NULL;
		} else {
			r->runs = v;
			r->cap_runs = cap;
		}
	}
	if (!u) {
		say(r, LOG_ERROR, j->name, "not started: no memory");
		return NULL;
	}
	*u = (struct run){.job = j, .cfg = schedule_config_ref(r->cfg), .spec = j->spec,
		.state = RUN_WAITING, .cause = cause, .due = due, .until = INT64_MAX};
	r->runs[r->n_runs++] = u;
	j->n_active++;
	return u;
}

/* The same for the same seed, job and time; different between machines. */
static int64_t random_delay(const struct runner *r, const struct job *j, int64_t due)
{
	uint64_t x = r->env.seed ^ (uint64_t)due * 0x9e3779b97f4a7c15u;
	for (const char *s = j->name; *s; s++)
		x = (x ^ (uint8_t)*s) * 0x100000001b3u;
	x ^= x >> 30, x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27, x *= 0x94d049bb133111ebu;
	x ^= x >> 31;
	return (int64_t)(x % (uint64_t)(j->spec->jitter + 1));
}

static void begin(struct runner *r, struct job *j, enum run_cause cause, int64_t due)
{
	unsigned most = j->spec->no_overlap ? 1 : PARALLEL_MAX;
	char why[80];
	if (j->n_active >= most || r->n_runs >= RUNS_MAX) {
		/* Said once a run: a job that hangs must not fill the history. */
		j->skipped += j->skip_told;
		if (j->skip_told)
			return;
		j->skip_told = true;
		snprintf(why, sizeof why,
			j->n_active == 1 ? "its last run is still on its way"
					 : "%u of its runs are still on their way",
			j->n_active);
		note_not_run(r, j, due, RESULT_SKIPPED, why);
		return;
	}
	struct run *u = add_run(r, j, cause, due);
	if (u && cause == CAUSE_TIME && j->spec->jitter > 0) {
		u->state = RUN_DELAYED;
		u->until = r->now.mono + random_delay(r, j, due);
	}
}

/* Jobs without a schedule follow those they depend on. */
static void begin_dependents(struct runner *r, const struct job *done)
{
	for (size_t i = 0; i < r->n_jobs; i++) {
		struct job *j = r->jobs[i];
		bool named = false, all = true;
		if (!j->spec || j->cron)
			continue;
		for (size_t k = 0; k < j->spec->depends_on.n; k++) {
			const struct job *d = find_job(r, j->spec->depends_on.v[k]);
			named |= d == done;
			all &= d && d->last_result == RESULT_OK && d->last_ok > j->last_started;
		}
		if (named && all)
			begin(r, j, CAUSE_DEPENDENCY, r->now.wall / 1000);
	}
}

/* ---- what is due ---- */

static int64_t next_of(const struct job *j, int64_t after)
{
	int64_t t;
	return cron_next(j->cron, after, &t, NULL) < 0 ? -1 : t;
}

/* The last due time that is not after `now`, from one that is due on; counts those before it. */
static int64_t latest_due(const struct job *j, int64_t due, int64_t now, int *count)
{
	int64_t every = cron_every(j->cron), t = due;
	*count = 0;
	if (every) {
		int64_t n = (now - due) / every;
		*count = n > COUNT_MISSED ? COUNT_MISSED : (int)n;
		return due + n * every;
	}
	for (int64_t next; *count < COUNT_MISSED; t = next) {
		next = next_of(j, t);
		if (next < 0 || next > now)
			return t;
		++*count;
	}
	/* So many that it is enough to know that one of the last minutes was among them. */
	int64_t next = next_of(j, now - RUNNER_LATE_S);
	return next >= 0 && next <= now ? next : t;
}

static void remember_due(struct runner *r, struct job *j, int64_t due)
{
	struct err e = ERR_INIT;
	j->last_due = due;
	if (r->env.history && history_due(r->env.history, j->name, due, &e) < 0)
		say(r, LOG_ERROR, NULL, "%s", e.msg);
}

/* What was missed until now, at the start or because the clock jumped. */
static void missed(struct runner *r, struct job *j, int64_t due, int count)
{
	char why[128], when[ZONE_TIME_CHARS];
	zone_format(cron_zone(j->cron), due, when);
	if (count > 1)
		snprintf(why, sizeof why, "%d%s times since %s", count,
			count >= COUNT_MISSED ? " or more" : "", when);
	else
		snprintf(why, sizeof why, "it was due at %s", when);
	if (!j->spec->catch_up) {
		note_not_run(r, j, due, RESULT_MISSED, why);
		return;
	}
	say(r, LOG_INFO, j->name, "missed: %s; made up for now", why);
	begin(r, j, CAUSE_CATCH_UP, due);
}

static void look_at(struct runner *r, struct job *j)
{
	int64_t now = r->now.wall / 1000;
	int before;
	if (!j->spec || !j->cron || j->next_due < 0 || j->next_due > now)
		return;
	int64_t first = j->next_due, due = latest_due(j, first, now, &before);
	j->next_due = next_of(j, cron_every(j->cron) ? due : now);
	remember_due(r, j, due);
	if (now - due > RUNNER_LATE_S)
		missed(r, j, first, before + 1);
	else
		begin(r, j, CAUSE_TIME, due);
}

static void set_first_due(struct runner *r, struct job *j)
{
	int64_t now = r->now.wall / 1000, last = j->last_due;
	if (!j->cron) {
		j->next_due = -1;
		return;
	}
	/* A time far ahead is of a clock that was wrong. */
	if (last > now + SET_BACK_MS / 1000)
		last = 0;
	if (last && cron_every(j->cron))
		j->next_due = last > now ? last + cron_every(j->cron)
					 : last + ((now - last) / cron_every(j->cron) + 1) *
							    cron_every(j->cron);
	else if (cron_every(j->cron))
		j->next_due = now + cron_every(j->cron);
	else
		j->next_due = next_of(j, last >= now ? last : now - 1);
}

/* What was due while no scheduler ran. */
static void look_back(struct runner *r, struct job *j, bool interrupted)
{
	int64_t now = r->now.wall / 1000, last = j->last_due;
	int before;
	if (r->env.no_timers || r->env.only_look || !j->cron)
		return;
	if (last && last < now) {
		int64_t first = next_of(j, last);
		if (first > 0 && first < now) {
			int64_t due = latest_due(j, first, now - 1, &before);
			remember_due(r, j, due);
			missed(r, j, first, before + 1);
			return;
		}
	}
	/* From here on counts the beat, also over restarts: a machine that is started every day still
	 * runs what is due every two days. */
	if (!last && cron_every(j->cron))
		remember_due(r, j, now);
	if (interrupted && j->spec->catch_up) {
		say(r, LOG_INFO, j->name, "its last run was interrupted; made up for now");
		begin(r, j, CAUSE_CATCH_UP, last ? last : now);
	}
}

static void notice_jumps(struct runner *r, struct moment now)
{
	int64_t jump = (now.wall - r->now.wall) - (now.mono - r->now.mono);
	r->now = now;
	if (jump > -SET_BACK_MS)
		return;
	say(r, LOG_WARN, NULL, "the clock was set back by more than three hours; the next times are "
			       "counted from now");
	for (size_t i = 0; i < r->n_jobs; i++) {
		r->jobs[i]->last_due = 0;
		if (r->jobs[i]->spec)
			set_first_due(r, r->jobs[i]);
	}
}

static void min_wait(int64_t *wait, int64_t ms)
{
	if (ms < 0)
		ms = 0;
	if (*wait < 0 || ms < *wait)
		*wait = ms;
}

static int64_t next_wake(const struct runner *r)
{
	int64_t wait = -1;
	if (!r->stopping && !r->env.no_timers)
		for (size_t i = 0; i < r->n_jobs; i++)
			if (r->jobs[i]->spec && r->jobs[i]->next_due >= 0)
				min_wait(&wait, r->jobs[i]->next_due * 1000 - r->now.wall);
	for (size_t i = 0; i < r->n_runs; i++) {
		const struct run *u = r->runs[i];
		if (u->until != INT64_MAX)
			min_wait(&wait, u->until - r->now.mono);
		if (u->state == RUN_WAITING && u->retry_lock)
			min_wait(&wait, u->retry_lock - r->now.mono);
		if (u->has_ended)
			min_wait(&wait, GROUP_LOOK_MS);
	}
	for (size_t i = 0; i < r->n_hooks; i++)
		min_wait(&wait, r->hooks[i].until - r->now.mono);
	if (r->stop_at != INT64_MAX)
		min_wait(&wait, r->stop_at - r->now.mono);
	return wait > WAKE_MS ? WAKE_MS : wait;
}

/* Jobs that have left the file and are no longer on their way. */
static void sweep_jobs(struct runner *r)
{
	size_t n = 0;
	for (size_t i = 0; i < r->n_jobs; i++) {
		struct job *j = r->jobs[i];
		if (j->spec || j->n_active) {
			r->jobs[n++] = j;
			continue;
		}
		cron_free(j->cron);
		free(j->name);
		free(j);
	}
	r->n_jobs = n;
}

static void sweep_runs(struct runner *r)
{
	size_t n = 0;
	bool any = false;
	for (size_t i = 0; i < r->n_runs; i++) {
		if (r->runs[i]->state != RUN_OVER) {
			r->runs[n++] = r->runs[i];
			continue;
		}
		run_free(r, r->runs[i]);
		any = true;
	}
	r->n_runs = n;
	if (any)
		sweep_jobs(r);
}

static void hold(struct runner *r)
{
	if (r->env.history)
		history_hold(r->env.history);
}

static void release(struct runner *r)
{
	struct err e = ERR_INIT;
	if (r->env.history && history_release(r->env.history, &e) < 0)
		say(r, LOG_ERROR, NULL, "%s", e.msg);
}

int64_t runner_step(struct runner *r, struct moment now)
{
	notice_jumps(r, now);
	hold(r);
	if (!r->stopping && !r->env.no_timers)
		for (size_t i = 0; i < r->n_jobs; i++)
			look_at(r, r->jobs[i]);
	release(r); /* that they were due is durable before anything is started */
	hold(r);
	if (r->stop_at <= now.mono) {
		r->stop_at = INT64_MAX;
		runner_stop(r, STOP_TERMINATE, now);
	}
	/* One run's end lets others begin; each pass ends at least one run or is the last. */
	for (bool changed = true; changed;) {
		changed = false;
		for (size_t i = 0; i < r->n_runs; i++) {
			struct run *u = r->runs[i];
			enum run_state before = u->state;
			if (before == RUN_OVER)
				continue;
			run_advance(r, u);
			changed |= u->state != before;
			if (u->state == RUN_OVER && u->job->last_result == RESULT_OK && !r->stopping &&
				!r->env.no_timers && u->job->last_ok == r->now.wall)
				begin_dependents(r, u->job);
		}
	}
	release(r);
	sweep_runs(r);
	hooks_advance(r);
	return next_wake(r);
}

/* ---- making and changing ---- */

/* Everything of a configuration that can be wrong. `crons` has room for all jobs. */
static int compile(const struct runner *r, const struct schedule_config *cfg, struct zone **zone,
	struct cron **crons, struct err *e)
{
	const char *name = cfg->timezone ? cfg->timezone : r->env.timezone ? r->env.timezone : "";
	int rc = zone_load(name, zone, e);
	if (rc < 0)
		return err_wrap(e, "%s", cfg->path);
	for (size_t i = 0; i < cfg->n; i++) {
		const struct job_spec *s = &cfg->jobs[i];
		struct argv a = {0};
		if (s->schedule) {
			rc = cron_parse(s->schedule, *zone, &crons[i], e);
			if (rc < 0)
				return err_wrap(e, "%s: line %d: job \"%s\"", cfg->path, s->schedule_line,
					s->name);
		}
		rc = argv_of_job(s, "name", &a, e);
		argv_free(&a);
		if (rc < 0)
			return err_wrap(e, "%s: line %d: job \"%s\"", cfg->path, s->line, s->name);
	}
	return 0;
}

static struct job *new_job(struct runner *r, const char *name, bool *interrupted)
{
	struct job *j = calloc(1, sizeof *j);
	struct history_job h = {0};
	struct err e = ERR_INIT;
	if (!j || !(j->name = strdup(name))) {
		free(j);
		return NULL;
	}
	j->next_due = -1;
	if (r->env.history && history_job(r->env.history, name, &h, &e) < 0)
		say(r, LOG_ERROR, NULL, "%s", e.msg);
	j->last_due = h.last_due;
	j->last_result = h.last_result;
	j->last_started = h.last_started;
	j->last_ended = h.last_ended;
	j->last_ok = h.last_ok;
	*interrupted = h.interrupted;
	return j;
}

/* Put a compiled configuration in place of the old one. Needs memory for all new jobs first. */
static int install(struct runner *r, struct schedule_config *cfg, struct zone *zone,
	struct cron **crons, struct err *e)
{
	size_t most = r->n_jobs + cfg->n;
	CLEANUP_FREE struct job **fresh = calloc(cfg->n + 1, sizeof *fresh);
	CLEANUP_FREE bool *interrupted = calloc(cfg->n + 1, sizeof *interrupted);
	struct job **table = realloc(r->jobs, (most + 1) * sizeof *table);
	bool ok = fresh && interrupted && table;
	if (table)
		r->jobs = table;
	for (size_t i = 0; ok && i < cfg->n; i++)
		if (!find_job(r, cfg->jobs[i].name))
			ok = (fresh[i] = new_job(r, cfg->jobs[i].name, &interrupted[i])) != NULL;
	if (!ok) {
		for (size_t i = 0; fresh && i < cfg->n; i++)
			if (fresh[i]) {
				free(fresh[i]->name);
				free(fresh[i]);
			}
		return err_set(e, E_NOMEM, 0, "no memory for the jobs");
	}
	for (size_t i = 0; i < r->n_jobs; i++)
		if (!schedule_config_job(cfg, r->jobs[i]->name)) {
			cron_free(r->jobs[i]->cron);
			r->jobs[i]->cron = NULL;
			r->jobs[i]->spec = NULL;
			r->jobs[i]->next_due = -1;
		}
	struct schedule_config *old = r->cfg;
	r->cfg = schedule_config_ref(cfg);
	for (size_t i = 0; i < cfg->n; i++) {
		struct job *j = fresh[i] ? fresh[i] : find_job(r, cfg->jobs[i].name);
		bool same = j->spec && j->spec->schedule && cfg->jobs[i].schedule &&
			    strcmp(j->spec->schedule, cfg->jobs[i].schedule) == 0;
		cron_free(j->cron);
		j->cron = crons[i];
		crons[i] = NULL;
		j->spec = &cfg->jobs[i];
		if (fresh[i])
			r->jobs[r->n_jobs++] = j;
		/* The beat of @every goes on. */
		if (!same || !cron_every(j->cron))
			set_first_due(r, j);
	}
	/* Only now is every job there that others depend on. */
	for (size_t i = 0; i < cfg->n; i++)
		if (fresh[i])
			look_back(r, fresh[i], interrupted[i]);
	schedule_config_unref(old);
	zone_free(r->zone);
	r->zone = zone;
	sweep_jobs(r);
	return 0;
}

int runner_reload(struct runner *r, struct schedule_config *cfg, struct moment now, struct err *e)
{
	struct zone *zone = NULL;
	CLEANUP_FREE struct cron **crons = calloc(cfg->n + 1, sizeof *crons);
	if (!crons)
		return err_set(e, E_NOMEM, 0, "no memory for the jobs");
	r->now = now;
	int rc = compile(r, cfg, &zone, crons, e);
	if (rc == 0)
		rc = install(r, cfg, zone, crons, e);
	if (rc < 0) {
		for (size_t i = 0; i < cfg->n; i++)
			cron_free(crons[i]);
		zone_free(zone);
	}
	return rc;
}

int runner_new(const struct runner_env *env, struct schedule_config *cfg, struct moment now,
	struct runner **ret, struct err *e)
{
	struct runner *r = calloc(1, sizeof *r);
	if (!r)
		return err_set(e, E_NOMEM, 0, "no memory for the scheduler");
	r->env = *env;
	r->now = now;
	r->stop_at = INT64_MAX;
	struct err he = ERR_INIT;
	if (env->history && !env->only_look && history_recover(env->history, now.wall, &he) < 0)
		say(r, LOG_ERROR, NULL, "%s", he.msg);
	int rc = runner_reload(r, cfg, now, e);
	if (rc < 0) {
		runner_free(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void runner_free(struct runner *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_runs; i++)
		run_free(r, r->runs[i]);
	for (size_t i = 0; i < r->n_jobs; i++) {
		cron_free(r->jobs[i]->cron);
		free(r->jobs[i]->name);
		free(r->jobs[i]);
	}
	for (size_t i = 0; i < r->n_hooks; i++)
		free(r->hooks[i].job);
	free(r->hooks);
	free(r->jobs);
	free(r->runs);
	zone_free(r->zone);
	schedule_config_unref(r->cfg);
	free(r);
}

int runner_trigger(struct runner *r, const char *name, struct moment now, struct err *e)
{
	struct job *j = find_job(r, name);
	r->now = now;
	if (!j || !j->spec)
		return err_set(e, E_NOTFOUND, 0, "there is no job \"%s\" in %s", name, r->cfg->path);
	if (j->n_active && j->spec->no_overlap)
		return err_set(e, E_EXISTS, 0, "job \"%s\" is on its way", name);
	return add_run(r, j, CAUSE_HAND, now.wall / 1000) ? 0
							   : err_set(e, E_NOMEM, 0, "no memory");
}

void runner_stop(struct runner *r, enum stop_policy policy, struct moment now)
{
	bool first = !r->stopping;
	r->now = now;
	r->stopping = true;
	if (first && policy == STOP_WAIT)
		r->stop_at = now.mono + r->cfg->stop_timeout;
	for (size_t i = 0; i < r->n_runs; i++) {
		struct run *u = r->runs[i];
		if (u->state == RUN_RUNNING && policy == STOP_TERMINATE) {
			u->stopped = true;
			run_terminate(r, u);
		} else if (u->state == RUN_DELAYED || u->state == RUN_WAITING ||
			   u->state == RUN_BACKOFF) {
			run_give_up(r, u, "the scheduler was stopped before it began");
		}
	}
}

bool runner_idle(const struct runner *r)
{
	return r->n_runs == 0 && r->n_hooks == 0;
}

/* ---- processes ---- */

void runner_output(struct runner *r, pid_t pid, struct span bytes)
{
	for (size_t i = 0; i < r->n_runs; i++)
		if (r->runs[i]->pid == pid)
			run_take_output(r, r->runs[i], bytes);
	hooks_take_output(r, pid, bytes);
}

void runner_ended(struct runner *r, pid_t pid, int status)
{
	for (size_t i = 0; i < r->n_runs; i++)
		if (r->runs[i]->pid == pid) {
			r->runs[i]->has_ended = true;
			r->runs[i]->status = status;
		}
	for (size_t i = 0; i < r->n_hooks; i++)
		if (r->hooks[i].pid == pid) {
			r->hooks[i].has_ended = true;
			r->hooks[i].status = status;
		}
}

/* ---- looking ---- */

size_t runner_n_jobs(const struct runner *r)
{
	return r->n_jobs;
}

int runner_next(const struct runner *r, size_t i, int64_t after, int64_t *ret, struct err *e)
{
	const struct job *j = r->jobs[i];
	if (!j->cron)
		return err_set(e, E_NOTFOUND, 0, "job \"%s\" has no schedule", j->name);
	if (j->next_due > after) {
		*ret = j->next_due;
		return 0;
	}
	return cron_next(j->cron, after, ret, e);
}

void runner_job(const struct runner *r, size_t i, struct moment now, struct job_status *ret)
{
	static const char *const names[] = {
		"delayed", "waiting", "running", "ending", "ending", "retrying", "idle"};
	const struct job *j = r->jobs[i];
	*ret = (struct job_status){.spec = j->spec, .zone = j->cron ? cron_zone(j->cron) : r->zone,
		.next_due = r->stopping ? -1 : j->next_due, .state = "idle", .running_ms = -1,
		.last_result = j->last_result, .last_exit_code = j->last_exit_code,
		.last_started = j->last_started, .last_ended = j->last_ended, .last_ok = j->last_ok,
		.ok = j->ok, .failed = j->failed, .skipped = j->skipped, .missed = j->missed,
		.last_message = j->last_message[0] ? j->last_message : NULL};
	for (size_t k = 0; k < r->n_runs; k++) {
		const struct run *u = r->runs[k];
		if (u->job != j)
			continue;
		ret->spec = ret->spec ? ret->spec : u->spec;
		ret->state = names[u->state];
		if (u->pid)
			ret->running_ms = now.mono - u->started.mono;
		break;
	}
}
