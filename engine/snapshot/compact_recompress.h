/* compact_recompress.h - what snapshots kept as it was, and what a higher level would make smaller. Of
 * compact.c only. */
#ifndef MCFS_SNAPSHOT_COMPACT_RECOMPRESS_H
#define MCFS_SNAPSHOT_COMPACT_RECOMPRESS_H

#include "engine/snapshot/compact_plan.h"
#include "engine/snapshot/compact_work.h"

/* Within a transaction: inflate live groups and streams of which there are only kept copies, in those packs that go
 * once that is done, by plan_choose() with `max_unused`; with 0 in all packs. Each becomes a better copy beside the kept
 * one. *ret: how many; it may be looked at meanwhile. The plan's fates are to be chosen again, and where *ret is not 0
 * what is used of its packs to be counted. */
int recompress_kept(struct work *w, struct plan *p, unsigned max_unused, uint64_t *ret,
	struct err *e) MUST_CHECK;
/* Of packs that stay those go as well of which a sample becomes a few percent smaller at `level`. */
int recompress_choose(struct work *w, struct plan *p, int level, struct err *e) MUST_CHECK;
/* What a job holds that compresses so many bytes at a level. */
size_t recompress_bytes(uint64_t plain, int level);

#endif
