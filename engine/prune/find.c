#include "engine/prune/find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/prune/scan.h"
#include "engine/prune/tickets.h"

#define POOL_BYTES ((size_t)16 << 20)

/* What one region gave. One worker's until the scan is over. */
struct hits {
	int32_t x, z;
	uint8_t bits[128], there[128];
	uint64_t chunks, matches, bytes, damaged;
};

struct finding {
	const struct find_options *opt;
	const struct query *q;
	struct hits *v;
	size_t n;
};

static enum answer decide(void *ctx, const struct facts *f)
{
	const struct finding *fd = ctx;
	if (fd->opt->within && !selection_has(fd->opt->within, f->x, f->z))
		return ANSWER_NO;
	return query_judge(fd->q, f);
}

static int begin_regions(void *ctx, const struct source_regions *all, struct err *e)
{
	struct finding *fd = ctx;
	fd->v = calloc(all->n + 1, sizeof *fd->v);
	if (!fd->v)
		return err_set(e, E_NOMEM, 0, "no memory for %zu regions", all->n);
	fd->n = all->n;
	for (size_t i = 0; i < all->n; i++) {
		fd->v[i].x = all->v[i].x;
		fd->v[i].z = all->v[i].z;
	}
	return 0;
}

static int on_chunk(void *ctx, size_t i, unsigned slot, enum answer a, const struct examiner *x,
	struct err *e)
{
	struct finding *fd = ctx;
	struct hits *h = &fd->v[i];
	uint8_t bit = (uint8_t)(1u << (slot & 7));
	(void)e;
	h->chunks++;
	h->there[slot / 8] |= bit;
	h->damaged += x->facts.damaged;
	if (a < ANSWER_YES)
		return 0;
	h->matches++;
	h->bytes += x->facts.size;
	h->bits[slot / 8] |= bit;
	return 0;
}

/* ---- what is done to the set ---- */

static int set_of(const struct finding *fd, bool matching, struct selection **ret, struct err *e)
{
	CLEANUP_SELECTION struct selection *s = NULL;
	int r = selection_new(&s, e);
	for (size_t i = 0; i < fd->n && r == 0; i++) {
		const struct hits *h = &fd->v[i];
		uint8_t bits[128];
		bool any = false;
		for (int b = 0; b < 128; b++) {
			bits[b] = matching ? h->bits[b] : (uint8_t)(h->there[b] & ~h->bits[b]);
			any = any || bits[b];
		}
		if (any)
			r = selection_add_region(s, h->x, h->z, bits, e);
	}
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

/* `from` without what is in `without`, and only what is in `within`. */
static int reduce(struct selection *from, const struct selection *without,
	const struct selection *within, struct selection **ret, struct err *e)
{
	CLEANUP_SELECTION struct selection *s = NULL;
	size_t n;
	const struct selection_region *v = selection_regions(from, &n);
	int r = selection_new(&s, e);
	for (size_t i = 0; i < n && r == 0; i++)
		for (int k = 0; k < 1024 && r == 0; k++) {
			int32_t x = v[i].x * 32 + k % 32, z = v[i].z * 32 + k / 32;
			if ((v[i].bits[k / 8] >> (k & 7) & 1) &&
				!(without && selection_has(without, x, z)) &&
				(!within || selection_has(within, x, z)))
				r = selection_add(s, x, z, e);
		}
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

static int shape(const struct finding *fd, struct found_dim *out, struct err *e)
{
	const struct find_options *o = fd->opt;
	CLEANUP_SELECTION struct selection *hits = NULL, *grown = NULL, *others = NULL, *kept = NULL;
	int r = set_of(fd, true, &hits, e);
	if (r == 0 && o->grow) {
		r = selection_grow(hits, o->grow, &grown, e);
		selection_free(hits);
		hits = TAKE_PTR(grown);
	}
	if (r == 0 && o->keep_radius)
		r = set_of(fd, false, &others, e);
	if (r == 0 && o->keep_radius)
		r = selection_grow(others, o->keep_radius, &kept, e);
	if (r == 0 && (o->keep_radius || (o->grow && o->within)))
		return reduce(hits, kept, o->within, &out->match, e);
	if (r == 0)
		out->match = TAKE_PTR(hits);
	return r;
}

/* ---- dimensions ---- */

struct whole {
	struct source *s;
	const struct find_options *opt;
	struct pool *pool;
	struct query *q;
	struct query_names names;
	int64_t now;
};

static int find_in(struct whole *w, struct found_dim *out, struct err *e)
{
	struct finding fd = {.opt = w->opt, .q = w->q};
	CLEANUP_SELECTION struct selection *forced = NULL;
	unsigned wants = query_wants(w->q);
	int r = 0;
	if (wants & QUERY_WANTS_FORCED) {
		r = selection_new(&forced, e);
		if (r == 0)
			r = tickets_read(w->s, &out->dim, forced, e);
	}
	struct scan scan = {.source = w->s, .pool = w->pool, .names = &w->names,
		.ask = {wants & (FACT_BIT(FACTS) - 1), !w->opt->quick, decide, &fd},
		.neighbours = wants & QUERY_WANTS_NEIGHBOURS, .forced = forced, .now = w->now,
		.cancel = w->opt->cancel, .regions = begin_regions, .chunk = on_chunk};
	if (r == 0)
		r = scan_dimension(&scan, &out->dim, e);
	for (size_t i = 0; i < fd.n; i++) {
		out->chunks += fd.v[i].chunks;
		out->matches += fd.v[i].matches;
		out->bytes += fd.v[i].bytes;
		out->damaged += fd.v[i].damaged;
	}
	if (r == 0)
		r = shape(&fd, out, e);
	free(fd.v);
	return r;
}

static int find_all(struct whole *w, struct worlds *all, struct found *f, struct err *e)
{
	int r = 0;
	f->v = calloc(all->n + 1, sizeof *f->v);
	if (!f->v)
		return err_set(e, E_NOMEM, 0, "no memory for dimensions");
	for (size_t i = 0; i < all->n && r == 0; i++) {
		if (w->opt->dimension && strcmp(w->opt->dimension, all->v[i].name) != 0)
			continue;
		f->v[f->n].dim = all->v[i];
		all->v[i] = (struct world_dim){0};
		r = find_in(w, &f->v[f->n++], e);
	}
	if (all->n == 0)
		return err_set(e, E_NOTFOUND, 0, "there is no world: no folder with region files");
	if (r == 0 && f->n == 0)
		r = err_set(e, E_NOTFOUND, 0, "there is no dimension '%s' in this world",
			w->opt->dimension);
	return r;
}

int find_chunks(struct source *s, const struct find_options *opt, struct found *ret, struct err *e)
{
	struct whole w = {.s = s, .opt = opt, .now = opt->now ? opt->now : time(NULL)};
	struct worlds all = {0};
	*ret = (struct found){0};
	int r = query_parse(&w.q, opt->query, &w.names, e);
	if (r == 0)
		r = source_worlds(s, &all, e);
	if (r == 0)
		r = pool_new(&w.pool, opt->threads, POOL_BYTES, e);
	if (r == 0)
		r = find_all(&w, &all, ret, e);
	pool_free(w.pool);
	worlds_free(&all);
	query_free(w.q);
	query_names_free(&w.names);
	if (r < 0)
		found_free(ret);
	return r;
}

void found_free(struct found *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].dim.world);
		free(f->v[i].dim.name);
		free(f->v[i].dim.folder);
		selection_free(f->v[i].match);
	}
	free(f->v);
	*f = (struct found){0};
}
