/* spawn.h - the children of the scheduler: started in sessions of their own, their output read
 * without blocking, ended by group.
 *
 * A child leads its own session and process group, so that a signal reaches all that it started and
 * none from a terminal reaches it. Standard input is /dev/null; output and errors come together
 * through one pipe. What a child leaves behind in the background when it ends is not waited for; the
 * pipe stays open for it.
 *
 * spawn_collect() waits for any child of the process (also orphans that fall to it as process 1 of a
 * container): nobody else in the process may. One thread. */
#ifndef MCFS_SCHEDULE_SPAWN_H
#define MCFS_SCHEDULE_SPAWN_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/base/buf.h"

struct spawner;

int spawner_new(struct spawner **ret, struct err *e) MUST_CHECK;
/* Children that still run are left alone. */
void spawner_free(struct spawner *s);

/* Start argv[0], looked for in PATH. `env`: NAME=VALUE to set beside the process's own. `dir` NULL:
 * the process's own. E_NOTFOUND: no such program or directory; E_IO. */
int spawn_start(struct spawner *s, char *const *argv, char *const *env, const char *dir,
	pid_t *ret, struct err *e) MUST_CHECK;
/* Send a signal to the child's whole group, or none (0); whether there is anything left of it. The
 * group may outlive the child: a number is not given anew as long as a group has it. */
bool spawn_signal(pid_t pid, int sig);

struct spawn_events {
	void (*output)(void *ctx, pid_t pid, struct span bytes);
	/* `status` as of waitpid(); what it had written itself has been told. */
	void (*ended)(void *ctx, pid_t pid, int status);
	void *ctx;
};
/* Tell what has happened since the last call. Never blocks. A flood of output is told in parts: then
 * it returns true, and there is more at once. */
bool spawn_collect(struct spawner *s, const struct spawn_events *ev);

/* How many children have not been told as ended. */
size_t spawn_n(const struct spawner *s);
/* What to poll for; at most `max`. Ends of children come as SIGCHLD. */
size_t spawn_pollfds(const struct spawner *s, struct pollfd *fds, size_t max);

#endif
