/* judge.c - rules and protections on all chunks of a world. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/base/duration.h"
#include "engine/prune/rules_internal.h"
#include "engine/prune/find.h"
#include "engine/prune/scan.h"
#include "engine/prune/flat.h"

#define POOL_BYTES ((size_t)16 << 20)
#define SAMPLE_CHUNKS 20000
#define TICKS_A_SECOND 20

/* Judging one dimension. */
struct judging {
	const struct rules *r;
	struct guards guards;
	const struct selection *also; /* NULL: nothing */
	struct judged_dim *out;
	uint16_t (*sectors)[REGION_SLOTS]; /* what each chunk takes, all kinds */
	struct signal_counts *signal;
	pthread_mutex_t m; /* guards out's counts */
	uint64_t left;	   /* of the sample, under m */
};

/* ---- one dimension: first what each chunk is by itself ---- */

static enum answer decide(void *ctx, const struct facts *f)
{
	const struct judging *j = ctx;
	size_t i;
	if (j->also && !f->damaged && selection_has(j->also, f->x, f->z))
		return ANSWER_YES;
	return rules_ask(j->r, f, &i);
}

static int begin_regions(void *ctx, const struct source_regions *all, struct err *e)
{
	struct judging *j = ctx;
	j->out->regions = calloc(all->n + 1, sizeof *j->out->regions);
	j->sectors = calloc(all->n + 1, sizeof *j->sectors);
	if (!j->out->regions || !j->sectors)
		return err_set(e, E_NOMEM, 0, "no memory for %zu regions", all->n);
	j->out->n_regions = all->n;
	for (size_t i = 0; i < all->n; i++) {
		j->out->regions[i].x = all->v[i].x;
		j->out->regions[i].z = all->v[i].z;
	}
	return 0;
}

static uint8_t verdict_of(const struct judging *j, enum answer a, const struct facts *f)
{
	size_t i;
	if (a == ANSWER_NO)
		return f->damaged ? VERDICT_DAMAGED : VERDICT_KEPT;
	enum verdict guard = guards_ask(&j->guards, f->x, f->z);
	if (guard != VERDICT_ABSENT)
		return guard;
	if (j->r->keep && !f->damaged && query_judge(j->r->keep, f) >= ANSWER_YES)
		return VERDICT_STRUCTURE;
	rules_ask(j->r, f, &i); /* the last one, when none asks for it but it was found */
	return (uint8_t)(VERDICT_RULE + i);
}

static uint64_t packed(struct region_entry en)
{
	return (uint64_t)(en.sector << 8 | en.count) << 32 | en.timestamp;
}

static int on_chunk(void *ctx, size_t i, unsigned slot, enum answer a, const struct examiner *x,
	struct err *e)
{
	struct judging *j = ctx;
	const struct facts *f = &x->facts;
	const unsigned inhabited = FACT_BIT(FACT_INHABITED);
	struct judged_region *reg = &j->out->regions[i];
	reg->v[slot] = verdict_of(j, a, f);
	if (verdict_prunable(reg->v[slot])) {
		if (!reg->entries)
			reg->entries = calloc(REGION_SLOTS, sizeof *reg->entries);
		if (!reg->entries)
			return err_set(e, E_NOMEM, 0, "no memory to judge");
		reg->entries[slot] = packed(x->chunk[SOURCE_REGION].entry);
	}
	j->sectors[i][slot] = (uint16_t)(f->size / REGION_SECTOR);
	if (f->known & ~f->none & inhabited)
		signal_add(j->signal, f->number[FACT_INHABITED]);
	return 0;
}

/* ---- then its neighbours ---- */

#define WINDOW (3 * 32)

static const struct judged_region *find(const struct judged_dim *d, int32_t x, int32_t z)
{
	size_t low = 0, high = d->n_regions;
	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct judged_region *r = &d->regions[mid];
		if (r->x < x || (r->x == x && r->z < z))
			low = mid + 1;
		else
			high = mid;
	}
	if (low == d->n_regions)
		return NULL;
	const struct judged_region *r = &d->regions[low];
	return r->x == x && r->z == z ? r : NULL;
}

/* Stays for a reason of its own: being a neighbour does not make others neighbours. */
static bool stays(uint8_t v)
{
	return v != VERDICT_ABSENT && v != VERDICT_NEIGHBOUR && !verdict_prunable(v);
}

/* sum[z][x]: how many chunks stay above and to the left, in the 3 x 3 regions around. */
static void sum_window(const struct judged_dim *d, const struct judged_region *mid,
	uint16_t sum[WINDOW + 1][WINDOW + 1])
{
	memset(sum, 0, sizeof(uint16_t) * (WINDOW + 1) * (WINDOW + 1));
	for (int rz = 0; rz < 3; rz++)
		for (int rx = 0; rx < 3; rx++) {
			const struct judged_region *r = find(d, mid->x + rx - 1, mid->z + rz - 1);
			for (int k = 0; r && k < REGION_SLOTS; k++)
				sum[rz * 32 + k / 32 + 1][rx * 32 + k % 32 + 1] = stays(r->v[k]);
		}
	for (int z = 1; z <= WINDOW; z++)
		for (int x = 1; x <= WINDOW; x++)
			sum[z][x] = (uint16_t)(sum[z][x] + sum[z - 1][x] + sum[z][x - 1] -
					       sum[z - 1][x - 1]);
}

static void mark_neighbours(struct judged_dim *d, int n)
{
	uint16_t sum[WINDOW + 1][WINDOW + 1];
	for (size_t i = 0; i < d->n_regions && n; i++) {
		struct judged_region *r = &d->regions[i];
		bool any = false;
		for (int k = 0; k < REGION_SLOTS && !any; k++)
			any = verdict_prunable(r->v[k]);
		if (!any)
			continue;
		sum_window(d, r, sum);
		for (int k = 0; k < REGION_SLOTS; k++) {
			int x = 32 + k % 32, z = 32 + k / 32;
			unsigned near = (unsigned)sum[z + n + 1][x + n + 1] -
					sum[z - n][x + n + 1] - sum[z + n + 1][x - n] +
					sum[z - n][x - n];
			if (near && verdict_prunable(r->v[k]))
				r->v[k] = VERDICT_NEIGHBOUR;
		}
	}
}

/* ---- and counts ---- */

static void count(struct judging *j)
{
	struct judged_dim *d = j->out;
	for (size_t i = 0; i < d->n_regions; i++)
		for (int k = 0; k < REGION_SLOTS; k++) {
			uint8_t v = d->regions[i].v[k];
			uint64_t bytes = (uint64_t)j->sectors[i][k] * REGION_SECTOR;
			if (v == VERDICT_ABSENT)
				continue;
			d->chunks++;
			d->bytes += bytes;
			if (v < VERDICT_REASONS) {
				d->reason[v]++;
				continue;
			}
			d->prunable++;
			d->rule_chunks[v - VERDICT_RULE]++;
			d->rule_bytes[v - VERDICT_RULE] += bytes;
		}
	unsigned max = j->r->max_percent;
	if (d->prunable && d->prunable * 100 > d->chunks * max) {
		d->refused_fraction = true;
		snprintf(d->refused, sizeof d->refused,
			"%llu of its %llu chunks (%llu %%) would go, more than max_fraction allows "
			"(%u %%)",
			(unsigned long long)d->prunable, (unsigned long long)d->chunks,
			(unsigned long long)(d->prunable * 100 / d->chunks), max);
	}
}

/* Keep only the entries of what is prunable still. */
static void compact_entries(struct judged_region *r)
{
	size_t n = 0;
	for (int k = 0; k < REGION_SLOTS; k++)
		if (verdict_prunable(r->v[k]))
			r->entries[n++] = r->entries[k];
	uint64_t *less = n ? realloc(r->entries, n * sizeof *less) : NULL;
	if (n == 0)
		free(r->entries);
	if (n == 0 || less)
		r->entries = less;
}

/* Drop regions without chunks. */
static void compact_regions(struct judged_dim *d)
{
	size_t m = 0;
	for (size_t i = 0; i < d->n_regions; i++) {
		bool any = false;
		if (d->regions[i].entries)
			compact_entries(&d->regions[i]);
		for (int k = 0; k < REGION_SLOTS && !any; k++)
			any = d->regions[i].v[k] != VERDICT_ABSENT;
		if (any)
			d->regions[m++] = d->regions[i];
	}
	d->n_regions = m;
}

static struct scan scan_of(struct judging *j, struct source *s, const struct judge_options *opt,
	struct pool *pool, int64_t now)
{
	const struct rules *r = j->r;
	return (struct scan){.source = s, .pool = pool, .names = &r->names,
		.ask = {r->wants & (FACT_BIT(FACTS) - 1), true, decide, j},
		.neighbours = r->wants & QUERY_WANTS_NEIGHBOURS, .forced = j->guards.forced,
		.now = now, .cancel = opt->cancel, .regions = begin_regions, .chunk = on_chunk};
}

/* ---- a second look where InhabitedTime seems to say nothing ---- */

static int no_regions(void *ctx, const struct source_regions *all, struct err *e)
{
	(void)ctx, (void)all, (void)e;
	return 0;
}

static enum answer decide_sample(void *ctx, const struct facts *f)
{
	struct judging *j = ctx;
	if (f->known & FACT_BIT(FACT_INHABITED))
		return ANSWER_NO;
	if (f->known) /* reading already */
		return ANSWER_UNKNOWN;
	pthread_mutex_lock(&j->m);
	bool go = j->left > 0;
	j->left -= go;
	pthread_mutex_unlock(&j->m);
	return go ? ANSWER_UNKNOWN : ANSWER_NO;
}

static int count_sample(void *ctx, size_t i, unsigned slot, enum answer a, const struct examiner *x,
	struct err *e)
{
	struct judging *j = ctx;
	(void)i, (void)slot, (void)a, (void)e;
	if (x->facts.known & ~x->facts.none & FACT_BIT(FACT_INHABITED))
		signal_add(j->signal, x->facts.number[FACT_INHABITED]);
	return 0;
}

/* ---- all dimensions ---- */

struct whole {
	const struct rules *r;
	struct source *s;
	const struct judge_options *opt;
	struct pool *pool;
	struct world_guards *facts;
	struct judgement *out;
};

static bool is_asked(const struct whole *w, const struct world_dim *d)
{
	return !w->opt->dimension || strcmp(w->opt->dimension, d->name) == 0;
}

static const struct selection *also_in(const struct found *f, const struct world_dim *d)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (strcmp(f->v[i].dim.folder, d->folder) == 0)
			return f->v[i].match;
	return NULL;
}

static int judge_dim(struct whole *w, struct judged_dim *d, struct signal_counts *signal,
	struct err *e)
{
	struct judging j = {.r = w->r, .also = also_in(w->opt->also, &d->dim), .out = d,
		.signal = signal};
	int r = guards_make(&j.guards, w->r, w->facts, w->s, &d->dim, e);
	if (r < 0)
		return r;
	struct scan scan = scan_of(&j, w->s, w->opt, w->pool, w->out->now);
	r = scan_dimension(&scan, &d->dim, e);
	if (r == 0) {
		mark_neighbours(d, (int)w->r->protect.neighbours);
		count(&j);
		compact_regions(d);
	}
	free(j.sectors);
	guards_free(&j.guards);
	return r;
}

/* The chunks that were judged by their age alone may say more than the others. */
static int sample_dim(struct whole *w, const struct world_dim *dim, struct signal_counts *signal,
	struct err *e)
{
	struct judging j = {.r = w->r, .signal = signal, .left = SAMPLE_CHUNKS};
	pthread_mutex_init(&j.m, NULL);
	struct scan scan = scan_of(&j, w->s, w->opt, w->pool, w->out->now);
	scan.ask = (struct examine_options){FACT_BIT(FACT_INHABITED), false, decide_sample, &j};
	scan.neighbours = false;
	scan.forced = NULL;
	scan.regions = no_regions;
	scan.chunk = count_sample;
	int r = scan_dimension(&scan, dim, e);
	pthread_mutex_destroy(&j.m);
	return r;
}

static void refuse_world(struct judgement *j, size_t from, size_t to, int64_t value,
	unsigned permille)
{
	char time[DURATION_CHARS];
	duration_format(value / TICKS_A_SECOND, time);
	for (size_t i = from; i < to; i++) {
		struct judged_dim *d = &j->dims[i];
		d->refused_fraction = false;
		snprintf(d->refused, sizeof d->refused,
			"InhabitedTime says nothing in this world: %u.%u %% of its chunks have %lld "
			"ticks (%s), as servers that write a fixed value do, or worlds nobody played in",
			permille / 10, permille % 10, (long long)value, time);
	}
}

/* The dimensions of one world: from .. to - 1. */
static int judge_world(struct whole *w, size_t from, size_t to, struct err *e)
{
	struct signal_counts signal, again;
	int64_t value;
	unsigned permille;
	int r = 0;
	signal_init(&signal);
	signal_init(&again);
	for (size_t i = from; i < to && r == 0; i++)
		if (is_asked(w, &w->out->dims[i].dim))
			r = judge_dim(w, &w->out->dims[i], &signal, e);
	bool matters = w->r->wants & FACT_BIT(FACT_INHABITED);
	if (r == 0 && matters && signal_is_flat(&signal, &value, &permille)) {
		for (size_t i = from; i < to && r == 0; i++)
			r = sample_dim(w, &w->out->dims[i].dim, &again, e);
		if (r == 0 && signal_is_flat(&again, &value, &permille))
			refuse_world(w->out, from, to, value, permille);
	}
	signal_free(&signal);
	signal_free(&again);
	return r;
}

static int make_dims(struct judgement *j, struct worlds *all, struct err *e)
{
	j->dims = calloc(all->n + 1, sizeof *j->dims);
	if (!j->dims)
		return err_set(e, E_NOMEM, 0, "no memory for dimensions");
	j->n_dims = all->n;
	for (size_t i = 0; i < all->n; i++) {
		j->dims[i].dim = all->v[i]; /* its strings change hands */
		all->v[i] = (struct world_dim){0};
	}
	return 0;
}

static int judge_all(struct whole *w, struct err *e)
{
	struct judgement *j = w->out;
	int r = 0;
	bool any = false;
	for (size_t i = 0; i < j->n_dims; i++)
		any = any || is_asked(w, &j->dims[i].dim);
	if (!any)
		return w->opt->dimension ? err_set(e, E_NOTFOUND, 0,
						   "there is no dimension '%s' in this world",
						   w->opt->dimension)
					 : 0;
	for (size_t from = 0; from < j->n_dims && r == 0;) {
		size_t to = from + 1;
		while (to < j->n_dims &&
			strcmp(j->dims[to].dim.world, j->dims[from].dim.world) == 0)
			to++;
		r = judge_world(w, from, to, e);
		from = to;
	}
	return r;
}

int rules_judge(const struct rules *r, struct source *s, const struct judge_options *opt,
	struct judgement **ret, struct err *e)
{
	struct whole w = {.r = r, .s = s, .opt = opt};
	struct worlds all = {0};
	w.out = calloc(1, sizeof *w.out);
	int rc = w.out ? source_worlds(s, &all, e) : err_set(e, E_NOMEM, 0, "no memory to judge");
	if (rc == 0)
		rc = pool_new(&w.pool, opt->threads, POOL_BYTES, e);
	if (rc == 0)
		rc = world_guards_read(&w.facts, r, s, &all, opt->log, e);
	if (rc == 0)
		rc = make_dims(w.out, &all, e);
	if (rc == 0) {
		w.out->now = opt->now ? opt->now : time(NULL);
		rc = judge_all(&w, e);
	}
	world_guards_free(w.facts);
	pool_free(w.pool);
	worlds_free(&all);
	if (rc < 0) {
		judgement_free(w.out);
		return rc;
	}
	*ret = w.out;
	return 0;
}

void judgement_free(struct judgement *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->n_dims; i++) {
		free(j->dims[i].dim.world);
		free(j->dims[i].dim.name);
		free(j->dims[i].dim.folder);
		for (size_t k = 0; k < j->dims[i].n_regions; k++)
			free(j->dims[i].regions[k].entries);
		free(j->dims[i].regions);
	}
	free(j->dims);
	free(j);
}

const struct judged_region *judgement_region(const struct judged_dim *d, int32_t x, int32_t z)
{
	return find(d, x, z);
}

bool judgement_entry(const struct judged_region *r, unsigned slot, struct region_entry *ret)
{
	size_t n = 0;
	if (!verdict_prunable(r->v[slot]))
		return false;
	for (unsigned k = 0; k < slot; k++)
		n += verdict_prunable(r->v[k]);
	uint32_t at = (uint32_t)(r->entries[n] >> 32);
	*ret = (struct region_entry){at >> 8, at & 0xff, (uint32_t)r->entries[n]};
	return true;
}

uint8_t judgement_at(const struct judged_dim *d, int32_t x, int32_t z)
{
	const struct judged_region *r = find(d, x >> 5, z >> 5);
	return r ? r->v[(z & 31) * 32 + (x & 31)] : VERDICT_ABSENT;
}
