/* scheduler.h - what the files of mcfs-scheduler share. */
#ifndef MCFS_TOOLS_SCHEDULER_H
#define MCFS_TOOLS_SCHEDULER_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "engine/schedule/runner.h"
#include "engine/schedule/spawn.h"

/* As those of mcfs(1). */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_LOCKED = 10,
	EXIT_INTERRUPTED = 130
};

struct options {
	const char *config;
	char *state_dir;
	bool json, quiet, metrics;
	/* Of the clock, for trying a schedule: */
	int64_t now_ms;	  /* -1: the real one */
	int64_t until_ms; /* -1: for ever */
	double scale;	  /* how many seconds pass in one */
	int count;	  /* of times or runs to show */
};

struct scheduler_command {
	const char *name;
	int (*run)(const struct options *o, int argc, char **argv);
	const char *usage, *summary;
};

int cmd_serve(const struct options *o, int argc, char **argv);
int cmd_run(const struct options *o, int argc, char **argv);
int cmd_validate(const struct options *o, int argc, char **argv);
int cmd_list(const struct options *o, int argc, char **argv);
int cmd_history(const struct options *o, int argc, char **argv);
int cmd_status(const struct options *o, int argc, char **argv);

/* ---- out.c: messages ---- */

/* "mcfs-scheduler: <message>" on stderr; the exit code of the failure. */
int out_fail(const struct err *e);
int out_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* With control characters as \xNN, so that a job's output cannot speak to the terminal. */
void out_text(FILE *f, const char *s);
/* A JSON string, quoted; bytes that are not UTF-8 become U+FFFD. */
void out_json(FILE *f, const char *s);

/* ---- clock.c: the time, or one that passes faster ---- */

struct sched_clock {
	bool made_up;
	double scale;
	int64_t start_wall, start_mono, skipped;
};

void clock_init(struct sched_clock *c, const struct options *o);
struct moment clock_now(const struct sched_clock *c);
/* Let a made-up clock go on by so many ms at once. */
void clock_skip(struct sched_clock *c, int64_t ms);

/* ---- locks.c: names taken against other processes ---- */

/* As runner_ops, in DIR/locks. */
int locks_take(const char *dir, const char *name, int *ret, struct err *e);
void locks_release(int handle);

/* ---- status.c ---- */

struct status_facts {
	const struct runner *runner;
	struct moment now;
	const char *config;
	bool reload_failed;
	const char *reload_error;
};

/* Text that the caller frees; NULL without memory. */
char *status_json(const struct status_facts *f, size_t *n);
char *status_prometheus(const struct status_facts *f, size_t *n);

/* ---- http.c: a listener that only answers ---- */

struct http;

/* On 127.0.0.1. `answer` gives the text of a path, to be freed, or NULL when there is none. */
typedef char *(*http_answer)(void *ctx, const char *path, const char **ret_type, size_t *ret_n);
int http_listen(int port, http_answer answer, void *ctx, struct http **ret, struct err *e) MUST_CHECK;
void http_close(struct http *h);
size_t http_pollfds(const struct http *h, struct pollfd *fds, size_t max);
/* Do what can be done without waiting. */
void http_step(struct http *h);
/* GET a path from 127.0.0.1: the whole answer's body, at most `max` bytes. */
int http_get(int port, const char *path, struct buf *body, size_t max, struct err *e) MUST_CHECK;

/* ---- setup.c: what most commands begin with ---- */

struct setup {
	struct schedule_config *cfg;
	struct zone *zone; /* of times that are shown */
	struct history *history;
	struct runner_env env;
	struct spawner *spawner;
	struct sched_clock clock;
	struct log log;
	char *notify;
	const char *state_dir;
	bool quiet, journal;
	bool no_history; /* there is one, but it cannot be used; was said */
	bool dirty; /* something was logged since the status file was written */
};

enum setup_kind { SETUP_LOOK, SETUP_WORK };

/* Load the configuration and, to work, make the state directory and the history. */
int setup_open(struct setup *s, const struct options *o, enum setup_kind kind,
	struct err *e) MUST_CHECK;
void setup_close(struct setup *s);
/* Print the configuration's notes to stderr. */
void setup_notes(const struct setup *s, const struct schedule_config *cfg);

#endif
