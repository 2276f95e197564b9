/* schedule_config.h - schedule.ini: Ofelia's sections and keys, and ours.
 *
 *   [global]  [job-local "name"]  [job-exec "name"]  [job-run "name"]
 *
 * What each key means is in mcfs-scheduler(1). A key that is not known is an error with its line. A
 * key of Ofelia that has no meaning here is taken, and a note says its line and what to use instead.
 * Schedules are texts here; engine/schedule/jobs.h reads them. */
#ifndef MCFS_CONFIG_SCHEDULE_CONFIG_H
#define MCFS_CONFIG_SCHEDULE_CONFIG_H

#include <stdbool.h>

#include "engine/base/buf.h"

#define SCHEDULE_JOBS_MAX 4096

enum job_kind { JOB_LOCAL, JOB_EXEC, JOB_RUN };

struct texts {
	char **v;
	size_t n;
};

/* What a job is told to do when a run is over: a web hook ("https://..") or a command. */
struct job_hooks {
	struct texts on_failure, on_success;
	char *slack; /* URL of a Slack web hook */
	bool slack_only_on_error;
};

struct job_spec {
	char *name;
	int line; /* of its section */
	enum job_kind kind;
	char *schedule; /* NULL: only after its dependencies, or by hand */
	int schedule_line;
	char *command; /* NULL: the image's own (job-run) */
	char *dir, *user;
	struct texts environment;	    /* NAME=VALUE */
	char *container, *image, *network, *hostname;
	struct texts volumes, volumes_from;
	bool tty, remove, pull;
	bool no_overlap;
	bool catch_up;
	int64_t timeout;     /* ms; 0: none */
	int64_t retry_delay; /* ms before the second try; doubled for each one after it */
	int64_t jitter;	     /* ms */
	int retries;
	int nice;
	struct texts depends_on, worlds;
	struct job_hooks hooks;
};

enum stop_policy { STOP_WAIT, STOP_TERMINATE };

struct schedule_config {
	unsigned refs;
	char *path;
	struct job_spec *jobs; /* in the order of the file */
	size_t n;
	struct job_spec defaults; /* what [global] says for all jobs; taken over already */
	char *timezone;		  /* of schedules without CRON_TZ; NULL: the machine's */
	int status_port;	  /* on 127.0.0.1; 0: none */
	char *status_file;	  /* Prometheus text, for node_exporter; NULL: none */
	enum stop_policy on_stop;
	int64_t stop_timeout; /* ms: how long STOP_WAIT waits */
	int64_t kill_after;   /* ms between TERM and KILL */
	int history_keep;     /* runs kept of each job */
	struct texts notes;   /* "line 7: ..." */
};

/* `path` is for messages. *ret has one reference. E_FORMAT and E_USAGE with "PATH: line N: ..". */
int schedule_config_parse(struct span text, const char *path, struct schedule_config **ret,
	struct err *e) MUST_CHECK;
int schedule_config_load(const char *path, struct schedule_config **ret, struct err *e) MUST_CHECK;
struct schedule_config *schedule_config_ref(struct schedule_config *c);
void schedule_config_unref(struct schedule_config *c);
/* NULL when there is no such job. */
const struct job_spec *schedule_config_job(const struct schedule_config *c, const char *name);
/* "job-local", .. */
const char *job_kind_name(enum job_kind k);

#endif
