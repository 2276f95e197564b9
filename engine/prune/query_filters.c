/* query_filters.c - the filters: their names, what they compare with, and how values are read. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/base/duration.h"
#include "engine/prune/legacy.h"
#include "engine/prune/players.h"
#include "engine/prune/query_internal.h"

#define FACT(f) FACT_BIT(FACT_##f)
#define TICKS_A_SECOND 20
#define LIST_MAX 10000

static const struct filter_info filters[] = {
	{"DataVersion", F_DATA_VERSION, C_NUMBER, V_COUNT, 0, FACT(DATA_VERSION)},
	{"InhabitedTime", F_INHABITED_TIME, C_NUMBER, V_TICKS, 0, FACT(INHABITED)},
	{"LastUpdate", F_LAST_UPDATE, C_NUMBER, V_TICKS, 0, FACT(LAST_UPDATE)},
	{"xPos", F_X_POS, C_NUMBER, V_NUMBER, 0, 0},
	{"yPos", F_Y_POS, C_NUMBER, V_NUMBER, 0, FACT(Y_POS)},
	{"zPos", F_Z_POS, C_NUMBER, V_NUMBER, 0, 0},
	{"Timestamp", F_TIMESTAMP, C_NUMBER, V_TIMESTAMP, 0, 0},
	{"Compression", F_COMPRESSION, C_EQUALITY, V_COMPRESSION, 0, FACT(TYPES)},
	{"Palette", F_PALETTE, C_LIST | C_EQUALITY, V_NAMES, NAMES_BLOCK, FACT(PALETTE)},
	{"Biome", F_BIOME, C_LIST, V_NAMES, NAMES_BIOME, FACT(BIOME)},
	{"Status", F_STATUS, C_EQUALITY, V_STATUS, 0, FACT(STATUS)},
	{"LightPopulated", F_LIGHT, C_EQUALITY, V_BOOL, 0, FACT(LIGHT) | FACT(DATA_VERSION)},
	{"Entities", F_ENTITIES, C_LIST, V_NAMES, NAMES_ENTITY,
		FACT(ENTITIES) | FACT(DATA_VERSION)},
	{"#Entities", F_N_ENTITIES, C_NUMBER, V_COUNT, 0, FACT(ENTITIES) | FACT(DATA_VERSION)},
	{"#ProtoEntities", F_N_PROTO_ENTITIES, C_NUMBER, V_COUNT, 0, FACT(PROTO_ENTITIES)},
	{"#TileEntities", F_N_TILES, C_NUMBER, V_COUNT, 0, FACT(TILES)},
	{"#BlockEntities", F_N_TILES, C_NUMBER, V_COUNT, 0, FACT(TILES)},
	{"Structures", F_STRUCTURES, C_LIST, V_NAMES, NAMES_STRUCTURE, FACT(STRUCTURES)},
	{"PlayerLocation", F_PLAYER_LOCATION, C_HAS, V_PLAYERS, 0, 0},
	{"PlayerSpawn", F_PLAYER_SPAWN, C_HAS, V_PLAYERS, 0, 0},
	{"Selection", F_SELECTION, C_EQUALITY, V_CSV, 0, 0},
	{"Circle", F_CIRCLE, C_HAS, V_CIRCLES, 0, 0},
	{"Border", F_BORDER, C_NUMBER, V_COUNT, 0, FACT(STATUS) | QUERY_WANTS_NEIGHBOURS},
	{"Age", F_AGE, C_NUMBER, V_SECONDS, 0, 0},
	{"Forced", F_FORCED, C_EQUALITY, V_BOOL, 0, QUERY_WANTS_FORCED},
	{"BlockEntities", F_TILES, C_LIST, V_NAMES, NAMES_TILE, FACT(TILES)},
	{"Damaged", F_DAMAGED, C_EQUALITY, V_BOOL, 0, FACT(DAMAGED)},
	{"Size", F_SIZE, C_NUMBER, V_BYTES, 0, 0},
	{"Dimension", F_DIMENSION, C_EQUALITY, V_DIMENSION, 0, 0},
};
#define N_FILTERS (sizeof filters / sizeof *filters)

const struct filter_info *query_filter(const char *name, size_t n)
{
	for (size_t i = 0; i < N_FILTERS; i++)
		if (strlen(filters[i].name) == n && strncmp(filters[i].name, name, n) == 0)
			return &filters[i];
	return NULL;
}

const struct filter_info *query_filter_of(enum filter f)
{
	for (size_t i = 0; i < N_FILTERS; i++)
		if (filters[i].filter == f)
			return &filters[i];
	return NULL;
}

/* ---- numbers ---- */

/* Digits with blanks between them ("1 000"), as MCA Selector takes them; false for anything else. */
static bool parse_int(const char *s, int64_t *ret)
{
	bool neg = *s == '-';
	int64_t v = 0;
	int digits = 0;
	for (s += neg || *s == '+'; *s; s++) {
		if (*s == ' ')
			continue;
		if (*s < '0' || *s > '9' || v > (INT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (*s - '0');
		digits++;
	}
	*ret = neg ? -v : v;
	return digits > 0;
}

static int bad_value(const struct qnode *n, const char *text, const char *want, struct err *e)
{
	return err_set(e, E_USAGE, 0, "%s wants %s, not '%.80s'", n->info->name, want, text);
}

static int value_duration(struct qnode *n, const char *text, int64_t factor, struct err *e)
{
	if (parse_int(text, &n->number))
		return n->number < 0 ? bad_value(n, text, "a length of time", e) : 0;
	int r = duration_parse_words(text, &n->number, e);
	if (r < 0)
		return err_wrap(e, "%s", n->info->name);
	n->number *= factor;
	return 0;
}

/* "2024-01-31", "2024-01-31 12:00:00", in local time. Parts may be left out from the right. */
static int value_timestamp(struct qnode *n, const char *text, struct err *e)
{
	struct tm tm = {.tm_mday = 1, .tm_isdst = -1};
	int year, month = 1, used = 0, got;
	if (parse_int(text, &n->number))
		return 0;
	got = sscanf(text, "%4d-%2d-%2d%n", &year, &month, &tm.tm_mday, &used);
	if (got == 3 && (text[used] == ' ' || text[used] == 'T')) {
		const char *clock = text + used + 1;
		got = sscanf(clock, "%2d:%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used);
		if (got < 3)
			got = sscanf(clock, "%2d:%2d%n", &tm.tm_hour, &tm.tm_min, &used) + 1;
		text = got == 3 ? clock : text;
	}
	if (got != 3 || text[used] || month < 1 || month > 12 || tm.tm_mday < 1 ||
		tm.tm_mday > 31 || year < 1970 || year > 9999)
		return bad_value(n, text, "seconds since 1970 or a date as 2024-01-31 12:00:00", e);
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	n->number = mktime(&tm);
	return 0;
}

static int value_bytes(struct qnode *n, const char *text, struct err *e)
{
	static const char *const units[] = {"", "k", "M", "G"};
	char digits[24], unit[8] = "";
	int used = 0;
	if (sscanf(text, "%20[0-9] %7[A-Za-z]%n", digits, unit, &used) < 2)
		used = 0;
	else if (text[used])
		unit[0] = '?';
	size_t len = strlen(unit);
	if (len && strcasecmp(unit + len - 1, "B") == 0)
		unit[--len] = 0;
	if (len == 2 && unit[1] == 'i')
		unit[--len] = 0;
	if (!used && !parse_int(text, &n->number))
		return bad_value(n, text, "bytes, as 8192, 64k or 1 MiB", e);
	if (!used)
		return 0;
	for (int i = 0; i < 4; i++)
		if (strcasecmp(unit, units[i]) == 0 && parse_int(digits, &n->number) &&
			n->number < INT64_C(1) << 32) {
			n->number <<= 10 * i;
			return 0;
		}
	return bad_value(n, text, "bytes, as 8192, 64k or 1 MiB", e);
}

static int value_bool(struct qnode *n, const char *text, struct err *e)
{
	if (strcmp(text, "1") == 0 || strcasecmp(text, "true") == 0)
		n->number = 1;
	else if (strcmp(text, "0") == 0 || strcasecmp(text, "false") == 0)
		n->number = 0;
	else
		return bad_value(n, text, "true or false (1 or 0)", e);
	return 0;
}

static int value_number(struct qnode *n, const char *text, struct err *e)
{
	if (!parse_int(text, &n->number))
		return bad_value(n, text, "a number", e);
	if (n->info->value == V_COUNT && n->number < 0)
		return bad_value(n, text, "a number that is not negative", e);
	return 0;
}

/* ---- lists ---- */

static int add_to_list(struct qnode *n, uint32_t v, struct err *e)
{
	if (!(n->n_list & (n->n_list - 1))) {
		void *p = realloc(n->list, (n->n_list ? 2 * n->n_list : 1) * sizeof *n->list);
		if (!p)
			return err_set(e, E_NOMEM, 0, "no memory for a query");
		n->list = p;
	}
	n->list[n->n_list++] = v;
	return 0;
}

static int add_name(struct qnode *n, const char *name, struct query_names *names, struct err *e)
{
	uint32_t number;
	const char *biome = NULL;
	if (n->info->names == NAMES_BIOME && *name && strspn(name, "0123456789") == strlen(name)) {
		biome = strlen(name) < 4 ? legacy_biome((unsigned)atoi(name)) : NULL;
		if (!biome)
			return err_set(e, E_USAGE, 0, "there is no biome number %.20s", name);
	}
	int r = names_add(names, (enum name_class)n->info->names, biome ? biome : name, &number, e);
	if (r < 0)
		return err_wrap(e, "%s", n->info->name);
	return add_to_list(n, number, e);
}

static int value_names(struct qnode *n, const char *text, struct query_names *names, struct err *e)
{
	CLEANUP_FREE char *copy = strdup(text);
	int r = copy ? 0 : err_set(e, E_NOMEM, 0, "no memory for a query");
	char *save = NULL;
	for (char *t = copy ? strtok_r(copy, ",", &save) : NULL; t && r == 0;
		t = strtok_r(NULL, ",", &save)) {
		t += strspn(t, " \t");
		size_t len = strlen(t);
		while (len && (t[len - 1] == ' ' || t[len - 1] == '\t'))
			t[--len] = 0;
		r = n->n_list == LIST_MAX ? err_set(e, E_USAGE, 0, "the list is too long")
					  : add_name(n, t, names, e);
	}
	if (r == 0 && n->n_list == 0)
		r = bad_value(n, text, "at least one name", e);
	return r;
}

static int value_circles(struct qnode *n, const char *text, struct err *e)
{
	const char *p = text;
	for (;;) {
		struct circle c;
		long long x, z, r;
		int used = 0;
		if (sscanf(p, " %lld ; %lld ; %lld%n", &x, &z, &r, &used) != 3 || r < 0 ||
			r > 100000000 || llabs(x) > 100000000 || llabs(z) > 100000000)
			return bad_value(n, text, "circles as X;Z;RADIUS, in chunks", e);
		c = (struct circle){x, z, r};
		void *v = realloc(n->circles, (n->n_circles + 1) * sizeof *n->circles);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a query");
		n->circles = v;
		n->circles[n->n_circles++] = c;
		p += used + strspn(p + used, " ");
		if (!*p)
			return 0;
		if (*p++ != ',')
			return bad_value(n, text, "circles as X;Z;RADIUS, in chunks", e);
	}
}

/* ---- words ---- */

static int take_text(struct qnode *n, const char *prefix, const char *text, struct err *e)
{
	return asprintf(&n->text, "%s%s", prefix, text) < 0
		       ? (n->text = NULL, err_set(e, E_NOMEM, 0, "no memory for a query"))
		       : 0;
}

static int value_compression(struct qnode *n, const char *text, struct err *e)
{
	static const struct {
		const char *name;
		unsigned type;
	} words[] = {{"GZIP", 1}, {"ZLIB", 2}, {"UNCOMPRESSED", 3}, {"NONE", 0}, {"LZ4", 4},
		{"CUSTOM", 127}};
	char word[32];
	size_t len = strlen(text);
	bool external = len > 4 && strcmp(text + len - 4, "_EXT") == 0;
	snprintf(word, sizeof word, "%.*s", (int)(external ? len - 4 : len), text);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(word, words[i].name) == 0) {
			n->number = words[i].type | (external ? 128 : 0);
			return 0;
		}
	return bad_value(n, text, "one of ZLIB, GZIP, LZ4, UNCOMPRESSED, NONE, CUSTOM, with or "
				  "without _EXT behind it", e);
}

/* ---- what others must be read for ---- */

struct collecting {
	struct qnode *n;
	const char *dimension;
};

static int add_player(void *ctx, const struct player_point *p, struct err *e)
{
	struct collecting *c = ctx;
	bool wanted = p->respawn == (c->n->info->filter == F_PLAYER_SPAWN);
	if (!wanted || strcmp(p->dimension, c->dimension) != 0)
		return 0;
	return selection_add(c->n->set, p->x, p->z, e);
}

static int value_players(struct qnode *n, const char *text, struct err *e)
{
	const char *colon = strchr(text, ':');
	if (!colon || colon == text)
		return bad_value(n, text, "DIRECTORY:DIMENSION", e);
	CLEANUP_FREE char *dir = strndup(text, (size_t)(colon - text));
	CLEANUP_SOURCE struct source *s = NULL;
	char dim[PLAYER_DIMENSION_CHARS];
	player_dimension(colon + 1, dim);
	struct collecting c = {n, dim};
	int r = dir ? source_dir_open(&s, dir, e) : err_set(e, E_NOMEM, 0, "no memory for a query");
	if (r == 0)
		r = selection_new(&n->set, e);
	if (r == 0)
		r = players_read(s, "", add_player, &c, NULL, e);
	return r < 0 ? err_wrap(e, "%s", n->info->name) : 0;
}

static int value_csv(struct qnode *n, const char *text, struct err *e)
{
	int r = selection_load(&n->set, text, e);
	return r < 0 ? err_wrap(e, "Selection") : 0;
}

int query_value(struct qnode *n, const char *text, struct query_names *names, struct err *e)
{
	switch (n->info->value) {
	case V_NUMBER:
	case V_COUNT:
		return value_number(n, text, e);
	case V_TICKS:
		return value_duration(n, text, TICKS_A_SECOND, e);
	case V_SECONDS:
		return value_duration(n, text, 1, e);
	case V_TIMESTAMP:
		return value_timestamp(n, text, e);
	case V_BYTES:
		return value_bytes(n, text, e);
	case V_BOOL:
		return value_bool(n, text, e);
	case V_NAMES:
		return value_names(n, text, names, e);
	case V_COMPRESSION:
		return value_compression(n, text, e);
	case V_STATUS:
	case V_DIMENSION:
		return take_text(n, "", strncmp(text, "minecraft:", 10) == 0 ? text + 10 : text, e);
	case V_PLAYERS:
		return value_players(n, text, e);
	case V_CSV:
		return value_csv(n, text, e);
	case V_CIRCLES:
		return value_circles(n, text, e);
	}
	return err_set(e, E_USAGE, 0, "%s has no value", n->info->name);
}
