/* repair.h - keep everything of a damaged store that can be kept.
 *
 * In this order, each step durable before the next, so that a kill at any instant leaves the store no
 * worse and the next repair goes on:
 *  1. parity (parity.h): packs with flipped, missing or cut off bytes are restored to the bit;
 *  2. frames that cannot be read, or not decoded since their base is gone, are dropped: the others of
 *     their packs are copied to new packs;
 *  3. the index: new objects say what unreadable ones said and what has changed; then the old ones go;
 *  4. lists of what is lost (lost.h): of blobs that snapshots name and the store has no more;
 *  5. snapshot objects that do not open are put aside in damaged/, and those that vanished go on record.
 * docs/CRASH-SAFETY.md, "Repair". */
#ifndef MCFS_SNAPSHOT_REPAIR_H
#define MCFS_SNAPSHOT_REPAIR_H

#include "engine/snapshot/check.h"
#include "engine/store/lock.h"

struct repair_options {
	struct check_options check; /* reads all; its callbacks and context, but for on_bad and the like */
	/* What was done, a line each. */
	void (*on_done)(void *ctx, const char *where, const char *what);
	const struct lock_wait *wait;
};

struct repair_result {
	struct check_result before, after; /* after: structure only */
	uint64_t parity_packs, parity_bytes; /* packs restored by parity, and bytes that were wrong */
	uint64_t rewritten_packs, lost_frames, lost_blobs; /* blobs: no copy is left */
	uint64_t saved_bytes; /* of frames copied out of damaged packs */
	uint64_t index_objects; /* replaced */
	uint64_t snapshots_aside, vanished;
};

/* Takes the exclusive lock. E_LOCKED tells who holds it. */
int repair_run(struct store *s, const struct repair_options *opt, struct repair_result *ret,
	struct err *e) MUST_CHECK;

#endif
