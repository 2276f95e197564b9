/* serve and run: the loop around the runner. It waits for the next due time, for output and ends of
 * jobs, for signals and for the status port, and does one thing after the other. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "tools/mcfs-scheduler/scheduler.h"

#define FDS_MAX 4500 /* as many as jobs can be, and the status port */
#define STATUS_FILE_MS 10000

static volatile sig_atomic_t stop_asked, reload_asked;

struct server {
	struct setup s;
	const struct options *o;
	struct runner *runner;
	struct http *http;
	bool reload_failed;
	char reload_error[600];
	int64_t status_written; /* mono ms of the real clock's kind */
	unsigned stops;		/* how often we were told to end */
};

static void on_signal(int sig)
{
	if (sig == SIGHUP)
		reload_asked = 1;
	else if (sig != SIGCHLD)
		stop_asked++;
}

/* Signals come only while the loop waits: `while_waiting` is the mask for that. */
static void take_signals(sigset_t *while_waiting)
{
	static const int ours[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	struct sigaction sa = {.sa_handler = on_signal};
	sigset_t block;
	sigemptyset(&block);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		sigaction(ours[i], &sa, NULL);
		sigaddset(&block, ours[i]);
	}
	sigprocmask(SIG_BLOCK, &block, while_waiting);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		sigdelset(while_waiting, ours[i]);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
}

static void output(void *ctx, pid_t pid, struct span bytes)
{
	runner_output(ctx, pid, bytes);
}

static void ended(void *ctx, pid_t pid, int status)
{
	runner_ended(ctx, pid, status);
}

/* ---- status ---- */

static struct status_facts facts(const struct server *v)
{
	return (struct status_facts){.runner = v->runner, .now = clock_now(&v->s.clock),
		.config = v->o->config, .reload_failed = v->reload_failed,
		.reload_error = v->reload_error};
}

static char *answer(void *ctx, const char *path, const char **type, size_t *n)
{
	struct status_facts f = facts(ctx);
	if (strcmp(path, "/metrics") == 0) {
		*type = "text/plain; version=0.0.4; charset=utf-8";
		return status_prometheus(&f, n);
	}
	if (strcmp(path, "/status") == 0 || strcmp(path, "/") == 0) {
		*type = "application/json";
		return status_json(&f, n);
	}
	if (strcmp(path, "/healthz") == 0) {
		*n = 3;
		return strdup("ok\n");
	}
	return NULL;
}

static void write_status_file(struct server *v, bool at_once)
{
	struct err e = ERR_INIT;
	struct status_facts f = facts(v);
	int64_t now = f.now.mono;
	size_t n = 0;
	if (!v->s.cfg->status_file || !v->s.dirty ||
		(!at_once && now - v->status_written < STATUS_FILE_MS))
		return;
	CLEANUP_FREE char *text = status_prometheus(&f, &n);
	v->s.dirty = false;
	v->status_written = now;
	if (text && io_write_file(AT_FDCWD, v->s.cfg->status_file, span_of(text, n), 0644, false, &e) < 0)
		log_say(&v->s.log, LOG_ERROR, "status-file: %s", e.msg);
}

static int open_status(struct server *v, int port, struct err *e)
{
	struct http *fresh = NULL;
	int rc = port ? http_listen(port, answer, v, &fresh, e) : 0;
	if (rc < 0)
		return rc;
	http_close(v->http);
	v->http = fresh;
	return 0;
}

/* ---- signals ---- */

static void reload(struct server *v)
{
	struct schedule_config *cfg = NULL;
	struct err e = ERR_INIT;
	struct zone *zone = NULL;
	const char *tz = getenv("TZ");
	int rc = schedule_config_load(v->o->config, &cfg, &e);
	if (rc == 0)
		rc = zone_load(cfg->timezone ? cfg->timezone : tz ? tz : "", &zone, &e);
	bool port_changes = rc == 0 && cfg->status_port != v->s.cfg->status_port;
	if (rc == 0)
		rc = runner_reload(v->runner, cfg, clock_now(&v->s.clock), &e);
	v->reload_failed = rc < 0;
	if (rc < 0) {
		snprintf(v->reload_error, sizeof v->reload_error, "%s", e.msg);
		log_say(&v->s.log, LOG_ERROR, "not reloaded, the old schedule goes on: %s", e.msg);
		zone_free(zone);
		schedule_config_unref(cfg);
		return;
	}
	if (port_changes && open_status(v, cfg->status_port, &e) < 0)
		log_say(&v->s.log, LOG_ERROR, "%s", e.msg);
	schedule_config_unref(v->s.cfg);
	zone_free(v->s.zone);
	v->s.cfg = cfg;
	v->s.zone = zone;
	setup_notes(&v->s, cfg);
	log_say(&v->s.log, LOG_INFO, "reloaded '%s': %zu job%s", cfg->path, cfg->n,
		cfg->n == 1 ? "" : "s");
}

static void stop(struct server *v, enum stop_policy policy)
{
	if (policy == STOP_WAIT)
		log_say(&v->s.log, LOG_INFO, "stops: waits for running jobs up to %lld s",
			(long long)(v->s.cfg->stop_timeout / 1000));
	else
		log_say(&v->s.log, LOG_INFO, "stops: running jobs are told to end");
	runner_stop(v->runner, policy, clock_now(&v->s.clock));
}

static void obey_signals(struct server *v, const sigset_t *while_waiting)
{
	sigset_t blocked;
	/* ppoll() lets them in only when it has to wait, which on a busy machine may be never. */
	sigprocmask(SIG_SETMASK, while_waiting, &blocked);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	if (reload_asked) {
		reload_asked = 0;
		if (!v->stops)
			reload(v);
	}
	while ((unsigned)stop_asked > v->stops)
		stop(v, v->stops++ ? STOP_TERMINATE : v->s.cfg->on_stop);
}

/* ---- the loop ---- */

static void wait_for_something(struct server *v, int64_t ms, const sigset_t *mask)
{
	struct pollfd fds[FDS_MAX];
	size_t n = v->http ? http_pollfds(v->http, fds, FDS_MAX) : 0;
	n += spawn_pollfds(v->s.spawner, fds + n, FDS_MAX - n);
	double real = v->s.clock.made_up ? (double)ms / v->s.clock.scale : (double)ms;
	struct timespec t = {(time_t)(real / 1000), 0};
	t.tv_nsec = (long)((real - (double)t.tv_sec * 1000) * 1e6);
	if (ppoll(fds, n, ms < 0 ? NULL : &t, mask) < 0 && errno != EINTR)
		usleep(100000); /* no memory in the kernel: not a reason to spin or to end */
}

/* In made-up time nothing is waited for that only time brings. */
static bool skip_ahead(struct server *v, int64_t ms)
{
	if (!v->s.clock.made_up || spawn_n(v->s.spawner) || ms < 0)
		return false;
	if (v->o->until_ms >= 0) {
		int64_t left = v->o->until_ms - clock_now(&v->s.clock).wall;
		ms = ms < left ? ms : left > 0 ? left : 0;
	}
	/* The next millisecond, not the same one for ever. */
	clock_skip(&v->s.clock, ms > 0 ? ms : 1);
	return true;
}

static void loop(struct server *v, bool until_idle, const sigset_t *mask)
{
	const struct spawn_events ev = {output, ended, v->runner};
	for (;;) {
		obey_signals(v, mask);
		bool more = spawn_collect(v->s.spawner, &ev);
		struct moment now = clock_now(&v->s.clock);
		if (v->o->until_ms >= 0 && now.wall > v->o->until_ms && !v->stops) {
			v->stops = 1;
			stop_asked = stop_asked ? stop_asked : 1;
			runner_stop(v->runner, STOP_WAIT, now);
		}
		int64_t wait = runner_step(v->runner, now);
		if (v->http)
			http_step(v->http);
		write_status_file(v, false);
		if ((v->stops || until_idle) && runner_idle(v->runner))
			return;
		if (more || stop_asked > (int)v->stops)
			wait = 0;
		if (v->s.cfg->status_file && v->s.dirty && (wait < 0 || wait > STATUS_FILE_MS))
			wait = STATUS_FILE_MS;
		if (v->http && (wait < 0 || wait > 1000) && http_pollfds(v->http, (struct pollfd[16]){0}, 16) > 1)
			wait = 1000; /* connections that do not go on are dropped */
		if (!skip_ahead(v, wait))
			wait_for_something(v, wait, mask);
	}
}

static int fail(struct server *v, const struct err *e)
{
	runner_free(v->runner);
	http_close(v->http);
	setup_close(&v->s);
	return out_fail(e);
}

int cmd_serve(const struct options *o, int argc, char **argv)
{
	struct server v = {.o = o, .status_written = INT64_MIN / 2};
	struct err e = ERR_INIT;
	sigset_t mask;
	int lock;
	(void)argv;
	if (argc > 1)
		return out_usage("serve takes no arguments");
	if (setup_open(&v.s, o, SETUP_WORK, &e) < 0)
		return out_fail(&e);
	int rc = locks_take(o->state_dir, "serve", &lock, &e);
	if (rc == E_LOCKED)
		rc = err_set(&e, E_LOCKED, 0,
			"another mcfs-scheduler serves with the state in '%s' (MCFS_STATE_DIR says where)",
			o->state_dir);
	if (rc < 0)
		return fail(&v, &e);
	take_signals(&mask);
	setup_notes(&v.s, v.s.cfg);
	rc = open_status(&v, v.s.cfg->status_port, &e);
	clock_init(&v.s.clock, o); /* a made-up time begins now, not before the history was opened */
	if (rc == 0)
		rc = runner_new(&v.s.env, v.s.cfg, clock_now(&v.s.clock), &v.runner, &e);
	if (rc < 0)
		return fail(&v, &e);
	log_say(&v.s.log, LOG_INFO, "mcfs-scheduler " MCFS_VERSION " serves %zu job%s of '%s'",
		v.s.cfg->n, v.s.cfg->n == 1 ? "" : "s", v.s.cfg->path);
	loop(&v, false, &mask);
	v.s.dirty = true;
	write_status_file(&v, true);
	log_say(&v.s.log, LOG_INFO, "mcfs-scheduler ends");
	runner_free(v.runner);
	http_close(v.http);
	setup_close(&v.s);
	locks_release(lock);
	return EXIT_DONE;
}

int cmd_run(const struct options *o, int argc, char **argv)
{
	struct server v = {.o = o};
	struct err e = ERR_INIT;
	struct job_status s = {0};
	sigset_t mask;
	if (argc != 2)
		return out_usage("run takes the name of one job");
	if (setup_open(&v.s, o, SETUP_WORK, &e) < 0)
		return out_fail(&e);
	v.s.env.no_timers = true;
	take_signals(&mask);
	int rc = runner_new(&v.s.env, v.s.cfg, clock_now(&v.s.clock), &v.runner, &e);
	if (rc == 0)
		rc = runner_trigger(v.runner, argv[1], clock_now(&v.s.clock), &e);
	if (rc < 0)
		return fail(&v, &e);
	loop(&v, true, &mask);
	for (size_t i = 0; i < runner_n_jobs(v.runner); i++) {
		runner_job(v.runner, i, clock_now(&v.s.clock), &s);
		if (strcmp(s.spec->name, argv[1]) == 0)
			break;
	}
	int code = v.stops ? EXIT_INTERRUPTED : s.ok ? EXIT_DONE : EXIT_FAILED;
	runner_free(v.runner);
	setup_close(&v.s);
	return code;
}
