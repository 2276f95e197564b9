/* parity.h - a pack's parity: an object beside it that restores flipped, missing or cut off bytes.
 *
 * The pack is cut into blocks of 256 to 4,096 bytes with a keyed check each, which tells the bad ones;
 * Reed-Solomon (codec/rs.h) over interleaved blocks restores them, up to the percentage that parity
 * was made with when they lie together, and about that when they are scattered. Nothing restored is
 * believed before its check agrees. docs/FORMAT.md, "Parity". */
#ifndef MCFS_STORE_PARITY_H
#define MCFS_STORE_PARITY_H

#include "engine/store/store.h"

/* Make (or make anew) the parity of a pack as it lies in the store; durable. The caller knows that the
 * pack is whole. */
int parity_make(struct store *s, const struct id *pack, unsigned percent, struct err *e) MUST_CHECK;
/* Is there a parity object for it, itself undamaged, of at least that percentage? */
int parity_sound(struct store *s, const struct id *pack, unsigned percent, bool *ret,
	struct err *e) MUST_CHECK;
/* Nothing to remove is no failure. */
int parity_remove(struct store *s, const struct id *packs, size_t n, struct err *e) MUST_CHECK;
/* All of them; ids of packs that may be gone. */
int parity_list(struct store *s, store_object_each fn, void *ctx, struct err *e) MUST_CHECK;

/* For all packs of the index that have none of this percentage: make it; and remove the parity of packs that
 * are not in the store. `percent` 0: remove all. *ret_made, *ret_removed: how many. */
typedef void (*parity_progress)(void *ctx, uint64_t done, uint64_t of);
int parity_tidy(struct store *s, unsigned percent, parity_progress fn, void *ctx, uint64_t *ret_made,
	uint64_t *ret_removed, struct err *e) MUST_CHECK;

struct parity_result {
	bool none;		/* no parity object, or one that does not open */
	uint64_t blocks, block; /* of the pack; bytes each */
	uint64_t bad, restored; /* blocks */
	uint64_t wrong_bytes;	/* of the restored blocks: that were not as they should be, or not there */
};
/* Look at every block; restore what can be restored and put the pack in its place again, durably, if that
 * changes anything. A pack that is not there at all comes back if that can be proven of all of it, which asks for as
 * much parity as pack: the smallest have that; others are left to others. */
int parity_restore(struct store *s, const struct id *pack, struct parity_result *ret,
	struct err *e) MUST_CHECK;

#endif
