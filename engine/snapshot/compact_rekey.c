#include "engine/snapshot/compact_rekey.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/store/rewrite.h"

/* Storing a group anew has to free this much more than it writes, or it would be done again and again. */
#define GAIN_PERCENT 25
#define DEPENDENTS_MAX 64
#define GROUP_BYTES_MAX ((uint64_t)32 << 20) /* what one group may write: it is in memory until it is known to pay */
#define ENTRY_BYTES 100 /* of a blob in a footer and in the index, about */

static bool is_dead(const struct blobtab *t, uint32_t i)
{
	return i != BLOBTAB_NONE && (t->flags[i] & (BLOB_NEEDED | BLOB_LIVE)) == BLOB_NEEDED;
}

/* The group on which a live blob stands. */
static uint32_t stands_on(const struct rekey *k, uint32_t i)
{
	const struct blobtab *t = k->p->tab;
	return (t->flags[i] & BLOB_LIVE) && is_dead(t, t->base[i]) ? k->group[t->base[i]] : BLOBTAB_NONE;
}

void rekey_free(struct rekey *k)
{
	free(k->v);
	free(k->group);
	*k = (struct rekey){0};
}

/* ---- finding ---- */

static int add_group(struct rekey *k, uint32_t top, struct err *e)
{
	if ((k->n & (k->n - 1)) == 0) {
		struct rekey_group *v = realloc(k->v, (k->n ? 2 * k->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a list of bases");
		k->v = v;
	}
	k->v[k->n++] = (struct rekey_group){.top = top, .anchor = k->p->tab->base[top],
		.key = BLOBTAB_NONE};
	return 0;
}

static int find_groups(struct rekey *k, struct err *e)
{
	const struct blobtab *t = k->p->tab;
	k->group = malloc((t->n + 1) * sizeof *k->group);
	if (!k->group)
		return err_set(e, E_NOMEM, 0, "no memory for a list of bases");
	memset(k->group, 0xff, t->n * sizeof *k->group);
	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t top = i;
		if (!is_dead(t, i) || k->group[i] != BLOBTAB_NONE)
			continue;
		while (k->group[top] == BLOBTAB_NONE && is_dead(t, t->base[top]))
			top = t->base[top];
		uint32_t g = k->group[top];
		if (g == BLOBTAB_NONE) {
			int r = add_group(k, top, e);
			if (r < 0)
				return r;
			g = (uint32_t)k->n - 1;
			k->group[top] = g;
		}
		for (uint32_t x = i; k->group[x] == BLOBTAB_NONE; x = t->base[x])
			k->group[x] = g;
	}
	return 0;
}

/* ---- measuring: one look at the index ---- */

struct looking {
	struct rekey *k;
	struct name last;
	uint32_t i;
	bool done; /* the copy of `last` that counts was seen */
	int (*fn)(struct looking *l, const struct name *name, const struct blob_loc *loc, size_t slot,
		struct err *e);
	void *ctx;
};

static int look_pack(void *ctx, uint64_t no, const struct id *id, uint64_t size, struct err *e)
{
	(void)size;
	return plan_on_pack(((struct looking *)ctx)->k->p, no, id, e);
}

/* Of each blob the chosen copy. */
static int look_blob(void *ctx, const struct name *name, uint64_t no, const struct blob_loc *loc,
	struct err *e)
{
	struct looking *l = ctx;
	struct plan *p = l->k->p;
	const struct cpack *x = plan_pack_of(p, no);
	if (l->i == BLOBTAB_NONE || name_cmp(&l->last, name) != 0) {
		l->i = blobtab_find(p->tab, name);
		l->last = *name;
		l->done = false;
	}
	if (l->i == BLOBTAB_NONE || l->done || !x || !blobtab_will_do(p->tab, l->i, loc))
		return 0;
	l->done = true;
	return l->fn(l, name, loc, (size_t)(x - p->v), e);
}

static int look(struct looking *l, struct err *e)
{
	const struct index_visit v = {look_pack, look_blob, l};
	l->i = BLOBTAB_NONE;
	plan_begin_scan(l->k->p);
	return index_scan(store_index(l->k->p->s), &v, e);
}

/* The longest plain form, so that the others lack something at most; of about the same length the one that
 * is furthest from the old base. */
static bool makes_better_key(const struct rekey_group *g, uint32_t plain_len, uint64_t share)
{
	uint32_t about = g->key_plain / 16;
	return g->key == BLOBTAB_NONE || plain_len > g->key_plain + about ||
	       (plain_len + about >= g->key_plain && share > g->key_bytes);
}

static int measure(struct looking *l, const struct name *name, const struct blob_loc *loc, size_t slot,
	struct err *e)
{
	struct rekey *k = l->k;
	uint32_t i = l->i, on = stands_on(k, i), in = k->group[i];
	uint64_t share = blob_share(loc);
	(void)name;
	(void)e;
	if (in != BLOBTAB_NONE) {
		struct rekey_group *g = &k->v[in];
		g->bytes += share;
		if (share > g->largest) {
			g->largest = share;
			g->slot = slot;
		}
		if (i == g->top) {
			g->top_plain = loc->plain_len;
			g->top_bytes = share;
		}
	}
	if (on == BLOBTAB_NONE)
		return 0;
	struct rekey_group *g = &k->v[on];
	g->n++;
	g->dependents += share;
	if (makes_better_key(g, loc->plain_len, share)) {
		g->key = i;
		g->key_plain = loc->plain_len;
		g->key_bytes = share;
	}
	return 0;
}

/* What a new base takes is told by the old one and the two lengths. With a live version above, the only
 * dependent is to be a difference against that: perhaps half of what lies between comes with it. */
static void estimate(struct rekey_group *g)
{
	g->gain = 0;
	g->cost = (uint64_t)g->n * ENTRY_BYTES;
	if (g->n == 0 || g->n > DEPENDENTS_MAX || !g->top_plain)
		return;
	if (g->anchor == BLOBTAB_NONE) {
		uint64_t whole = g->top_bytes * g->key_plain / g->top_plain;
		g->cost += whole + g->dependents - g->key_bytes;
	} else if (g->n == 1) {
		g->cost += g->dependents + g->bytes / 2;
	} else {
		return;
	}
	uint64_t freed = g->bytes + g->dependents;
	g->gain = freed > g->cost ? freed - g->cost : 0;
}

/* A blob with several copies is left alone: they might differ in their plain form, and what stands on one
 * would not stand on the other. */
static bool is_single(const struct blobtab *t, uint32_t i)
{
	return i == BLOBTAB_NONE || !(t->flags[i] & BLOB_TWICE);
}

static bool is_worth_it(const struct rekey *k, const struct rekey_group *g)
{
	return g->gain && g->gain * 100 >= g->cost * GAIN_PERCENT && g->cost <= GROUP_BYTES_MAX &&
	       is_single(k->p->tab, g->anchor) && is_single(k->p->tab, g->key);
}

/* ---- choosing ---- */

struct ranked {
	uint32_t g;
	double ratio;
};

static int by_ratio(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	return (x->ratio < y->ratio) - (x->ratio > y->ratio);
}

/* The best ones, until what could still be gained is within the bound. */
static int choose_groups(struct rekey *k, unsigned max_unused, uint64_t room, struct err *e)
{
	CLEANUP_FREE struct ranked *v = malloc((k->n + 1) * sizeof *v);
	uint64_t total = 0, rest = 0, cost = 0;
	size_t n = 0;
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for a list of bases");
	for (size_t i = 0; i < k->p->n; i++)
		total += k->p->v[i].blobs_bytes;
	for (uint32_t i = 0; i < k->n; i++)
		if (is_worth_it(k, &k->v[i])) {
			rest += k->v[i].gain;
			v[n++] = (struct ranked){i, (double)k->v[i].gain / (double)k->v[i].cost};
		}
	if (n)
		qsort(v, n, sizeof *v, by_ratio);
	for (size_t i = 0; i < n && rest * 100 > total * max_unused; i++) {
		struct rekey_group *g = &k->v[v[i].g];
		if (cost + g->cost > room)
			continue;
		cost += g->cost;
		rest -= g->gain;
		g->chosen = true;
		k->n_chosen++;
	}
	return 0;
}

static bool is_chosen(const struct rekey *k, uint32_t g)
{
	return g != BLOBTAB_NONE && k->v[g].chosen;
}

static void flag_freed(struct rekey *k)
{
	struct blobtab *t = k->p->tab;
	for (uint32_t i = 0; i < t->n; i++) {
		bool freed = is_chosen(k, k->group[i]) || is_chosen(k, stands_on(k, i));
		t->flags[i] = (uint16_t)((t->flags[i] & ~BLOB_FREED) | (freed ? BLOB_FREED : 0));
	}
}

static void drop(struct rekey *k, uint32_t g, bool *changed)
{
	if (!k->v[g].chosen)
		return;
	k->v[g].chosen = false;
	k->n_chosen--;
	*changed = true;
}

int rekey_plan(struct rekey *k, struct plan *p, unsigned max_unused, uint64_t room, struct err *e)
{
	*k = (struct rekey){.p = p};
	struct looking l = {.k = k, .fn = measure};
	int r = find_groups(k, e);
	if (r == 0 && k->n)
		r = look(&l, e);
	for (size_t i = 0; i < k->n && r == 0; i++)
		estimate(&k->v[i]);
	if (r == 0)
		r = choose_groups(k, max_unused, room, e);
	plan_choose(p, max_unused);
	bool changed = k->n_chosen > 0;
	while (changed && r == 0) {
		changed = false;
		flag_freed(k);
		r = plan_count(p, e);
		plan_choose(p, max_unused);
		/* Where the old base's pack stays for all that, nothing is gained. */
		for (uint32_t i = 0; i < k->n && r == 0; i++)
			if (p->v[k->v[i].slot].fate == PACK_STAYS)
				drop(k, i, &changed);
	}
	return r;
}

uint64_t rekey_cost(const struct rekey *k)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < k->n; i++)
		sum += k->v[i].chosen ? k->v[i].cost : 0;
	return sum;
}

/* ---- storing anew ---- */

/* A blob whose name is needed, and for which group. */
struct member {
	uint32_t g;
	uint32_t i;
	bool is_anchor;
	struct name name;
};

struct members {
	struct member *v;
	size_t n;
	struct member *anchors; /* by their number, names to be filled in */
	size_t n_anchors;
};

static int by_number(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	return (x->i > y->i) - (x->i < y->i);
}

/* By group; in front what the others are to stand on. */
static int by_group(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	if (x->g != y->g)
		return x->g < y->g ? -1 : 1;
	return x->is_anchor != y->is_anchor ? y->is_anchor - x->is_anchor : by_number(a, b);
}

static int add_member(struct members *m, const struct member *x, struct err *e)
{
	if ((m->n & (m->n - 1)) == 0) {
		struct member *v = realloc(m->v, (m->n ? 2 * m->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a list of blobs");
		m->v = v;
	}
	m->v[m->n++] = *x;
	return 0;
}

static int collect(struct looking *l, const struct name *name, const struct blob_loc *loc, size_t slot,
	struct err *e)
{
	struct members *m = l->ctx;
	struct member x = {.g = stands_on(l->k, l->i), .i = l->i, .name = *name};
	int r = 0;
	(void)loc;
	(void)slot;
	if (is_chosen(l->k, x.g)) {
		x.is_anchor = l->k->v[x.g].key == x.i && l->k->v[x.g].anchor == BLOBTAB_NONE;
		r = add_member(m, &x, e);
	}
	struct member *a = m->n_anchors ? bsearch(&x, m->anchors, m->n_anchors, sizeof x, by_number) : NULL;
	while (a && a > m->anchors && a[-1].i == x.i)
		a--;
	for (; a && a < m->anchors + m->n_anchors && a->i == x.i && r == 0; a++) {
		a->name = *name;
		r = add_member(m, a, e);
	}
	return r;
}

/* The names, of which the table has a part only. */
static int collect_members(struct rekey *k, struct members *m, struct err *e)
{
	struct looking l = {.k = k, .fn = collect, .ctx = m};
	m->anchors = calloc(k->n_chosen + 1, sizeof *m->anchors);
	if (!m->anchors)
		return err_set(e, E_NOMEM, 0, "no memory for a list of blobs");
	for (uint32_t i = 0; i < k->n; i++)
		if (k->v[i].chosen && k->v[i].anchor != BLOBTAB_NONE)
			m->anchors[m->n_anchors++] = (struct member){.g = i, .i = k->v[i].anchor,
				.is_anchor = true};
	if (m->n_anchors)
		qsort(m->anchors, m->n_anchors, sizeof *m->anchors, by_number);
	int r = look(&l, e);
	if (r == 0 && m->n)
		qsort(m->v, m->n, sizeof *m->v, by_group);
	return r;
}

struct group_job {
	struct rekey *k;
	const struct member *v;
	size_t n;
	uint64_t *stored; /* shared */
	struct work *w;
};

/* Make all of a group, and see what it takes: with a live version above, the rest against that, else the
 * first whole and the rest against it. */
static int make_group(const struct group_job *j, struct store *s, struct coder *c, struct rekeyed *made,
	struct err *e)
{
	const struct rekey_group *g = &j->k->v[j->v[0].g];
	bool anchored = g->anchor != BLOBTAB_NONE;
	uint64_t freed = g->bytes + g->dependents, cost = 0;
	int r = 0;
	for (size_t i = anchored; i < j->n && r == 0; i++) {
		const struct name *base = i ? &j->v[0].name : NULL;
		r = store_rekey_make(s, c, &j->v[i].name, base,
			anchored ? j->k->p->tab->rank[g->anchor] : 0, &made[i], e);
		cost += made[i].packed.len + ENTRY_BYTES;
		if (r == 0 && cost * (100 + GAIN_PERCENT) > freed * 100)
			return E_NOTFOUND; /* it does not pay */
	}
	return r;
}

static int run_group(void *ctx, struct store *s, struct coder *c, void *arg, struct err *e)
{
	struct group_job *j = arg;
	CLEANUP_FREE struct rekeyed *made = calloc(j->n, sizeof *made);
	(void)ctx;
	if (!made)
		return err_set(e, E_NOMEM, 0, "no memory for blobs");
	int r = make_group(j, s, c, made, e);
	/* What cannot be read stays as it is; who copies it will say so. */
	bool leave = r == E_NOTFOUND || r == E_CORRUPT || r == E_UNSUPPORTED;
	uint64_t stored = 0;
	for (size_t i = 0; i < j->n; i++) {
		if (r == 0 && made[i].packed.len) {
			r = store_rekey_put(s, &made[i], e);
			stored++;
		}
		buf_free(&made[i].packed);
	}
	work_lock(j->w);
	*j->stored += stored;
	work_unlock(j->w);
	return leave ? 0 : r;
}

int rekey_run(struct rekey *k, struct work *w, uint64_t *ret, struct err *e)
{
	struct members m = {0};
	*ret = 0;
	int r = k->n_chosen ? collect_members(k, &m, e) : 0;
	for (size_t i = 0, end; i < m.n && r == 0; i = end) {
		const struct rekey_group *g = &k->v[m.v[i].g];
		for (end = i; end < m.n && m.v[end].g == m.v[i].g; end++)
			;
		struct group_job *j = malloc(sizeof *j);
		if (j)
			*j = (struct group_job){k, m.v + i, end - i, ret, w};
		r = work_submit(w, run_group, NULL, j, (size_t)(2 * g->key_plain + g->cost), e);
	}
	int drained = work_drain(w, r == 0 ? e : NULL);
	free(m.v);
	free(m.anchors);
	return r < 0 ? r : drained;
}
