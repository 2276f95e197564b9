/* trashed.h - the bytes of chunks in the trash. Only for fs/. */
#ifndef MCFS_FS_TRASHED_H
#define MCFS_FS_TRASHED_H

#include "fs/keeper.h"
#include "fs/regions.h"

/* A part's NBT (a damaged one's raw bytes, then *ret_fine is false); kind -1: of the first part that
 * there is. E_NOTFOUND when there is none. What waits to be pruned is read from the world. */
int trashed_bytes(struct call *cl, struct live_world *w, const struct trash_item *it, int kind,
	bool *ret_fine, struct piece **ret) MUST_CHECK;

#endif
