/* gaps.h - the bytes of a region file that are no chunk's: where they come from. */
#ifndef MCFS_SNAPSHOT_GAPS_H
#define MCFS_SNAPSHOT_GAPS_H

#include "engine/snapshot/layout.h"
#include "engine/store/store.h"

/* Holes of the file as it lay on the disk, ascending. */
struct holes {
	struct hole {
		uint64_t off, end;
	} *v;
	size_t n;
};

/* Describe every byte between the records of `file` in l->gaps: zeros; bytes that the older version
 * has at the same place, by the blob that it has them from; the rest as a new blob of literal
 * bytes. With `discard`, bytes that no header entry claims, and what follows a record in its own
 * last sector, are taken for zeros. Zeros that lie in `holes` become holes again when restored.
 * `old` may be NULL. Adds sources and gaps to *l. */
int gaps_store(struct store *s, struct coder *c, struct span file,
	const struct region_extent rec[REGION_SLOTS], const struct layout *old,
	const struct holes *holes, bool discard, struct layout *l, struct err *e) MUST_CHECK;

#endif
