#include "engine/config/prune_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/cleanup.h"
#include "engine/base/duration.h"
#include "engine/config/yaml.h"

#define TICKS_A_SECOND 20
#define PLACE_MAX 100000000 /* chunks from the middle; worlds end far before that */
#define LIST_MAX 10000

/* Words of keys are joined by _ or -. */
static bool key_is(const char *key, const char *want)
{
	for (; *key && *want; key++, want++)
		if (*key != *want && !(*key == '-' && *want == '_'))
			return false;
	return *key == *want;
}

static int unknown(const struct yaml_entry *en, const char *where, const char *const *known,
	struct err *e)
{
	const char *near = ydoc_nearest(en->key, known);
	return ydoc_err_at(e, en->file, en->line, "%s has no key '%.60s'%s%s%s", where, en->key,
		near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* The number in `known` of an entry's key; -1: recorded as an error. */
static int key_number(const struct yaml_entry *en, const char *where, const char *const *known,
	struct err *e)
{
	for (int i = 0; known[i]; i++)
		if (key_is(en->key, known[i]))
			return i;
	unknown(en, where, known, e);
	return -1;
}

static int in_line(const struct yaml_node *n, struct err *e)
{
	CLEANUP_FREE char *why = strdup(e->msg);
	return ydoc_err(e, n, "%s", why ? why : "no memory");
}

/* ---- values ---- */

static int seconds(const struct yaml_node *n, const char *what, int64_t *ret, struct err *e)
{
	const char *text;
	int r = ydoc_string(n, what, &text, e);
	if (r < 0)
		return r;
	r = duration_parse_words(text, ret, e);
	return r < 0 ? in_line(n, e) : 0;
}

/* A bare number is ticks, as MCA Selector has it. */
static int ticks(const struct yaml_node *n, const char *what, int64_t *ret, struct err *e)
{
	const char *text;
	int r = ydoc_string(n, what, &text, e);
	if (r < 0)
		return r;
	if (*text && strspn(text, "0123456789") == strlen(text))
		return ydoc_int(n, what, 0, DURATION_MAX * TICKS_A_SECOND, ret, e);
	r = seconds(n, what, ret, e);
	*ret *= TICKS_A_SECOND;
	return r;
}

static int percent(const struct yaml_node *n, unsigned *ret, struct err *e)
{
	const char *text;
	double v;
	int used = 0;
	int r = ydoc_string(n, "max_fraction", &text, e);
	if (r < 0)
		return r;
	size_t len = strlen(text);
	bool sign = len && text[len - 1] == '%';
	if (sscanf(text, "%lf%n", &v, &used) != 1 || strspn(text, "0123456789. %") != len ||
		(size_t)used + strspn(text + used, " %") != len)
		v = -1;
	else if (!sign && v <= 1)
		v *= 100;
	else if (!sign)
		v = -1; /* 50: of what? */
	if (!(v >= 0 && v <= 100))
		return ydoc_err(e, n, "max_fraction is a part of the chunks, as 50%% or 0.5, not '%.40s'",
			text);
	*ret = (unsigned)v;
	return 0;
}

static int bytes(const struct yaml_node *n, const char *what, int64_t *ret, struct err *e)
{
	static const char units[] = "kMGT";
	const char *text;
	char unit[8] = "", *end;
	int r = ydoc_string(n, what, &text, e);
	if (r < 0)
		return r;
	unsigned long long v = strtoull(text, &end, 10);
	int used = 0;
	bool ok = *text >= '0' && *text <= '9' && v < 1ull << 32;
	end += strspn(end, " ");
	if (ok && *end)
		ok = sscanf(end, "%7[A-Za-z]%n", unit, &used) == 1 && !end[used];
	int shift = 0;
	if (ok && *unit && strcasecmp(unit, "B") != 0) {
		const char *at = strchr(units, *unit == 'K' ? 'k' : *unit == 'm' ? 'M' : *unit);
		ok = at && (!unit[1] || strcasecmp(unit + 1, "iB") == 0 ||
				   strcasecmp(unit + 1, "B") == 0 || strcmp(unit + 1, "i") == 0);
		shift = at ? 10 * (int)(at - units + 1) : 0;
	}
	if (!ok || v > (unsigned long long)INT64_MAX >> shift)
		return ydoc_err(e, n, "%s is a size, as 512 MiB or 10G, not '%.40s'", what, text);
	*ret = (int64_t)(v << shift);
	return 0;
}

static int radius(const struct yaml_node *n, const char *what, int64_t most, unsigned *ret,
	struct err *e)
{
	int64_t v;
	int r = ydoc_int(n, what, 0, most, &v, e);
	*ret = (unsigned)(r < 0 ? 0 : v);
	return r;
}

/* ---- delete_chunks ---- */

static int read_pair(struct rules_spec *rules, const struct yaml_entry *item, struct err *e)
{
	static const char *const known[] = {"last_updated", "inhabited_time", NULL};
	const struct yaml_node *n = item->value;
	int64_t last_updated = -1, inhabited = -1;
	int r = ydoc_want(n, YAML_MAP, "an entry of delete_chunks", e);
	for (size_t i = 0; r == 0 && i < n->n; i++) {
		switch (key_number(&n->v[i], "an entry of delete_chunks", known, e)) {
		case 0:
			r = seconds(n->v[i].value, "last_updated", &last_updated, e);
			break;
		case 1:
			r = ticks(n->v[i].value, "inhabited_time", &inhabited, e);
			break;
		default:
			r = E_USAGE;
		}
	}
	if (r == 0 && last_updated < 0 && inhabited < 0)
		r = ydoc_err_at(e, item->file, item->line,
			"an entry of delete_chunks needs last_updated, inhabited_time or both");
	if (r < 0)
		return r;
	r = rules_spec_add_pair(rules, last_updated, inhabited, item->line, e);
	return r < 0 ? in_line(n, e) : 0;
}

static int read_pairs(struct rules_spec *rules, const struct yaml_node *n, struct err *e)
{
	int r = ydoc_is_null(n) ? 0 : ydoc_want(n, YAML_LIST, "delete_chunks", e);
	for (size_t i = 0; r == 0 && !ydoc_is_null(n) && i < n->n; i++)
		r = read_pair(rules, &n->v[i], e);
	return r;
}

/* ---- query ---- */

static int read_query(struct rules_spec *rules, const struct yaml_node *n, struct err *e)
{
	const char *text;
	int r = ydoc_string(n, "query", &text, e);
	if (r < 0)
		return r;
	/* By itself, so that what is wrong has a file and a line. */
	struct rules_spec alone;
	struct rules *compiled;
	rules_spec_init(&alone);
	r = rules_spec_add_query(&alone, text, 0, e);
	if (r == 0)
		r = rules_compile(&compiled, &alone, e);
	rules_spec_free(&alone);
	if (r < 0)
		return r == E_USAGE ? in_line(n, e) : r;
	rules_free(compiled);
	r = rules_spec_add_query(rules, text, n->line, e);
	return r < 0 ? in_line(n, e) : 0;
}

static int read_queries(struct rules_spec *rules, const struct yaml_node *n, struct err *e)
{
	int r = 0;
	if (ydoc_is_null(n))
		return 0;
	if (n->kind != YAML_LIST)
		return read_query(rules, n, e);
	for (size_t i = 0; r == 0 && i < n->n; i++)
		r = read_query(rules, n->v[i].value, e);
	return r;
}

/* ---- protect ---- */

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory for a configuration");
}

/* "1;2;3" */
static int place_numbers(const struct yaml_node *n, const char *what, unsigned want, int32_t *v,
	struct err *e)
{
	const char *p;
	int r = ydoc_string(n, what, &p, e);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < want; i++) {
		char *end;
		long long x = strtoll(p, &end, 10);
		const char *rest = end + strspn(end, " ");
		bool last = i + 1 == want;
		if (end == p || x > PLACE_MAX || x < -PLACE_MAX || *rest != (last ? 0 : ';'))
			return ydoc_err(e, n, "%s, not '%.40s'", what, p);
		v[i] = (int32_t)x;
		p = rest + !last;
	}
	return 0;
}

/* The same as a map, and a dimension. */
static int place_map(const struct yaml_node *n, const char *where, const char *const *known,
	unsigned want, int32_t *v, char **ret_dimension, struct err *e)
{
	unsigned seen = 0;
	for (size_t i = 0; i < n->n; i++) {
		const struct yaml_entry *en = &n->v[i];
		const char *text;
		int64_t number;
		int k = key_number(en, where, known, e), r;
		if (k < 0)
			return E_USAGE;
		if ((unsigned)k == want) {
			r = ydoc_string(en->value, "dimension", &text, e);
			if (r < 0)
				return r;
			*ret_dimension = strdup(strncmp(text, "minecraft:", 10) ? text : text + 10);
			if (!*ret_dimension)
				return no_memory(e);
			continue;
		}
		r = ydoc_int(en->value, en->key, -PLACE_MAX, PLACE_MAX, &number, e);
		if (r < 0)
			return r;
		v[k] = (int32_t)number;
		seen |= 1u << k;
	}
	return seen == (1u << want) - 1 ? 0 : ydoc_err(e, n, "%s needs all of its numbers", where);
}

static int add_area(struct protect_spec *p, struct protect_area a, struct err *e)
{
	void *v = realloc(p->areas, (p->n_areas + 1) * sizeof *p->areas);
	if (!v) {
		free(a.dimension);
		return no_memory(e);
	}
	p->areas = v;
	p->areas[p->n_areas++] = a;
	return 0;
}

static int read_area(struct protect_spec *p, const struct yaml_node *n, bool circle, struct err *e)
{
	static const char *const circle_keys[] = {"x", "z", "radius", "dimension", NULL};
	static const char *const box_keys[] = {"x1", "z1", "x2", "z2", "dimension", NULL};
	struct protect_area a = {.circle = circle};
	int32_t v[4] = {0};
	unsigned want = circle ? 3 : 4;
	int r = n->kind == YAML_MAP
			? place_map(n, circle ? "a circle" : "a box", circle ? circle_keys : box_keys,
				  want, v, &a.dimension, e)
			: place_numbers(n,
				  circle ? "a circle is X;Z;RADIUS in chunks"
					 : "a box is X1;Z1;X2;Z2 in chunks",
				  want, v, e);
	if (r == 0 && circle && v[2] < 0)
		r = ydoc_err(e, n, "a circle's radius is not negative");
	if (r < 0) {
		free(a.dimension);
		return r;
	}
	if (circle) {
		a.x = v[0];
		a.z = v[1];
		a.radius = v[2];
	} else {
		a.x1 = v[0] < v[2] ? v[0] : v[2];
		a.x2 = v[0] < v[2] ? v[2] : v[0];
		a.z1 = v[1] < v[3] ? v[1] : v[3];
		a.z2 = v[1] < v[3] ? v[3] : v[1];
	}
	return add_area(p, a, e);
}

/* Relative to the file that names it. */
static char *beside(const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');
	char *out;
	if (*path == '/' || !slash)
		return strdup(path);
	return asprintf(&out, "%.*s%s", (int)(slash + 1 - file), file, path) < 0 ? NULL : out;
}

static int read_selection(struct protect_spec *p, const struct yaml_node *n, struct err *e)
{
	static const char *const known[] = {"file", "dimension", NULL};
	const struct yaml_node *at[2] = {n, NULL};
	const char *text[2] = {NULL, NULL};
	if (n->kind == YAML_MAP) {
		at[0] = NULL;
		for (size_t i = 0; i < n->n; i++) {
			int k = key_number(&n->v[i], "a selection", known, e);
			if (k < 0)
				return E_USAGE;
			at[k] = n->v[i].value;
		}
		if (!at[0])
			return ydoc_err(e, n, "a selection needs its file");
	}
	int r = ydoc_string(at[0], "a selection", &text[0], e);
	if (r == 0 && at[1])
		r = ydoc_string(at[1], "dimension", &text[1], e);
	if (r < 0)
		return r;
	void *v = realloc(p->selections, (p->n_selections + 1) * sizeof *p->selections);
	if (!v)
		return no_memory(e);
	p->selections = v;
	struct protect_file *f = &p->selections[p->n_selections++];
	f->path = beside(at[0]->file, text[0]);
	f->dimension = text[1] ? strdup(text[1]) : NULL;
	return f->path && (f->dimension || !text[1]) ? 0 : no_memory(e);
}

static int read_id(char ***list, size_t *n_list, const struct yaml_node *n, const char *what,
	struct err *e)
{
	const char *text;
	int r = ydoc_string(n, what, &text, e);
	if (r < 0)
		return r;
	if (!*text || text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-./:")])
		return ydoc_err(e, n, "'%.60s' in %s cannot be an id (as 'chest' or 'mod:thing')", text,
			what);
	char **v = realloc(*list, (*n_list + 1) * sizeof *v);
	if (!v)
		return no_memory(e);
	*list = v;
	v[*n_list] = strdup(text);
	return v[(*n_list)++] ? 0 : no_memory(e);
}

enum protect_key {
	P_FORCED,
	P_PLAYERS,
	P_PLAYER_RADIUS,
	P_SPAWN,
	P_SPAWN_RADIUS,
	P_NEIGHBOURS,
	P_CIRCLES,
	P_BOXES,
	P_SELECTIONS,
	P_STRUCTURES,
	P_BLOCKS
};

static const char *const protect_keys[] = {[P_FORCED] = "forced", [P_PLAYERS] = "players",
	[P_PLAYER_RADIUS] = "player_radius", [P_SPAWN] = "spawn",
	[P_SPAWN_RADIUS] = "spawn_radius", [P_NEIGHBOURS] = "neighbours", [P_CIRCLES] = "circles",
	[P_BOXES] = "boxes", [P_SELECTIONS] = "selections", [P_STRUCTURES] = "structures",
	[P_BLOCKS] = "blocks", [P_BLOCKS + 1] = NULL};

static int read_list(struct protect_spec *p, int key, const struct yaml_node *n, struct err *e)
{
	int r = ydoc_is_null(n) ? 0 : ydoc_want(n, YAML_LIST, protect_keys[key], e);
	if (r == 0 && !ydoc_is_null(n) && n->n > LIST_MAX)
		r = ydoc_err(e, n, "%s has more than %d entries", protect_keys[key], LIST_MAX);
	for (size_t i = 0; r == 0 && !ydoc_is_null(n) && i < n->n; i++) {
		const struct yaml_node *v = n->v[i].value;
		if (key == P_CIRCLES || key == P_BOXES)
			r = read_area(p, v, key == P_CIRCLES, e);
		else if (key == P_SELECTIONS)
			r = read_selection(p, v, e);
		else if (key == P_STRUCTURES)
			r = read_id(&p->structures, &p->n_structures, v, "structures", e);
		else
			r = read_id(&p->blocks, &p->n_blocks, v, "blocks", e);
	}
	return r;
}

static int read_protect_key(struct protect_spec *p, int key, const struct yaml_node *n,
	struct err *e)
{
	switch (key) {
	case P_FORCED:
		return ydoc_bool(n, "forced", &p->forced, e);
	case P_PLAYERS:
		return ydoc_bool(n, "players", &p->players, e);
	case P_PLAYER_RADIUS:
		return radius(n, "player_radius", 128, &p->player_radius, e);
	case P_SPAWN:
		return ydoc_bool(n, "spawn", &p->spawn, e);
	case P_SPAWN_RADIUS:
		return radius(n, "spawn_radius", 4096, &p->spawn_radius, e);
	case P_NEIGHBOURS:
		return radius(n, "neighbours", 32, &p->neighbours, e);
	case -1:
		return E_USAGE;
	default:
		return read_list(p, key, n, e);
	}
}

static int read_protect(struct protect_spec *p, const struct yaml_node *n, struct err *e)
{
	if (ydoc_is_null(n))
		return 0;
	int r = ydoc_want(n, YAML_MAP, "protect", e);
	for (size_t i = 0; r == 0 && i < n->n; i++)
		r = read_protect_key(p, key_number(&n->v[i], "protect", protect_keys, e), n->v[i].value,
			e);
	return r;
}

/* ---- the file ---- */

static int read_require(struct prune_config *c, const struct yaml_node *n, struct err *e)
{
	if (ydoc_bool(n, "require_snapshot", &c->require_snapshot, NULL) == 0)
		return 0;
	c->require_snapshot = true;
	return seconds(n, "require_snapshot", &c->snapshot_age, e);
}

static int read_key(struct prune_config *c, const struct yaml_entry *en, struct err *e)
{
	static const char *const known[] = {"delete_chunks", "query", "protect", "max_fraction",
		"trash_keep", "trash_size", "require_snapshot", NULL};
	switch (key_number(en, "prune.yaml", known, e)) {
	case 0:
		return read_pairs(&c->rules, en->value, e);
	case 1:
		return read_queries(&c->rules, en->value, e);
	case 2:
		return read_protect(&c->rules.protect, en->value, e);
	case 3:
		return percent(en->value, &c->rules.max_percent, e);
	case 4:
		return seconds(en->value, "trash_keep", &c->trash_keep, e);
	case 5:
		return bytes(en->value, "trash_size", &c->trash_size, e);
	case 6:
		return read_require(c, en->value, e);
	default:
		return E_USAGE;
	}
}

static int read_all(struct prune_config *c, const struct yaml_node *root, struct err *e)
{
	*c = (struct prune_config){.trash_keep = -1, .trash_size = -1, .snapshot_age = -1};
	rules_spec_init(&c->rules);
	int r = ydoc_want(root, YAML_MAP, "the file", e);
	for (size_t i = 0; r == 0 && i < root->n; i++)
		r = read_key(c, &root->v[i], e);
	if (r < 0)
		prune_config_free(c);
	return r;
}

int prune_config_load(struct prune_config *ret, const char *path, struct err *e)
{
	struct ydoc *y;
	int r = ydoc_load(&y, path, NULL, e);
	if (r < 0)
		return r;
	r = read_all(ret, ydoc_root(y), e);
	ydoc_free(y);
	return r;
}

int prune_config_parse(struct prune_config *ret, struct span text, const char *name, struct err *e)
{
	struct ydoc *y;
	int r = ydoc_parse(&y, text, name, NULL, e);
	if (r < 0)
		return r;
	r = read_all(ret, ydoc_root(y), e);
	ydoc_free(y);
	return r;
}

void prune_config_free(struct prune_config *c)
{
	rules_spec_free(&c->rules);
}
