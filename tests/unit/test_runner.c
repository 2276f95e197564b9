/* runner: days that pass in a moment, with processes that only exist on paper. */
#include "tests/unit/support.h"

#include <signal.h>

#include "engine/schedule/argv.h"
#include "engine/schedule/runner.h"

#define MINUTE ((int64_t)60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define BEGIN ((int64_t)1772323200 * 1000) /* 2026-03-01 00:00 UTC, a Sunday */

/* A process: what it was started as, when, and how it will end. */
struct process {
	char job[40], argv0[40];
	int64_t group_until;   /* what it started lives so long */
	int64_t started, ends; /* mono; ends INT64_MAX: when it is told */
	int status;
	bool over, deaf; /* deaf: TERM does nothing */
	int signals[8];
	size_t n_signals;
};

struct fixture {
	struct process p[4000];
	size_t n;
	struct moment now;
	struct runner *r;
	char log[1 << 20];
	size_t log_n;
	struct log sink;
	/* How processes of a job behave. */
	struct {
		const char *job;
		int64_t takes;
		int status;
		int fails_first; /* that often, then well */
		bool deaf, absent;
		int64_t group_lives;
	} plan[8];
	char locked[40];
	bool lock_held;
};

static struct fixture *f;

static void on_log(void *ctx, enum log_level level, const char *line)
{
	(void)ctx;
	(void)level;
	int n = snprintf(f->log + f->log_n, sizeof f->log - f->log_n, "%lld %s\n",
		(long long)((f->now.wall - BEGIN) / 1000), line);
	assert_true(f->log_n + (size_t)n < sizeof f->log);
	f->log_n += (size_t)n;
}

static int op_start(void *ctx, char *const *argv, char *const *env, const char *dir, pid_t *ret,
	struct err *e)
{
	(void)ctx;
	(void)dir;
	struct process *p = &f->p[f->n];
	assert_true(f->n < N_OF(f->p));
	*p = (struct process){.started = f->now.mono, .ends = f->now.mono};
	for (; *env; env++)
		if (strncmp(*env, "MCFS_JOB=", 9) == 0)
			snprintf(p->job, sizeof p->job, "%s", *env + 9);
	snprintf(p->argv0, sizeof p->argv0, "%s", argv[0]);
	for (size_t i = 0; i < N_OF(f->plan); i++) {
		if (!f->plan[i].job || strcmp(f->plan[i].job, p->job) != 0)
			continue;
		if (f->plan[i].absent)
			return err_set(e, E_NOTFOUND, 0, "start '%s': none", argv[0]);
		p->ends = f->plan[i].takes < 0 ? INT64_MAX : f->now.mono + f->plan[i].takes;
		p->status = f->plan[i].status << 8;
		p->deaf = f->plan[i].deaf;
		p->group_until = f->plan[i].group_lives ? f->now.mono + f->plan[i].group_lives : 0;
		if (f->plan[i].fails_first && strcmp(p->argv0, "hook"))
			p->status = f->plan[i].fails_first-- > 0 ? 1 << 8 : 0;
	}
	*ret = (pid_t)(++f->n);
	return 0;
}

static bool op_signal(void *ctx, pid_t pid, int sig)
{
	(void)ctx;
	struct process *p = &f->p[pid - 1];
	bool left = !p->over || p->group_until > f->now.mono;
	if (sig == 0)
		return left;
	assert_true(left);
	if (sig == SIGKILL)
		p->group_until = f->now.mono;
	assert_true(p->n_signals < N_OF(p->signals));
	p->signals[p->n_signals++] = sig;
	if (sig == SIGKILL || (sig == SIGTERM && !p->deaf)) {
		p->ends = f->now.mono;
		p->status = sig;
	}
	return true;
}

static int op_lock(void *ctx, const char *name, int *ret, struct err *e)
{
	(void)ctx;
	if (f->lock_held && strcmp(name, f->locked) == 0)
		return err_set(e, E_LOCKED, 0, "another process holds it");
	*ret = 1;
	return 0;
}

static void op_unlock(void *ctx, int handle)
{
	(void)ctx;
	assert_int_equal(handle, 1);
}

static struct schedule_config *config(const char *s)
{
	struct schedule_config *c = NULL;
	OK(schedule_config_parse(text(s), "s.ini", &c, e));
	return c;
}

static struct runner_env environment(struct history *h)
{
	return (struct runner_env){.ops = {op_start, op_signal, op_lock, op_unlock, NULL},
		.log = &f->sink, .history = h, .timezone = "UTC", .notify_program = "notify"};
}

static void open_with(const char *s, struct history *h)
{
	struct schedule_config *c = config(s);
	struct runner_env env = environment(h);
	OK(runner_new(&env, c, f->now, &f->r, e));
	schedule_config_unref(c);
}

/* Let time pass, from one thing that happens to the next. */
static void pass(int64_t ms)
{
	int64_t end = f->now.mono + ms;
	for (;;) {
		for (size_t i = 0; i < f->n; i++)
			if (!f->p[i].over && f->p[i].ends <= f->now.mono) {
				f->p[i].over = true;
				runner_ended(f->r, (pid_t)(i + 1), f->p[i].status);
			}
		int64_t wait = runner_step(f->r, f->now), next = end;
		if (wait >= 0 && f->now.mono + wait < next)
			next = f->now.mono + (wait ? wait : 1);
		for (size_t i = 0; i < f->n; i++)
			if (!f->p[i].over && f->p[i].ends < next)
				next = f->p[i].ends > f->now.mono ? f->p[i].ends : f->now.mono;
		if (f->now.mono >= end)
			return;
		f->now.wall += next - f->now.mono;
		f->now.mono = next;
	}
}

static size_t starts(const char *job)
{
	size_t n = 0;
	for (size_t i = 0; i < f->n; i++)
		n += strcmp(f->p[i].job, job) == 0;
	return n;
}

static int64_t start_of(const char *job, size_t which)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->p[i].job, job) == 0 && which-- == 0)
			return f->p[i].started + BEGIN - 1000;
	fail_msg("job %s was not started that often", job);
	return 0;
}

static void says(const char *words)
{
	if (!strstr(f->log, words))
		fail_msg("nothing says '%s' in:\n%s", words, f->log);
}

static int begin(void **state)
{
	(void)state;
	f = calloc(1, sizeof *f);
	f->now = (struct moment){BEGIN, 1000};
	f->sink = (struct log){on_log, NULL};
	return 0;
}

static int end(void **state)
{
	(void)state;
	runner_free(f->r);
	free(f);
	return 0;
}

/* ---- a week of the example with jobs of our own ---- */

static void test_week(void **state)
{
	(void)state;
	f->plan[0] = (typeof(f->plan[0])){.job = "backup", .takes = 20 * MINUTE};
	f->plan[1] = (typeof(f->plan[0])){.job = "broken", .takes = 1000, .status = 3};
	f->plan[2] = (typeof(f->plan[0])){.job = "snapshot", .takes = 2 * HOUR};
	open_with("[job-exec \"backup\"]\nschedule = 0 2 * * *\ncontainer = borgmatic\ncommand = /b.sh\n"
		  "[job-exec \"cleanup\"]\nschedule = 0 3 * * 0\ncontainer = m\ncommand = /c.sh\n"
		  "[job-local \"snapshot\"]\nschedule = @every 1h30m\ncommand = s\n"
		  "[job-local \"broken\"]\nschedule = 30 * * * *\ncommand = b\n",
		NULL);
	pass(7 * DAY);
	assert_int_equal(starts("backup"), 7);
	assert_int_equal(starts("cleanup"), 1);
	assert_int_equal(starts("broken"), 7 * 24);
	/* Two hours each: every other due time finds it on its way. */
	assert_int_equal(starts("snapshot"), 7 * 24 * 60 / 180);
	assert_int_equal(start_of("cleanup", 0), BEGIN + 3 * HOUR);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(start_of("backup", i), BEGIN + (int64_t)i * DAY + 2 * HOUR);
	for (size_t i = 0; i < f->n; i++)
		for (size_t k = i + 1; k < f->n; k++)
			if (strcmp(f->p[i].job, f->p[k].job) == 0)
				assert_true(f->p[k].started >= f->p[i].ends);
	says("[job \"broken\"] failed: exit code 3 after 1 s");
	says("[job \"backup\"] finished ok in 20 min 0 s");
	says("[job \"snapshot\"] skipped: its last run is still on its way");
	assert_string_equal(f->p[0].job, "broken");
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->p[i].job, "backup") == 0)
			assert_string_equal(f->p[i].argv0, "docker");
}

static void test_worlds(void **state)
{
	(void)state;
	f->plan[0] = (typeof(f->plan[0])){.job = "a", .takes = 10 * MINUTE};
	f->plan[1] = (typeof(f->plan[0])){.job = "b", .takes = 10 * MINUTE};
	f->plan[2] = (typeof(f->plan[0])){.job = "c", .takes = 10 * MINUTE};
	f->plan[3] = (typeof(f->plan[0])){.job = "d", .takes = 10 * MINUTE};
	open_with("[job-local \"a\"]\nschedule = 0 1 * * *\ncommand = x\nworld = w\n"
		  "[job-local \"b\"]\nschedule = 1 1 * * *\ncommand = x\nworld = v, w\n"
		  "[job-local \"c\"]\nschedule = 2 1 * * *\ncommand = x\nworld = v\n"
		  "[job-local \"d\"]\nschedule = 2 1 * * *\ncommand = x\nworld = u\n",
		NULL);
	pass(2 * HOUR);
	assert_int_equal(start_of("a", 0), BEGIN + 60 * MINUTE);
	assert_int_equal(start_of("b", 0), BEGIN + 70 * MINUTE);
	/* v is free at 1:02, but b was first to wait for it. */
	assert_int_equal(start_of("c", 0), BEGIN + 80 * MINUTE);
	assert_int_equal(start_of("d", 0), BEGIN + 62 * MINUTE);
	says("[job \"b\"] waits: job \"a\" uses world \"w\"");
	says("[job \"c\"] waits: job \"b\" is before it for world \"v\"");
}

static void test_locks(void **state)
{
	(void)state;
	open_with("[job-local \"a\"]\nschedule = 0 1 * * *\ncommand = x\nworld = w\n", NULL);
	f->lock_held = true;
	strcpy(f->locked, "world-w");
	pass(HOUR + 5 * MINUTE);
	assert_int_equal(starts("a"), 0);
	f->lock_held = false;
	pass(MINUTE);
	assert_int_equal(starts("a"), 1);
	says("[job \"a\"] waits: another process holds it");
}

static void test_depends(void **state)
{
	(void)state;
	f->plan[0] = (typeof(f->plan[0])){.job = "snap", .takes = 10 * MINUTE};
	open_with("[job-local \"after\"]\ndepends-on = snap\ncommand = x\n"
		  "[job-local \"timed\"]\nschedule = 0 2 * * *\ndepends-on = snap\ncommand = x\nworld = w\n"
		  "[job-local \"both\"]\ndepends-on = after, timed\ncommand = x\n"
		  "[job-local \"snap\"]\nschedule = 0 2 * * *\ncommand = x\nworld = w\n",
		NULL);
	pass(3 * HOUR);
	assert_int_equal(start_of("after", 0), BEGIN + 130 * MINUTE);
	assert_int_equal(start_of("timed", 0), BEGIN + 130 * MINUTE);
	assert_int_equal(starts("both"), 1);
	says("[job \"timed\"] waits for job \"snap\"");
	f->plan[0].status = 1;
	pass(DAY);
	assert_int_equal(starts("snap"), 2);
	assert_int_equal(starts("after"), 1);
	assert_int_equal(starts("timed"), 1);
	assert_int_equal(starts("both"), 1);
	says("[job \"timed\"] skipped: it depends on job \"snap\", which failed");
	f->plan[0].status = 0;
	pass(DAY);
	assert_int_equal(starts("timed"), 2);
	assert_int_equal(starts("after"), 2);
	assert_int_equal(starts("both"), 2);
}

static void test_retries(void **state)
{
	(void)state;
	f->plan[0] = (typeof(f->plan[0])){.job = "r", .takes = 1000, .fails_first = 3};
	f->plan[1] = (typeof(f->plan[0])){.job = "s", .absent = true};
	open_with("[job-local \"r\"]\nschedule = 0 2 * * *\ncommand = x\nretries = 3\nretry-delay = 1m\n"
		  "on-failure = hook bad\non-success = hook good\n"
		  "[job-local \"s\"]\nschedule = 0 2 * * *\ncommand = x\nretries = 1\n"
		  "on-failure = https://example.org/\n",
		NULL);
	pass(3 * HOUR);
	/* 1, 2 and 4 minutes after the end of the try before; then the hook. */
	assert_int_equal(start_of("r", 1), BEGIN + 121 * MINUTE + 1000);
	assert_int_equal(start_of("r", 2), BEGIN + 123 * MINUTE + 2000);
	assert_int_equal(start_of("r", 3), BEGIN + 127 * MINUTE + 3000);
	assert_int_equal(starts("r"), 5);
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->p[i].argv0, "hook") == 0)
			assert_int_equal(i, f->n - 1);
	assert_string_equal(f->p[f->n - 1].argv0, "hook");
	says("[job \"r\"] failed: exit code 1 after 1 s; try 2 of 4 in 1 min 0 s");
	says("[job \"s\"] failed: start 'x': none; try 2 of 2");
	says("[job \"s\"] hook: start 'notify': none");
}

static void test_timeout(void **state)
{
	(void)state;
	f->plan[0] = (typeof(f->plan[0])){.job = "t", .takes = -1};
	f->plan[1] = (typeof(f->plan[0])){.job = "deaf", .takes = -1, .deaf = true};
	open_with("[global]\nkill-after = 30s\ntimeout = 1h\n"
		  "[job-local \"t\"]\nschedule = 0 2 * * *\ncommand = x\n"
		  "[job-local \"deaf\"]\nschedule = 0 2 * * *\ncommand = x\n",
		NULL);
	pass(4 * HOUR);
	assert_int_equal(f->p[0].n_signals, 2);
	assert_int_equal(f->p[0].signals[0], SIGTERM);
	assert_int_equal(f->p[0].ends - f->p[0].started, HOUR);
	assert_int_equal(f->p[1].n_signals, 3);
	assert_int_equal(f->p[1].signals[2], SIGKILL);
	assert_int_equal(f->p[1].ends - f->p[1].started, HOUR + 30000);
	says("[job \"t\"] failed: timed out after 1 h 0 min");
	says("[job \"deaf\"] does not end: killed");
	assert_true(runner_idle(f->r));
}

/* The first process obeys at once; what it started takes its time, or does not think of it. */
static void test_group_outlives(void **state)
{
	(void)state;
	f->plan[0] = (typeof(f->plan[0])){
		.job = "slow", .takes = -1, .group_lives = HOUR + 10000};
	f->plan[1] = (typeof(f->plan[0])){.job = "never", .takes = -1, .group_lives = DAY};
	f->plan[2] = (typeof(f->plan[0])){.job = "leaves", .takes = MINUTE, .group_lives = DAY};
	open_with("[global]\nkill-after = 30s\ntimeout = 1h\n"
		  "[job-local \"slow\"]\nschedule = 0 2 * * *\ncommand = x\n"
		  "[job-local \"never\"]\nschedule = 0 2 * * *\ncommand = x\n"
		  "[job-local \"leaves\"]\nschedule = 0 2 * * *\ncommand = x\n",
		NULL);
	pass(2 * HOUR + 30 * MINUTE);
	says("[job \"leaves\"] finished ok");
	pass(90 * MINUTE);
	assert_int_equal(f->p[0].n_signals, 2);
	assert_int_equal(f->p[1].n_signals, 3);
	assert_int_equal(f->p[2].n_signals, 0);
	says("10810 [job \"slow\"] failed: timed out");
	says("10830 [job \"never\"] does not end: killed");
	assert_true(runner_idle(f->r));
}

static void test_catch_up(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("history.db");
	struct history *h = NULL;
	static const char ini[] =
		"[job-local \"c\"]\nschedule = 0 2 * * *\ncommand = x\ncatch-up = true\n"
		"[job-local \"n\"]\nschedule = 0 2 * * *\ncommand = x\n"
		"[job-local \"e\"]\nschedule = @every 7h\ncommand = x\n"
		"[job-local \"long\"]\nschedule = 0 4 * * *\ncommand = x\ncatch-up = true\n";
	f->plan[0] = (typeof(f->plan[0])){.job = "long", .takes = -1};
	OK(history_open(path, false, &h, e));
	open_with(ini, h);
	pass(2 * HOUR + MINUTE); /* c and n have run; the scheduler ends without a word */
	assert_int_equal(f->n, 2);
	runner_free(f->r);
	f->r = NULL;
	f->now.wall += 3 * DAY;
	f->now.mono += 3 * DAY;
	open_with(ini, h);
	pass(MINUTE);
	assert_int_equal(starts("c"), 2);
	assert_int_equal(starts("n"), 1);
	says("[job \"c\"] missed: 3 times since 2026-03-02T02:00:00+00:00; made up for now");
	says("[job \"n\"] missed: 3 times since 2026-03-02T02:00:00+00:00");
	/* Not twice. */
	runner_free(f->r);
	f->r = NULL;
	open_with(ini, h);
	pass(2 * HOUR);
	assert_int_equal(starts("c"), 2);
	assert_int_equal(starts("long"), 1);
	/* Cut off in the middle of a run: once more. */
	runner_free(f->r);
	f->r = NULL;
	open_with(ini, h);
	pass(MINUTE);
	assert_int_equal(starts("long"), 2);
	says("[job \"long\"] its last run was interrupted; made up for now");
	struct history_job j;
	OK(history_job(h, "c", &j, e));
	assert_int_equal(j.last_result, RESULT_OK);
	runner_free(f->r);
	f->r = NULL;
	history_close(h);
}

static void test_beat_goes_on(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("beat.db");
	struct history *h = NULL;
	OK(history_open(path, false, &h, e));
	/* Restarted every five hours, a job of every seven still runs. */
	for (int i = 0; i < 10; i++) {
		open_with("[job-local \"e\"]\nschedule = @every 7h\ncommand = x\n", h);
		pass(5 * HOUR);
		runner_free(f->r);
		f->r = NULL;
	}
	assert_int_equal(starts("e"), 50 / 7);
	history_close(h);
}

static void test_clock_jumps(void **state)
{
	(void)state;
	open_with("[job-local \"n\"]\nschedule = 0 * * * *\ncommand = x\n"
		  "[job-local \"c\"]\nschedule = 0 * * * *\ncommand = x\ncatch-up = true\n",
		NULL);
	pass(HOUR + 30 * MINUTE);
	assert_int_equal(starts("n"), 2);
	f->now.wall -= 2 * HOUR; /* nothing runs again */
	pass(90 * MINUTE);
	assert_int_equal(starts("n"), 2);
	f->now.wall += 5 * HOUR + 20 * MINUTE; /* suspended */
	pass(MINUTE);
	assert_int_equal(starts("n"), 2);
	assert_int_equal(starts("c"), 3);
	says("[job \"n\"] missed: 5 times since");
	f->now.wall -= 100 * DAY; /* it was wrong all the time */
	pass(2 * HOUR);
	assert_int_equal(starts("n"), 4);
	says("set back by more than three hours");
}

static void test_stop_and_reload(void **state)
{
	(void)state;
	f->plan[0] = (typeof(f->plan[0])){.job = "a", .takes = -1};
	f->plan[1] = (typeof(f->plan[0])){.job = "b", .takes = 30 * MINUTE};
	static const char one[] = "[global]\nstop-timeout = 10m\n"
				  "[job-local \"a\"]\nschedule = 0 1 * * *\ncommand = x\n"
				  "[job-local \"b\"]\nschedule = @every 2h\ncommand = x\n"
				  "[job-local \"w\"]\nschedule = 0 1 * * *\ncommand = x\njitter = 3h\n";
	open_with(one, NULL);
	pass(90 * MINUTE);
	struct schedule_config *c = config("[job-local \"a\"]\nschedule = 61 1 * * *\ncommand = x\n");
	FAILS(E_USAGE, runner_reload(f->r, c, f->now, e));
	schedule_config_unref(c);
	assert_int_equal(runner_n_jobs(f->r), 3);
	/* a leaves the file while it runs; b keeps its beat. */
	c = config("[global]\nstop-timeout = 10m\n[job-local \"b\"]\nschedule = @every 2h\ncommand = y\n"
		   "[job-local \"d\"]\nschedule = 0 3 * * *\ncommand = x\n");
	OK(runner_reload(f->r, c, f->now, e));
	schedule_config_unref(c);
	pass(HOUR);
	assert_int_equal(start_of("b", 0), BEGIN + 2 * HOUR);
	assert_string_equal(f->p[f->n - 1].argv0, "y");
	struct job_status s;
	runner_job(f->r, 0, f->now, &s);
	assert_string_equal(s.spec->name, "a");
	assert_string_equal(s.state, "running");
	runner_stop(f->r, STOP_WAIT, f->now);
	pass(5 * MINUTE);
	assert_int_equal(f->p[0].n_signals, 0);
	assert_false(runner_idle(f->r));
	pass(10 * MINUTE); /* its patience ends */
	assert_true(runner_idle(f->r));
	says("[job \"a\"] interrupted after");
	pass(DAY);
	assert_int_equal(starts("d"), 0);
}

static void test_overlap_allowed(void **state)
{
	(void)state;
	f->plan[0] = (typeof(f->plan[0])){.job = "o", .takes = 90 * MINUTE};
	open_with("[job-local \"o\"]\nschedule = 0 * * * *\ncommand = x\nno-overlap = false\n", NULL);
	pass(10 * HOUR + MINUTE);
	assert_int_equal(starts("o"), 11);
}

static void test_jitter(void **state)
{
	(void)state;
	open_with("[job-local \"j\"]\nschedule = 0 2 * * *\ncommand = x\njitter = 1h\n", NULL);
	pass(30 * DAY);
	assert_int_equal(starts("j"), 30);
	int64_t least = DAY, most = 0;
	for (size_t i = 0; i < 30; i++) {
		int64_t late = (start_of("j", i) - BEGIN) % DAY - 2 * HOUR;
		assert_true(late >= 0 && late <= HOUR);
		least = late < least ? late : least;
		most = late > most ? late : most;
	}
	assert_true(most - least > 30 * MINUTE);
}

static void test_output(void **state)
{
	(void)state;
	f->plan[0] = (typeof(f->plan[0])){.job = "o", .takes = -1};
	open_with("[job-local \"o\"]\nschedule = 0 1 * * *\ncommand = x\n", NULL);
	pass(61 * MINUTE);
	char flood[10000];
	memset(flood, 'y', sizeof flood);
	runner_output(f->r, 1, text("one\ntw"));
	runner_output(f->r, 1, text("o\r\n\nthree"));
	runner_output(f->r, 1, span_of(flood, sizeof flood));
	runner_output(f->r, 99, text("nobody's"));
	runner_stop(f->r, STOP_TERMINATE, f->now);
	pass(MINUTE);
	says("[job \"o\"] | one\n");
	says("[job \"o\"] | two\n");
	says("yyy [..]\n");
	assert_null(strstr(f->log, "nobody"));
}

/* A job that never stops to speak does not fill the disk. */
static void test_much_output(void **state)
{
	(void)state;
	f->plan[0] = (typeof(f->plan[0])){.job = "o", .takes = -1};
	open_with("[job-local \"o\"]\nschedule = 0 1 * * *\ncommand = x\n", NULL);
	pass(61 * MINUTE);
	for (int i = 0; i < 12000; i++) {
		char line[16];
		snprintf(line, sizeof line, "%d\n", i);
		runner_output(f->r, 1, text(line));
	}
	runner_stop(f->r, STOP_TERMINATE, f->now);
	pass(MINUTE);
	says("| 9999\n");
	says("has put out 10000 lines");
	assert_null(strstr(f->log, "| 10000\n"));
	assert_null(strstr(f->log, "| 11999\n"));
}

static void test_argv(void **state)
{
	(void)state;
	static const struct {
		const char *text, *words; /* words with | between */
	} cases[] = {
		{"a  b\tc", "a|b|c"},
		{"sh -c 'a; \"b\"'", "sh|-c|a; \"b\""},
		{"x \"a b\"c\\ d ''", "x|a bc d|"},
		{"\"\\a\\\"\\$\"", "\\a\"$"},
		{"a\\\\b", "a\\b"},
		{"", ""},
	};
	for (size_t i = 0; i < N_OF(cases); i++) {
		struct argv a = {0};
		char got[100] = "";
		OK(argv_split(&a, cases[i].text, e));
		for (size_t k = 0; k < a.n; k++) {
			strcat(got, k ? "|" : "");
			strcat(got, a.v[k]);
		}
		assert_string_equal(got, cases[i].words);
		argv_free(&a);
	}
	struct argv a = {0};
	FAILS(E_USAGE, argv_split(&a, "a 'b", e));
	FAILS(E_USAGE, argv_split(&a, "a b\\", e));
	argv_free(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_week),
		TEST(test_worlds),
		TEST(test_locks),
		TEST(test_depends),
		TEST(test_retries),
		TEST(test_timeout),
		TEST(test_group_outlives),
		TEST(test_catch_up),
		TEST(test_beat_goes_on),
		TEST(test_clock_jumps),
		TEST(test_stop_and_reload),
		TEST(test_overlap_allowed),
		TEST(test_jitter),
		TEST(test_output),
		TEST(test_much_output),
		TEST(test_argv),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
