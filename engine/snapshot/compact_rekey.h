/* compact_rekey.h - versions that no snapshot names and that only others are differences against: when
 * storing a dependent anew frees more than it writes, it is. docs/CRASH-SAFETY.md, "Re-keying". Of
 * compact.c only. */
#ifndef MCFS_SNAPSHOT_COMPACT_REKEY_H
#define MCFS_SNAPSHOT_COMPACT_REKEY_H

#include <signal.h>

#include "engine/snapshot/compact_plan.h"
#include "engine/snapshot/compact_work.h"

/* Bases that nobody names and that hang together, and the live versions that stand on them. */
struct rekey_group {
	uint32_t top;	 /* the base from which the others come */
	uint32_t anchor; /* the live version that `top` is a difference against; BLOBTAB_NONE: it is whole */
	uint32_t key;	 /* of those that stand on them the one that is to be the new base */
	uint32_t key_plain, top_plain;
	uint64_t key_bytes, top_bytes;
	uint64_t bytes;	    /* of the bases */
	uint64_t dependents; /* bytes of those that stand on them */
	uint32_t n;	    /* how many these are */
	size_t slot;	    /* the pack with the largest base, in the plan; it must go, or nothing is gained */
	uint64_t largest;
	uint64_t cost, gain; /* what storing them anew writes, and frees beyond that: estimates */
	bool chosen;
};

struct rekey {
	struct plan *p;
	struct rekey_group *v;
	size_t n, n_chosen;
	uint32_t *group; /* of each blob of the table: an index into `v`, or BLOBTAB_NONE */
};

/* Find what would pay, and set the fates of packs accordingly (as plan_choose() does alone). `room`: bytes
 * that may be written before anything is freed. Afterwards the flag BLOB_FREED says which copies are not
 * needed any more once rekey_run() is through. */
int rekey_plan(struct rekey *k, struct plan *p, unsigned max_unused, uint64_t room, struct err *e) MUST_CHECK;
/* Within a transaction: store anew what was chosen. Groups for which it turns out not to pay are left as they
 * are. *ret: how many blobs were stored. */
int rekey_run(struct rekey *k, struct work *w, uint64_t *ret, struct err *e) MUST_CHECK;
uint64_t rekey_cost(const struct rekey *k);
void rekey_free(struct rekey *k);

#endif
