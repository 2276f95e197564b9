/* diff_region.h - what differs between two versions of a region file, chunk by chunk.
 *
 * Every save writes a chunk anew, at another place and with another time stamp, also when nothing in
 * it has changed but its own times. So chunks are compared by their NBT, the times masked; bytes
 * that are equal, or whose group has an equal name, are never inflated. */
#ifndef MCFS_SNAPSHOT_DIFF_REGION_H
#define MCFS_SNAPSHOT_DIFF_REGION_H

#include "engine/snapshot/entry.h"
#include "engine/store/store.h"

enum diff_chunk_change {
	DIFF_CHUNK_CREATED,
	DIFF_CHUNK_GONE,
	DIFF_CHUNK_CHANGED,
	DIFF_CHUNK_TIMES, /* only LastUpdate, InhabitedTime or the header's time stamp */
	DIFF_CHUNK_SAME	  /* moved, or its stream written again, with the same NBT and time stamp */
};
#define DIFF_CHUNK_CHANGES 5

struct diff_chunk {
	int64_t x, z; /* absolute; from 0 to 31 when the file's name tells no place */
	enum diff_chunk_change change;
	bool unreadable; /* on one side or both it is there, but cannot be decoded; of chunks that
			  * came or went only the header is looked at, not the stream */
};

/* Chunks whose NBT is larger count as unreadable. */
#define DIFF_NBT_MAX ((size_t)64 << 20)

/* One version of a region file. */
struct diff_region {
	const struct entry *file;  /* NULL: no file, so no chunks */
	const struct content *dir; /* the directory it is in, for .mcc files; NULL: none */
};

/* Compare; finds at most REGION_SLOTS changes, in slot order, and DIFF_CHUNK_SAME only when asked
 * for. `name` is the file's, of either side. A chunk whose header entry names no whole record is
 * unreadable, not absent; two such are taken for equal when their header entries are. E_CORRUPT for
 * a damaged store. */
int diff_region(struct store *s, struct coder *c, const char *name, const struct diff_region *a,
	const struct diff_region *b, bool same, struct diff_chunk ret[], size_t *ret_n,
	struct err *e) MUST_CHECK;

/* A c.X.Z.mcc file changed, came or went: when the region file beside it is the same on both sides,
 * and holds that chunk in this file, that is a change of the chunk. *ret_n is 0 or 1. */
int diff_external(struct store *s, struct coder *c, const char *name, const struct content *dir_a,
	const struct content *dir_b, bool same, struct diff_chunk *ret, size_t *ret_n,
	struct err *e) MUST_CHECK;

#endif
