/* chunk_pack.h - palettes, packed longs and height maps, for making chunks and for editing them. */
#ifndef DEMO_CHUNK_PACK_H
#define DEMO_CHUNK_PACK_H

#include "chunk.h"

#define SECTION 4096 /* blocks in one */
#define HEIGHT_MAPS 4
#define HEIGHT_BITS 9
#define HEIGHTS_PER_LONG (64 / HEIGHT_BITS)
#define HEIGHT_LONGS ((CHUNK_AREA + HEIGHTS_PER_LONG - 1) / HEIGHTS_PER_LONG)

extern const char *const height_name[HEIGHT_MAPS];
/* Does this block count for that height map? */
bool height_counts(int map, uint8_t b);

/* Add one block state to a palette. */
void palette_entry(struct arena *a, struct nbt *palette, uint8_t b, int data_version);
/* Bits needed to tell `n` things apart, but not fewer than `least`. */
unsigned pack_bits(size_t n, unsigned least);
struct nbt *pack_longs(struct arena *a, struct nbt *in, const char *name, const uint16_t *values,
	size_t n, unsigned bits);
/* Renumber `values` (all < max <= SECTION) in the order they are met; `order` gets the old numbers.
 * Returns how many different ones there are. */
size_t pack_palette(uint16_t *values, size_t n, uint16_t *order, size_t max);

#endif
