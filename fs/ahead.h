/* ahead.h - threads that decode what a reader is about to want.
 *
 * The queue is short and a job that does not fit is dropped: the reader then decodes it itself.
 * Each thread has a coder of its own. Jobs must not wait for other jobs. */
#ifndef MCFS_FS_AHEAD_H
#define MCFS_FS_AHEAD_H

#include "engine/store/store.h"

struct ahead;
typedef void (*ahead_fn)(void *ctx, struct coder *c, const struct name *name, uint32_t what);

int ahead_new(struct ahead **ret, unsigned threads, ahead_fn fn, void *ctx,
	struct err *e) MUST_CHECK;
/* What waits is dropped, what runs is waited for. NULL is fine. */
void ahead_free(struct ahead *a);
/* False when the queue is full. */
bool ahead_submit(struct ahead *a, const struct name *name, uint32_t what);

#endif
