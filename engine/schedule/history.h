/* history.h - what the scheduler remembers: when each job was last due, and its runs.
 *
 * A small database (engine/db). The scheduler works on without it when it cannot be written: a full
 * disk stops no backup. Several processes may use it at once ("run" by hand beside "serve"). */
#ifndef MCFS_SCHEDULE_HISTORY_H
#define MCFS_SCHEDULE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"

struct history;

enum run_result {
	RESULT_NONE, /* it runs, or never ran */
	RESULT_OK,
	RESULT_FAILED,
	RESULT_TIMEOUT,
	RESULT_SKIPPED,	    /* not started: overlap, or a dependency that failed */
	RESULT_INTERRUPTED, /* the scheduler was stopped or died */
	RESULT_MISSED	    /* due while no scheduler ran, and not caught up */
};

const char *run_result_name(enum run_result r);

struct history_run {
	int64_t id;
	const char *job;
	int64_t due;		/* seconds since 1970 */
	int64_t started, ended; /* ms since 1970; 0 when not */
	int attempt;		/* from 1 */
	enum run_result result;
	int exit_code; /* -1: none, a signal or not started */
	const char *message, *output; /* one line; the end of what it printed */
};

struct history_job {
	int64_t last_due; /* 0: never seen */
	enum run_result last_result; /* of the last run that was started and is over */
	int64_t last_started, last_ended; /* ms; 0: never */
	int64_t last_ok;		  /* ms: end of the last good run; 0: never */
	bool interrupted; /* its very last run was cut off, or waited when the scheduler stopped */
};

/* Makes it if need be, unless it `must_exist`. E_* as db_open(). */
int history_open(const char *path, bool must_exist, struct history **ret, struct err *e) MUST_CHECK;
void history_close(struct history *h);

/* Between these, what is written comes together in one transaction, durable after the release: so that
 * many jobs at once do not cost as many waits for the disk. After any failure in between, all of it
 * is undone. */
void history_hold(struct history *h);
int history_release(struct history *h, struct err *e) MUST_CHECK;

/* Runs that have no end and whose scheduler is gone were interrupted. */
int history_recover(struct history *h, int64_t now_ms, struct err *e) MUST_CHECK;
int history_job(struct history *h, const char *job, struct history_job *ret,
	struct err *e) MUST_CHECK;
/* The job was due. */
int history_due(struct history *h, const char *job, int64_t due, struct err *e) MUST_CHECK;
int history_begin(struct history *h, const struct history_run *run, int64_t *ret_id,
	struct err *e) MUST_CHECK;
/* By id; keeps the last `keep` runs of the job. */
int history_end(struct history *h, const struct history_run *run, int keep,
	struct err *e) MUST_CHECK;
/* The last `limit` runs, newest first; of all jobs when `job` is NULL. `fn` ends it when not 0. */
int history_list(struct history *h, const char *job, int limit,
	int (*fn)(void *ctx, const struct history_run *), void *ctx, struct err *e) MUST_CHECK;

#endif
