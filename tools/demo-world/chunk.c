#include "chunk_pack.h"

#include <stdlib.h>
#include <string.h>

bool status_has_blocks(const char *status)
{
	return strcmp(status, "structure_starts") && strcmp(status, "structure_references") &&
	       strcmp(status, "biomes") && strcmp(status, "empty");
}

static void put_blocks(struct arena *a, struct nbt *section, const uint8_t *blocks, int dv)
{
	uint16_t v[SECTION], order[SECTION] = {blocks[0]};
	for (int i = 0; i < SECTION; i++)
		v[i] = blocks[i];
	/* Half of all sections are nothing but air: worth the short cut. */
	size_t n = 1;
	if (dv < DV_FLAT || memcmp(blocks, blocks + 1, SECTION - 1))
		n = pack_palette(v, SECTION, order, B_COUNT);
	struct nbt *in = dv >= DV_FLAT ? nbt_compound(a, section, "block_states") : section;
	struct nbt *pal = nbt_list(a, in, dv >= DV_FLAT ? "palette" : "Palette");
	for (size_t i = 0; i < n; i++)
		palette_entry(a, pal, (uint8_t)order[i], dv);
	if (n > 1 || dv < DV_FLAT)
		pack_longs(
			a, in, dv >= DV_FLAT ? "data" : "BlockStates", v, SECTION, pack_bits(n, 4));
}

static void put_biomes(struct arena *a, struct nbt *section, const uint8_t *cells)
{
	uint16_t v[64], order[64];
	for (int i = 0; i < 64; i++)
		v[i] = cells[i];
	size_t n = pack_palette(v, 64, order, BIOME_COUNT);
	struct nbt *in = nbt_compound(a, section, "biomes");
	struct nbt *pal = nbt_list(a, in, "palette");
	for (size_t i = 0; i < n; i++)
		nbt_str(a, pal, NULL, biome_name[order[i]]);
	if (n > 1)
		pack_longs(a, in, "data", v, 64, pack_bits(n, 1));
}

/* A light array is left out when it is all dark, or all full sky. */
static void put_light(struct arena *a, struct nbt *section, const char *name, const uint8_t *light)
{
	bool dull = light[0] == 0 || light[0] == 15;
	if (dull && !memcmp(light, light + 1, SECTION - 1))
		return;
	struct nbt *t = nbt_array(a, section, name, NBT_BYTES, SECTION / 2);
	for (int i = 0; i < SECTION / 2; i++)
		t->u.raw.p[i] = (uint8_t)(light[2 * i] | light[2 * i + 1] << 4);
}

static void put_sections(
	struct arena *a, struct nbt *level, const struct terrain *t, const struct chunk_facts *f)
{
	bool flat = f->data_version >= DV_FLAT, blocks = status_has_blocks(f->status);
	static const uint8_t air[SECTION];
	struct nbt *list = nbt_list(a, level, flat ? "sections" : "Sections");
	if (!flat)
		nbt_int(a, nbt_compound(a, list, NULL), "Y", NBT_BYTE, -1);
	for (int s = 0; s < t->height / 16; s++) {
		const uint8_t *b = blocks ? t->blocks + s * SECTION : air;
		if (!flat && !memcmp(b, air, SECTION))
			continue;
		struct nbt *sec = nbt_compound(a, list, NULL);
		put_blocks(a, sec, b, f->data_version);
		if (!strcmp(f->status, "full")) {
			put_light(a, sec, "SkyLight", t->sky + s * SECTION);
			put_light(a, sec, "BlockLight", t->glow + s * SECTION);
		}
		if (flat)
			put_biomes(a, sec, t->biome + s * 64);
		nbt_int(a, sec, "Y", NBT_BYTE, t->min_y / 16 + s);
	}
}

static void put_heightmaps(struct arena *a, struct nbt *level, const struct terrain *t)
{
	struct nbt *maps = nbt_compound(a, level, "Heightmaps");
	for (int m = 0; m < 4; m++) {
		uint16_t h[CHUNK_AREA];
		for (int c = 0; c < CHUNK_AREA; c++) {
			int y = t->top;
			while (y > 0 && !height_counts(m, t->blocks[(y - 1) * CHUNK_AREA + c]))
				y--;
			h[c] = (uint16_t)y;
		}
		pack_longs(a, maps, height_name[m], h, CHUNK_AREA, HEIGHT_BITS);
	}
}

static int64_t packed_pos(int32_t x, int32_t z)
{
	return (int64_t)((uint64_t)(uint32_t)z << 32 | (uint32_t)x);
}

static void put_structure_start(
	struct arena *a, struct nbt *starts, const struct terrain *t, struct rng *r)
{
	struct nbt *s = nbt_compound(a, starts, "minecraft:mineshaft");
	nbt_str(a, s, "id", "minecraft:mineshaft");
	nbt_int(a, s, "ChunkX", NBT_INT, t->cx);
	nbt_int(a, s, "ChunkZ", NBT_INT, t->cz);
	nbt_int(a, s, "references", NBT_INT, 0);
	struct nbt *kids = nbt_list(a, s, "Children");
	static const char *const ids[] = {
		"minecraft:mscorridor", "minecraft:mscrossing", "minecraft:msstairs"};
	uint32_t n = 6 + rng_below(r, 50);
	for (uint32_t i = 0; i < n; i++) {
		struct nbt *k = nbt_compound(a, kids, NULL);
		int32_t x = t->cx * 16 + (int32_t)rng_below(r, 120) - 60,
			y = (int32_t)rng_below(r, 40) - 20;
		int32_t z = t->cz * 16 + (int32_t)rng_below(r, 120) - 60;
		int32_t bb[6] = {x, y, z, x + 2 + (int32_t)rng_below(r, 18), y + 2, z + 2};
		nbt_str(a, k, "id", ids[rng_below(r, ARRAY_LEN(ids))]);
		nbt_ints(a, k, "BB", 6, bb);
		nbt_int(a, k, "GD", NBT_INT, (int64_t)i / 6);
		nbt_int(a, k, "O", NBT_INT, rng_below(r, 4));
		nbt_int(a, k, "Num", NBT_INT, 1 + rng_below(r, 4));
		nbt_int(a, k, "hr", NBT_BYTE, rng_below(r, 2));
		nbt_int(a, k, "sc", NBT_BYTE, 0);
		nbt_int(a, k, "hps", NBT_BYTE, 0);
		nbt_int(a, k, "MST", NBT_INT, 0);
	}
}

static void put_structures(
	struct arena *a, struct nbt *level, const struct terrain *t, bool flat, struct rng *r)
{
	struct nbt *s = nbt_compound(a, level, flat ? "structures" : "Structures");
	struct nbt *refs = nbt_compound(a, s, "References");
	struct nbt *starts = nbt_compound(a, s, flat ? "starts" : "Starts");
	/* A mine is on a grid of 12 chunks; what lies around it refers to it. */
	int32_t gx = t->cx - (int32_t)((uint32_t)t->cx % 12),
		gz = t->cz - (int32_t)((uint32_t)t->cz % 12);
	int32_t mx = gx + 5, mz = gz + 5;
	if (t->dim != DIM_OVERWORLD || abs(t->cx - mx) > 3 || abs(t->cz - mz) > 3)
		return;
	struct nbt *ref = nbt_array(a, refs, "minecraft:mineshaft", NBT_LONGS, 1);
	be64_put(ref->u.raw.p, (uint64_t)packed_pos(mx, mz));
	if (t->cx == mx && t->cz == mz)
		put_structure_start(a, starts, t, r);
}

static void put_fluid_ticks(struct arena *a, struct nbt *level, const struct terrain *t, bool flat,
	bool full, struct rng *r)
{
	nbt_list(a, level, flat ? "block_ticks" : "TileTicks");
	struct nbt *list = nbt_list(a, level, flat ? "fluid_ticks" : "LiquidTicks");
	for (uint32_t i = CHUNK_AREA; full && i < (uint32_t)t->height * CHUNK_AREA; i++) {
		uint8_t b = t->blocks[i];
		if ((b != B_WATER && b != B_LAVA) || t->blocks[i - CHUNK_AREA] != B_AIR ||
			list->count >= 200)
			continue;
		struct nbt *k = nbt_compound(a, list, NULL);
		nbt_str(a, k, "i", block_info[b].name);
		nbt_int(a, k, "p", NBT_INT, 0);
		nbt_int(a, k, "t", NBT_INT, rng_below(r, 30));
		nbt_int(a, k, "x", NBT_INT, t->cx * 16 + (int32_t)(i % 16));
		nbt_int(a, k, "y", NBT_INT, t->min_y + (int32_t)(i / CHUNK_AREA));
		nbt_int(a, k, "z", NBT_INT, t->cz * 16 + (int32_t)(i / 16 % 16));
	}
	struct nbt *post = nbt_list(a, level, "PostProcessing");
	for (int i = 0; i < t->height / 16; i++)
		nbt_list(a, post, NULL);
}

static void put_loot_chest(
	struct arena *a, struct nbt *list, const struct terrain *t, struct rng *r)
{
	int x = (int)rng_below(r, 16), y = (int)rng_below(r, 60) - 20, z = (int)rng_below(r, 16);
	struct nbt *e = nbt_compound(a, list, NULL);
	nbt_str(a, e, "id", "minecraft:chest");
	nbt_int(a, e, "x", NBT_INT, t->cx * 16 + x);
	nbt_int(a, e, "y", NBT_INT, y);
	nbt_int(a, e, "z", NBT_INT, t->cz * 16 + z);
	nbt_int(a, e, "keepPacked", NBT_BYTE, 0);
	nbt_str(a, e, "LootTable", "minecraft:chests/abandoned_mineshaft");
	nbt_int(a, e, "LootTableSeed", NBT_LONG, (int64_t)rng_next(r));
}

static void put_block_entities(struct arena *a, struct nbt *level, const struct terrain *t,
	const struct chunk_facts *f, struct rng *r)
{
	struct nbt *list = nbt_list(
		a, level, f->data_version >= DV_FLAT ? "block_entities" : "TileEntities");
	if (strcmp(f->status, "full") != 0)
		return;
	if (rng_chance(r, 1, 6))
		for (uint32_t n = 1 + rng_below(r, 3); n; n--)
			put_loot_chest(a, list, t, r);
	if (f->inhabited < 20000)
		return;
	struct chunk_view v = {
		level, level, f->data_version >= DV_FLAT, f->data_version, t->min_y, t->height};
	for (uint32_t n = rng_below(r, 4); n; n--) {
		int x = (int)rng_below(r, 16), z = (int)rng_below(r, 16);
		chunk_add_chest(a, &v, x, 70, z, r);
	}
}

static void put_old_biomes(struct arena *a, struct nbt *level, const struct terrain *t)
{
	struct nbt *n = nbt_array(a, level, "Biomes", NBT_INTS, 1024);
	for (int i = 0; i < 1024; i++)
		be32_put(n->u.raw.p + 4 * i, biome_number[t->biome[i]]);
}

static void put_proto_lists(struct arena *a, struct nbt *level)
{
	nbt_list(a, level, "entities");
	nbt_list(a, level, "Lights");
	nbt_compound(a, level, "CarvingMasks");
}

struct nbt *chunk_build(struct arena *a, const struct terrain *t, const struct chunk_facts *f)
{
	bool flat = f->data_version >= DV_FLAT, full = !strcmp(f->status, "full");
	struct rng r = {hash_at((uint64_t)t->dim + 77, t->cx, 3, t->cz)};
	struct nbt *root = nbt_root(a);
	struct nbt *level = flat ? root : nbt_compound(a, root, "Level");

	nbt_int(a, root, "DataVersion", NBT_INT, f->data_version);
	nbt_int(a, level, "xPos", NBT_INT, t->cx);
	nbt_int(a, level, "zPos", NBT_INT, t->cz);
	if (flat)
		nbt_int(a, level, "yPos", NBT_INT, t->min_y / 16);
	nbt_int(a, level, "LastUpdate", NBT_LONG, f->last_update);
	nbt_int(a, level, "InhabitedTime", NBT_LONG, f->inhabited);
	nbt_str(a, level, "Status",
		arena_printf(a, "%s%s", f->data_version >= DV_NAMESPACED_STATUS ? "minecraft:" : "",
			f->status));
	put_sections(a, level, t, f);
	put_block_entities(a, level, t, f, &r);
	if (status_has_blocks(f->status))
		put_heightmaps(a, level, t);
	else
		nbt_compound(a, level, "Heightmaps");
	put_structures(a, level, t, flat, &r);
	put_fluid_ticks(a, level, t, flat, full, &r);
	if (full)
		nbt_int(a, level, "isLightOn", NBT_BYTE, 1);
	else
		put_proto_lists(a, level);
	if (!flat) {
		put_old_biomes(a, level, t);
		struct nbt *list = nbt_list(a, level, "Entities");
		for (uint32_t n = full && rng_chance(&r, 1, 3) ? 1 + rng_below(&r, 4) : 0; n; n--)
			entity_add(a, list, t, f->data_version, &r);
	}
	nbt_java_order(a, root);
	return root;
}
