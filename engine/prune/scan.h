/* scan.h - asks a question of every chunk of a dimension, regions in parallel. */
#ifndef MCFS_PRUNE_SCAN_H
#define MCFS_PRUNE_SCAN_H

#include <signal.h>

#include "engine/base/pool.h"
#include "engine/prune/examine.h"
#include "engine/prune/selection.h"

struct scan {
	struct source *source;
	struct pool *pool;
	const struct query_names *names;
	struct examine_options ask; /* `ctx` is given to all of the calls below */
	bool neighbours;	    /* facts.missing is asked about */
	const struct selection *forced; /* NULL: none is */
	int64_t now;
	const volatile sig_atomic_t *cancel;

	/* Once, before the first chunk: the region files that there are; those without a region kind are
	 * in it and have no chunks. */
	int (*regions)(void *ctx, const struct source_regions *all, struct err *e);
	/* On some worker, for each chunk (header entry of the region kind) of region number i, slots in
	 * order; one region is always one worker's. */
	int (*chunk)(void *ctx, size_t i, unsigned slot, enum answer a, const struct examiner *x,
		struct err *e);
};

/* E_CANCELLED, or what went wrong first, with the region's name. Memory: a few MiB a thread, and 140
 * bytes a region with `neighbours`. */
int scan_dimension(const struct scan *s, const struct world_dim *dim, struct err *e) MUST_CHECK;

/* "the_nether", or "world_nether/the_nether" where there are several worlds. */
char *scan_dim_label(const struct world_dim *dim);
/* Which chunks have header entries. */
int scan_presence(struct source *s, const struct world_dim *dim, const struct source_regions *all,
	struct selection **ret, struct err *e) MUST_CHECK;

#endif
