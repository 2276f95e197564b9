/* sitting.c - the small files of a server that is being played on. */
#include "play.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORLD_EDGE 29900000.0

struct cached_region {
	struct cached_region *next;
	enum dimension dim;
	enum kind kind;
	struct region *r;
};

struct region *region_cache_get(struct region_cache *c, const struct world *w, enum dimension d,
	enum kind k, int32_t rx, int32_t rz)
{
	for (struct cached_region *e = c->first; e; e = e->next)
		if (e->dim == d && e->kind == k && e->r->x == rx && e->r->z == rz)
			return e->r;
	struct cached_region *e = xmalloc(sizeof *e);
	char *dir = kind_dir(w, d, k);
	*e = (struct cached_region){c->first, d, k, region_open(dir, rx, rz)};
	c->first = e;
	free(dir);
	return e->r;
}

void region_cache_close(struct region_cache *c)
{
	while (c->first) {
		struct cached_region *e = c->first;
		c->first = e->next;
		region_close(e->r);
		free(e);
	}
}

/* A gzip'd NBT file as a tree; the tree points into `raw`. */
static struct nbt *load_nbt(struct arena *a, struct bytes *raw, const char *path)
{
	struct bytes file = {0};
	bool ok = file_read(path, &file) && zlib_unpack(raw, file.p, file.len);
	bytes_free(&file);
	return ok ? nbt_parse(a, raw->p, raw->len) : NULL;
}

static void set_int(struct nbt *in, const char *name, enum nbt_type t, int64_t v)
{
	struct nbt *n = nbt_get_type(in, name, t);
	if (n)
		n->u.i = v;
}

__attribute__((format(printf, 2, 3))) static void log_line(
	const struct world *w, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	uint32_t s = w->now % 86400;
	struct bytes line = {0};
	bytes_printf(&line, "[%02u:%02u:%02u] [Server thread/INFO]: %s\n", s / 3600, s / 60 % 60,
		s % 60, text);
	char *path = path_in(w->dir, "logs/latest.log");
	file_append(path, line.p, line.len);
	free(path);
	bytes_free(&line);
}

/* A coordinate, if it is one within the world. */
static int32_t block_of(const struct nbt *n)
{
	return n->u.d > -WORLD_EDGE && n->u.d < WORLD_EDGE ? (int32_t)n->u.d : 0;
}

void players_join(const struct world *w, struct rng *r, struct player *p, int n)
{
	for (int i = 0; i < n; i++) {
		struct arena a = {0};
		struct bytes raw = {0};
		p[i] = (struct player){.home_x = 8, .home_z = 8};
		player_uuid(w, i, p[i].uuid);
		char *path = player_file(w, p[i].uuid, "data", ".dat");
		struct nbt *root = load_nbt(&a, &raw, path);
		struct nbt *pos = nbt_get_type(root, "Pos", NBT_LIST);
		if (pos && pos->count == 3 && pos->elem == NBT_DOUBLE) {
			/* A home drifts slowly from one day to the next. */
			p[i].home_x = block_of(pos->u.kids.first) + (int32_t)rng_below(r, 60) - 30;
			p[i].home_z = block_of(pos->u.kids.last) + (int32_t)rng_below(r, 60) - 30;
		}
		if (rng_chance(r, 1, 6)) {
			p[i].dim = DIM_NETHER;
			p[i].home_x /= 8;
			p[i].home_z /= 8;
		}
		p[i].x = p[i].goal_x = p[i].home_x;
		p[i].z = p[i].goal_z = p[i].home_z;
		log_line(w, "player%d joined the game", i + 1);
		free(path);
		bytes_free(&raw);
		arena_free(&a);
	}
}

void players_leave(const struct world *w, const struct player *p, int n)
{
	(void)p;
	for (int i = 0; i < n; i++)
		log_line(w, "player%d left the game", i + 1);
	log_line(w, "Saving worlds");
}

static void replace_nbt(const struct world *w, const char *path, const struct nbt *root)
{
	struct bytes out = {0};
	size_t n = strlen(path);
	char *old = xmalloc(n + sizeof "_old");
	memcpy(old, path, n);
	memcpy(old + n, "_old", sizeof "_old");
	nbt_pack(w, &out, root);
	file_replace(path, old, out.p, out.len);
	free(old);
	bytes_free(&out);
}

static void save_level(const struct world *w, struct rng *r)
{
	struct arena a = {0};
	struct bytes raw = {0};
	char *path = path_in(w->dir, "level.dat");
	struct nbt *root = load_nbt(&a, &raw, path), *d = nbt_get(root, "Data");
	if (d) {
		set_int(d, "Time", NBT_LONG, w->ticks);
		set_int(d, "DayTime", NBT_LONG, w->ticks + w->ticks / 3);
		set_int(d, "LastPlayed", NBT_LONG, (int64_t)w->now * 1000 + rng_below(r, 1000));
		set_int(d, "rainTime", NBT_INT, rng_below(r, 90000));
		set_int(d, "raining", NBT_BYTE, rng_chance(r, 1, 5));
		set_int(d, "WanderingTraderSpawnDelay", NBT_INT, rng_below(r, 24000));
		replace_nbt(w, path, root);
	}
	free(path);
	bytes_free(&raw);
	arena_free(&a);
}

static void save_player(const struct world *w, struct rng *r, const struct player *p)
{
	struct arena a = {0};
	struct bytes raw = {0};
	char *path = player_file(w, p->uuid, "data", ".dat");
	struct nbt *root = load_nbt(&a, &raw, path);
	struct nbt *pos = nbt_get_type(root, "Pos", NBT_LIST),
		   *rot = nbt_get_type(root, "Rotation", NBT_LIST);
	struct nbt *inv = nbt_get_type(root, "Inventory", NBT_LIST);
	struct nbt *xp = nbt_get_type(root, "XpTotal", NBT_INT);
	int32_t scale = p->dim == DIM_NETHER ? 8 : 1;
	if (!pos || pos->count != 3 || pos->elem != NBT_DOUBLE || !rot || !rot->count ||
		rot->elem != NBT_FLOAT || !inv)
		goto out;
	pos->u.kids.first->u.d = p->x * scale + rng_unit(r);
	pos->u.kids.last->u.d = p->z * scale + rng_unit(r);
	rot->u.kids.first->u.f = (float)rng_below(r, 36000) / 128;
	set_int(root, "foodLevel", NBT_INT, 10 + rng_below(r, 11));
	if (xp)
		xp->u.i += rng_below(r, 60);
	for (struct nbt *i = inv->u.kids.first; i; i = i->next)
		if (rng_chance(r, 1, 5)) {
			set_int(i, "Count", NBT_BYTE, 1 + rng_below(r, 64));
			set_int(i, "count", NBT_INT, 1 + rng_below(r, 64));
		}
	replace_nbt(w, path, root);
out:
	free(path);
	bytes_free(&raw);
	arena_free(&a);
}

/* Add `more` to the number behind "key": in a JSON text. */
static void bump(struct bytes *json, const char *key, uint32_t more)
{
	struct bytes out = {0};
	bytes_add(json, "", 1);
	char *text = (char *)json->p, *at = strstr(text, key), *end;
	if (at) {
		at += strlen(key) + 2;
		uint64_t v = strtoull(at, &end, 10);
		bytes_add(&out, text, (size_t)(at - text));
		bytes_printf(&out, "%" PRIu64, v + more);
		bytes_add(&out, end, strlen(end));
		bytes_free(json);
		*json = out;
		return;
	}
	json->len--;
}

static void save_stats(
	const struct world *w, struct rng *r, const struct player *p, uint32_t seconds)
{
	struct bytes json = {0};
	char *path = player_file(w, p->uuid, "stats", ".json");
	if (file_read(path, &json)) {
		bump(&json, "minecraft:play_time", seconds * TICKS);
		bump(&json, "minecraft:total_world_time", seconds * TICKS);
		bump(&json, "minecraft:walk_one_cm", rng_below(r, 90000));
		bump(&json, "minecraft:jump", rng_below(r, 200));
		bump(&json, "minecraft:stone", rng_below(r, 90));
		bump(&json, "minecraft:dirt", rng_below(r, 30));
		file_write(path, json.p, json.len);
	}
	free(path);
	bytes_free(&json);
}

static void save_advancements(const struct world *w, struct rng *r, const struct player *p)
{
	struct bytes json = {0}, out = {0};
	char *path = player_file(w, p->uuid, "advancements", ".json"), *at = NULL, when[32] = "";
	time_t now = (time_t)w->now;
	struct tm tm;
	if (rng_chance(r, 1, 4) && file_read(path, &json)) {
		bytes_add(&json, "", 1);
		at = strstr((char *)json.p, "  \"DataVersion\"");
	}
	if (at && gmtime_r(&now, &tm) &&
		strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S +0000", &tm)) {
		bytes_add(&out, json.p, (size_t)(at - (char *)json.p));
		bytes_printf(&out,
			"  \"minecraft:recipes/demo/n%u\": {\n    \"criteria\": {\n"
			"      \"done\": \"%s\"\n    },\n    \"done\": true\n  },\n",
			rng_below(r, 100000), when);
		bytes_add(&out, at, strlen(at));
		file_write(path, out.p, out.len);
	}
	free(path);
	bytes_free(&json);
	bytes_free(&out);
}

static void save_data(const struct world *w, struct rng *r)
{
	struct arena a = {0};
	struct bytes raw = {0}, raw2 = {0};
	char *raids = dim_data(w, DIM_OVERWORLD, "raids.dat");
	char *map = root_data(w, w->layout == LAYOUT_26_1 ? "maps/0.dat" : "map_0.dat");
	struct nbt *root = load_nbt(&a, &raw, raids), *data = nbt_get(root, "data");
	if (data) {
		set_int(data, "Tick", NBT_INT, (int32_t)w->ticks);
		nbt_file_write(w, raids, root);
	}
	root = rng_chance(r, 1, 3) ? load_nbt(&a, &raw2, map) : NULL;
	struct nbt *colors = nbt_get_type(nbt_get(root, "data"), "colors", NBT_BYTES);
	if (colors && colors->u.raw.n) {
		for (uint32_t n = rng_below(r, 40); n; n--) {
			uint8_t *pixel = colors->u.raw.p + rng_below(r, (uint32_t)colors->u.raw.n);
			*pixel = (uint8_t)rng_below(r, 60);
		}
		nbt_file_write(w, map, root);
	}
	free(raids);
	free(map);
	bytes_free(&raw);
	bytes_free(&raw2);
	arena_free(&a);
}

void save_small_files(
	const struct world *w, struct rng *r, const struct player *p, int n, uint32_t seconds)
{
	for (int i = 0; i < n; i++) {
		save_player(w, r, &p[i]);
		save_stats(w, r, &p[i], seconds);
		save_advancements(w, r, &p[i]);
		if (rng_chance(r, 1, 2))
			log_line(w, "<player%d> meet me at %u", i + 1, rng_below(r, 1000));
	}
	save_level(w, r);
	save_data(w, r);
	log_line(w, "Saved the game");
}
