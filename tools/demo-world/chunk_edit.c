/* chunk_edit.c - small edits to a chunk that was read from a region file. */
#include "chunk_pack.h"

#include <stdlib.h>
#include <string.h>

bool chunk_open(struct chunk_view *v, struct nbt *root)
{
	*v = (struct chunk_view){.root = root, .level = nbt_get_type(root, "Level", NBT_COMPOUND)};
	struct nbt *dv = nbt_get_type(root, "DataVersion", NBT_INT);
	v->data_version = dv ? (int)dv->u.i : 0;
	v->flat = !v->level;
	if (v->flat)
		v->level = root;
	struct nbt *y = nbt_get_type(v->level, "yPos", NBT_INT);
	v->min_y = y && y->u.i > -128 && y->u.i < 128 ? (int)y->u.i * 16 : 0;
	v->height = v->min_y < 0 ? 384 : 256;
	return nbt_get_type(v->level, "xPos", NBT_INT) && nbt_get_type(v->level, "zPos", NBT_INT);
}

bool chunk_is_full(const struct chunk_view *v)
{
	const struct nbt *s = nbt_get(v->level, "Status");
	return nbt_str_is(s, "full") || nbt_str_is(s, "minecraft:full");
}

/* One entry of a height map, or NULL when the map is not of the expected form. */
static uint8_t *height_long(const struct chunk_view *v, int map, int column)
{
	struct nbt *maps = nbt_get(v->level, "Heightmaps");
	struct nbt *m = nbt_get_type(maps, height_name[map], NBT_LONGS);
	if (!m || m->u.raw.n != HEIGHT_LONGS * 8)
		return NULL;
	return m->u.raw.p + column / HEIGHTS_PER_LONG * 8;
}

static int height_get(const struct chunk_view *v, int map, int column)
{
	const uint8_t *p = height_long(v, map, column);
	if (!p)
		return 0;
	return (int)(be64_get(p) >> column % HEIGHTS_PER_LONG * HEIGHT_BITS & 511);
}

static void height_set(const struct chunk_view *v, int map, int column, int h)
{
	uint8_t *p = height_long(v, map, column);
	if (!p)
		return;
	int shift = column % HEIGHTS_PER_LONG * HEIGHT_BITS;
	uint64_t old = be64_get(p) & ~((uint64_t)511 << shift);
	be64_put(p, old | (uint64_t)h << shift);
}

int chunk_surface(const struct chunk_view *v, int x, int z)
{
	return v->min_y + height_get(v, 3, z * 16 + x);
}

static struct nbt *find_section(const struct chunk_view *v, int y)
{
	struct nbt *list = nbt_get_type(v->level, v->flat ? "sections" : "Sections", NBT_LIST);
	int want = y >> 4;
	for (struct nbt *s = list ? list->u.kids.first : NULL; s; s = s->next) {
		struct nbt *sy = nbt_get_type(s, "Y", NBT_BYTE);
		if (sy && sy->u.i == want)
			return s;
	}
	return NULL;
}

/* Expand a section; false when it is not of the form written since 1.16. */
static bool unpack_states(const struct nbt *palette, const struct nbt *data, uint16_t *v)
{
	if (!palette || palette->type != NBT_LIST || !palette->count || palette->count >= SECTION)
		return false;
	memset(v, 0, SECTION * sizeof *v);
	if (!data)
		return palette->count == 1;
	unsigned bits = pack_bits(palette->count, 4);
	size_t per = 64 / bits;
	if (data->type != NBT_LONGS || data->u.raw.n != (SECTION + per - 1) / per * 8)
		return false;
	for (size_t i = 0; i < SECTION; i++) {
		uint64_t w = be64_get(data->u.raw.p + i / per * 8);
		v[i] = (uint16_t)(w >> i % per * bits & (((uint64_t)1 << bits) - 1));
		if (v[i] >= palette->count)
			return false;
	}
	return true;
}

static bool same_nbt(const struct nbt *a, const struct nbt *b)
{
	struct bytes x = {0}, y = {0};
	nbt_serialize(&x, a);
	nbt_serialize(&y, b);
	bool same = x.len == y.len && !memcmp(x.p, y.p, x.len);
	bytes_free(&x);
	bytes_free(&y);
	return same;
}

static uint16_t palette_find(struct arena *a, struct nbt *pal, enum block b, int dv)
{
	uint16_t i = 0;
	struct nbt one = {.type = NBT_LIST};
	palette_entry(a, &one, (uint8_t)b, dv);
	struct nbt *want = one.u.kids.first;
	for (struct nbt *k = pal->u.kids.first; k; k = k->next, i++)
		if (same_nbt(k, want))
			return i;
	pal->u.kids.last->next = want;
	pal->u.kids.last = want;
	pal->count++;
	return i;
}

/* Put a section's palette in scan order and pack the values again. */
static void repack(struct arena *a, struct nbt *in, struct nbt *pal, struct nbt *data, uint16_t *v,
	const char *data_name)
{
	uint16_t order[SECTION];
	struct nbt **old = arena_alloc(a, pal->count * sizeof(struct nbt *));
	uint32_t n = 0;
	for (struct nbt *k = pal->u.kids.first; k; k = k->next)
		old[n++] = k;
	size_t count = pack_palette(v, SECTION, order, n);
	for (size_t i = 0; i < count; i++)
		old[order[i]]->next = i + 1 < count ? old[order[i + 1]] : NULL;
	pal->u.kids.first = old[order[0]];
	pal->u.kids.last = old[order[count - 1]];
	pal->count = (uint32_t)count;
	if (count == 1 && data && !strcmp(data_name, "data")) {
		nbt_remove(in, data);
		return;
	}
	struct nbt *fresh = pack_longs(a, NULL, data_name, v, SECTION, pack_bits(count, 4));
	if (data) {
		data->u.raw = fresh->u.raw;
		return;
	}
	pack_longs(a, in, data_name, v, SECTION, pack_bits(count, 4));
	nbt_java_order(a, in);
}

static void update_heights(const struct chunk_view *v, int x, int y, int z, enum block b)
{
	int column = z * 16 + x, above = y + 1 - v->min_y;
	for (int m = 0; m < 4; m++) {
		int h = height_get(v, m, column);
		if (height_counts(m, (uint8_t)b) && above > h && above < 512)
			height_set(v, m, column, above);
		else if (!height_counts(m, (uint8_t)b) && above == h && h > 0)
			height_set(v, m, column, h - 1);
	}
}

bool chunk_set_block(struct arena *a, struct chunk_view *v, int x, int y, int z, enum block b)
{
	uint16_t values[SECTION];
	struct nbt *s = find_section(v, y);
	struct nbt *in = v->flat ? nbt_get_type(s, "block_states", NBT_COMPOUND) : s;
	const char *data_name = v->flat ? "data" : "BlockStates";
	struct nbt *pal = nbt_get(in, v->flat ? "palette" : "Palette");
	struct nbt *data = nbt_get(in, data_name);
	if (!unpack_states(pal, data, values))
		return false;
	uint16_t id = palette_find(a, pal, b, v->data_version);
	values[(y & 15) * CHUNK_AREA + z * 16 + x] = id;
	repack(a, in, pal, data, values, data_name);
	update_heights(v, x, y, z, b);
	return true;
}

void chunk_light_torch(struct arena *a, struct chunk_view *v, int x, int y, int z)
{
	struct nbt *s = find_section(v, y);
	if (!s)
		return;
	struct nbt *light = nbt_get_type(s, "BlockLight", NBT_BYTES);
	if (!light) {
		light = nbt_array(a, s, "BlockLight", NBT_BYTES, SECTION / 2);
		nbt_java_order(a, s);
	}
	if (light->u.raw.n != SECTION / 2)
		return;
	for (int i = 0; i < SECTION; i++) {
		int d = abs((i & 15) - x) + abs((i >> 4 & 15) - z) + abs((i >> 8) - (y & 15));
		uint8_t *p = light->u.raw.p + i / 2;
		int shift = i % 2 * 4, old = *p >> shift & 15;
		if (14 - d > old)
			*p = (uint8_t)((*p & ~(15 << shift)) | (14 - d) << shift);
	}
}
