/* map_internal.h - drawing for maps. Only for engine/prune/map*.c. */
#ifndef MCFS_PRUNE_MAP_INTERNAL_H
#define MCFS_PRUNE_MAP_INTERNAL_H

#include "engine/prune/map.h"

/* A kind of chunk: its colour, and what the legend calls it. Of several chunks in one pixel the one with
 * the highest rank shows. */
struct map_kind {
	uint8_t r, g, b;
	uint8_t rank;
	const char *label;
	uint64_t count; /* counted while drawing */
};

struct map_region {
	int32_t x, z;
	const uint8_t *v; /* REGION_SLOTS bytes */
};

struct map_dim {
	char *label;
	struct map_region *regions;
	size_t n;
};

struct map_plan {
	struct map_dim *dims;
	size_t n_dims;
	struct map_kind *kinds; /* number 0 is "no chunk": the background */
	size_t n_kinds;
	uint8_t kind_of[256]; /* of each byte of a region's v */
	unsigned zoom;
};

int map_paint(struct map_plan *p, struct map_image *ret, struct err *e) MUST_CHECK;

/* Text, FONT_HEIGHT pixels high, letters in capitals. */
#define FONT_WIDTH 6 /* with the gap behind */
#define FONT_HEIGHT 7
void map_text(struct map_image *m, uint32_t x, uint32_t y, const char *text, const uint8_t rgb[3]);

#endif
