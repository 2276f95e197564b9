/* pending.h - the blobs of a transaction that the index does not know yet. Not thread-safe. */
#ifndef MCFS_STORE_PENDING_H
#define MCFS_STORE_PENDING_H

#include "engine/store/pack.h"

enum pending_state { PENDING_FREE, PENDING_RESERVED, PENDING_WRITTEN };

struct pending_entry {
	struct name name;
	struct blob_loc loc; /* when written */
	uint8_t state;
};

struct pending {
	struct pending_entry *e;
	size_t cap, used;
};

struct pending_entry *pending_find(struct pending *p, const struct name *name);
struct pending_entry *pending_find_base(struct pending *p, const uint8_t base[BASE_BYTES]);
/* Reserve a name that is not there. Earlier entries may move. */
int pending_add(struct pending *p, const struct name *name, struct err *e) MUST_CHECK;
/* Forget what is written in packs other than this one. */
int pending_keep_pack(struct pending *p, const struct id *pack, struct err *e) MUST_CHECK;
void pending_free(struct pending *p);

#endif
