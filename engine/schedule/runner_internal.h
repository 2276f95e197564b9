/* runner_internal.h - what the files of the runner share: runner.c (time and the table of jobs),
 * run.c (the life of one run), hooks.c (what is told when it is over). */
#ifndef MCFS_SCHEDULE_RUNNER_INTERNAL_H
#define MCFS_SCHEDULE_RUNNER_INTERNAL_H

#include "engine/schedule/argv.h"
#include "engine/schedule/cron.h"
#include "engine/schedule/runner.h"

#define LINE_MAX_CHARS 1000
#define TAIL_MAX 4000
#define LINES_MAX 10000 /* of a try's output in the log */
#define RUNS_MAX 8192
#define HOOK_SECONDS 60
#define LOCK_RETRY_MS 1000
#define GROUP_LOOK_MS 50
#define BACKOFF_MAX_MS ((int64_t)3600 * 1000)

struct job {
	char *name;
	const struct job_spec *spec; /* of the runner's configuration; NULL: no longer in the file */
	struct cron *cron;	     /* NULL: no schedule */
	int64_t next_due;	     /* seconds; -1: none */
	int64_t last_due;	     /* seconds; 0: never */
	unsigned n_active;	     /* runs on their way */
	bool skip_told;		     /* for the run that is on its way */
	enum run_result last_result;
	int last_exit_code;
	int64_t last_started, last_ended, last_ok; /* ms */
	uint64_t ok, failed, skipped, missed;
	char last_message[200];
};

enum run_state {
	RUN_DELAYED,
	RUN_WAITING,
	RUN_RUNNING,
	RUN_TERMINATING,
	RUN_KILLED,
	RUN_BACKOFF,
	RUN_OVER
};

enum run_cause { CAUSE_TIME, CAUSE_CATCH_UP, CAUSE_DEPENDENCY, CAUSE_HAND };

struct run {
	struct job *job;
	struct schedule_config *cfg; /* a reference */
	const struct job_spec *spec; /* of cfg */
	enum run_state state;
	enum run_cause cause;
	int64_t due;	 /* seconds */
	int64_t until;	 /* mono ms: the end of what the state waits for; INT64_MAX: nothing */
	int64_t retry_lock; /* mono ms: not before */
	bool ready;	 /* waits for nothing but worlds and locks */
	bool said;	 /* that it waits */
	int attempt;	 /* from 1 once started */
	pid_t pid;	 /* 0: none */
	struct moment started;
	bool timed_out, stopped;
	bool has_ended; /* its process, told by runner_ended(); of its group something may be left */
	int status;
	int64_t history_id; /* 0: none */
	int *locks;
	size_t n_locks;
	char line[LINE_MAX_CHARS];
	size_t line_len;
	unsigned lines; /* of this try so far */
	bool line_cut;
	char *tail; /* the end of its output; TAIL_MAX + 1 bytes once there is any */
	size_t tail_len;
};

struct hook {
	pid_t pid;
	char *job;
	int64_t until; /* mono ms */
	bool has_ended;
	int status;
};

struct runner {
	struct runner_env env;
	struct schedule_config *cfg;
	struct zone *zone; /* of schedules without one */
	struct job **jobs;
	size_t n_jobs;
	struct run **runs; /* in the order in which they came */
	size_t n_runs, cap_runs;
	struct hook *hooks;
	size_t n_hooks;
	struct moment now; /* of the last step */
	bool stopping;
	int64_t stop_at; /* mono ms: STOP_WAIT's patience ends; INT64_MAX */
};

/* runner.c */
void say(struct runner *r, enum log_level level, const char *job, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
struct job *find_job(const struct runner *r, const char *name);
/* A new run; NULL without memory (said). */
struct run *add_run(struct runner *r, struct job *j, enum run_cause cause, int64_t due);
/* Put it down that the job was not started, and why. */
void note_not_run(struct runner *r, struct job *j, int64_t due, enum run_result result,
	const char *why);
char *span_words(int64_t ms, char out[40]); /* "12 s", "3 min 20 s" */

/* run.c */
void run_advance(struct runner *r, struct run *u);
/* Tell a running process to end. */
void run_terminate(struct runner *r, struct run *u);
void run_give_up(struct runner *r, struct run *u, const char *why);
void run_take_output(struct runner *r, struct run *u, struct span bytes);
void run_free(struct runner *r, struct run *u);

/* hooks.c */
void hooks_tell(struct runner *r, const struct run *u, enum run_result result, int exit_code,
	const char *message);
void hooks_take_output(struct runner *r, pid_t pid, struct span bytes);
void hooks_advance(struct runner *r);

#endif
