/* make_world.h - worlds of a few chunks that say just what a test wants. */
#ifndef TEST_MAKE_WORLD_H
#define TEST_MAKE_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

/* ---- NBT, tag by tag; failures end the test ---- */

void nbt_begin(struct buf *b);				/* the root */
void nbt_compound(struct buf *b, const char *name);	/* until nbt_end() */
void nbt_end(struct buf *b);
void nbt_byte(struct buf *b, const char *name, int8_t v);
void nbt_int(struct buf *b, const char *name, int32_t v);
void nbt_long(struct buf *b, const char *name, int64_t v);
void nbt_string(struct buf *b, const char *name, const char *v);
void nbt_ints(struct buf *b, const char *name, const int32_t *v, uint32_t n);
void nbt_longs(struct buf *b, const char *name, const int64_t *v, uint32_t n);
void nbt_bytes(struct buf *b, const char *name, const void *p, uint32_t n);
void nbt_doubles(struct buf *b, const char *name, const double *v, uint32_t n);
/* A list of compounds: then n times members and nbt_end(). */
void nbt_list(struct buf *b, const char *name, uint32_t n);
void nbt_strings(struct buf *b, const char *name, const char *const *v, uint32_t n);

/* ---- worlds ---- */

/* A directory below /tmp that exists; the caller gives it to world_drop(). */
void world_make(char path[64]);
void world_drop(const char *path);
/* Put a chunk into FOLDER/KIND/r.X.Z.mca, as a zlib stream. `folder` is below the world, "" is it. */
void world_chunk(const char *world, const char *folder, const char *kind, int32_t x, int32_t z,
	uint32_t timestamp, const struct buf *nbt);
/* The same with another type byte and these bytes as its stream. */
void world_raw_chunk(const char *world, const char *folder, const char *kind, int32_t x, int32_t z,
	uint32_t timestamp, unsigned type, const void *p, size_t n);
/* A gzip file of NBT. */
void world_dat(const char *world, const char *path, const struct buf *nbt);
void world_file(const char *world, const char *path, const void *p, size_t n);

#endif
