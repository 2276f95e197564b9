/* region_write.h - a region file as the game's server keeps it: open, put, clear, close.
 *
 * The order of the writes is the server's: new sectors first-fit in free space, never in place; the
 * exact bytes without padding, so that what was there before stays behind them; the whole 8 KiB
 * header from memory; the .mcc moved into place or deleted; only then the old sectors are free, for
 * the very next write. On close the file is padded to whole sectors. */
#ifndef DEMO_REGION_WRITE_H
#define DEMO_REGION_WRITE_H

#include "util.h"

#define SECTOR 4096u
#define REGION_CHUNKS 1024
#define REGION_MAX_SECTORS (1u << 20) /* 4 GiB: more than any test needs */

enum pack_type { PACK_GZIP = 1, PACK_ZLIB = 2, PACK_NONE = 3, PACK_LZ4 = 4 };

struct region {
	char *path;
	int fd;
	int32_t x, z; /* of the region */
	uint32_t loc[REGION_CHUNKS], time[REGION_CHUNKS];
	uint8_t *used; /* one byte a sector */
	uint32_t sectors;
	uint64_t size; /* of the file */
};

/* Open or create <dir>/r.<x>.<z>.mca. Entries that cannot be (in the header, past the end, on top
 * of another one) are dropped from memory, as the server does. */
struct region *region_open(const char *dir, int32_t x, int32_t z);
void region_close(struct region *r);
/* Chunk coordinates are absolute; only their low 5 bits are looked at. */
bool region_has(const struct region *r, int32_t cx, int32_t cz);
uint32_t region_time(const struct region *r, int32_t cx, int32_t cz);
/* Write a compressed chunk; `now` in seconds. */
void region_put(struct region *r, int32_t cx, int32_t cz, uint8_t type, const struct bytes *payload,
	uint32_t now);
/* Remove a chunk as the server does for one that has become empty: the time stamp is set, not
 * cleared. */
void region_clear(struct region *r, int32_t cx, int32_t cz, uint32_t now);
/* Read and decompress a zlib or gzip chunk into `raw`. False when absent or not readable. */
bool region_get(const struct region *r, int32_t cx, int32_t cz, struct bytes *raw);
/* A file nothing was ever written to: zero bytes long, as servers leave behind. */
void region_touch(const char *dir, int32_t x, int32_t z);

#endif
