/* region.h - the region file format (r.X.Z.mca): which bytes belong to which chunk.
 *
 * An 8 KiB header: 1024 big-endian locations (24 bit sector offset, 8 bit sector count), 1024
 * time stamps. A payload: u32 BE length, type byte, stream. Nothing here assumes that a file is
 * well formed. Source: docs of the format as the game writes it since 1.2; shared notes 3.1. */
#ifndef MCFS_ANVIL_REGION_H
#define MCFS_ANVIL_REGION_H

#include <stdbool.h>

#include "engine/base/buf.h"

#define REGION_SLOTS 1024
#define REGION_HEADER 8192
#define REGION_SECTOR 4096

enum chunk_type { CHUNK_GZIP = 1, CHUNK_ZLIB = 2, CHUNK_RAW = 3, CHUNK_LZ4 = 4, CHUNK_CUSTOM = 127 };
#define CHUNK_EXTERNAL 128 /* added to the type: the stream is in c.X.Z.mcc beside the file */

/* One header entry as it stands. */
struct region_entry {
	uint32_t sector, count; /* both 0: no chunk */
	uint32_t timestamp;
};
struct region_entry region_entry_at(const uint8_t header[REGION_HEADER], unsigned slot);

/* Where a slot's record (length, type, stream) is: bytes from the start of the file. Length 0:
 * the slot is empty, or what its entry names is not a whole record (then `broken`). */
struct region_extent {
	uint64_t off;
	uint32_t len;
	bool broken;
};

/* Reads bytes of the file at an offset; *ret_n < n at the end. */
typedef int (*region_read)(void *ctx, uint64_t off, void *p, size_t n, size_t *ret_n,
	struct err *e);

/* Find every slot's record. Records never overlap: of two claims on the same bytes the later one in
 * the file (on a tie: the higher slot) is broken. O(1024) small reads. */
int region_map(const uint8_t header[REGION_HEADER], uint64_t file_size, region_read read, void *ctx,
	struct region_extent ext[REGION_SLOTS], struct err *e) MUST_CHECK;

/* "r.X.Z.mca" -> X, Z. False for any other name. */
bool region_parse_name(const char *name, int32_t *ret_x, int32_t *ret_z);
/* Are its chunks' coordinates within 32 bits? The game's end at region 58593; beyond 2^26 "r.134217728.0"
 * would be r.0.0 to whoever multiplies by 32. */
static inline bool region_in_range(int32_t x, int32_t z)
{
	const int32_t end = 1 << 26;
	return x >= -end && x < end && z >= -end && z < end;
}
/* "c.X.Z.mcc" */
bool region_parse_external_name(const char *name, int32_t *ret_x, int32_t *ret_z);

#endif
