/* play.c - some minutes of a server's life: players walk, dig and build; every five minutes what
 * they touched is saved.
 *
 * What is changed in a chunk is small and of the kind the game changes: LastUpdate always,
 * InhabitedTime within 128 blocks of a player, a few blocks near them, sometimes height maps,
 * light, ticks and chests. How it reaches the disk is region_write's business. */
#include "play.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUND 300     /* seconds between two saves */
#define STEP 10	      /* seconds between two looks at where a player is */
#define REACH 8	      /* chunks around a player in which time passes */
#define TOUCHED 65536 /* slots of the table; a round touches some hundreds */

struct touched {
	int32_t cx, cz;
	uint8_t dim;
	bool used;
	uint8_t near; /* least distance to a player, in chunks */
	uint32_t seconds;
};

struct game {
	struct world w;
	struct rng r;
	struct region_cache cache;
	struct player players[PLAYERS];
	int player_count;
	struct touched table[TOUCHED];
	uint32_t order[TOUCHED], count; /* in the order they were touched */
	struct terrain t;
	bool border;
};

static struct region *cached_region(
	struct game *g, enum dimension d, enum kind k, int32_t cx, int32_t cz)
{
	return region_cache_get(&g->cache, &g->w, d, k, cx >> 5, cz >> 5);
}

static struct touched *touch(struct game *g, enum dimension d, int32_t cx, int32_t cz)
{
	uint32_t at = (uint32_t)hash_at(d, cx, 0, cz) % TOUCHED;
	for (;; at = (at + 1) % TOUCHED) {
		struct touched *t = &g->table[at];
		if (t->used && (t->cx != cx || t->cz != cz || t->dim != d))
			continue;
		if (t->used || g->count >= TOUCHED / 2)
			return t->used ? t : NULL;
		*t = (struct touched){cx, cz, (uint8_t)d, true, 255, 0};
		g->order[g->count++] = at;
		return t;
	}
}

static void walk(struct game *g, struct player *p, uint32_t seconds)
{
	for (uint32_t s = 0; s < seconds; s += STEP) {
		if (rng_chance(&g->r, 1, 9)) {
			/* Mostly around home, now and then far away. */
			int32_t range = rng_chance(&g->r, 1, 30) ? 300 : 60;
			p->goal_x = p->home_x + (int32_t)rng_below(&g->r, (uint32_t)range * 2) -
				    range;
			p->goal_z = p->home_z + (int32_t)rng_below(&g->r, (uint32_t)range * 2) -
				    range;
		}
		int32_t dx = p->goal_x - p->x, dz = p->goal_z - p->z;
		p->x += dx > 25 ? 25 : dx < -25 ? -25 : dx;
		p->z += dz > 25 ? 25 : dz < -25 ? -25 : dz;
		for (int32_t z = -REACH; z <= REACH; z++)
			for (int32_t x = -REACH; x <= REACH; x++) {
				struct touched *t = touch(
					g, p->dim, (p->x >> 4) + x, (p->z >> 4) + z);
				if (!t)
					continue;
				uint8_t near = (uint8_t)(abs(x) > abs(z) ? abs(x) : abs(z));
				t->near = near < t->near ? near : t->near;
				t->seconds += STEP;
			}
	}
}

static void generate(struct game *g, const struct touched *t, const char *status)
{
	struct arena a = {0};
	struct chunk_facts f = {.data_version = g->w.data_version,
		.last_update = g->w.ticks,
		.inhabited = t->near <= 5 ? t->seconds * TICKS : 0,
		.status = status};
	if (status_has_blocks(status))
		terrain_make(&g->t, g->w.seed, t->dim, t->cx, t->cz, f.data_version >= DV_FLAT);
	else
		terrain_make_bare(
			&g->t, g->w.seed, t->dim, t->cx, t->cz, f.data_version >= DV_FLAT);
	struct nbt *root = chunk_build(&a, &g->t, &f);
	put_tree(cached_region(g, t->dim, KIND_REGION, t->cx, t->cz), t->cx, t->cz, root, g->w.now);
	if (!strcmp(status, "full") && f.data_version >= DV_ENTITY_FILES && rng_chance(&g->r, 1, 5))
		put_tree(cached_region(g, t->dim, KIND_ENTITIES, t->cx, t->cz), t->cx, t->cz,
			entities_build(&a, &g->t, f.data_version, &g->r), g->w.now);
	arena_free(&a);
}

static void mine(struct game *g, struct arena *a, struct chunk_view *v)
{
	int x = (int)rng_below(&g->r, 16), z = (int)rng_below(&g->r, 16);
	int y = v->min_y + 8 + (int)rng_below(&g->r, 90), len = 2 + (int)rng_below(&g->r, 14);
	for (int i = 0; i < len && x < 16; i++, x++) {
		chunk_set_block(a, v, x, y, z, B_AIR);
		chunk_set_block(a, v, x, y + 1, z, B_AIR);
		if (i % 7 == 3 && chunk_set_block(a, v, x, y, z, B_TORCH))
			chunk_light_torch(a, v, x, y, z);
	}
}

static void build(struct game *g, struct arena *a, struct chunk_view *v)
{
	static const uint8_t kinds[] = {B_COBBLESTONE, B_OAK_PLANKS, B_OAK_PLANKS, B_GLASS, B_DIRT};
	enum block b = kinds[rng_below(&g->r, ARRAY_LEN(kinds))];
	int x = (int)rng_below(&g->r, 10), z = (int)rng_below(&g->r, 10);
	uint32_t n = 1 + rng_below(&g->r, 9);
	for (uint32_t i = 0; i < n; i++) {
		int px = x + (int)rng_below(&g->r, 6), pz = z + (int)rng_below(&g->r, 6);
		chunk_set_block(a, v, px, chunk_surface(v, px, pz), pz, b);
	}
	int top = chunk_surface(v, x, z);
	if (rng_chance(&g->r, 1, 3) && chunk_set_block(a, v, x, top, z, B_TORCH))
		chunk_light_torch(a, v, x, top, z);
	if (rng_chance(&g->r, 1, 6) && chunk_set_block(a, v, x + 6, 64, z, B_CHEST))
		chunk_add_chest(a, v, x + 6, 64, z, &g->r);
}

static void dig(struct game *g, struct arena *a, struct chunk_view *v)
{
	for (uint32_t n = 1 + rng_below(&g->r, 6); n; n--) {
		int x = (int)rng_below(&g->r, 16), z = (int)rng_below(&g->r, 16);
		chunk_set_block(a, v, x, chunk_surface(v, x, z) - 1, z, B_AIR);
	}
}

/* Somebody takes things out of a chest, or writes into a book. */
static void use_chests(struct game *g, struct arena *a, const struct chunk_view *v)
{
	struct nbt *list = nbt_get_type(
		v->level, v->flat ? "block_entities" : "TileEntities", NBT_LIST);
	if (!list || !list->count)
		return;
	struct nbt *items = nbt_get_type(
		nbt_at(list, rng_below(&g->r, list->count)), "Items", NBT_LIST);
	for (struct nbt *i = items ? items->u.kids.first : NULL; i; i = i->next) {
		struct nbt *count = nbt_get(i, "Count");
		if (!count)
			count = nbt_get(i, "count");
		if (!nbt_str_is(nbt_get(i, "id"), "minecraft:written_book")) {
			if (count && rng_chance(&g->r, 1, 2))
				count->u.i = 1 + rng_below(&g->r, 64);
			continue;
		}
		struct nbt *book = nbt_get(i, "tag");
		if (!book)
			book = nbt_get(nbt_get(i, "components"), "minecraft:written_book_content");
		struct nbt *page = nbt_at(nbt_get_type(book, "pages", NBT_LIST), 0);
		if (page && page->type == NBT_STRING && rng_chance(&g->r, 1, 9)) {
			const char *s = arena_printf(
				a, "{\"text\":\"%s\"}", page_of_text(a, &g->r, 30));
			page->u.raw.p = (uint8_t *)(uintptr_t)s;
			page->u.raw.n = strlen(s);
		}
	}
}

/* Nature: fluids settle, a plant grows. */
static void tick(struct game *g, struct arena *a, struct chunk_view *v)
{
	struct nbt *ticks = nbt_get_type(
		v->level, v->flat ? "fluid_ticks" : "LiquidTicks", NBT_LIST);
	if (ticks && ticks->count && rng_chance(&g->r, 1, 3))
		for (uint32_t n = 1 + rng_below(&g->r, 8); n && ticks->count; n--)
			nbt_remove(ticks, ticks->u.kids.first);
	if (rng_chance(&g->r, 1, 8)) {
		int x = (int)rng_below(&g->r, 16), z = (int)rng_below(&g->r, 16);
		chunk_set_block(a, v, x, chunk_surface(v, x, z), z, B_SHORT_GRASS);
	}
}

static void move_entity(struct game *g, struct nbt *e, const struct touched *t)
{
	struct nbt *pos = nbt_get_type(e, "Pos", NBT_LIST),
		   *rot = nbt_get_type(e, "Rotation", NBT_LIST);
	struct nbt *age = nbt_get_type(e, "Age", NBT_INT);
	if (pos && pos->count == 3 && pos->elem == NBT_DOUBLE && rng_chance(&g->r, 2, 3)) {
		pos->u.kids.first->u.d = rng_coord(&g->r, t->cx * 16, 16);
		pos->u.kids.last->u.d = rng_coord(&g->r, t->cz * 16, 16);
	}
	if (rot && rot->count && rot->elem == NBT_FLOAT)
		rot->u.kids.first->u.f = (float)rng_below(&g->r, 360 * 1024) / 1024;
	if (age && age->u.i < 0)
		age->u.i += ROUND * TICKS < -age->u.i ? ROUND * TICKS : -age->u.i;
}

static void edit(struct game *g, struct arena *a, struct chunk_view *v, const struct touched *t)
{
	struct nbt *n = nbt_get_type(v->level, "LastUpdate", NBT_LONG);
	if (n)
		n->u.i = g->w.ticks;
	if ((n = nbt_get_type(v->level, "InhabitedTime", NBT_LONG)))
		n->u.i = (int64_t)((uint64_t)n->u.i + t->seconds * TICKS);
	tick(g, a, v);
	if (!v->flat) {
		struct nbt *old = nbt_get_type(v->level, "Entities", NBT_LIST);
		for (struct nbt *e = old ? old->u.kids.first : NULL; e; e = e->next)
			move_entity(g, e, t);
	}
	if (t->near > 1)
		return;
	if (rng_chance(&g->r, 1, 3))
		mine(g, a, v);
	if (rng_chance(&g->r, 1, 3))
		build(g, a, v);
	if (rng_chance(&g->r, 1, 4))
		dig(g, a, v);
	if (rng_chance(&g->r, 1, 3))
		use_chests(g, a, v);
}

/* A newer server converts what it loads: the old form is gone after the first save. */
static bool upgrade(struct game *g, struct arena *a, struct chunk_view *v)
{
	struct nbt *dv = nbt_get_type(v->root, "DataVersion", NBT_INT);
	struct nbt *status = nbt_get_type(v->level, "Status", NBT_STRING);
	if (!dv || !status)
		return false;
	if (v->data_version >= g->w.data_version)
		return true;
	if (v->flat) {
		dv->u.i = g->w.data_version;
		v->data_version = g->w.data_version;
		if (g->w.data_version >= DV_NAMESPACED_STATUS && nbt_str_is(status, "full"))
			status->u.raw = nbt_str(a, NULL, NULL, "minecraft:full")->u.raw;
	}
	return v->flat || g->w.data_version < DV_FLAT;
}

static void save_chunk(struct game *g, const struct touched *t)
{
	struct arena a = {0};
	struct bytes raw = {0};
	struct chunk_view v;
	struct region *r = cached_region(g, t->dim, KIND_REGION, t->cx, t->cz);
	struct nbt *root = region_get(r, t->cx, t->cz, &raw) ? nbt_parse(&a, raw.p, raw.len) : NULL;
	/* What cannot be read stays as it is: this is no repair tool. */
	if (!root || !chunk_open(&v, root)) {
		if (!region_has(r, t->cx, t->cz))
			generate(g, t,
				t->near <= 5   ? "full"
				: t->near <= 6 ? "features"
					       : "structure_starts");
	} else if (!chunk_is_full(&v)) {
		if (t->near <= 5 && !g->border)
			generate(g, t, "full");
	} else if (!upgrade(g, &a, &v)) {
		generate(g, t, "full");
	} else {
		edit(g, &a, &v, t);
		put_tree(r, t->cx, t->cz, root, g->w.now);
	}
	bytes_free(&raw);
	arena_free(&a);
}

static void save_entities(struct game *g, const struct touched *t)
{
	struct arena a = {0};
	struct bytes raw = {0};
	struct region *r = cached_region(g, t->dim, KIND_ENTITIES, t->cx, t->cz);
	struct nbt *root = region_get(r, t->cx, t->cz, &raw) ? nbt_parse(&a, raw.p, raw.len) : NULL;
	struct nbt *list = nbt_get_type(root, "Entities", NBT_LIST);
	bool born = rng_chance(&g->r, 1, 14);
	if (!list && (region_has(r, t->cx, t->cz) || !born)) {
		bytes_free(&raw);
		arena_free(&a);
		return;
	}
	if (!list || born)
		terrain_make(&g->t, g->w.seed, t->dim, t->cx, t->cz, g->w.data_version >= DV_FLAT);
	if (!list)
		root = entities_build(&a, &g->t, g->w.data_version, &g->r);
	else if (born)
		entity_add(&a, list, &g->t, g->w.data_version, &g->r);
	list = nbt_get_type(root, "Entities", NBT_LIST);
	for (struct nbt *e = list->u.kids.first, *next; e; e = next) {
		next = e->next;
		move_entity(g, e, t);
		if (rng_chance(&g->r, 1, 25))
			nbt_remove(list, e);
	}
	if (list->count)
		put_tree(r, t->cx, t->cz, root, g->w.now);
	else
		region_clear(r, t->cx, t->cz, g->w.now);
	bytes_free(&raw);
	arena_free(&a);
}

static void save_poi(struct game *g, const struct touched *t)
{
	struct arena a = {0};
	g->t.cx = t->cx;
	g->t.cz = t->cz;
	g->t.dim = t->dim;
	put_tree(cached_region(g, t->dim, KIND_POI, t->cx, t->cz), t->cx, t->cz,
		poi_build(&a, &g->t, g->w.data_version, &g->r), g->w.now);
	arena_free(&a);
}

static void save_touched(struct game *g)
{
	for (uint32_t i = 0; i < g->count; i++) {
		const struct touched *t = &g->table[g->order[i]];
		bool fresh = !region_has(
			cached_region(g, t->dim, KIND_REGION, t->cx, t->cz), t->cx, t->cz);
		if (fresh && g->border)
			continue;
		uint32_t percent = t->near <= 3 ? 90 : t->near <= 6 ? 40 : 8;
		if (fresh || rng_chance(&g->r, percent, 100))
			save_chunk(g, t);
		if (t->near <= 5 && g->w.data_version >= DV_ENTITY_FILES && rng_chance(&g->r, 3, 4))
			save_entities(g, t);
		if (t->near <= 2 && rng_chance(&g->r, 1, 60))
			save_poi(g, t);
	}
	memset(g->table, 0, sizeof g->table);
	g->count = 0;
}

void world_play(const struct play_options *o)
{
	struct game *g = xmalloc(sizeof *g);
	memset(g, 0, sizeof *g);
	world_open(&g->w, o->dir);
	if (o->now)
		g->w.now = o->now;
	g->border = o->border;
	int lock = session_lock(o->dir);
	g->r.s = hash64(o->seed * 31 + g->w.now);
	g->player_count = 1 + (int)rng_below(&g->r, PLAYERS);
	players_join(&g->w, &g->r, g->players, g->player_count);
	for (uint32_t left = (uint32_t)o->minutes * 60; left;) {
		uint32_t s = left < ROUND ? left : ROUND;
		left -= s;
		g->w.now += s;
		g->w.ticks += s * TICKS;
		for (int i = 0; i < g->player_count; i++)
			walk(g, &g->players[i], s);
		save_touched(g);
		save_small_files(&g->w, &g->r, g->players, g->player_count, s);
	}
	players_leave(&g->w, g->players, g->player_count);
	region_cache_close(&g->cache);
	close(lock);
	free(g);
}
