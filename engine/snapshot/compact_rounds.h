/* compact_rounds.h - the packs that a plan lets go go, round by round: what is needed of them is copied out, they
 * are doomed, who may rely on them is waited for, they are removed. docs/CRASH-SAFETY.md, "Compact", steps 4 to 9.
 * Of compact.c only. */
#ifndef MCFS_SNAPSHOT_COMPACT_ROUNDS_H
#define MCFS_SNAPSHOT_COMPACT_ROUNDS_H

#include "engine/snapshot/compact.h"
#include "engine/snapshot/compact_plan.h"
#include "engine/snapshot/compact_work.h"
#include "engine/snapshot/mark.h"

/* All of it belongs to the caller, who holds the store's exclusive lock. */
struct rounds {
	struct store *s;
	const struct compact_options *opt;
	struct compact_result *ret; /* has `grace`; what is copied, written, removed and doomed is added */
	struct coder *coder;
	struct marker *mark; /* has walked all snapshots; walks those that come meanwhile */
	struct plan *plan;   /* with the fates of plan_choose(), and its table of blobs */
	struct doomed *doomed; /* what lay in doomed/ before; afterwards what lies there now */
	struct work *work;
	int level; /* of zstd, for what is compressed again */
};

/* How many bytes may be copied before something is removed. */
uint64_t rounds_step_bytes(const struct rounds *c);
/* All rounds. 0: every pack that was to go is removed, or doomed and told so in `ret`: the grace is not over, or
 * somebody is in the way (waits_for). After a failure the store is valid, and the next run goes on. */
int rounds_run(struct rounds *c, struct err *e) MUST_CHECK;

#endif
