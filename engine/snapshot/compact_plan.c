#include "engine/snapshot/compact_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/store/store.h"

/* Packs with less than this unused are never rewritten for it: it would cost more than it gives. */
#define UNUSED_MIN_PERCENT 15
/* Small packs are merged when there are many of about a size: the larger they are, the more of them, since
 * merging writes all that is in them and frees next to nothing. One that is full because of the number of its
 * blobs (store_write.c: 16,384) is not small, however little they are: it would be copied into another of its
 * size by each run. */
static const struct {
	uint64_t below;
	size_t many;
} small_packs[] = {{(uint64_t)32 << 10, 64}, {(uint64_t)256 << 10, 256}, {(uint64_t)2 << 20, 1024}};
#define SMALL_PACK_BLOBS 8192

static int cmp_pack(const void *a, const void *b)
{
	return memcmp(((const struct cpack *)a)->id.b, ((const struct cpack *)b)->id.b, ID_BYTES);
}

struct cpack *plan_find(struct plan *p, const struct id *id)
{
	struct cpack key = {.id = *id};
	return p->n ? bsearch(&key, p->v, p->n, sizeof *p->v, cmp_pack) : NULL;
}

static int add_pack(struct plan *p, const struct cpack *x, struct err *e)
{
	if ((p->n & (p->n - 1)) == 0) {
		struct cpack *v = realloc(p->v, (p->n ? 2 * p->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for the list of packs");
		p->v = v;
	}
	p->v[p->n++] = *x;
	return 0;
}

static int add_there(void *ctx, const char *name, uint64_t size, struct err *e)
{
	struct cpack x = {.size = size, .there = true};
	if (!hex_parse(name, ID_BYTES, x.id.b))
		return 0;
	return add_pack(ctx, &x, e);
}

/* ---- one scan ---- */

static int map_no(struct plan *p, uint64_t no, const struct id *id, struct err *e)
{
	if (no >= p->n_no) {
		size_t n = (size_t)no * 2 + 64;
		uint32_t *v = realloc(p->slot_of_no, n * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for the list of packs");
		memset(v + p->n_no, 0, (n - p->n_no) * sizeof *v);
		p->slot_of_no = v;
		p->n_no = n;
	}
	struct cpack *x = plan_find(p, id);
	p->slot_of_no[no] = x ? (uint32_t)(x - p->v) + 1 : 0;
	return 0;
}

struct cpack *plan_pack_of(const struct plan *p, uint64_t no)
{
	uint32_t slot = no < p->n_no ? p->slot_of_no[no] : 0;
	return slot ? &p->v[slot - 1] : NULL;
}

uint64_t blob_share(const struct blob_loc *l)
{
	if (l->plain_len >= l->frame_plain)
		return l->sealed_len;
	return (uint64_t)l->sealed_len * l->plain_len / l->frame_plain;
}

/* Counting: of the copies of a needed blob, one is used. */
struct counting {
	struct plan *p;
	struct name last;
	uint32_t i;
	bool first;	    /* the plan is being made */
	struct cpack *best; /* of the copies seen so far that will do */
	uint64_t best_share;
};

static void settle_count(struct counting *c)
{
	if (c->best)
		c->best->used += c->best_share;
	c->best = NULL;
}

/* A pack that the index names and the plan has not: new since, or missing. */
static int must_be_there(struct plan *p, const struct id *id, struct err *e)
{
	char key[PACK_KEY_CHARS];
	uint64_t size;
	int r = object_size(store_place(p->s), pack_object_key(id, key), &size, e);
	return r == E_NOTFOUND ? err_set(e, E_CORRUPT, 0, "pack %s is missing", key + 9) : r;
}

int plan_on_pack(struct plan *p, uint64_t no, const struct id *id, struct err *e)
{
	int r = map_no(p, no, id, e);
	return r < 0 || plan_pack_of(p, no) ? r : must_be_there(p, id, e);
}

static int count_pack(void *ctx, uint64_t no, const struct id *id, uint64_t size, struct err *e)
{
	struct counting *c = ctx;
	(void)size;
	int r = plan_on_pack(c->p, no, id, e);
	struct cpack *x = r == 0 ? plan_pack_of(c->p, no) : NULL;
	if (x && c->first)
		x->indexed = true;
	return r;
}

static int count_blob(void *ctx, const struct name *name, uint64_t no, const struct blob_loc *l,
	struct err *e)
{
	struct counting *c = ctx;
	struct blobtab *t = c->p->tab;
	struct cpack *x = plan_pack_of(c->p, no);
	(void)e;
	if (c->i == BLOBTAB_NONE || name_cmp(&c->last, name) != 0) {
		settle_count(c);
		c->i = blobtab_find(t, name);
		c->last = *name;
	}
	if (!x)
		return 0;
	x->blobs_bytes += blob_share(l);
	x->blobs++;
	if (c->i == BLOBTAB_NONE) {
		x->used += blob_share(l); /* newer than the table */
		return 0;
	}
	if ((t->flags[c->i] & (BLOB_NEEDED | BLOB_FREED)) != BLOB_NEEDED ||
		!blobtab_will_do(t, c->i, l))
		return 0;
	if (!c->best || (c->best->was_doomed && !x->was_doomed)) {
		c->best = x;
		c->best_share = blob_share(l);
	}
	return 0;
}

void plan_begin_scan(struct plan *p)
{
	if (p->n_no)
		memset(p->slot_of_no, 0, p->n_no * sizeof *p->slot_of_no);
}

static int count(struct plan *p, bool first, struct err *e)
{
	struct counting c = {.p = p, .i = BLOBTAB_NONE, .first = first};
	const struct index_visit v = {count_pack, count_blob, &c};
	plan_begin_scan(p);
	p->used = 0;
	for (size_t i = 0; i < p->n; i++)
		p->v[i].used = p->v[i].blobs_bytes = 0;
	int r = index_scan(store_index(p->s), &v, e);
	settle_count(&c);
	for (size_t i = 0; i < p->n; i++)
		p->used += p->v[i].used;
	return r;
}

int plan_count(struct plan *p, struct err *e)
{
	return count(p, false, e);
}

int plan_load(struct plan *p, struct store *s, struct blobtab *tab, const struct doomed *d,
	struct err *e)
{
	*p = (struct plan){.s = s, .tab = tab};
	int r = pack_list(store_place(s), true, add_there, p, e);
	if (p->n)
		qsort(p->v, p->n, sizeof *p->v, cmp_pack);
	for (size_t i = 0; i < d->n; i++) {
		struct cpack *x = plan_find(p, &d->v[i].pack);
		if (x) {
			/* By a clock that was ahead: the grace begins now, not when that time comes. */
			int64_t now = time(NULL), since = d->v[i].since;
			x->was_doomed = true;
			x->since = since > now ? now : since < 0 ? 0 : since;
		}
	}
	for (size_t i = 0; i < p->n; i++)
		p->bytes += p->v[i].size;
	if (r == 0)
		r = count(p, true, e);
	if (r < 0)
		plan_free(p);
	return r;
}

void plan_free(struct plan *p)
{
	free(p->v);
	free(p->slot_of_no);
	*p = (struct plan){0};
}

/* ---- choosing ---- */

static uint64_t unused_of(const struct cpack *x)
{
	return x->blobs_bytes > x->used ? x->blobs_bytes - x->used : 0;
}

static int by_unused(const void *a, const void *b)
{
	const struct cpack *x = *(struct cpack *const *)a, *y = *(struct cpack *const *)b;
	/* Shares compared without division. */
	long double u = (long double)unused_of(x) * (long double)y->blobs_bytes;
	long double w = (long double)unused_of(y) * (long double)x->blobs_bytes;
	return u > w ? -1 : u < w;
}

static bool is_small(const struct cpack *x, uint64_t below)
{
	return x->size < below && x->blobs < SMALL_PACK_BLOBS;
}

static void choose_small(struct plan *p, uint64_t below, size_t many)
{
	size_t small = 0;
	for (size_t i = 0; i < p->n; i++)
		small += p->v[i].fate == PACK_STAYS && is_small(&p->v[i], below);
	for (size_t i = 0; i < p->n && small >= many; i++)
		if (is_small(&p->v[i], below))
			p->v[i].fate = PACK_GOES;
}

void plan_choose(struct plan *p, unsigned max_unused)
{
	CLEANUP_FREE struct cpack **order = calloc(p->n + 1, sizeof *order);
	uint64_t stay = 0, unused = 0;
	size_t n = 0;
	for (size_t i = 0; i < p->n; i++) {
		struct cpack *x = &p->v[i];
		x->fate = x->was_doomed || !x->indexed || x->used == 0 ? PACK_GOES : PACK_STAYS;
		if (x->fate == PACK_GOES || !order)
			continue;
		order[n++] = x;
		stay += x->used;
		unused += unused_of(x);
	}
	if (n)
		qsort(order, n, sizeof *order, by_unused);
	for (size_t i = 0; i < n; i++) {
		struct cpack *x = order[i];
		if (unused * 100 <= (stay + unused) * max_unused ||
			unused_of(x) * 100 < x->blobs_bytes * UNUSED_MIN_PERCENT)
			break;
		x->fate = PACK_GOES;
		unused -= unused_of(x);
	}
	for (size_t i = 0; i < sizeof small_packs / sizeof *small_packs; i++)
		choose_small(p, small_packs[i].below, small_packs[i].many);
}

/* ---- before copying ---- */

struct settling {
	struct plan *p;
	struct name last;
	uint32_t i;
};

static int settle_pack(void *ctx, uint64_t no, const struct id *id, uint64_t size, struct err *e)
{
	(void)size;
	return plan_on_pack(((struct settling *)ctx)->p, no, id, e);
}

static int settle_blob(void *ctx, const struct name *name, uint64_t no, const struct blob_loc *l,
	struct err *e)
{
	struct settling *st = ctx;
	struct blobtab *t = st->p->tab;
	const struct cpack *x = plan_pack_of(st->p, no);
	(void)e;
	/* One that was in no index object when the plan was made is not removed in this run if it is in one
	 * now: a writer was at work. It stays, and needs its bases. */
	bool new = !x || !x->indexed;
	if (!new && (x->fate == PACK_NOW || x->fate == PACK_LATER || x->fate == PACK_GONE))
		return 0;
	if (st->i == BLOBTAB_NONE || name_cmp(&st->last, name) != 0) {
		st->i = blobtab_find(t, name);
		st->last = *name;
	}
	if ((new || st->i == BLOBTAB_NONE) && l->method == METHOD_DELTA) {
		uint32_t base = blobtab_find_base(t, l->base);
		if (base != BLOBTAB_NONE) {
			blobtab_need(t, base);
			t->flags[base] |= BLOB_BASE;
		}
	}
	if (st->i != BLOBTAB_NONE && blobtab_will_do(t, st->i, l))
		t->flags[st->i] |= BLOB_HELD;
	return 0;
}

int plan_settle(struct plan *p, struct err *e)
{
	struct settling st = {.p = p, .i = BLOBTAB_NONE};
	const struct index_visit v = {settle_pack, settle_blob, &st};
	for (size_t i = 0; i < p->tab->n; i++)
		p->tab->flags[i] &= (uint16_t)~BLOB_HELD;
	plan_begin_scan(p);
	return index_scan(store_index(p->s), &v, e);
}
