/* files.c - everything of a world that is no region file: level.dat, players, data, a log. */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATAPACK_BYTES 200000
#define MAP_SIDE 128

void player_uuid(const struct world *w, int n, char out[37])
{
	uint64_t a = hash_at(w->seed, n, 17, 0), b = hash_at(w->seed, n, 18, 0);
	snprintf(out, 37, "%08x-%04x-4%03x-%04x-%012" PRIx64, (uint32_t)(a >> 32),
		(uint32_t)(a >> 16) & 0xffff, (uint32_t)a & 0xfff,
		((uint32_t)(b >> 48) & 0x3fff) | 0x8000, b & 0xffffffffffffu);
}

/* `what` is data, stats or advancements; the layouts name their folders differently. */
char *player_file(const struct world *w, const char *uuid, const char *what, const char *suffix)
{
	if (w->layout == LAYOUT_26_1)
		return path_in(w->dir, "players/%s/%s%s", what, uuid, suffix);
	return path_in(w->dir, "%s/%s%s", strcmp(what, "data") ? what : "playerdata", uuid, suffix);
}

char *root_data(const struct world *w, const char *name)
{
	return path_in(w->dir, "data/%s%s", w->layout == LAYOUT_26_1 ? "minecraft/" : "", name);
}

char *dim_data(const struct world *w, enum dimension d, const char *name)
{
	char *dir = kind_dir(w, d, KIND_REGION);
	*strrchr(dir, '/') = '\0';
	char *path = path_in(dir, "data/%s%s", w->layout == LAYOUT_26_1 ? "minecraft/" : "", name);
	free(dir);
	return path;
}

void nbt_pack(const struct world *w, struct bytes *out, const struct nbt *root)
{
	struct bytes raw = {0};
	nbt_serialize(&raw, root);
	out->len = 0;
	/* 1.17 needs Java 16, the first whose GZIPOutputStream writes "unknown" here. */
	gzip_pack(out, raw.p, raw.len, w->data_version >= DV_ENTITY_FILES ? 0xff : 0);
	bytes_free(&raw);
}

void nbt_file_write(const struct world *w, const char *path, const struct nbt *root)
{
	struct bytes out = {0};
	nbt_pack(w, &out, root);
	file_write(path, out.p, out.len);
	bytes_free(&out);
}

static void finish(const struct world *w, struct arena *a, struct nbt *root, char *path)
{
	nbt_int(a, root, "DataVersion", NBT_INT, w->data_version);
	nbt_java_order(a, root);
	nbt_file_write(w, path, root);
	free(path);
	arena_free(a);
}

static void add_game_rules(struct arena *a, struct nbt *data)
{
	static const char *const rules[][2] = {{"doFireTick", "true"},
		{"maxCommandChainLength", "65536"}, {"fireDamage", "true"},
		{"reducedDebugInfo", "false"}, {"announceAdvancements", "true"},
		{"drowningDamage", "true"}, {"doMobSpawning", "true"}, {"maxEntityCramming", "24"},
		{"disableRaids", "false"}, {"doWeatherCycle", "true"}, {"doDaylightCycle", "true"},
		{"showDeathMessages", "true"}, {"doTileDrops", "true"},
		{"playersSleepingPercentage", "50"}, {"doInsomnia", "true"},
		{"naturalRegeneration", "true"}, {"doMobLoot", "true"}, {"fallDamage", "true"},
		{"keepInventory", "false"}, {"mobGriefing", "true"}, {"randomTickSpeed", "3"},
		{"spawnRadius", "10"}, {"logAdminCommands", "true"}};
	struct nbt *r = nbt_compound(a, data, "GameRules");
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		nbt_str(a, r, rules[i][0], rules[i][1]);
}

static void add_gen_settings(const struct world *w, struct arena *a, struct nbt *in)
{
	nbt_int(a, in, "bonus_chest", NBT_BYTE, 0);
	nbt_int(a, in, "generate_features", NBT_BYTE, 1);
	nbt_int(a, in, "seed", NBT_LONG, (int64_t)w->seed);
	static const char *const dims[][2] = {{"minecraft:overworld", "minecraft:overworld"},
		{"minecraft:the_nether", "minecraft:nether"},
		{"minecraft:the_end", "minecraft:end"}};
	struct nbt *all = nbt_compound(a, in, "dimensions");
	for (size_t i = 0; i < ARRAY_LEN(dims); i++) {
		struct nbt *d = nbt_compound(a, all, dims[i][0]);
		struct nbt *g = nbt_compound(a, d, "generator");
		nbt_str(a, g, "settings", dims[i][1]);
		nbt_str(a, g, "type", "minecraft:noise");
		nbt_str(a, nbt_compound(a, g, "biome_source"), "type", "minecraft:multi_noise");
		nbt_str(a, d, "type", dims[i][0]);
	}
}

static const char *version_name(int dv)
{
	return dv >= DV_26_1 ? "26.1" : dv >= 3463 ? "1.20.1" : dv >= 2860 ? "1.18.2" : "1.16.5";
}

static void add_level_numbers(const struct world *w, struct arena *a, struct nbt *d)
{
	static const struct {
		const char *name;
		enum nbt_type type;
		int64_t value;
	} n[] = {{"version", NBT_INT, 19133}, {"Difficulty", NBT_BYTE, 2}, {"raining", NBT_BYTE, 0},
		{"thundering", NBT_BYTE, 0}, {"rainTime", NBT_INT, 70419},
		{"thunderTime", NBT_INT, 75758}, {"clearWeatherTime", NBT_INT, 0},
		{"GameType", NBT_INT, 0}, {"hardcore", NBT_BYTE, 0}, {"allowCommands", NBT_BYTE, 0},
		{"initialized", NBT_BYTE, 1}, {"WasModded", NBT_BYTE, 0}, {"SpawnX", NBT_INT, 8},
		{"SpawnY", NBT_INT, 72}, {"SpawnZ", NBT_INT, 8},
		{"BorderSizeLerpTime", NBT_LONG, 0}, {"WanderingTraderSpawnDelay", NBT_INT, 16800},
		{"WanderingTraderSpawnChance", NBT_INT, 75}, {"DifficultyLocked", NBT_BYTE, 0}};
	for (size_t i = 0; i < ARRAY_LEN(n); i++)
		nbt_int(a, d, n[i].name, n[i].type, n[i].value);
	nbt_int(a, d, "Time", NBT_LONG, w->ticks);
	nbt_int(a, d, "DayTime", NBT_LONG, w->ticks + w->ticks / 3);
	nbt_int(a, d, "LastPlayed", NBT_LONG, (int64_t)w->now * 1000 + 569);
	nbt_double(a, d, "BorderSize", 59999968);
	nbt_double(a, d, "BorderSizeLerpTarget", 59999968);
	nbt_double(a, d, "BorderDamagePerBlock", 0.2);
	nbt_double(a, d, "BorderSafeZone", 5);
	nbt_double(a, d, "BorderCenterX", 0);
	nbt_double(a, d, "BorderCenterZ", 0);
	nbt_float(a, d, "SpawnAngle", 0);
}

static void write_level(const struct world *w)
{
	struct arena a = {0};
	struct bytes out = {0};
	struct nbt *root = nbt_root(&a), *d = nbt_compound(&a, root, "Data");
	add_level_numbers(w, &a, d);
	nbt_int(&a, d, "DataVersion", NBT_INT, w->data_version);
	nbt_str(&a, d, "LevelName", "world");
	nbt_str(&a, nbt_list(&a, d, "ServerBrands"), NULL, "vanilla");
	struct nbt *v = nbt_compound(&a, d, "Version");
	nbt_int(&a, v, "Id", NBT_INT, w->data_version);
	nbt_int(&a, v, "Snapshot", NBT_BYTE, 0);
	nbt_str(&a, v, "Series", "main");
	nbt_str(&a, v, "Name", version_name(w->data_version));
	struct nbt *packs = nbt_compound(&a, d, "DataPacks");
	nbt_list(&a, packs, "Disabled");
	struct nbt *on = nbt_list(&a, packs, "Enabled");
	nbt_str(&a, on, NULL, "vanilla");
	nbt_str(&a, on, NULL, "file/demo.zip");
	nbt_compound(&a, d, "CustomBossEvents");
	nbt_list(&a, d, "ScheduledEvents");
	if (w->layout == LAYOUT_CLASSIC) {
		add_game_rules(&a, d);
		add_gen_settings(w, &a, nbt_compound(&a, d, "WorldGenSettings"));
	}
	nbt_java_order(&a, root);
	nbt_pack(w, &out, root);
	char *path = path_in(w->dir, "level.dat"), *old = path_in(w->dir, "level.dat_old");
	file_replace(path, old, out.p, out.len);
	nbt_get(d, "LastPlayed")->u.i += 2000;
	nbt_pack(w, &out, root);
	file_replace(path, old, out.p, out.len);
	free(path);
	free(old);
	bytes_free(&out);
	arena_free(&a);
}

static void add_recipes(struct arena *a, struct nbt *p, struct rng *r)
{
	static const char *const kinds[] = {"stone", "oak", "spruce", "iron", "birch",
		"cobblestone", "wooden", "golden", "sandstone", "andesite", "granite", "diorite",
		"leather", "diamond"};
	static const char *const forms[] = {"stairs", "slab", "wall", "door", "fence", "button",
		"sword", "pickaxe", "axe", "shovel", "hoe", "boots", "helmet", "trapdoor", "sign",
		"boat"};
	struct nbt *book = nbt_compound(a, p, "recipeBook");
	nbt_int(a, book, "isFilteringCraftable", NBT_BYTE, 0);
	nbt_int(a, book, "isGuiOpen", NBT_BYTE, 0);
	struct nbt *known = nbt_list(a, book, "recipes"),
		   *fresh = nbt_list(a, book, "toBeDisplayed");
	for (size_t i = 0; i < ARRAY_LEN(kinds) * ARRAY_LEN(forms); i++)
		if (rng_chance(r, 2, 3))
			nbt_str(a, rng_chance(r, 1, 9) ? fresh : known, NULL,
				arena_printf(a, "minecraft:%s_%s", kinds[i % ARRAY_LEN(kinds)],
					forms[i / ARRAY_LEN(kinds)]));
}

static void add_player_numbers(const struct world *w, struct arena *a, struct nbt *p, struct rng *r)
{
	nbt_int(a, p, "DataVersion", NBT_INT, w->data_version);
	nbt_int(a, p, "XpTotal", NBT_INT, rng_below(r, 4000));
	nbt_int(a, p, "XpLevel", NBT_INT, rng_below(r, 40));
	nbt_float(a, p, "XpP", (float)rng_below(r, 1024) / 1024);
	nbt_int(a, p, "XpSeed", NBT_INT, (int32_t)rng_next(r));
	nbt_int(a, p, "foodLevel", NBT_INT, 12 + rng_below(r, 9));
	nbt_float(a, p, "foodSaturationLevel", 2);
	nbt_float(a, p, "foodExhaustionLevel", (float)rng_below(r, 4096) / 1024);
	nbt_float(a, p, "Health", 20);
	nbt_int(a, p, "Score", NBT_INT, rng_below(r, 4000));
	nbt_int(a, p, "SelectedItemSlot", NBT_INT, rng_below(r, 9));
	nbt_int(a, p, "playerGameType", NBT_INT, 0);
	nbt_int(a, p, "Air", NBT_SHORT, 300);
	nbt_int(a, p, "Fire", NBT_SHORT, -20);
	nbt_int(a, p, "OnGround", NBT_BYTE, 1);
	nbt_int(a, p, "SpawnX", NBT_INT, 10);
	nbt_int(a, p, "SpawnY", NBT_INT, 72);
	nbt_int(a, p, "SpawnZ", NBT_INT, 12);
	nbt_str(a, p, "Dimension", "minecraft:overworld");
}

static void write_player(const struct world *w, int n)
{
	struct arena a = {0};
	struct bytes out = {0};
	struct rng r = {hash_at(w->seed, n, 19, 0)};
	struct nbt *p = nbt_root(&a);
	char uuid[37];
	player_uuid(w, n, uuid);
	add_player_numbers(w, &a, p, &r);
	const double x = rng_coord(&r, -100, 200), z = rng_coord(&r, -100, 200);
	const double pos[3] = {x, 72, z};
	const double still[3] = {0, -0.0784000015258789, 0};
	const float rot[2] = {(float)rng_below(&r, 36000) / 128, 12.5f};
	nbt_doubles(&a, p, "Pos", 3, pos);
	nbt_doubles(&a, p, "Motion", 3, still);
	nbt_floats(&a, p, "Rotation", 2, rot);
	struct nbt *inv = nbt_list(&a, p, "Inventory"), *ender = nbt_list(&a, p, "EnderItems");
	for (int slot = 0; slot < 36; slot++)
		if (rng_chance(&r, 2, 3))
			item_add(&a, inv, w->data_version, slot, &r);
	for (int slot = 0; slot < 27; slot++)
		if (rng_chance(&r, 1, 3))
			item_add(&a, ender, w->data_version, slot, &r);
	add_recipes(&a, p, &r);
	nbt_java_order(&a, p);
	char *path = player_file(w, uuid, "data", ".dat"),
	     *old = player_file(w, uuid, "data", ".dat_old");
	nbt_pack(w, &out, p);
	file_replace(path, old, out.p, out.len);
	nbt_get(p, "foodLevel")->u.i--;
	nbt_pack(w, &out, p);
	file_replace(path, old, out.p, out.len);
	free(path);
	free(old);
	bytes_free(&out);
	arena_free(&a);
}

static void write_stats(const struct world *w, int n)
{
	static const char *const mined[] = {"stone", "dirt", "grass_block", "deepslate", "coal_ore",
		"iron_ore", "oak_log", "sand", "gravel", "diamond_ore", "cobblestone",
		"oak_leaves"};
	static const char *const custom[] = {"play_time", "total_world_time", "time_since_rest",
		"walk_one_cm", "sprint_one_cm", "jump", "fall_one_cm", "mob_kills", "damage_dealt",
		"deaths"};
	struct rng r = {hash_at(w->seed, n, 21, 0)};
	struct bytes out = {0};
	char uuid[37];
	player_uuid(w, n, uuid);
	bytes_printf(&out, "{\"stats\":{\"minecraft:mined\":{");
	for (size_t i = 0; i < ARRAY_LEN(mined); i++)
		bytes_printf(&out, "%s\"minecraft:%s\":%u", i ? "," : "", mined[i],
			1 + rng_below(&r, 9000));
	bytes_printf(&out, "},\"minecraft:custom\":{");
	for (size_t i = 0; i < ARRAY_LEN(custom); i++)
		bytes_printf(&out, "%s\"minecraft:%s\":%u", i ? "," : "", custom[i],
			1 + rng_below(&r, 900000));
	bytes_printf(&out, "}},\"DataVersion\":%d}", w->data_version);
	char *path = player_file(w, uuid, "stats", ".json");
	file_write(path, out.p, out.len);
	free(path);
	bytes_free(&out);
}

static void write_advancements(const struct world *w, int n)
{
	static const char *const names[] = {"story/root", "story/mine_stone", "story/upgrade_tools",
		"story/smelt_iron", "story/iron_tools", "adventure/root", "adventure/sleep_in_bed",
		"husbandry/root", "recipes/misc/charcoal", "recipes/tools/torch"};
	struct rng r = {hash_at(w->seed, n, 23, 0)};
	struct bytes out = {0};
	char uuid[37];
	player_uuid(w, n, uuid);
	bytes_printf(&out, "{\n");
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		uint32_t s = rng_below(&r, 30 * 86400);
		bytes_printf(&out,
			"  \"minecraft:%s\": {\n    \"criteria\": {\n      \"done\": "
			"\"2025-10-%02u %02u:%02u:%02u +0000\"\n    },\n    \"done\": true\n  },\n",
			names[i], 1 + s / 86400, s / 3600 % 24, s / 60 % 60, s % 60);
	}
	bytes_printf(&out, "  \"DataVersion\": %d\n}", w->data_version);
	char *path = player_file(w, uuid, "advancements", ".json");
	file_write(path, out.p, out.len);
	free(path);
	bytes_free(&out);
}

static void write_map(const struct world *w)
{
	struct arena a = {0};
	struct nbt *root = nbt_root(&a), *d = nbt_compound(&a, root, "data");
	nbt_int(&a, d, "scale", NBT_BYTE, 1);
	nbt_int(&a, d, "xCenter", NBT_INT, 0);
	nbt_int(&a, d, "zCenter", NBT_INT, 0);
	nbt_int(&a, d, "trackingPosition", NBT_BYTE, 1);
	nbt_int(&a, d, "unlimitedTracking", NBT_BYTE, 0);
	nbt_int(&a, d, "locked", NBT_BYTE, 0);
	nbt_str(&a, d, "dimension", "minecraft:overworld");
	nbt_list(&a, d, "banners");
	nbt_list(&a, d, "frames");
	struct nbt *c = nbt_array(&a, d, "colors", NBT_BYTES, MAP_SIDE * MAP_SIDE);
	for (int i = 0; i < MAP_SIDE * MAP_SIDE; i++) {
		int x = (i % MAP_SIDE - 64) * 2, z = (i / MAP_SIDE - 64) * 2;
		int h = terrain_height(w->seed, x, z), north = terrain_height(w->seed, x, z - 2);
		int colour = h < 63 ? 12 : h < 65 ? 2 : h > 90 ? 11 : 1;
		c->u.raw.p[i] = (uint8_t)(colour * 4 + (h > north ? 2 : h < north ? 0 : 1));
	}
	finish(w, &a, root, root_data(w, w->layout == LAYOUT_26_1 ? "maps/0.dat" : "map_0.dat"));
}

/* The chunks an operator asked to keep loaded; told differently by each layout. */
static void write_forced_chunks(const struct world *w)
{
	static const int32_t forced[][2] = {{0, 0}, {3, -2}};
	struct arena a = {0};
	struct nbt *root = nbt_root(&a), *d = nbt_compound(&a, root, "data");
	if (w->layout == LAYOUT_CLASSIC) {
		struct nbt *l = nbt_array(&a, d, "Forced", NBT_LONGS, ARRAY_LEN(forced));
		for (size_t i = 0; i < ARRAY_LEN(forced); i++)
			be64_put(l->u.raw.p + 8 * i,
				(uint64_t)(uint32_t)forced[i][1] << 32 | (uint32_t)forced[i][0]);
		finish(w, &a, root, dim_data(w, DIM_OVERWORLD, "chunks.dat"));
		return;
	}
	struct nbt *l = nbt_list(&a, d, "tickets");
	for (size_t i = 0; i < ARRAY_LEN(forced); i++) {
		struct nbt *t = nbt_compound(&a, l, NULL);
		nbt_ints(&a, t, "chunk_pos", 2, forced[i]);
		nbt_int(&a, t, "level", NBT_INT, 31);
		nbt_str(&a, t, "type", "minecraft:forced");
	}
	finish(w, &a, root, dim_data(w, DIM_OVERWORLD, "chunk_tickets.dat"));
}

static void write_raids(const struct world *w, enum dimension d)
{
	struct arena a = {0};
	struct nbt *root = nbt_root(&a), *data = nbt_compound(&a, root, "data");
	nbt_list(&a, data, "Raids");
	nbt_int(&a, data, "NextAvailableID", NBT_INT, 1);
	nbt_int(&a, data, "Tick", NBT_INT, (int32_t)w->ticks);
	bool end = d == DIM_END && w->layout == LAYOUT_CLASSIC;
	finish(w, &a, root, dim_data(w, d, end ? "raids_end.dat" : "raids.dat"));
}

static void write_root_data(const struct world *w)
{
	struct arena a = {0};
	struct nbt *root = nbt_root(&a);
	bool modern = w->layout == LAYOUT_26_1;
	nbt_int(&a, modern ? nbt_compound(&a, root, "data") : root, "map", NBT_INT, 0);
	finish(w, &a, root, root_data(w, modern ? "maps/last_id.dat" : "idcounts.dat"));
	if (!modern)
		return;
	root = nbt_root(&a);
	add_gen_settings(w, &a, nbt_compound(&a, root, "data"));
	finish(w, &a, root, root_data(w, "world_gen_settings.dat"));
	root = nbt_root(&a);
	add_game_rules(&a, nbt_compound(&a, root, "data"));
	finish(w, &a, root, root_data(w, "game_rules.dat"));
	root = nbt_root(&a);
	struct nbt *clock = nbt_compound(&a, nbt_compound(&a, root, "data"), "minecraft:overworld");
	nbt_int(&a, clock, "total_ticks", NBT_LONG, w->ticks);
	finish(w, &a, root, root_data(w, "world_clocks.dat"));
}

/* Not a real zip: only its size and that it does not compress matter. */
static void write_datapack(const struct world *w)
{
	struct rng r = {w->seed + 29};
	uint8_t *p = xmalloc(DATAPACK_BYTES);
	memcpy(p, "PK\3\4", 4);
	for (size_t i = 4; i < DATAPACK_BYTES; i++)
		p[i] = (uint8_t)(rng_next(&r) >> 56);
	char *path = path_in(w->dir, "datapacks/demo.zip");
	file_write(path, p, DATAPACK_BYTES);
	free(path);
	free(p);
}

static void write_log(const struct world *w)
{
	struct bytes out = {0};
	bytes_printf(&out,
		"[12:00:01] [ServerMain/INFO]: Loaded 7 recipes\n"
		"[12:00:02] [Server thread/INFO]: Starting minecraft server version %s\n"
		"[12:00:02] [Server thread/INFO]: Preparing level \"world\"\n"
		"[12:00:09] [Server thread/INFO]: Done (7.1s)! For help, type \"help\"\n",
		version_name(w->data_version));
	char *path = path_in(w->dir, "logs/latest.log");
	file_write(path, out.p, out.len);
	free(path);
	bytes_free(&out);
}

void write_small_files(const struct world *w)
{
	char *lock = path_in(w->dir, "session.lock");
	file_write(lock, "\xe2\x98\x83", 3);
	free(lock);
	write_level(w);
	for (int n = 0; n < PLAYERS; n++) {
		write_player(w, n);
		write_stats(w, n);
		write_advancements(w, n);
	}
	write_root_data(w);
	write_map(w);
	write_forced_chunks(w);
	for (int d = 0; d < DIM_COUNT; d++)
		write_raids(w, (enum dimension)d);
	write_datapack(w);
	write_log(w);
}
