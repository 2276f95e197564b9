/* job.h - the parts of mcfs-snapshot, the backup job: one run of backup.yaml.
 *
 * The job itself reads no world and opens no store: it coordinates. Each step is a mcfs of its own, so that
 * a step that is killed (out of memory) or runs into a damaged store leaves the job alive to turn the server's saving on again, to
 * run the hooks and to tell who watches. */
#ifndef MCFS_TOOLS_JOB_H
#define MCFS_TOOLS_JOB_H

#include "engine/config/backup_config.h"
#include "engine/server/coordinate.h"
#include "tools/mcfs/cli.h"

struct job {
	struct cli cli;
	struct backup_config *cfg;
	char *mcfs; /* the program */
	bool cron, dry_run, init;
	bool save_on; /* nothing else: a server that cannot be reached is worth a word */
	int64_t now;	   /* seconds; what the job takes for the present */
	bool now_is_given; /* --now */
	int code;	   /* the worst so far */
	bool failed;	   /* something went wrong that hooks are told of */
	char first_error[1000];
	struct buf log; /* what was printed, the last LOG_KEEP bytes; for those who watch */
	struct buf output; /* of the step that failed, for {output} */
	const char *repository, *label; /* of the step under way, for placeholders */
	json_t *steps;
	struct server *held; /* goes on as soon as the step under way has its copy of the sources */
	/* Of the last snapshot made. */
	char snapshot[64];
	uint64_t files, bytes, added;
};

/* ---- job.c ---- */

/* A line for people, unless --cron, -q or --json; kept for the log in any case. */
void job_say(struct job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A problem: printed always. `code` raises the job's. */
void job_warn(struct job *j, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A failure of a step: as job_warn(), and on_error hooks and notifications will tell it. */
void job_fail(struct job *j, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void job_keep_log(struct job *j, const char *p, size_t n);
/* Raise the exit code: any failure before "partly", "partly" before "done"; the first failure stays. */
void job_code(struct job *j, int code);

/* ---- step.c: a mcfs of its own ---- */

struct args {
	char **v;
	size_t n;
};
/* Add copies of the texts, up to NULL. Running out of memory shows in step_run(). */
void args_add(struct args *a, ...) __attribute__((sentinel));
void args_free(struct args *a);
/* Run the program with these arguments; its problems go to our standard error and to the log, its JSON
 * summary to *ret (NULL when there was none; json_decref() it). Returns its exit code; 1 with a message when it
 * cannot be run, 128 + N when signal N ended it. A signal to us is passed on. */
int step_run(struct job *j, struct args *a, json_t **ret);
/* Does this mcfs have the command, and does its help name the option (or NULL)? */
bool step_exists(struct job *j, const char *command, const char *option);
/* Run a command line with sh. Output as above, without JSON. Its end is in `output`. */
int shell_run(struct job *j, const char *line, struct buf *output);

/* ---- hooks.c ---- */

/* Run the hooks of a point; `actions` is what they are about (for HOOK_ACTION one). Before-hooks stop at the first that fails.
 * 0: all went well; 75: a before-hook says "not now, and that is no error"; else its exit code, told by
 * job_fail(). `state`: of after-hooks. */
#define HOOK_SOFT 75
int hooks_run(struct job *j, bool before, enum hook_point point, unsigned actions,
	enum notify_state state);
/* Tell those who watch. Failures are warnings that change no exit code. */
void job_notify(struct job *j, enum notify_state state, double seconds);

/* ---- world.c: one at a time, and the server ---- */

struct held {
	int *fds;
	size_t n;
};
/* Lock the sources and the server's console against other runs. E_LOCKED says who. */
int world_lock(struct job *j, char *const *sources, size_t n, struct held *ret, struct err *e) MUST_CHECK;
void world_unlock(struct held *h);

struct server {
	struct coordinate_options opt;
	char *password;
	bool on;	 /* rcon: is configured */
	struct coordination *c;
	int guard_fd;	 /* its end tells the guard that we died */
	pid_t guard;
};
/* Read passwords; undo what an earlier run left. What fails is told; the run goes on. */
void server_prepare(struct job *j, struct server *s, char *const *sources, size_t n);
/* Let the server hold still. What fails is told, and the snapshot is taken all the same: chunks are
 * never torn, only not all of one moment. */
void server_hold(struct job *j, struct server *s, char *const *sources, size_t n);
void server_release(struct job *j, struct server *s);
void server_free(struct server *s);

/* ---- actions.c ---- */

/* Everything for one repository, with its hooks. */
void repository_run(struct job *j, const struct backup_repository *r, struct server *s,
	char *const *sources, size_t n);
/* prune_rules, after the snapshots. */
void prune_run(struct job *j, char *const *sources, size_t n, bool snapshot_done);

#endif
