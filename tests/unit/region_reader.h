/* region_reader.h - a second, independent reader of region files, for tests only.
 *
 * Written from the format alone and sharing no code with the engine, so that an error in one is not
 * in the other. Format: 1024 big-endian locations (24 bit sector offset, 8 bit count), 1024 time
 * stamps, then chunks of u32 length (type byte included), u8 type, length-1 bytes. Types 1 gzip,
 * 2 zlib, 3 none, 4 LZ4 blocks; +128: the data are in c.<x>.<z>.mcc beside the file.
 *
 * Never crashes on damage: whatever cannot be is a `problem`, a constant string. Out of memory ends
 * the process, which suits tests. */
#ifndef TEST_REGION_READER_H
#define TEST_REGION_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RR_CHUNKS 1024

struct region_reader {
	char *path;
	uint8_t *p; /* the whole file */
	size_t n;
	bool has_pos; /* the name is r.<x>.<z>.mca */
	int32_t x, z; /* region coordinates; 0 when !has_pos */
};

struct region_slot {
	int index;
	int32_t x, z; /* of the chunk; within the region when !has_pos */
	uint32_t sector, sectors, timestamp;
	uint8_t type; /* the byte in the file, +128 included */
	bool external;
	const uint8_t *payload; /* the compressed data, in the file or in `own` */
	size_t len;
	uint8_t *own; /* contents of the .mcc */
	const char *problem;
};

/* The NBT of a chunk, as far as it can be judged. */
struct region_nbt {
	uint8_t *p;
	size_t n;
	bool unfinished; /* a zlib stream without its end, though all of the NBT is there */
	bool has_pos;
	int32_t x, z;
	int32_t data_version; /* 0 when there is none */
	const char *problem;
};

/* 0, or an errno. A file shorter than its header has no chunks and is no error. */
int region_reader_open(struct region_reader *r, const char *path);
void region_reader_close(struct region_reader *r);

/* Look at slot 0..1023. False when there is no chunk (the time stamp is told all the same). True
 * with `problem` set when there should be one but it cannot be read. */
bool region_reader_slot(const struct region_reader *r, int index, struct region_slot *s);
void region_slot_free(struct region_slot *s);

/* Decompress and check: well-formed NBT and nothing behind it, coordinates that fit the slot, and
 * the marks of `mcfs-demo-world hammer` where there are any. */
void region_slot_decode(
	const struct region_reader *r, const struct region_slot *s, struct region_nbt *out);
void region_nbt_free(struct region_nbt *n);

#endif
