/* chunkinfo.h - how a chunk is called in the chunk view, and what its attributes say. Only for fs/. */
#ifndef MCFS_FS_CHUNKINFO_H
#define MCFS_FS_CHUNKINFO_H

#include <stdbool.h>

#include "engine/base/buf.h"

#define CHUNK_NAME_MAX 80
#define CHUNK_NBT_TAIL ".nbt"
#define CHUNK_DAMAGED_TAIL ".damaged"

/* "c.X.Z" and the tail, with the chunk's place in the world; x and z are the region's. */
void chunk_name(int32_t x, int32_t z, unsigned slot, const char *tail, char out[CHUNK_NAME_MAX]);
/* The slot that a name stands for; it must be spelt the way it is listed. -1: none. */
int chunk_slot_of(int32_t rx, int32_t rz, struct span name, bool *ret_fine);

/* Append one attribute to an encoded list. */
int chunk_xattr(struct buf *out, const char *name, const char *value, struct err *e) MUST_CHECK;
/* Append all that a chunk's NBT tells, sorted by name as lists of attributes are. */
int chunk_xattrs(struct buf *out, const char *dimension, struct span nbt,
	struct err *e) MUST_CHECK;

#endif
