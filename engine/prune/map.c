#include "engine/prune/map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/prune/map_internal.h"
#include "engine/prune/scan.h"

#define POOL_BYTES ((size_t)16 << 20)
#define TICKS(s) ((int64_t)(s) * 20)

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory for a map");
}

static void free_dims(struct map_plan *p)
{
	for (size_t i = 0; p->dims && i < p->n_dims; i++) {
		free(p->dims[i].label);
		free(p->dims[i].regions);
	}
	free(p->dims);
}

/* ---- what rules would prune ---- */

/* Ranks: what is lost for good matters more than what can be made again. */
static const struct map_kind verdict_kinds[VERDICT_REASONS] = {
	[VERDICT_ABSENT] = {0, 0, 0, 0, NULL, 0},
	[VERDICT_KEPT] = {66, 150, 74, 5, "kept: no rule asks for it", 0},
	[VERDICT_DAMAGED] = {255, 60, 220, 9, "kept: damaged", 0},
	[VERDICT_FORCED] = {160, 100, 230, 7, "kept: force-loaded or ticketed", 0},
	[VERDICT_SPAWN] = {245, 215, 70, 7, "kept: near spawn", 0},
	[VERDICT_PLAYER] = {80, 215, 235, 8, "kept: near a player or respawn point", 0},
	[VERDICT_AREA] = {70, 120, 240, 6, "kept: in a protected area", 0},
	[VERDICT_STRUCTURE] = {250, 150, 50, 6, "kept: protected structure or block", 0},
	[VERDICT_NEIGHBOUR] = {150, 205, 140, 4, "kept: next to a chunk that stays", 0}};

static const uint8_t rule_colors[][3] = {{200, 62, 52}, {160, 60, 66}, {205, 110, 90}, {130, 70, 70},
	{220, 140, 130}, {110, 50, 50}};

static int add_rule_kind(struct map_plan *p, const struct rules *r, size_t i, struct err *e)
{
	const uint8_t *c = rule_colors[i % (sizeof rule_colors / sizeof *rule_colors)];
	char *label;
	if (asprintf(&label, "prunable by %s: %s", rules_name(r, i), rules_text(r, i)) < 0)
		return no_memory(e);
	p->kinds[p->n_kinds] = (struct map_kind){c[0], c[1], c[2], 1, label, 0};
	p->kind_of[VERDICT_RULE + i] = (uint8_t)p->n_kinds++;
	return 0;
}

static int add_judged_dim(struct map_plan *p, const struct judged_dim *from, struct err *e)
{
	struct map_dim *d = &p->dims[p->n_dims++];
	d->label = scan_dim_label(&from->dim);
	d->regions = calloc(from->n_regions + 1, sizeof *d->regions);
	if (!d->label || !d->regions)
		return no_memory(e);
	d->n = from->n_regions;
	for (size_t i = 0; i < d->n; i++)
		d->regions[i] = (struct map_region){from->regions[i].x, from->regions[i].z,
			from->regions[i].v};
	return 0;
}

int map_draw_judgement(const struct judgement *j, const struct rules *r, unsigned zoom,
	struct map_image *ret, struct err *e)
{
	struct map_kind kinds[VERDICT_REASONS + RULES_MAX];
	struct map_plan p = {.kinds = kinds, .n_kinds = VERDICT_REASONS, .zoom = zoom};
	memcpy(kinds, verdict_kinds, sizeof verdict_kinds);
	for (unsigned v = 0; v < VERDICT_REASONS; v++)
		p.kind_of[v] = (uint8_t)v;
	int rc = 0;
	for (size_t i = 0; i < rules_count(r) && rc == 0; i++)
		rc = add_rule_kind(&p, r, i, e);
	p.dims = calloc(j->n_dims + 1, sizeof *p.dims);
	if (rc == 0 && !p.dims)
		rc = no_memory(e);
	for (size_t i = 0; i < j->n_dims && rc == 0; i++)
		if (j->dims[i].regions) /* asked for */
			rc = add_judged_dim(&p, &j->dims[i], e);
	if (rc == 0)
		rc = map_paint(&p, ret, e);
	free_dims(&p);
	for (size_t i = VERDICT_REASONS; i < p.n_kinds; i++)
		free((char *)(uintptr_t)kinds[i].label);
	return rc;
}

/* ---- what chunks say of themselves ---- */

struct step {
	int64_t below; /* the kind of values that are less */
	struct map_kind kind;
};

static const struct step inhabited_steps[] = {
	{1, {70, 72, 80, 1, "never inhabited", 0}},
	{TICKS(60), {60, 80, 140, 2, "less than a minute", 0}},
	{TICKS(300), {60, 120, 190, 3, "less than 5 minutes", 0}},
	{TICKS(3600), {70, 175, 120, 4, "less than an hour", 0}},
	{TICKS(36000), {230, 205, 75, 5, "less than 10 hours", 0}},
	{INT64_MAX, {235, 95, 60, 6, "10 hours and more", 0}}};
static const struct step age_steps[] = {
	{86400, {250, 240, 140, 6, "saved less than a day ago", 0}},
	{7 * 86400, {240, 180, 80, 5, "less than a week ago", 0}},
	{30 * 86400, {215, 110, 75, 4, "less than 30 days ago", 0}},
	{365 * 86400, {140, 75, 120, 3, "less than a year ago", 0}},
	{INT64_MAX, {75, 65, 130, 2, "a year ago and longer", 0}}};

/* In the order in which the game generates; names of all versions. */
static const struct {
	const char *names; /* with blanks around each */
	struct map_kind kind;
} stages[] = {{" full postprocessed fullchunk ", {66, 150, 74, 1, "full", 0}},
	{" heightmaps spawn light initialize_light lighted mobs_spawned finalized ",
		{120, 190, 90, 3, "nearly full: light, spawn", 0}},
	{" features decorated ", {200, 200, 80, 4, "features", 0}},
	{" noise surface carvers liquid_carvers carved carved_liquids base ",
		{205, 140, 70, 5, "noise, surface, carvers", 0}},
	{" biomes ", {110, 130, 200, 6, "biomes", 0}},
	{" structure_starts structure_references ", {90, 80, 160, 7, "structure starts", 0}},
	{" empty ", {60, 60, 90, 8, "empty", 0}}};

#define N_STAGES (sizeof stages / sizeof *stages)
#define KINDS_MAX 16

struct charting {
	enum map_color color;
	struct map_kind kinds[KINDS_MAX]; /* 0 none, then the steps, then two more */
	size_t n_kinds, no_value, damaged;
	const struct step *steps;
	size_t n_steps;
	/* Of the dimension that is being read. */
	struct map_dim *dim;
	uint8_t (*v)[REGION_SLOTS];
};

static void add_kind(struct charting *c, struct map_kind k)
{
	c->kinds[c->n_kinds++] = k;
}

static void choose_kinds(struct charting *c)
{
	c->steps = c->color == MAP_INHABITED ? inhabited_steps : age_steps;
	c->n_steps = c->color == MAP_INHABITED ? sizeof inhabited_steps / sizeof *inhabited_steps
					       : sizeof age_steps / sizeof *age_steps;
	c->n_kinds = 1;
	if (c->color == MAP_STATUS)
		for (size_t i = 0; i < N_STAGES; i++)
			add_kind(c, stages[i].kind);
	else
		for (size_t i = 0; i < c->n_steps; i++)
			add_kind(c, c->steps[i].kind);
	c->no_value = c->n_kinds;
	add_kind(c, (struct map_kind){150, 150, 150, 2,
			   c->color == MAP_STATUS ? "another status, or none" : "it does not say", 0});
	c->damaged = c->n_kinds;
	add_kind(c, (struct map_kind){255, 60, 220, 9, "damaged", 0});
}

static size_t kind_of_status(const struct charting *c, const char *status)
{
	char word[STATUS_CHARS + 3];
	snprintf(word, sizeof word, " %s ",
		strncmp(status, "minecraft:", 10) == 0 ? status + 10 : status);
	for (size_t i = 0; i < N_STAGES && *status; i++)
		if (strstr(stages[i].names, word))
			return 1 + i;
	return c->no_value;
}

static size_t kind_of_chunk(const struct charting *c, const struct facts *f)
{
	int64_t v = f->now - f->timestamp;
	if (f->damaged)
		return c->damaged;
	if (c->color == MAP_STATUS)
		return kind_of_status(c, f->status);
	if (c->color == MAP_AGE && f->timestamp == 0)
		return c->no_value;
	if (c->color == MAP_INHABITED) {
		if (!(f->known & ~f->none & FACT_BIT(FACT_INHABITED)))
			return c->no_value;
		v = f->number[FACT_INHABITED];
	}
	for (size_t i = 0; i < c->n_steps; i++)
		if (v < c->steps[i].below)
			return 1 + i;
	return c->n_steps;
}

static enum answer decide(void *ctx, const struct facts *f)
{
	const struct charting *c = ctx;
	unsigned want = c->color == MAP_STATUS ? FACT_BIT(FACT_STATUS) : FACT_BIT(FACT_INHABITED);
	return c->color == MAP_AGE || (f->known & want) ? ANSWER_YES : ANSWER_UNKNOWN;
}

static int begin_regions(void *ctx, const struct source_regions *all, struct err *e)
{
	struct charting *c = ctx;
	c->dim->regions = calloc(all->n + 1, sizeof *c->dim->regions);
	c->v = calloc(all->n + 1, sizeof *c->v);
	if (!c->dim->regions || !c->v)
		return no_memory(e);
	c->dim->n = all->n;
	for (size_t i = 0; i < all->n; i++)
		c->dim->regions[i] = (struct map_region){all->v[i].x, all->v[i].z, c->v[i]};
	return 0;
}

static int on_chunk(void *ctx, size_t i, unsigned slot, enum answer a, const struct examiner *x,
	struct err *e)
{
	struct charting *c = ctx;
	(void)a, (void)e;
	c->v[i][slot] = (uint8_t)kind_of_chunk(c, &x->facts);
	return 0;
}

struct atlas {
	struct charting c;
	struct map_plan plan;
	void **pixels; /* of each dimension */
	struct worlds all;
	struct pool *pool;
	struct query_names names; /* none */
};

static int chart_dims(struct atlas *a, struct source *s, const struct judge_options *opt,
	struct err *e)
{
	struct scan scan = {.source = s, .pool = a->pool, .names = &a->names,
		.ask = {a->c.color == MAP_STATUS ? FACT_BIT(FACT_STATUS) : FACT_BIT(FACT_INHABITED),
			false, decide, &a->c},
		.now = opt->now ? opt->now : time(NULL), .cancel = opt->cancel,
		.regions = begin_regions, .chunk = on_chunk};
	int r = 0;
	if (a->all.n == 0)
		return err_set(e, E_NOTFOUND, 0, "there is no world: no folder with region files");
	for (size_t i = 0; i < a->all.n && r == 0; i++) {
		if (opt->dimension && strcmp(opt->dimension, a->all.v[i].name) != 0)
			continue;
		a->c.v = NULL;
		a->c.dim = &a->plan.dims[a->plan.n_dims];
		a->c.dim->label = scan_dim_label(&a->all.v[i]);
		r = a->c.dim->label ? scan_dimension(&scan, &a->all.v[i], e) : no_memory(e);
		a->pixels[a->plan.n_dims++] = a->c.v;
	}
	if (r == 0 && a->plan.n_dims == 0)
		r = err_set(e, E_NOTFOUND, 0, "there is no dimension '%s' in this world",
			opt->dimension);
	return r;
}

int map_draw_chunks(struct source *s, enum map_color color, const struct judge_options *opt,
	unsigned zoom, struct map_image *ret, struct err *e)
{
	struct atlas a = {.c = {.color = color}};
	choose_kinds(&a.c);
	a.plan = (struct map_plan){.kinds = a.c.kinds, .n_kinds = a.c.n_kinds, .zoom = zoom};
	for (unsigned v = 0; v < KINDS_MAX; v++)
		a.plan.kind_of[v] = (uint8_t)v;
	int r = source_worlds(s, &a.all, e);
	if (r == 0) {
		a.plan.dims = calloc(a.all.n + 1, sizeof *a.plan.dims);
		a.pixels = calloc(a.all.n + 1, sizeof *a.pixels);
		if (!a.plan.dims || !a.pixels)
			r = no_memory(e);
	}
	if (r == 0)
		r = pool_new(&a.pool, opt->threads, POOL_BYTES, e);
	if (r == 0)
		r = chart_dims(&a, s, opt, e);
	if (r == 0)
		r = map_paint(&a.plan, ret, e);
	for (size_t i = 0; a.pixels && i < a.plan.n_dims; i++)
		free(a.pixels[i]);
	free(a.pixels);
	free_dims(&a.plan);
	pool_free(a.pool);
	worlds_free(&a.all);
	return r;
}
