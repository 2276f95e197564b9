/* salvage.h - what check --repair does to packs and index objects: snapshot/repair.h, steps 2 and 3.
 *
 * For who holds the exclusive lock. */
#ifndef MCFS_STORE_SALVAGE_H
#define MCFS_STORE_SALVAGE_H

#include <signal.h>

#include "engine/store/nameset.h"
#include "engine/store/store.h"

struct salvage_result {
	uint64_t packs;	      /* missing ones and those that were rewritten */
	uint64_t lost_frames; /* dropped */
	uint64_t saved_bytes; /* copied */
	uint64_t index_objects; /* replaced or made */
};

/* Opens every frame of every pack. Packs that are missing, cut off, without a footer, with frames that
 * do not open or that hold one of the blobs `bad` are replaced by new ones with the frames that are left;
 * the index is rewritten where it names such packs or does not open, from records of packs whose
 * footers are readable. Packs that are doomed are left alone. Each step is durable before the next:
 * new packs, new index objects, then the removals; the store is refreshed. */
typedef void (*salvage_done)(void *ctx, const char *pack, uint64_t saved, uint64_t lost);
int store_salvage(struct store *s, const struct nameset *bad, salvage_done on_done, void *ctx,
	const volatile sig_atomic_t *cancel, struct salvage_result *ret, struct err *e) MUST_CHECK;

#endif
