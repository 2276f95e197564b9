#include "terrain.h"

#include <stdlib.h>
#include <string.h>

#define SEA 63
#define AT(x, y, z) ((size_t)(y)*CHUNK_AREA + (size_t)(z)*16 + (size_t)(x))
#define SALT_CAVE 0x63617665u
#define SALT_TUNNEL 0x74756e6eu
#define SALT_TUNNEL2 0x746e6c32u
#define SALT_HEAT 0x68656174u
#define SALT_FEATURE 0x66656174u
#define SALT_BIOME 0x62696f6du
#define DIM_SALT 7919

/* 3t^2 - 2t^3 in 16 bit fractions. */
static int32_t smooth(int32_t t)
{
	int64_t q = (int64_t)t * t >> 16;
	return (int32_t)(q * (3 * 65536 - 2 * (int64_t)t) >> 16);
}

static int32_t lattice(uint64_t seed, int32_t x, int32_t y, int32_t z)
{
	return (int32_t)(hash_at(seed, x, y, z) >> 48) - 32768;
}

static int32_t mix(int32_t a, int32_t b, int32_t t)
{
	return a + (int32_t)((int64_t)(b - a) * t >> 16);
}

int32_t noise2(uint64_t seed, int32_t x, int32_t z, int shift)
{
	int32_t x0 = x >> shift, z0 = z >> shift;
	int32_t mask = (1 << shift) - 1;
	int32_t fx = smooth((x & mask) << (16 - shift));
	int32_t fz = smooth((z & mask) << (16 - shift));
	int32_t a = mix(lattice(seed, x0, 0, z0), lattice(seed, x0 + 1, 0, z0), fx);
	int32_t b = mix(lattice(seed, x0, 0, z0 + 1), lattice(seed, x0 + 1, 0, z0 + 1), fx);
	return mix(a, b, fz);
}

static int32_t noise3(uint64_t seed, int32_t x, int32_t y, int32_t z, int shift)
{
	int32_t mask = (1 << shift) - 1;
	int32_t x0 = x >> shift, y0 = y >> shift, z0 = z >> shift;
	int32_t fx = smooth((x & mask) << (16 - shift));
	int32_t fy = smooth((y & mask) << (16 - shift));
	int32_t fz = smooth((z & mask) << (16 - shift));
	int32_t v[2];
	for (int i = 0; i < 2; i++) {
		int32_t a = mix(
			lattice(seed, x0, y0 + i, z0), lattice(seed, x0 + 1, y0 + i, z0), fx);
		int32_t b = mix(lattice(seed, x0, y0 + i, z0 + 1),
			lattice(seed, x0 + 1, y0 + i, z0 + 1), fx);
		v[i] = mix(a, b, fz);
	}
	return mix(v[0], v[1], fy);
}

int terrain_height(uint64_t seed, int32_t x, int32_t z)
{
	int32_t continent = noise2(seed, x, z, 8);
	int32_t hill = noise2(seed + 1, x, z, 6);
	int32_t bump = noise2(seed + 2, x, z, 4) + noise2(seed + 3, x, z, 3) / 2;
	int32_t steep = 24 + (noise2(seed + 4, x, z, 9) + 32768) / 1024;
	return 80 + continent * 34 / 32768 + hill * steep / 50000 + bump * 6 / 65536;
}

static enum biome surface_biome(uint64_t seed, int32_t x, int32_t z, int h)
{
	if (h < SEA - 14)
		return BIOME_DEEP_OCEAN;
	if (h < SEA - 1)
		return BIOME_OCEAN;
	if (h < SEA + 2)
		return BIOME_BEACH;
	int32_t heat = noise2(seed ^ SALT_HEAT, x, z, 9) +
		       noise2(seed ^ SALT_HEAT, x + 999, z, 5) / 8;
	int32_t wet = noise2(seed ^ SALT_BIOME, x, z, 8);
	if (heat > 12000)
		return BIOME_DESERT;
	if (heat < -14000)
		return wet > 0 ? BIOME_TAIGA : BIOME_SNOWY;
	return wet > 2000 ? BIOME_FOREST : BIOME_PLAINS;
}

/* Noise in three dimensions is taken on a grid of 4 x 8 x 4 blocks and interpolated, as the game
 * does; it is what gives its caves their look and the chunk its texture. */
struct density {
	int32_t v[5][5][MAX_HEIGHT / 8 + 1]; /* x, z, y */
};

static void density_fill(struct density *d, uint64_t seed, const struct terrain *t, int shift)
{
	for (int x = 0; x < 5; x++)
		for (int z = 0; z < 5; z++)
			for (int y = 0; y <= t->height / 8; y++)
				d->v[x][z][y] = noise3(seed, t->cx * 16 + x * 4, t->min_y + y * 8,
					t->cz * 16 + z * 4, shift);
}

/* The lowest `height` blocks of a column. */
static void density_column(const struct density *d, int x, int z, int height, int32_t *out)
{
	int gx = x / 4, gz = z / 4, fx = x % 4, fz = z % 4;
	int32_t last = 0;
	for (int y = 0; y <= (height + 7) / 8; y++) {
		int32_t a = d->v[gx][gz][y] * (4 - fx) + d->v[gx + 1][gz][y] * fx;
		int32_t b = d->v[gx][gz + 1][y] * (4 - fx) + d->v[gx + 1][gz + 1][y] * fx;
		int32_t c = (a * (4 - fz) + b * fz) >> 4;
		for (int k = 0; y && k < 8; k++)
			out[y * 8 - 8 + k] = last + ((c - last) * k >> 3);
		last = c;
	}
}

struct caves {
	struct density hall, tunnel, tunnel2;
};

static void column_top(struct terrain *t, int x, int z, int h, enum biome b, struct rng *r)
{
	for (int depth = 0, wy = h; depth < 4 + (int)rng_below(r, 2) && wy > t->min_y;
		depth++, wy--) {
		uint8_t *p = &t->blocks[AT(x, wy - t->min_y, z)];
		if (b == BIOME_DESERT || b == BIOME_BEACH)
			*p = depth < 3 ? B_SAND : B_SANDSTONE;
		else if (b == BIOME_OCEAN || b == BIOME_DEEP_OCEAN)
			*p = h > SEA - 8 ? B_SAND : B_GRAVEL;
		else if (depth)
			*p = B_DIRT;
		else
			*p = b == BIOME_SNOWY ? B_SNOWY_GRASS : B_GRASS;
	}
	for (int wy = h + 1; wy < SEA; wy++)
		t->blocks[AT(x, wy - t->min_y, z)] = B_WATER;
	if (b == BIOME_SNOWY && h >= SEA)
		t->blocks[AT(x, h + 1 - t->min_y, z)] = B_SNOW;
}

static void overworld_column(struct terrain *t, uint64_t seed, const struct caves *c, int x, int z)
{
	int32_t wx = t->cx * 16 + x, wz = t->cz * 16 + z;
	int32_t hall[MAX_HEIGHT], ta[MAX_HEIGHT], tb[MAX_HEIGHT];
	int h = terrain_height(seed, wx, wz);
	struct rng r = {hash_at(seed, wx, 1, wz)};
	enum biome biome = surface_biome(seed, wx, wz, h);

	int roof = h < SEA ? h - 6 : h, rock = roof - t->min_y + 1;

	density_column(&c->hall, x, z, rock, hall);
	density_column(&c->tunnel, x, z, rock, ta);
	density_column(&c->tunnel2, x, z, rock, tb);
	for (int wy = t->min_y; wy <= h; wy++) {
		bool deep = wy < 0 || (wy < 8 && rng_chance(&r, (uint32_t)(8 - wy), 8));
		t->blocks[AT(x, wy - t->min_y, z)] = deep ? B_DEEPSLATE : B_STONE;
	}
	column_top(t, x, z, h, biome, &r);
	for (int y = 0; y < rock; y++) {
		int wy = y + t->min_y;
		bool cave = hall[y] > 11000 + (wy > 40 ? (wy - 40) * 300 : 0) ||
			    (ta[y] > -2600 && ta[y] < 2600 && tb[y] > -3000 && tb[y] < 3000);
		if (!cave)
			continue;
		bool wet = hall[y] < -12000 && wy < 30;
		t->blocks[AT(x, y, z)] = wy < t->min_y + 10 ? B_LAVA : wet ? B_WATER : B_AIR;
	}
	for (int y = 0; y < 5; y++)
		if (rng_chance(&r, (uint32_t)(5 - y), 5))
			t->blocks[AT(x, y, z)] = B_BEDROCK;
}

/* A lump of one kind of block within rock, as ores and dirt lie there. */
static void lump(struct terrain *t, struct rng *r, uint8_t what, uint8_t what_deep, int y, int size)
{
	int x = (int)rng_below(r, 16), z = (int)rng_below(r, 16);
	for (int i = 0; i < size; i++) {
		x += (int)rng_below(r, 3) - 1;
		z += (int)rng_below(r, 3) - 1;
		y += (int)rng_below(r, 3) - 1;
		if (x < 0 || x > 15 || z < 0 || z > 15 || y < t->min_y + 1 ||
			y >= t->min_y + t->height)
			return;
		uint8_t *p = &t->blocks[AT(x, y - t->min_y, z)];
		if (*p == B_STONE || *p == B_NETHERRACK)
			*p = what;
		else if (*p == B_DEEPSLATE)
			*p = what_deep;
	}
}

/* A big soft-edged ball of another rock. */
static void blob(struct terrain *t, struct rng *r, uint8_t what, int y, int radius)
{
	int x = (int)rng_below(r, 16), z = (int)rng_below(r, 16);
	for (int dy = -radius; dy <= radius; dy++)
		for (int dz = -radius; dz <= radius; dz++)
			for (int dx = -radius; dx <= radius; dx++) {
				int d = dx * dx + dy * dy * 2 + dz * dz;
				int px = x + dx, py = y + dy - t->min_y, pz = z + dz;
				if (d > radius * radius || px < 0 || px > 15 || pz < 0 || pz > 15 ||
					py < 1 || py >= t->height)
					continue;
				uint8_t *p = &t->blocks[AT(px, py, pz)];
				if (*p == B_STONE || *p == B_DEEPSLATE)
					*p = what;
			}
}

static void overworld_ores(struct terrain *t, struct rng *r)
{
	static const struct {
		uint8_t what, deep;
		uint8_t tries, size;
		int16_t low, high;
	} ores[] = {
		{B_COAL, B_DEEPSLATE, 24, 14, 0, 128},
		{B_IRON, B_DEEP_IRON, 20, 9, -60, 72},
		{B_COPPER, B_DEEPSLATE, 16, 10, -10, 100},
		{B_GOLD, B_DEEP_GOLD, 8, 8, -62, 30},
		{B_REDSTONE, B_DEEP_REDSTONE, 12, 8, -62, 15},
		{B_LAPIS, B_DEEP_LAPIS, 6, 7, -40, 40},
		{B_DIAMOND, B_DEEP_DIAMOND, 7, 6, -62, 14},
	};
	static const uint8_t rocks[] = {B_GRANITE, B_DIORITE, B_ANDESITE, B_DIRT, B_GRAVEL};
	for (int i = 0; i < 18; i++) {
		int y = (int)rng_below(r, 90), radius = 2 + (int)rng_below(r, 3);
		blob(t, r, rocks[i % (int)ARRAY_LEN(rocks)], y, radius);
	}
	for (int i = 0; i < 5 && t->min_y < 0; i++) {
		int y = -60 + (int)rng_below(r, 60), radius = 3 + (int)rng_below(r, 2);
		blob(t, r, B_TUFF, y, radius);
	}
	for (size_t o = 0; o < ARRAY_LEN(ores); o++)
		for (int i = 0; i < ores[o].tries; i++)
			lump(t, r, ores[o].what, ores[o].deep,
				ores[o].low +
					(int)rng_below(r, (uint32_t)(ores[o].high - ores[o].low)),
				ores[o].size);
}

static void tree(struct terrain *t, struct rng *r, int x, int y, int z, bool spruce)
{
	uint8_t log = spruce ? B_SPRUCE_LOG : B_OAK_LOG;
	int tall = (spruce ? 6 : 4) + (int)rng_below(r, 3);
	for (int dy = spruce ? 2 : tall - 3; dy <= tall; dy++) {
		int w = dy >= tall - 1 ? 1 : spruce ? 2 - dy % 2 : 2;
		for (int dz = -w; dz <= w; dz++)
			for (int dx = -w; dx <= w; dx++) {
				int px = x + dx, pz = z + dz, d = abs(dx) + abs(dz);
				if (px < 0 || px > 15 || pz < 0 || pz > 15 ||
					(d == 2 * w && rng_chance(r, 1, 2)))
					continue;
				uint8_t *p = &t->blocks[AT(px, y + dy, pz)];
				uint8_t leaf = spruce  ? (d > 1 ? B_SPRUCE_LEAVES_2
								: B_SPRUCE_LEAVES_1)
					       : d > 2 ? B_OAK_LEAVES_3
					       : d > 1 ? B_OAK_LEAVES_2
						       : B_OAK_LEAVES_1;
				if (*p == B_AIR)
					*p = leaf;
			}
	}
	for (int dy = 0; dy < tall; dy++)
		t->blocks[AT(x, y + dy, z)] = log;
	t->blocks[AT(x, y - 1, z)] = B_DIRT;
}

static void overworld_plants(struct terrain *t, uint64_t seed, struct rng *r)
{
	for (int i = 0; i < 90; i++) {
		int x = (int)rng_below(r, 16), z = (int)rng_below(r, 16);
		int h = terrain_height(seed, t->cx * 16 + x, t->cz * 16 + z);
		enum biome b = surface_biome(seed, t->cx * 16 + x, t->cz * 16 + z, h);
		int y = h + 1 - t->min_y;
		uint8_t *p = &t->blocks[AT(x, y, z)];
		uint8_t ground = p[-CHUNK_AREA];
		if (*p == B_WATER && i < 30) {
			*p = i % 3 ? B_SEAGRASS : B_KELP;
		} else if (ground == B_SAND && b == BIOME_DESERT && i < 6) {
			*p = i % 2 ? B_CACTUS : B_DEAD_BUSH;
		} else if (ground != B_GRASS && ground != B_SNOWY_GRASS) {
			continue;
		} else if (i < (b == BIOME_FOREST || b == BIOME_TAIGA ? 9 : 1)) {
			tree(t, r, x, y, z, b == BIOME_TAIGA || b == BIOME_SNOWY);
		} else if (*p == B_AIR && (b != BIOME_PLAINS || i < 60)) {
			static const uint8_t plants[] = {B_SHORT_GRASS, B_SHORT_GRASS,
				B_SHORT_GRASS, B_TALL_GRASS_LOW, B_POPPY, B_DANDELION};
			*p = plants[rng_below(r, ARRAY_LEN(plants))];
			if (*p == B_TALL_GRASS_LOW && p[CHUNK_AREA] == B_AIR)
				p[CHUNK_AREA] = B_TALL_GRASS_HIGH;
		}
	}
}

static void overworld(struct terrain *t, uint64_t seed)
{
	static struct caves c;
	density_fill(&c.hall, seed ^ SALT_CAVE, t, 5);
	density_fill(&c.tunnel, seed ^ SALT_TUNNEL, t, 5);
	density_fill(&c.tunnel2, seed ^ SALT_TUNNEL2, t, 5);
	for (int z = 0; z < 16; z++)
		for (int x = 0; x < 16; x++)
			overworld_column(t, seed, &c, x, z);
	struct rng r = {hash_at(seed ^ SALT_FEATURE, t->cx, 0, t->cz)};
	overworld_ores(t, &r);
	overworld_plants(t, seed, &r);
	for (int i = 0; i < 700; i++) {
		int x = (int)rng_below(&r, 16), z = (int)rng_below(&r, 16),
		    y = 6 + (int)rng_below(&r, 90);
		uint8_t *p = &t->blocks[AT(x, y, z)];
		if (*p == B_AIR && p[CHUNK_AREA] != B_AIR)
			*p = B_GLOW_LICHEN;
	}
}

static void nether(struct terrain *t, uint64_t seed)
{
	static struct density d;
	density_fill(&d, seed ^ SALT_CAVE, t, 5);
	for (int z = 0; z < 16; z++)
		for (int x = 0; x < 16; x++) {
			int32_t v[MAX_HEIGHT];
			struct rng r = {hash_at(seed, t->cx * 16 + x, 2, t->cz * 16 + z)};
			density_column(&d, x, z, t->height, v);
			for (int y = 0; y < 128; y++) {
				int edge = y < 16    ? (16 - y) * 2000
					   : y > 112 ? (y - 112) * 2000
						     : 0;
				bool rock = v[y] + edge > -1500;
				uint8_t b = rock ? B_NETHERRACK : y < 32 ? B_LAVA : B_AIR;
				if ((y < 5 && rng_chance(&r, (uint32_t)(5 - y), 5)) ||
					(y > 122 && rng_chance(&r, (uint32_t)(y - 122), 5)))
					b = B_BEDROCK;
				t->blocks[AT(x, y, z)] = b;
			}
		}
	struct rng r = {hash_at(seed ^ SALT_FEATURE, t->cx, 1, t->cz)};
	for (int i = 0; i < 26; i++)
		lump(t, &r, i % 3 ? B_QUARTZ : B_NETHER_GOLD, B_QUARTZ,
			10 + (int)rng_below(&r, 105), 10);
	for (int i = 0; i < 6; i++)
		lump(t, &r, i < 2 ? B_GLOWSTONE : B_SOUL_SAND, B_SOUL_SAND,
			32 + (int)rng_below(&r, 80), 24);
}

static void the_end(struct terrain *t, uint64_t seed)
{
	for (int z = 0; z < 16; z++)
		for (int x = 0; x < 16; x++) {
			int32_t wx = t->cx * 16 + x, wz = t->cz * 16 + z;
			int32_t isle = 90 * 90 - wx * wx / 2 - wz * wz / 2;
			int top = 58 + noise2(seed + 9, wx, wz, 4) / 8192;
			int thick = isle > 0 ? 6 + isle / 400
					     : noise2(seed + 10, wx, wz, 5) / 2048 - 6;
			for (int y = top - thick; y < top; y++)
				if (y >= 0)
					t->blocks[AT(x, y, z)] = B_END_STONE;
		}
}

static void biomes(struct terrain *t, uint64_t seed)
{
	for (int z = 0; z < 4; z++)
		for (int x = 0; x < 4; x++) {
			int32_t wx = t->cx * 16 + x * 4 + 2, wz = t->cz * 16 + z * 4 + 2;
			enum biome top = surface_biome(seed, wx, wz, terrain_height(seed, wx, wz));
			bool lush = noise2(seed + 20, wx, wz, 7) > 14000;
			bool drip = noise2(seed + 21, wx, wz, 7) > 14000;
			if (t->dim == DIM_NETHER)
				top = noise2(seed + 22, wx, wz, 7) > 4000 ? BIOME_SOUL_VALLEY
									  : BIOME_NETHER;
			else if (t->dim == DIM_END)
				top = BIOME_END;
			for (int y = 0; y < t->height / 4; y++) {
				enum biome b = top;
				if (t->dim == DIM_OVERWORLD && t->min_y < 0 && y < 24)
					b = lush ? BIOME_LUSH_CAVES : drip ? BIOME_DRIPSTONE : top;
				t->biome[y * 16 + z * 4 + x] = (uint8_t)b;
			}
		}
}

static void begin(struct terrain *t, enum dimension dim, int32_t cx, int32_t cz, bool tall)
{
	memset(t, 0, sizeof *t);
	t->cx = cx;
	t->cz = cz;
	t->dim = dim;
	t->min_y = dim == DIM_OVERWORLD && tall ? -64 : 0;
	t->height = dim == DIM_OVERWORLD && tall ? 384 : 256;
}

void terrain_make_bare(
	struct terrain *t, uint64_t seed, enum dimension dim, int32_t cx, int32_t cz, bool tall)
{
	begin(t, dim, cx, cz, tall);
	biomes(t, seed + (uint64_t)dim * DIM_SALT);
}

void terrain_make(
	struct terrain *t, uint64_t seed, enum dimension dim, int32_t cx, int32_t cz, bool tall)
{
	begin(t, dim, cx, cz, tall);
	seed += (uint64_t)dim * DIM_SALT;
	if (dim == DIM_NETHER)
		nether(t, seed);
	else if (dim == DIM_END)
		the_end(t, seed);
	else
		overworld(t, seed);
	biomes(t, seed);
	static const uint8_t no_blocks[CHUNK_AREA];
	for (t->top = t->height; t->top > 0; t->top--)
		if (memcmp(t->blocks + (size_t)(t->top - 1) * CHUNK_AREA, no_blocks, CHUNK_AREA))
			break;
	terrain_light(t);
}

/* One step of the flood: light goes on to the six neighbours, one (in leaves and water two) less.
 */
static void spread(struct terrain *t, uint8_t *light, uint32_t *queue, size_t head, size_t tail)
{
	static const int step[6][3] = {
		{1, 0, 0}, {-1, 0, 0}, {0, 1, 0}, {0, -1, 0}, {0, 0, 1}, {0, 0, -1}};
	while (head < tail) {
		uint32_t at = queue[head++];
		int x = at % 16, z = at / 16 % 16, y = (int)(at / CHUNK_AREA);
		for (int i = 0; i < 6; i++) {
			int nx = x + step[i][0], ny = y + step[i][1], nz = z + step[i][2];
			if (nx < 0 || nx > 15 || nz < 0 || nz > 15 || ny < 0 || ny >= t->height)
				continue;
			size_t to = AT(nx, ny, nz);
			if (block_info[t->blocks[to]].solid || light[to] + 1 >= light[at])
				continue;
			light[to] = (uint8_t)(light[at] - 1);
			/* A cell can enter more than once; should the queue ever be full, a few
			 * cells stay darker, which harms nobody. */
			if (tail < (size_t)MAX_HEIGHT * CHUNK_AREA * 2)
				queue[tail++] = (uint32_t)to;
		}
	}
}

void terrain_light(struct terrain *t)
{
	static uint32_t queue[(size_t)MAX_HEIGHT * CHUNK_AREA * 2];
	size_t n = 0;
	/* Above everything there is nothing darker to spread into. */
	size_t top = (size_t)t->top * CHUNK_AREA;
	memset(t->sky, 0, sizeof t->sky);
	memset(t->glow, 0, sizeof t->glow);
	for (uint32_t i = 0; i < top; i++)
		if (block_info[t->blocks[i]].light) {
			t->glow[i] = block_info[t->blocks[i]].light;
			queue[n++] = i;
		}
	spread(t, t->glow, queue, 0, n);
	if (t->dim != DIM_OVERWORLD)
		return;
	n = 0;
	memset(t->sky + top, 15, (size_t)t->height * CHUNK_AREA - top);
	for (int c = 0; c < CHUNK_AREA; c++) {
		int level = 15;
		for (int y = t->top - 1; y >= 0 && level > 0; y--) {
			uint8_t b = t->blocks[y * CHUNK_AREA + c];
			if (block_info[b].solid)
				break;
			if (block_info[b].motion)
				level--;
			t->sky[y * CHUNK_AREA + c] = (uint8_t)level;
			queue[n++] = (uint32_t)(y * CHUNK_AREA + c);
		}
	}
	spread(t, t->sky, queue, 0, n);
}
