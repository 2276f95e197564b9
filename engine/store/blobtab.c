#include "engine/store/blobtab.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/wire.h"

static uint64_t key_of(const uint8_t *name)
{
	return (uint64_t)get_be32(name) << 32 | get_be32(name + 4);
}

/* ---- loading ---- */

struct loading {
	struct blobtab *t;
	struct name last;
	size_t cap;
	bool any;
};

static int add_twin(struct blobtab *t, uint32_t i, const struct name *name, struct err *e)
{
	struct blobtab_twin *v = realloc(t->twins, (t->n_twins + 1) * sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for the table of blobs");
	t->twins = v;
	v[t->n_twins++] = (struct blobtab_twin){i, *name};
	return 0;
}

static int add_row(void *ctx, const struct name *name, uint64_t pack_no, const struct blob_loc *l,
	struct err *e)
{
	struct loading *ld = ctx;
	struct blobtab *t = ld->t;
	(void)pack_no;
	(void)l;
	if (ld->any && name_cmp(&ld->last, name) == 0)
		return 0;
	uint64_t key = key_of(name->b);
	int r = 0;
	if (t->n == ld->cap) /* more than were counted: another process added some */
		return err_set(e, E_CHANGED, 0, "the index changes while it is read");
	if (t->n && t->key[t->n - 1] == key) {
		if (t->n_twins == 0 || t->twins[t->n_twins - 1].i != t->n - 1)
			r = add_twin(t, (uint32_t)t->n - 1, &ld->last, e);
		if (r == 0)
			r = add_twin(t, (uint32_t)t->n, name, e);
	}
	t->key[t->n] = key;
	t->n++;
	ld->last = *name;
	ld->any = true;
	return r;
}

/* The best copy tells the base. Rows come by name, so that what was seen last is at hand. */
struct ranking {
	struct blobtab *t;
	struct name last;
	uint32_t i;
};

static bool is_live(const struct blobtab *t, uint32_t i)
{
	return i != BLOBTAB_NONE && (t->flags[i] & BLOB_LIVE);
}

static int rank_row(void *ctx, const struct name *name, uint64_t pack_no, const struct blob_loc *l,
	struct err *e)
{
	struct ranking *rk = ctx;
	struct blobtab *t = rk->t;
	uint8_t rank = copy_rank(l);
	(void)pack_no;
	(void)e;
	if (rk->i == BLOBTAB_NONE || name_cmp(&rk->last, name) != 0) {
		rk->i = blobtab_find(t, name);
		rk->last = *name;
	} else if (rk->i != BLOBTAB_NONE) {
		t->flags[rk->i] |= BLOB_TWICE;
	}
	if (rk->i == BLOBTAB_NONE || rank > t->rank[rk->i])
		return 0;
	uint32_t base = l->method == METHOD_DELTA ? blobtab_find_base(t, l->base) : BLOBTAB_NONE;
	if (l->method == METHOD_DELTA && (base == BLOBTAB_NONE || (t->flags[base] & BLOB_NO_BASE)))
		return 0;
	if (rank == t->rank[rk->i]) {
		t->ties |= l->method == METHOD_DELTA;
		if (!is_live(t, base) || is_live(t, t->base[rk->i]))
			return 0;
	}
	t->rank[rk->i] = rank;
	t->base[rk->i] = base;
	return 0;
}

static int rank_once(struct blobtab *t, struct index *ix, struct err *e)
{
	struct ranking rk = {.t = t, .i = BLOBTAB_NONE};
	const struct index_visit v = {.on_blob = rank_row, .ctx = &rk};
	memset(t->rank, RANK_NONE, t->n);
	t->ties = false;
	return index_scan(ix, &v, e);
}

/* True when a chosen difference rests on what has no copy to rest on. */
static bool find_baseless(struct blobtab *t)
{
	bool any = false;
	for (size_t i = 0; i < t->n; i++)
		if (t->rank[i] >= RANK_KEPT)
			t->flags[i] |= BLOB_NO_BASE;
	for (size_t i = 0; i < t->n && !any; i++)
		any = t->rank[i] < RANK_KEPT && t->base[i] != BLOBTAB_NONE &&
		      (t->flags[t->base[i]] & BLOB_NO_BASE);
	return any;
}

int blobtab_rank(struct blobtab *t, struct index *ix, struct err *e)
{
	int r;
	for (size_t i = 0; i < t->n; i++)
		t->flags[i] &= (uint16_t)~BLOB_NO_BASE;
	/* Once, as a rule; again for each step of a chain whose beginning is gone. */
	do
		r = rank_once(t, ix, e);
	while (r == 0 && find_baseless(t));
	return r;
}

static int load_once(struct blobtab *t, struct index *ix, struct err *e)
{
	struct loading ld = {.t = t};
	const struct index_visit v = {.on_blob = add_row, .ctx = &ld};
	uint64_t rows;
	*t = (struct blobtab){0};
	int r = index_count_blobs(ix, &rows, e);
	if (r < 0)
		return r;
	if (rows >= BLOBTAB_NONE)
		return err_set(e, E_UNSUPPORTED, 0, "the store has more than four thousand million blobs");
	ld.cap = (size_t)rows;
	t->key = malloc((ld.cap + 1) * sizeof *t->key);
	t->base = malloc((ld.cap + 1) * sizeof *t->base);
	t->rank = malloc(ld.cap + 1);
	t->flags = calloc(ld.cap + 1, sizeof *t->flags);
	if (!t->key || !t->base || !t->rank || !t->flags)
		return err_set(e, E_NOMEM, 0, "no memory for the table of blobs");
	r = index_scan(ix, &v, e);
	return r < 0 ? r : blobtab_rank(t, ix, e);
}

int blobtab_load(struct blobtab *t, struct index *ix, struct err *e)
{
	int r;
	for (int tries = 0;; tries++) {
		r = load_once(t, ix, e);
		if (r != E_CHANGED || tries == 10)
			break;
		blobtab_free(t);
	}
	if (r < 0)
		blobtab_free(t);
	return r;
}

void blobtab_free(struct blobtab *t)
{
	free(t->key);
	free(t->base);
	free(t->rank);
	free(t->flags);
	free(t->twins);
	*t = (struct blobtab){0};
}

/* ---- looking up ---- */

/* The first with this key. Names are uniform: a guess by proportion is near. */
static uint32_t find_key(const struct blobtab *t, uint64_t key)
{
	size_t lo = 0, hi = t->n; /* key[lo - 1] < key <= key[hi] */
	while (lo < hi) {
		uint64_t a = t->key[lo], b = t->key[hi - 1];
		size_t mid;
		if (key <= a)
			return (uint32_t)lo;
		if (key > b)
			return (uint32_t)hi;
		mid = lo + (size_t)((double)(key - a) / ((double)(b - a) + 1) * (double)(hi - lo));
		if (mid >= hi)
			mid = hi - 1;
		/* A probe on each side of the guess closes in from both. */
		size_t step = (hi - lo) / 16 + 1;
		if (t->key[mid] < key) {
			lo = mid + 1;
			if (mid + step < hi && t->key[mid + step] >= key)
				hi = mid + step;
		} else {
			hi = mid;
			if (mid > lo + step && t->key[mid - step] < key)
				lo = mid - step + 1;
		}
	}
	return (uint32_t)lo;
}

static uint32_t find(const struct blobtab *t, const uint8_t *name, size_t n)
{
	uint64_t key = key_of(name);
	uint32_t i = find_key(t, key);
	if (i >= t->n || t->key[i] != key)
		return BLOBTAB_NONE;
	if (i + 1 >= t->n || t->key[i + 1] != key)
		return i;
	for (size_t k = 0; k < t->n_twins; k++)
		if (memcmp(t->twins[k].name.b, name, n) == 0)
			return t->twins[k].i;
	return BLOBTAB_NONE;
}

uint32_t blobtab_find(const struct blobtab *t, const struct name *name)
{
	return find(t, name->b, NAME_BYTES);
}

uint32_t blobtab_find_base(const struct blobtab *t, const uint8_t base[BASE_BYTES])
{
	return find(t, base, BASE_BYTES);
}

bool blobtab_will_do(const struct blobtab *t, uint32_t i, const struct blob_loc *l)
{
	return t->rank[i] != RANK_NONE && copy_rank(l) <= t->rank[i] &&
	       (l->method != METHOD_DELTA || blobtab_find_base(t, l->base) == t->base[i]);
}

void blobtab_need(struct blobtab *t, uint32_t i)
{
	while (i != BLOBTAB_NONE && !(t->flags[i] & BLOB_NEEDED)) {
		t->flags[i] |= BLOB_NEEDED;
		i = t->rank[i] == RANK_NONE ? BLOBTAB_NONE : t->base[i];
		if (i != BLOBTAB_NONE)
			t->flags[i] |= BLOB_BASE;
	}
}

void blobtab_need_live(struct blobtab *t)
{
	for (size_t i = 0; i < t->n; i++)
		t->flags[i] &= (uint16_t)~(BLOB_NEEDED | BLOB_BASE);
	for (size_t i = 0; i < t->n; i++)
		if (t->flags[i] & BLOB_LIVE)
			blobtab_need(t, (uint32_t)i);
}
