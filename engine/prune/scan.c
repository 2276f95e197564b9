#include "engine/prune/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define JOB_BYTES ((size_t)1 << 20)

struct run {
	const struct scan *s;
	const struct world_dim *dim;
	struct source_regions all;
	struct selection *present;
	struct examiner *examiners; /* one a worker */
	bool *ready;		    /* which of them are */
	/* Under pool_lock. */
	size_t pending;
	int failed;
	struct err first;
};

struct job {
	struct run *run;
	size_t i;
};

char *scan_dim_label(const struct world_dim *dim)
{
	char *out;
	return asprintf(&out, "%s%s%s", dim->world, *dim->world ? "/" : "", dim->name) < 0 ? NULL
											  : out;
}

/* ---- which chunks there are ---- */

static int add_present(struct source *s, const struct world_dim *dim,
	const struct source_region_name *n, struct selection *out, struct err *e)
{
	CLEANUP_SOURCE_REGION struct source_region *reg = NULL;
	uint8_t bits[128] = {0};
	int r = source_region_open(s, dim, SOURCE_REGION, n->x, n->z, &reg, e);
	if (r < 0)
		return r;
	for (unsigned slot = 0; slot < REGION_SLOTS; slot++)
		if (source_has_chunk(reg, slot))
			bits[slot / 8] |= (uint8_t)(1u << (slot & 7));
	return selection_add_region(out, n->x, n->z, bits, e);
}

int scan_presence(struct source *s, const struct world_dim *dim, const struct source_regions *all,
	struct selection **ret, struct err *e)
{
	CLEANUP_SELECTION struct selection *out = NULL;
	int r = selection_new(&out, e);
	for (size_t i = 0; i < all->n && r == 0; i++)
		if (all->v[i].kinds & 1u << SOURCE_REGION) {
			r = add_present(s, dim, &all->v[i], out, e);
			if (r == E_NOTFOUND)
				r = 0; /* gone since it was listed */
		}
	if (r == 0)
		*ret = TAKE_PTR(out);
	return r;
}

/* ---- one region ---- */

static unsigned count_missing(const struct selection *present, int32_t x, int32_t z)
{
	unsigned n = 0;
	for (int dz = -1; dz <= 1; dz++)
		for (int dx = -1; dx <= 1; dx++)
			n += (dx || dz) && !selection_has(present, x + dx, z + dz);
	return n;
}

static void set_header_facts(struct run *run, struct facts *f, struct source_region *const reg[],
	unsigned slot)
{
	const struct scan *s = run->s;
	f->x = (int32_t)((int64_t)reg[0]->x * 32 + slot % 32);
	f->z = (int32_t)((int64_t)reg[0]->z * 32 + slot / 32);
	f->now = s->now;
	f->dimension = run->dim->name;
	f->timestamp = region_entry_at(reg[0]->header, slot).timestamp;
	f->forced = s->forced && selection_has(s->forced, f->x, f->z);
	f->missing = run->present ? count_missing(run->present, f->x, f->z) : 0;
	f->size = 0;
	for (int k = 0; k < SOURCE_KINDS; k++)
		if (reg[k])
			f->size += (uint64_t)region_entry_at(reg[k]->header, slot).count *
				   REGION_SECTOR;
}

static int scan_chunks(struct run *run, size_t i, struct examiner *x,
	struct source_region *const reg[], struct err *e)
{
	const struct scan *s = run->s;
	examine_region(x, reg);
	for (unsigned slot = 0; slot < REGION_SLOTS; slot++) {
		enum answer a;
		if (!source_has_chunk(reg[0], slot))
			continue;
		if (s->cancel && *s->cancel)
			return err_set(e, E_CANCELLED, 0, "interrupted");
		set_header_facts(run, &x->facts, reg, slot);
		int r = examine_chunk(x, reg, slot, &s->ask, &a, e);
		if (r == 0)
			r = s->chunk(s->ask.ctx, i, slot, a, x, e);
		if (r < 0)
			return err_wrap(e, "chunk c.%d.%d", x->facts.x, x->facts.z);
	}
	return 0;
}

static int scan_region(struct run *run, size_t i, struct examiner *x, struct err *e)
{
	struct source_region *reg[SOURCE_KINDS] = {NULL};
	const struct source_region_name *n = &run->all.v[i];
	int r = 0;
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++)
		if (n->kinds & 1u << k) {
			r = source_region_open(run->s->source, run->dim, (enum source_kind)k, n->x,
				n->z, &reg[k], e);
			if (r == E_NOTFOUND)
				r = 0; /* gone since it was listed */
		}
	if (r == 0 && reg[0])
		r = scan_chunks(run, i, x, reg, e);
	for (int k = 0; k < SOURCE_KINDS; k++)
		source_region_close(reg[k]);
	return r;
}

static void do_job(void *arg, unsigned worker)
{
	struct job *j = arg;
	struct run *run = j->run;
	struct examiner *x = &run->examiners[worker];
	struct err e = ERR_INIT;
	pool_lock(run->s->pool);
	bool skip = run->failed < 0;
	pool_unlock(run->s->pool);
	int r = 0;
	if (!skip && !run->ready[worker]) {
		r = examiner_init(x, run->s->names, &e);
		run->ready[worker] = r == 0;
	}
	if (!skip && r == 0)
		r = scan_region(run, j->i, x, &e);
	if (r < 0 && r != E_CANCELLED)
		err_wrap(&e, "r.%d.%d.mca of %s", run->all.v[j->i].x, run->all.v[j->i].z,
			run->dim->name);
	pool_lock(run->s->pool);
	if (r < 0 && run->failed == 0) {
		run->failed = r;
		run->first = e;
	}
	run->pending--;
	pool_unlock(run->s->pool);
	free(j);
}

/* ---- all of them ---- */

static int submit_all(struct run *run, struct err *e)
{
	struct pool *pool = run->s->pool;
	for (size_t i = 0; i < run->all.n; i++) {
		if (!(run->all.v[i].kinds & 1u << SOURCE_REGION))
			continue;
		struct job *j = malloc(sizeof *j);
		if (!j)
			return err_set(e, E_NOMEM, 0, "no memory to look at chunks");
		*j = (struct job){run, i};
		pool_lock(pool);
		run->pending++;
		pool_unlock(pool);
		pool_submit(pool, do_job, j, JOB_BYTES);
	}
	return 0;
}

static int run_all(struct run *run, struct err *e)
{
	const struct scan *s = run->s;
	unsigned n = pool_threads(s->pool);
	run->examiners = calloc(n, sizeof *run->examiners);
	run->ready = calloc(n, sizeof *run->ready);
	int r = run->examiners && run->ready
			? 0
			: err_set(e, E_NOMEM, 0, "no memory to look at chunks");
	if (r == 0)
		r = submit_all(run, e);
	pool_wait(s->pool, &run->pending, 0);
	for (unsigned i = 0; run->ready && run->examiners && i < n; i++)
		if (run->ready[i])
			examiner_free(&run->examiners[i]);
	if (r == 0 && run->failed < 0)
		r = err_set(e, run->failed, 0, "%s", run->first.msg);
	free(run->examiners);
	free(run->ready);
	return r;
}

int scan_dimension(const struct scan *s, const struct world_dim *dim, struct err *e)
{
	struct run run = {.s = s, .dim = dim};
	int r = source_regions(s->source, dim, &run.all, e);
	if (r == 0 && s->neighbours)
		r = scan_presence(s->source, dim, &run.all, &run.present, e);
	if (r == 0)
		r = s->regions(s->ask.ctx, &run.all, e);
	if (r == 0)
		r = run_all(&run, e);
	selection_free(run.present);
	source_regions_free(&run.all);
	return r;
}
