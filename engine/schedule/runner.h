/* runner.h - runs jobs when they are due: a state machine that is driven from outside.
 *
 * It has no clock, no threads and no children of its own: the caller tells the time to
 * runner_step(), starts and signals processes for it (struct runner_ops), and tells it their output
 * and their end. So a test can let a month pass in a moment.
 *
 * A run of a job goes through these states:
 *
 *   DELAYED      its random delay (jitter) passes
 *   WAITING      for jobs it depends on that are on their way, for worlds that are in use, for the
 *                lock of another process
 *   RUNNING      its process is there
 *   TERMINATING  it was told to end (time-out, stop), and ends when nothing of its group is left;
 *                after kill-after that is killed
 *   KILLED       waiting for the end that must come
 *   BACKOFF      it failed and is tried again later
 *   (over)       gone
 *
 * Rules. A job that is on its way is not begun again (no-overlap, on unless the file says no): the
 * due time is skipped and said. Runs that name the same world never run together; who waited first
 * is first. A run whose dependency failed in its last run is skipped. A due time that is seen more
 * than RUNNER_LATE_S late was missed: made up for once with catch-up, else only said. A clock that
 * is set back by up to three hours makes nothing run again. One job's failure, at whatever point,
 * touches no other job but those that depend on it.
 *
 * One thread. */
#ifndef MCFS_SCHEDULE_RUNNER_H
#define MCFS_SCHEDULE_RUNNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/base/log.h"
#include "engine/config/schedule_config.h"
#include "engine/schedule/history.h"
#include "engine/schedule/zone.h"

#define RUNNER_LATE_S 600

/* wall: ms since 1970, may jump. mono: ms of a clock that only goes on. */
struct moment {
	int64_t wall, mono;
};

struct runner_ops {
	/* As spawn_start(). */
	int (*start)(void *ctx, char *const *argv, char *const *env, const char *dir, pid_t *ret,
		struct err *e);
	/* To the process's whole group, also when the process itself has ended; 0: none. Whether there
	 * is anything left of the group. */
	bool (*signal)(void *ctx, pid_t pid, int sig);
	/* Take a name against other processes: 0, or E_LOCKED when another has it. May be NULL. */
	int (*lock)(void *ctx, const char *name, int *ret_handle, struct err *e);
	void (*unlock)(void *ctx, int handle);
	void *ctx;
};

struct runner_env {
	struct runner_ops ops;
	const struct log *log;
	struct history *history;    /* may be NULL */
	const char *notify_program; /* for web hooks: PROGRAM KIND URL, the event in its environment */
	bool only_look;		    /* change nothing: no history is written, nothing is made up for */
	bool no_timers;		    /* only what is triggered: "run JOB" */
	const char *timezone;	    /* of schedules when the file says none; NULL: the machine's */
	uint64_t seed;		    /* of the random delays: the same seed, the same delays */
};

struct runner;

/* Takes its own reference of the configuration; `env` is copied, what it points to must outlive the
 * runner. E_USAGE: a schedule or command that makes no sense, with its line. */
int runner_new(const struct runner_env *env, struct schedule_config *cfg, struct moment now,
	struct runner **ret, struct err *e) MUST_CHECK;
/* Processes that still run are left alone. */
void runner_free(struct runner *r);

/* Do what is due. Returns in how many ms (mono) it wants to be called again at the latest, -1 when
 * only events can change something. */
int64_t runner_step(struct runner *r, struct moment now);
void runner_output(struct runner *r, pid_t pid, struct span bytes);
void runner_ended(struct runner *r, pid_t pid, int status);

/* Another configuration: jobs of the same name go on, with what is known of them. After a failure
 * everything is as it was. Runs on their way end under the old one. */
int runner_reload(struct runner *r, struct schedule_config *cfg, struct moment now,
	struct err *e) MUST_CHECK;
/* Run a job now. E_NOTFOUND; E_EXISTS when it is on its way. */
int runner_trigger(struct runner *r, const char *job, struct moment now, struct err *e) MUST_CHECK;
/* Begin nothing more. What waits is given up; what runs is waited for, or told to end. May be called
 * again to be stricter. */
void runner_stop(struct runner *r, enum stop_policy policy, struct moment now);
/* Nothing is on its way, hooks included. */
bool runner_idle(const struct runner *r);

/* ---- looking ---- */

struct job_status {
	const struct job_spec *spec;
	const struct zone *zone;
	int64_t next_due;   /* seconds; -1: none */
	const char *state;  /* "idle", or of its first run: "waiting", "running", "retrying", .. */
	int64_t running_ms; /* since its start; -1 */
	enum run_result last_result;
	int last_exit_code;
	int64_t last_started, last_ended, last_ok; /* ms; 0: never */
	uint64_t ok, failed, skipped, missed;	   /* since the scheduler began */
	const char *last_message;		   /* NULL or one line */
};

size_t runner_n_jobs(const struct runner *r);
void runner_job(const struct runner *r, size_t i, struct moment now, struct job_status *ret);
/* Due times of a job, from now on. */
int runner_next(const struct runner *r, size_t i, int64_t after, int64_t *ret,
	struct err *e) MUST_CHECK;

#endif
