/* things.c - what stands and lies in a chunk: items, chests, books, animals, points of interest. */
#include "chunk.h"

#include <string.h>

static const char *const words[] = {"the", "and", "stone", "house", "of", "diamond", "is", "north",
	"we", "build", "a", "bridge", "river", "to", "in", "farm", "redstone", "portal", "my",
	"chest", "with", "iron", "do", "not", "open", "village", "at", "y", "level", "wall", "for",
	"wheat", "you", "base", "dig", "tower", "here", "sheep", "night", "return", "day",
	"creeper", "mine", "below", "spawn", "beacon", "trade", "emerald", "road", "book", "market",
	"nether", "end", "dragon", "ship", "gold"};

static const char *const item_names[] = {"cobblestone", "dirt", "oak_log", "oak_planks", "torch",
	"coal", "raw_iron", "iron_ingot", "bread", "wheat", "wheat_seeds", "bone", "arrow",
	"string", "gunpowder", "redstone", "lapis_lazuli", "diamond", "stick", "gravel", "sand",
	"glass", "apple", "cooked_beef", "leather", "rotten_flesh", "ender_pearl", "bucket",
	"oak_sapling", "granite", "andesite", "tuff"};

char *page_of_text(struct arena *a, struct rng *r, int n)
{
	char text[900];
	size_t at = 0;
	for (int i = 0; i < n && at < sizeof text - 40; i++) {
		const char *w = words[rng_below(r, ARRAY_LEN(words))];
		size_t len = strlen(w);
		memcpy(text + at, w, len);
		at += len;
		if (rng_chance(r, 1, 3)) {
			static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
			text[at++] = ' ';
			for (int k = 0; k < 8; k++)
				text[at++] = digits[rng_below(r, 36)];
		}
		text[at++] = ' ';
	}
	text[at] = '\0';
	return arena_printf(a, "%s", text);
}

void item_add(struct arena *a, struct nbt *list, int data_version, int slot, struct rng *r)
{
	struct nbt *i = nbt_compound(a, list, NULL);
	bool comp = data_version >= DV_COMPONENTS;
	int64_t count = 1 + rng_below(r, 64);
	nbt_int(a, i, "Slot", NBT_BYTE, slot);
	if (rng_chance(r, 1, 8)) {
		static const char *const tools[] = {"iron_pickaxe", "stone_pickaxe", "iron_sword",
			"bow", "iron_axe", "iron_shovel"};
		count = 1;
		nbt_str(a, i, "id",
			arena_printf(a, "minecraft:%s", tools[rng_below(r, ARRAY_LEN(tools))]));
		struct nbt *tag = nbt_compound(a, i, comp ? "components" : "tag");
		nbt_int(a, tag, comp ? "minecraft:damage" : "Damage", NBT_INT, rng_below(r, 250));
	} else {
		nbt_str(a, i, "id",
			arena_printf(a, "minecraft:%s",
				item_names[rng_below(r, ARRAY_LEN(item_names))]));
	}
	if (comp)
		nbt_int(a, i, "count", NBT_INT, count);
	else
		nbt_int(a, i, "Count", NBT_BYTE, count);
}

static struct nbt *new_chest(struct arena *a, struct chunk_view *v, int x, int y, int z)
{
	struct nbt *list = nbt_get_type(
		v->level, v->flat ? "block_entities" : "TileEntities", NBT_LIST);
	const struct nbt *xp = nbt_get_type(v->level, "xPos", NBT_INT);
	const struct nbt *zp = nbt_get_type(v->level, "zPos", NBT_INT);
	if (!list || !xp || !zp || (list->count && list->elem != NBT_COMPOUND))
		return NULL;
	list->elem = NBT_COMPOUND;
	struct nbt *e = nbt_compound(a, list, NULL);
	nbt_str(a, e, "id", "minecraft:chest");
	nbt_int(a, e, "x", NBT_INT, xp->u.i * 16 + x);
	nbt_int(a, e, "y", NBT_INT, y);
	nbt_int(a, e, "z", NBT_INT, zp->u.i * 16 + z);
	nbt_int(a, e, "keepPacked", NBT_BYTE, 0);
	return e;
}

void chunk_add_chest(struct arena *a, struct chunk_view *v, int x, int y, int z, struct rng *r)
{
	struct nbt *e = new_chest(a, v, x, y, z);
	if (!e)
		return;
	struct nbt *items = nbt_list(a, e, "Items");
	for (int slot = 0; slot < 27; slot++)
		if (rng_chance(r, 1, 3))
			item_add(a, items, v->data_version, slot, r);
	nbt_java_order(a, e);
}

/* A written book with pages of JSON text, as the game keeps them. */
static void add_book(struct arena *a, struct nbt *items, int dv, int slot, struct rng *r)
{
	bool comp = dv >= DV_COMPONENTS;
	struct nbt *i = nbt_compound(a, items, NULL);
	nbt_int(a, i, "Slot", NBT_BYTE, slot);
	nbt_str(a, i, "id", "minecraft:written_book");
	nbt_int(a, i, comp ? "count" : "Count", comp ? NBT_INT : NBT_BYTE, 1);
	struct nbt *tag = nbt_compound(a, i, comp ? "components" : "tag");
	if (comp)
		tag = nbt_compound(a, tag, "minecraft:written_book_content");
	nbt_str(a, tag, "author", arena_printf(a, "player%u", 1 + rng_below(r, 3)));
	nbt_str(a, tag, "title", page_of_text(a, r, 2));
	struct nbt *pages = nbt_list(a, tag, "pages");
	for (int p = 0; p < 8; p++)
		nbt_str(a, pages, NULL,
			arena_printf(a, "{\"text\":\"%s\"}", page_of_text(a, r, 30)));
}

void chunk_fill_with_books(struct arena *a, struct nbt *root, struct rng *r)
{
	struct chunk_view v;
	if (!chunk_open(&v, root))
		return;
	for (int c = 0; c < 60; c++) {
		struct nbt *e = new_chest(a, &v, c % 16, 80 + c / 64, c / 16 % 16);
		if (!e)
			return;
		struct nbt *items = nbt_list(a, e, "Items");
		for (int slot = 0; slot < 27; slot++)
			add_book(a, items, v.data_version, slot, r);
		nbt_java_order(a, e);
	}
}

static void add_attribute(
	struct arena *a, struct nbt *list, const char *name, double base, int dv, struct rng *bonus)
{
	bool late = dv >= DV_COMPONENTS;
	struct nbt *e = nbt_compound(a, list, NULL);
	nbt_double(a, e, late ? "base" : "Base", base);
	nbt_str(a, e, late ? "id" : "Name", name);
	if (!bonus)
		return;
	struct nbt *m = nbt_compound(a, nbt_list(a, e, late ? "modifiers" : "Modifiers"), NULL);
	nbt_double(a, m, late ? "amount" : "Amount", (rng_unit(bonus) - 0.5) / 8);
	if (late) {
		nbt_str(a, m, "operation", "add_multiplied_base");
		nbt_str(a, m, "id", "minecraft:random_spawn_bonus");
		return;
	}
	nbt_int(a, m, "Operation", NBT_INT, 1);
	nbt_str(a, m, "Name", "Random spawn bonus");
	int32_t uuid[4];
	for (int i = 0; i < 4; i++)
		uuid[i] = (int32_t)(rng_next(bonus) >> 32);
	nbt_ints(a, m, "UUID", 4, uuid);
}

static void add_gear(struct arena *a, struct nbt *e)
{
	struct nbt *hands = nbt_list(a, e, "HandItems"), *armor = nbt_list(a, e, "ArmorItems");
	for (int i = 0; i < 4; i++) {
		if (i < 2)
			nbt_compound(a, hands, NULL);
		nbt_compound(a, armor, NULL);
	}
	const float chance[4] = {0.085f, 0.085f, 0.085f, 0.085f};
	nbt_floats(a, e, "HandDropChances", 2, chance);
	nbt_floats(a, e, "ArmorDropChances", 4, chance);
}

static void add_mob_flags(struct arena *a, struct nbt *e)
{
	static const char *const flags[] = {
		"Invulnerable", "FallFlying", "PersistenceRequired", "LeftHanded", "CanPickUpLoot"};
	static const char *const zeros[] = {
		"ForcedAge", "PortalCooldown", "InLove", "HurtByTimestamp"};
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		nbt_int(a, e, flags[i], NBT_BYTE, 0);
	for (size_t i = 0; i < ARRAY_LEN(zeros); i++)
		nbt_int(a, e, zeros[i], NBT_INT, 0);
	nbt_int(a, e, "OnGround", NBT_BYTE, 1);
	nbt_int(a, e, "Air", NBT_SHORT, 300);
	nbt_int(a, e, "Fire", NBT_SHORT, -1);
	nbt_int(a, e, "DeathTime", NBT_SHORT, 0);
	nbt_int(a, e, "HurtTime", NBT_SHORT, 0);
	nbt_float(a, e, "AbsorptionAmount", 0);
	nbt_float(a, e, "FallDistance", 0);
	nbt_compound(a, nbt_compound(a, e, "Brain"), "memories");
}

void entity_add(struct arena *a, struct nbt *list, const struct terrain *t, int dv, struct rng *r)
{
	static const char *const kinds[DIM_COUNT][5] = {
		{"cow", "sheep", "pig", "chicken", "zombie"},
		{"zombified_piglin", "ghast", "piglin", "zombified_piglin", "strider"},
		{"enderman", "enderman", "enderman", "enderman", "shulker"},
	};
	struct nbt *e = nbt_compound(a, list, NULL);
	int x = (int)rng_below(r, 16), z = (int)rng_below(r, 16), y = t->height - 1;
	while (y > 1 && !block_info[t->blocks[y * CHUNK_AREA + z * 16 + x]].motion)
		y--;
	nbt_str(a, e, "id", arena_printf(a, "minecraft:%s", kinds[t->dim][rng_below(r, 5)]));
	const double px = rng_coord(r, t->cx * 16 + x, 1), pz = rng_coord(r, t->cz * 16 + z, 1);
	const double pos[3] = {px, t->min_y + y + 1, pz};
	const double motion[3] = {0, -0.0784000015258789, 0};
	const float rot[2] = {(float)(rng_below(r, 360000)) / 1024, 0};
	nbt_doubles(a, e, "Pos", 3, pos);
	nbt_doubles(a, e, "Motion", 3, motion);
	nbt_floats(a, e, "Rotation", 2, rot);
	nbt_float(a, e, "Health", 10);
	nbt_int(a, e, "Age", NBT_INT, rng_chance(r, 1, 9) ? -24000 : 0);
	int32_t uuid[4];
	for (int i = 0; i < 4; i++)
		uuid[i] = (int32_t)(rng_next(r) >> 32);
	nbt_ints(a, e, "UUID", 4, uuid);
	struct nbt *attr = nbt_list(a, e, dv >= DV_COMPONENTS ? "attributes" : "Attributes");
	bool late = dv >= DV_COMPONENTS;
	add_attribute(a, attr,
		late ? "minecraft:movement_speed" : "minecraft:generic.movement_speed",
		0.20000000298023224, dv, NULL);
	add_attribute(a, attr, late ? "minecraft:follow_range" : "minecraft:generic.follow_range",
		16, dv, r);
	add_gear(a, e);
	add_mob_flags(a, e);
	nbt_java_order(a, e);
}

struct nbt *entities_build(
	struct arena *a, const struct terrain *t, int data_version, struct rng *r)
{
	struct nbt *root = nbt_root(a);
	const int32_t pos[2] = {t->cx, t->cz};
	nbt_int(a, root, "DataVersion", NBT_INT, data_version);
	nbt_ints(a, root, "Position", 2, pos);
	struct nbt *list = nbt_list(a, root, "Entities");
	for (uint32_t n = 1 + rng_below(r, 5); n; n--)
		entity_add(a, list, t, data_version, r);
	nbt_java_order(a, root);
	return root;
}

struct nbt *poi_build(struct arena *a, const struct terrain *t, int data_version, struct rng *r)
{
	static const char *const kinds[] = {
		"home", "meeting", "farmer", "librarian", "leatherworker", "bee_nest"};
	struct nbt *root = nbt_root(a);
	nbt_int(a, root, "DataVersion", NBT_INT, data_version);
	struct nbt *sections = nbt_compound(a, root, "Sections");
	struct nbt *s = nbt_compound(a, sections, t->dim == DIM_NETHER ? "3" : "4");
	nbt_int(a, s, "Valid", NBT_BYTE, 1);
	struct nbt *list = nbt_list(a, s, "Records");
	for (uint32_t n = rng_below(r, 5); n; n--) {
		struct nbt *rec = nbt_compound(a, list, NULL);
		int32_t x = (int32_t)rng_below(r, 16), y = (int32_t)rng_below(r, 16);
		const int32_t pos[3] = {
			t->cx * 16 + x, 64 + y, t->cz * 16 + (int32_t)rng_below(r, 16)};
		nbt_ints(a, rec, "pos", 3, pos);
		nbt_int(a, rec, "free_tickets", NBT_INT, rng_below(r, 2));
		nbt_str(a, rec, "type",
			arena_printf(a, "minecraft:%s", kinds[rng_below(r, ARRAY_LEN(kinds))]));
	}
	nbt_java_order(a, root);
	return root;
}
