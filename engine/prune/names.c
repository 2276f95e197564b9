#include "engine/prune/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define NAMES_MAX 10000

void query_names_free(struct query_names *q)
{
	for (int c = 0; c < NAMES_CLASSES; c++) {
		for (size_t i = 0; i < q->of[c].n; i++)
			free(q->of[c].v[i]);
		free(q->of[c].v);
	}
	*q = (struct query_names){0};
}

/* ---- full form ---- */

static bool id_char(char c, bool path)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
	       c == '.' || (path && c == '/');
}

static bool id_ok(const char *s)
{
	const char *colon = strchr(s, ':');
	if (!colon || colon == s || !colon[1])
		return false;
	for (const char *p = s; *p; p++)
		if (p != colon && !id_char(*p, p > colon))
			return false;
	return true;
}

/* 'mod:thing' in MCA Selector's quotes is mod:thing. */
static bool full_name(struct span in, char out[NAME_MAX_CHARS])
{
	if (in.n >= 2 && in.p[0] == '\'' && in.p[in.n - 1] == '\'')
		in = span_sub(in, 1, in.n - 2);
	if (in.n == 0 || in.n > NAME_MAX_CHARS - 11)
		return false;
	bool bare = !memchr(in.p, ':', in.n);
	snprintf(out, NAME_MAX_CHARS, "%s%.*s", bare ? "minecraft:" : "", (int)in.n,
		(const char *)in.p);
	return true;
}

int names_add(struct query_names *q, enum name_class c, const char *name, uint32_t *ret,
	struct err *e)
{
	struct names *l = &q->of[c];
	char full[NAME_MAX_CHARS];
	if (!full_name(span_of(name, strlen(name)), full) || !id_ok(full))
		return err_set(e, E_USAGE, 0, "'%.80s' cannot be an id (as 'stone' or 'mod:thing')",
			name);
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], full) == 0) {
			*ret = (uint32_t)i;
			return 0;
		}
	if (l->n == NAMES_MAX)
		return err_set(e, E_USAGE, 0, "more than %d names are too many", NAMES_MAX);
	char **v = realloc(l->v, (l->n + 1) * sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for names");
	l->v = v;
	l->v[l->n] = strdup(full);
	if (!l->v[l->n])
		return err_set(e, E_NOMEM, 0, "no memory for names");
	*ret = (uint32_t)l->n++;
	return 0;
}

/* ---- as chunks spell it ---- */

/* Before 1.11 entities and block entities were called "EnchantTable": what they are called since,
 * where it is not the same word in small letters. */
static const char *const renamed[][2] = {{"EnchantTable", "enchanting_table"},
	{"Trap", "dispenser"}, {"RecordPlayer", "jukebox"}, {"Cauldron", "brewing_stand"},
	{"Music", "noteblock"}, {"Airportal", "end_portal"}, {"EndGateway", "end_gateway"},
	{"DLDetector", "daylight_detector"}, {"Control", "command_block"},
	{"Structure", "structure_block"}, {"PigZombie", "zombie_pigman"},
	{"EntityHorse", "horse"}, {"LavaSlime", "magma_cube"}, {"Ozelot", "ocelot"},
	{"SnowMan", "snow_golem"}, {"VillagerGolem", "iron_golem"}, {"WitherBoss", "wither"},
	{"MushroomCow", "mooshroom"}, {"MinecartRideable", "minecart"},
	{"MinecartChest", "chest_minecart"}, {"MinecartFurnace", "furnace_minecart"},
	{"MinecartTNT", "tnt_minecart"}, {"MinecartHopper", "hopper_minecart"},
	{"MinecartSpawner", "spawner_minecart"}, {"MinecartCommandBlock", "command_block_minecart"},
	{"PrimedTnt", "tnt"}, {"FallingSand", "falling_block"}, {"XPOrb", "xp_orb"},
	{"LeashKnot", "leash_knot"}, {"ItemFrame", "item_frame"},
	{"FireworksRocketEntity", "fireworks_rocket"}, {"ThrownPotion", "potion"},
	{"ThrownEnderpearl", "ender_pearl"}, {"ThrownExpBottle", "xp_bottle"},
	{"EyeOfEnderSignal", "eye_of_ender_signal"}, {"Cavespider", "cave_spider"}};

/* "MobSpawner" -> "mob_spawner". */
static struct span modern(struct span old, char out[NAME_MAX_CHARS])
{
	size_t n = 0;
	for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
		if (strlen(renamed[i][0]) == old.n && memcmp(renamed[i][0], old.p, old.n) == 0)
			return span_of(renamed[i][1], strlen(renamed[i][1]));
	for (size_t i = 0; i < old.n && n + 2 < NAME_MAX_CHARS; i++) {
		char c = (char)old.p[i];
		bool big = c >= 'A' && c <= 'Z';
		if (big && i && out[n - 1] != '_')
			out[n++] = '_';
		out[n++] = big ? (char)(c - 'A' + 'a') : c;
	}
	return span_of(out, n);
}

long names_find(const struct query_names *q, enum name_class c, struct span name)
{
	const struct names *l = &q->of[c];
	char full[NAME_MAX_CHARS], old[NAME_MAX_CHARS];
	if (name.n && name.p[0] >= 'A' && name.p[0] <= 'Z')
		name = modern(name, old);
	if (!l->n || !full_name(name, full))
		return -1;
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->v[i], full) == 0)
			return (long)i;
	return -1;
}

/* ---- bits ---- */

static size_t words(const struct names *n)
{
	return n->n / 64 + 1;
}

int seen_init(struct seen *s, const struct names *n, struct err *e)
{
	s->other = false;
	s->bits = calloc(words(n), sizeof *s->bits);
	return s->bits ? 0 : err_set(e, E_NOMEM, 0, "no memory for names");
}

void seen_free(struct seen *s)
{
	free(s->bits);
	*s = (struct seen){0};
}

void seen_clear(struct seen *s, const struct names *n)
{
	s->other = false;
	memset(s->bits, 0, words(n) * sizeof *s->bits);
}

void seen_mark(struct seen *s, long number)
{
	if (number < 0)
		s->other = true;
	else
		s->bits[number / 64] |= UINT64_C(1) << (number % 64);
}
