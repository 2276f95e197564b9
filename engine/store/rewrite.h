/* rewrite.h - what compact does to packs and index objects: copying frames, and index objects without
 * the packs that go. docs/CRASH-SAFETY.md, "Compact". */
#ifndef MCFS_STORE_REWRITE_H
#define MCFS_STORE_REWRITE_H

#include "engine/store/store.h"

/* A blob of a frame. */
struct rewrite_blob {
	struct name name;
	struct blob_loc loc;
	bool wanted;
};

/* Within a transaction: copy the wanted blobs of one frame (all of its blobs are given, in order) into
 * new packs, as they are where all are wanted, else compressed again; with `level` in any case, where that is
 * smaller. Names that the transaction has already are left out. Threads: as store_put(). */
int store_copy_frame(struct store *s, struct coder *c, struct rewrite_blob *v, size_t n, int level,
	struct err *e) MUST_CHECK;
/* What a frame would take, sealed, at a level: no more than it does. */
int store_frame_again(struct store *s, struct coder *c, const struct blob_loc *l, int level,
	uint64_t *ret, struct err *e) MUST_CHECK;
/* A blob stored again, compressed anew: against `base` (NULL: whole), whose copies are all of the same plain
 * form. Made first, to see what it takes; then put, within a transaction. */
struct rekeyed {
	struct pack_blob blob;
	enum method method;
	struct buf packed;
};
int store_rekey_make(struct store *s, struct coder *c, const struct name *name, const struct name *base,
	uint8_t base_depth, struct rekeyed *ret, struct err *e) MUST_CHECK;
int store_rekey_put(struct store *s, const struct rekeyed *x, struct err *e) MUST_CHECK;

/* The blobs of a pack in order: from its footer, or from the index where that is damaged. */
int store_pack_blobs(struct store *s, const struct id *pack, struct rewrite_blob **ret, size_t *ret_n,
	struct err *e) MUST_CHECK;

struct reindex_stats {
	uint64_t before, after; /* index objects */
	uint64_t removed_bytes, written_bytes;
};
/* Put index objects that say what those say that list a pack of `gone` (ids), without
 * these packs; merge small ones; then remove what they replace. Durable, in this order. Damaged index
 * objects stay. */
struct nameset;
int store_reindex(struct store *s, const struct nameset *gone, struct reindex_stats *st,
	struct err *e) MUST_CHECK;

#endif
