/* terrain.h - the blocks of a chunk: hills, caves, ores, water, trees, light.
 *
 * Only how the bytes look matters, not how the land does: long runs of stone, ragged palettes of a
 * dozen block states, light that falls off. All noise is in integers, so every machine makes the
 * same world. */
#ifndef DEMO_TERRAIN_H
#define DEMO_TERRAIN_H

#include "util.h"

#define CHUNK_AREA 256
#define MAX_HEIGHT 384

enum dimension { DIM_OVERWORLD, DIM_NETHER, DIM_END, DIM_COUNT };

enum block {
	B_AIR,
	B_CAVE_AIR,
	B_BEDROCK,
	B_STONE,
	B_DEEPSLATE,
	B_GRANITE,
	B_DIORITE,
	B_ANDESITE,
	B_TUFF,
	B_DIRT,
	B_GRASS,
	B_SNOWY_GRASS,
	B_SAND,
	B_SANDSTONE,
	B_GRAVEL,
	B_CLAY,
	B_WATER,
	B_LAVA,
	B_ICE,
	B_SNOW,
	B_COAL,
	B_IRON,
	B_COPPER,
	B_GOLD,
	B_REDSTONE,
	B_LAPIS,
	B_DIAMOND,
	B_DEEP_IRON,
	B_DEEP_GOLD,
	B_DEEP_REDSTONE,
	B_DEEP_LAPIS,
	B_DEEP_DIAMOND,
	B_OAK_LOG,
	B_SPRUCE_LOG,
	B_OAK_LEAVES_1,
	B_OAK_LEAVES_2,
	B_OAK_LEAVES_3,
	B_SPRUCE_LEAVES_1,
	B_SPRUCE_LEAVES_2,
	B_SHORT_GRASS,
	B_TALL_GRASS_LOW,
	B_TALL_GRASS_HIGH,
	B_POPPY,
	B_DANDELION,
	B_SEAGRASS,
	B_KELP,
	B_CACTUS,
	B_DEAD_BUSH,
	B_GLOW_LICHEN,
	B_NETHERRACK,
	B_NETHER_GOLD,
	B_QUARTZ,
	B_SOUL_SAND,
	B_GLOWSTONE,
	B_END_STONE,
	B_COBBLESTONE,
	B_OAK_PLANKS,
	B_TORCH,
	B_WALL_TORCH,
	B_CHEST,
	B_GLASS,
	B_BED_FOOT,
	B_LECTERN,
	B_COUNT
};

struct block_info {
	const char *name;
	const char *props; /* "axis=y,lit=false" or NULL */
	uint8_t light;	   /* given off */
	bool solid;	   /* stops light */
	bool motion;	   /* counts for MOTION_BLOCKING */
};

extern const struct block_info block_info[B_COUNT];

enum biome {
	BIOME_PLAINS,
	BIOME_FOREST,
	BIOME_DESERT,
	BIOME_TAIGA,
	BIOME_SNOWY,
	BIOME_BEACH,
	BIOME_OCEAN,
	BIOME_DEEP_OCEAN,
	BIOME_LUSH_CAVES,
	BIOME_DRIPSTONE,
	BIOME_NETHER,
	BIOME_SOUL_VALLEY,
	BIOME_END,
	BIOME_COUNT
};

extern const char *const biome_name[BIOME_COUNT];
/* The numbers chunks used before names. */
extern const uint8_t biome_number[BIOME_COUNT];

/* The blocks of one chunk; index (y - min_y) * 256 + z * 16 + x. */
struct terrain {
	int32_t cx, cz;
	enum dimension dim;
	int min_y, height; /* multiples of 16 */
	int top;	   /* nothing but air from this layer on */
	uint8_t blocks[MAX_HEIGHT * CHUNK_AREA];
	uint8_t sky[MAX_HEIGHT * CHUNK_AREA], glow[MAX_HEIGHT * CHUNK_AREA];
	uint8_t biome[CHUNK_AREA / 16 * MAX_HEIGHT / 4]; /* 4 x 4 x 4 cells */
};

/* A smooth bump field, -32768 .. 32767; a cell is 2^shift blocks wide. */
int32_t noise2(uint64_t seed, int32_t x, int32_t z, int shift);
/* Height of the ground of the overworld. */
int terrain_height(uint64_t seed, int32_t x, int32_t z);
/* `tall`: the heights of 1.18 and later, -64 .. 319; otherwise 0 .. 255. The nether and the end
 * are always 0 .. 255. */
void terrain_make(
	struct terrain *t, uint64_t seed, enum dimension dim, int32_t cx, int32_t cz, bool tall);
/* Only the biomes: enough for a chunk that has no blocks yet, and much faster. */
void terrain_make_bare(
	struct terrain *t, uint64_t seed, enum dimension dim, int32_t cx, int32_t cz, bool tall);
/* Light as it follows from the blocks of this chunk alone. */
void terrain_light(struct terrain *t);

#endif
