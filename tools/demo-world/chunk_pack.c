/* chunk_pack.c - palettes, packed longs and height maps. */
#include "chunk_pack.h"

#include <string.h>

const char *const height_name[HEIGHT_MAPS] = {
	"MOTION_BLOCKING", "MOTION_BLOCKING_NO_LEAVES", "OCEAN_FLOOR", "WORLD_SURFACE"};

static const char *block_name(uint8_t b, int data_version)
{
	if (b == B_SHORT_GRASS && data_version >= DV_SHORT_GRASS)
		return "minecraft:short_grass";
	return block_info[b].name;
}

void palette_entry(struct arena *a, struct nbt *palette, uint8_t b, int data_version)
{
	struct nbt *e = nbt_compound(a, palette, NULL);
	if (block_info[b].props) {
		struct nbt *props = nbt_compound(a, e, "Properties");
		char *s = arena_printf(a, "%s", block_info[b].props), *rest;
		for (char *kv = strtok_r(s, ",", &rest); kv; kv = strtok_r(NULL, ",", &rest)) {
			char *eq = strchr(kv, '=');
			*eq = '\0';
			nbt_str(a, props, kv, eq + 1);
		}
	}
	nbt_str(a, e, "Name", block_name(b, data_version));
	nbt_java_order(a, e);
}

unsigned pack_bits(size_t n, unsigned least)
{
	unsigned bits = least;
	while ((size_t)1 << bits < n)
		bits++;
	return bits;
}

/* Packed as since 1.16: entries do not straddle two longs. */
struct nbt *pack_longs(struct arena *a, struct nbt *in, const char *name, const uint16_t *values,
	size_t n, unsigned bits)
{
	size_t per = 64 / bits;
	struct nbt *t = nbt_array(a, in, name, NBT_LONGS, (n + per - 1) / per);
	for (size_t i = 0; i < n; i += per) {
		uint64_t v = 0;
		for (size_t k = 0; k < per && i + k < n; k++)
			v |= (uint64_t)values[i + k] << (k * bits);
		be64_put(t->u.raw.p + i / per * 8, v);
	}
	return t;
}

/* The game builds the palette anew at every save, in the order the blocks are met: one changed
 * block near the bottom can renumber the whole section. */
size_t pack_palette(uint16_t *values, size_t n, uint16_t *order, size_t max)
{
	uint16_t seen[SECTION];
	size_t count = 0;
	memset(seen, 0xff, max * sizeof seen[0]);
	for (size_t i = 0; i < n; i++) {
		if (seen[values[i]] == 0xffff) {
			order[count] = values[i];
			seen[values[i]] = (uint16_t)count++;
		}
		values[i] = seen[values[i]];
	}
	return count;
}

bool height_counts(int map, uint8_t b)
{
	switch (map) {
	case 0:
		return block_info[b].motion;
	case 1:
		return block_info[b].motion && (b < B_OAK_LEAVES_1 || b > B_SPRUCE_LEAVES_2);
	case 2:
		return block_info[b].solid;
	default:
		return b != B_AIR && b != B_CAVE_AIR;
	}
}
