/* compact_work.h - work on many blobs by all cores, within a bound of memory. Of compact only. */
#ifndef MCFS_SNAPSHOT_COMPACT_WORK_H
#define MCFS_SNAPSHOT_COMPACT_WORK_H

#include <signal.h>

#include "engine/base/pool.h"
#include "engine/store/store.h"

struct work;
/* `arg` was given to work_submit(), and is freed after the call. A failure ends the whole: what was
 * submitted and not begun is passed over. */
typedef int (*work_fn)(void *ctx, struct store *s, struct coder *c, void *arg, struct err *e);

int work_new(struct work **ret, struct store *s, unsigned threads, const volatile sig_atomic_t *cancel,
	struct err *e) MUST_CHECK;
void work_free(struct work *w);
struct store *work_store(struct work *w);
/* `arg` by malloc(), NULL when that failed; `bytes`: what the job will hold. */
int work_submit(struct work *w, work_fn fn, void *ctx, void *arg, size_t bytes, struct err *e) MUST_CHECK;
/* Wait for all; the first failure. */
int work_drain(struct work *w, struct err *e) MUST_CHECK;
/* Guards what jobs share with each other. */
void work_lock(struct work *w);
void work_unlock(struct work *w);

#endif
