/* pool.h - worker threads with a bounded queue and a memory budget.
 *
 * One producer thread submits jobs; workers run them in order of submission as threads become
 * free. A job states how many bytes it will hold while it waits and runs: pool_submit() waits, and
 * meanwhile runs jobs on the caller's own thread, until the budget has room. A job larger than the
 * whole budget runs alone. So the caller is one of the workers, and `threads` counts it.
 *
 * Jobs must not submit jobs. A job reports failure through its own argument. */
#ifndef MCFS_BASE_POOL_H
#define MCFS_BASE_POOL_H

#include <stddef.h>

#include "engine/base/err.h"

struct pool;
typedef void (*pool_fn)(void *arg, unsigned worker);

/* `threads` >= 1 in all, the caller's included; 0: one a processor. */
int pool_new(struct pool **ret, unsigned threads, size_t budget, struct err *e) MUST_CHECK;
/* Waits for all jobs, then ends the threads. NULL is fine. */
void pool_free(struct pool *p);
/* `worker` in the calls to `fn` is below this number and belongs to one thread at a time. */
unsigned pool_threads(const struct pool *p);

/* Hand over a job; always accepted. */
void pool_submit(struct pool *p, pool_fn fn, void *arg, size_t bytes);
/* Run or wait for jobs until `*pending` (changed only under pool_lock) is at most `most`. */
void pool_wait(struct pool *p, const size_t *pending, size_t most);
/* Wait for everything submitted. */
void pool_drain(struct pool *p);
/* The lock that guards counters used with pool_wait(); pool_unlock() wakes the waiters. */
void pool_lock(struct pool *p);
void pool_unlock(struct pool *p);

#endif
