/* forgotten.h - snapshots that were given up, and the record of all that ever were.
 *
 * Forgetting a snapshot moves its object from "snapshots" to "forgotten", with the time. Nothing
 * else changes: its blobs stay until compact, and undelete puts the object back, byte for byte.
 * Compact begins with forgotten_release(): the forgotten ones shrink to a line in a sealed "mark",
 * and only then may what they alone held be thrown away. Marks are the reason that a store whose
 * newest snapshots were forgotten can be told from one that was put back to an older state, and that
 * a snapshot that vanished without being forgotten is noticed. docs/FORMAT.md, "Forgotten
 * snapshots and marks"; docs/CRASH-SAFETY.md, "Forget".
 *
 * An id in both "snapshots" and "forgotten" is a snapshot: it was brought back, or forgetting it was
 * interrupted.
 *
 * Threads: as store.h; several processes may forget, undelete and release at the same time. */
#ifndef MCFS_SNAPSHOT_FORGOTTEN_H
#define MCFS_SNAPSHOT_FORGOTTEN_H

#include "engine/snapshot/snapobj.h"

struct forgotten {
	struct snapshot sn;
	struct timestamp when; /* it was forgotten */
};
/* By the snapshots' own time, oldest first. Damaged objects are reported to the store's log and
 * counted. */
struct forgotten_list {
	struct forgotten *v;
	size_t n;
	size_t damaged;
};
int forgotten_load(struct forgotten_list *l, struct store *s, struct err *e) MUST_CHECK;
void forgotten_free(struct forgotten_list *l);
/* A name or the start of an id, as snapshot_find(). */
int forgotten_find(const struct forgotten_list *l, const char *spec, struct forgotten **ret,
	struct err *e) MUST_CHECK;

/* Durable when it returned 0; after a failure the snapshot is in one of both places, or in both (and
 * then not forgotten). E_NOTFOUND: somebody else was quicker. */
int snapshot_forget(struct store *s, const struct snapshot *sn, struct err *e) MUST_CHECK;
/* At most FORGET_AT_ONCE of them, with few waits for the disk; after a failure each is as above. Those that are gone are
 * passed over. */
#define FORGET_AT_ONCE 64
int snapshot_forget_some(struct store *s, const struct snapshot *const *v, size_t n, struct err *e) MUST_CHECK;
/* Bring one back, under a lock of its own that compact waits for. E_EXISTS: one of `l`, the list of all, has its name by now; E_NOTFOUND: compact
 * took it; E_CORRUPT: its root is not in the store any more. */
int snapshot_undelete(struct store *s, const struct snapshot_list *l, const struct forgotten *f,
	struct err *e) MUST_CHECK;

/* For compact, which calls it first and lists the snapshots after it: from here on there is no way
 * back for what was forgotten. Writes one mark that holds all older marks and all forgotten
 * snapshots, durably, then removes those. Damaged ones are removed as well, without a record;
 * those of another version stay. *ret_n: how many snapshots. After a failure some are gone and the record is whole. */
int forgotten_release(struct store *s, size_t *ret_n, struct err *e) MUST_CHECK;

/* All snapshots that were once: of marks and forgotten ones. */
struct past_one {
	uint64_t generation;
	struct name self, previous; /* as in struct snapshot */
};
struct past {
	struct past_one *v; /* by generation */
	size_t n;
	uint64_t floor;	  /* the record does not reach below this generation */
	uint64_t highest; /* generation of all of them, or 0 */
	size_t damaged;	  /* objects that could not be read */
};
#define PAST_MAX 32768 /* of the newest are kept in marks */
int past_load(struct past *p, struct store *s, struct err *e) MUST_CHECK;
void past_free(struct past *p);
const struct past_one *past_find(const struct past *p, const struct name *self);
/* Snapshots that one in the list or on record names as the one before it, and that are neither there nor
 * forgotten nor on record. `successor`: which one names it. Non-zero from `fn` stops and is the result. Nothing
 * is told while one of them cannot be read: it may be the one that is looked for. */
typedef int (*past_gap)(void *ctx, uint64_t generation, const struct name *self, const char *successor,
	struct err *e);
int past_each_gap(const struct past *p, const struct snapshot_list *l, past_gap fn, void *ctx,
	struct err *e) MUST_CHECK;
/* Write down in a new mark that these are gone too: for check --repair. */
int past_add(struct store *s, const struct past_one *v, size_t n, struct err *e) MUST_CHECK;

#endif
