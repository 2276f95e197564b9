/* prune_world.h - small worlds for tests of what changes worlds, and what an independent reader sees in
 * a world. */
#ifndef TEST_PRUNE_WORLD_H
#define TEST_PRUNE_WORLD_H

#include <sys/types.h>

#include "engine/base/buf.h"

/* Append the record of a chunk with about n bytes of noise in it; type 2, or 130 with the stream in
 * *mcc. kind: 0 region, 1 entities, 2 poi. */
void world_record(struct buf *out, struct buf *mcc, int32_t x, int32_t z, int kind, size_t n,
	unsigned seed);
/* Make WORLD with a region file r.0.0 and r.-1.0 of each kind, about so many chunks each; every 50th is
 * external. Some sectors are dead. */
void world_make(const char *world, unsigned chunks);

/* A process that holds the world as a server does; and its end. */
pid_t world_serve(const char *world);
void world_end(pid_t pid);

/* What the independent reader (region_reader.h) sees: every slot of every region file below a folder. */
struct seen_chunk {
	char folder[100]; /* below the world: "region", "DIM-1/poi" */
	int32_t x, z;
	uint32_t sector, sectors, stamp;
	uint8_t type;
	bool readable;
	size_t len;
	uint8_t sum[16]; /* of the payload */
};
struct seen {
	struct seen_chunk *v; /* sorted by folder, x, z */
	size_t n;
};
void seen_read(const char *world, struct seen *ret);
/* The same where a run was cut off: temporary files may be there. */
void seen_read_cut(const char *world, struct seen *ret);
void seen_free(struct seen *s);
const struct seen_chunk *seen_find(const struct seen *s, const char *folder, int32_t x, int32_t z);
/* Same payload, type and time stamp; with `place` the same sectors as well. */
bool seen_equal(const struct seen_chunk *a, const struct seen_chunk *b, bool place);
/* All the same, in both directions. */
void seen_assert_equal(const struct seen *a, const struct seen *b, bool place);

#endif
