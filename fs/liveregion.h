/* liveregion.h - the chunks of a live world's region files, read beside a server that may be
 * running: the other source of the chunk view (regions.h). Only for fs/.
 *
 * How long a chunk is takes decoding it. That is remembered by what its header entry says (where it
 * lies, when it was saved), so listing a region again decodes only what the server has saved since.
 * An entry that was stamped in the last two seconds proves nothing yet: the clock of the header
 * counts seconds, and a second save may put the chunk back where it was. */
#ifndef MCFS_FS_LIVEREGION_H
#define MCFS_FS_LIVEREGION_H

#include "fs/live.h"
#include "fs/regions.h"

struct sizes;
int sizes_new(struct sizes **ret, struct err *e) MUST_CHECK;
void sizes_free(struct sizes *s); /* NULL is fine */

int live_region_names(struct call *cl, const struct world_place *p,
	struct piece **ret) MUST_CHECK;
/* As region_load() and so on. */
int live_region_load(struct call *cl, const struct world_place *p, int kind, int32_t x, int32_t z,
	struct region *ret) MUST_CHECK;
void live_region_unload(struct region *r);
int live_region_chunk(struct call *cl, const struct region *r, unsigned slot,
	struct region_chunk *ret) MUST_CHECK;
int live_region_nbt(struct call *cl, const struct region *r, unsigned slot,
	struct piece **ret) MUST_CHECK;
int live_region_record(struct call *cl, const struct region *r, unsigned slot, struct buf *record,
	struct buf *mcc, bool *ret_mcc) MUST_CHECK;
int live_region_raw(struct call *cl, const struct region *r, uint64_t off, size_t n,
	struct buf *out) MUST_CHECK;
/* Has the region any chunk to show, of any kind? */
bool live_region_has_any(const struct region *r);

#endif
