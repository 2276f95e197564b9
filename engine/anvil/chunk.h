/* chunk.h - one chunk: from its stored stream to NBT, and what its NBT says about it.
 *
 * Works for the chunks of region/, entities/ and poi/ files and for c.X.Z.mcc files alike. Pure: no
 * files, no state; any thread. Source: the game's RegionFile; shared notes 3.1 and 3.3. */
#ifndef MCFS_ANVIL_CHUNK_H
#define MCFS_ANVIL_CHUNK_H

#include <stdbool.h>

#include "engine/base/buf.h"

/* Append the NBT of a stream of the given type (enum chunk_type of region.h, without
 * CHUNK_EXTERNAL): gzip, zlib, none or LZ4. Bytes behind the end of the stream are not looked at.
 * A stream that lacks its end or checksum, as some programs write it, counts if what came out is
 * one whole NBT compound; the NBT of others is not looked at. E_FORMAT when nothing can be decoded,
 * when such a stream is not whole, when it holds more than `max` bytes, or for another type;
 * E_NOMEM. *out then has its old length. */
int chunk_decode(unsigned type, struct span stream, size_t max, struct buf *out,
	struct err *e) MUST_CHECK;

/* What a chunk tells about itself. Times are in game ticks (20 a second). Before DataVersion 2844
 * most of it is in a compound "Level", since then in the root; entities have a "Position"; poi
 * files tell only their DataVersion. */
struct chunk_info {
	bool has_pos; /* both coordinates are there */
	bool is_entities; /* it has the Position of an entities file's */
	bool is_poi;	  /* it has the compound Sections of a poi file's */
	int32_t x, z; /* absolute chunk coordinates */
	int32_t data_version; /* 0: none, before 1.9 */
	int64_t inhabited_time, last_update;
	bool has_inhabited, has_last_update;
	char status[64]; /* "" when there is none; bytes as they are, cut when longer */
};

/* Read it all from a chunk's NBT. E_FORMAT when the NBT is damaged or cut short; *ret then holds
 * what stood in front of that. Values of an unexpected type are passed over. */
int chunk_info_read(struct span nbt, struct chunk_info *ret, struct err *e) MUST_CHECK;

/* Are two chunks' NBT equal but for LastUpdate and InhabitedTime, which the game changes at every
 * save? False when they are not, or either is damaged. Equal bytes are equal. */
bool chunk_equal_but_times(struct span a, struct span b);

#endif
