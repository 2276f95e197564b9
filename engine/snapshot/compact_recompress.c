#include "engine/snapshot/compact_recompress.h"

#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/store/rewrite.h"

/* A pack is written anew when it becomes so much smaller. */
#define GAIN_PERCENT 3
#define SAMPLES 12 /* frames of a pack, at equal distances in bytes */
#define INFLATES_BY 8 /* chunks, about */
#define HIGH_LEVEL 13 /* zstd's optimal parsers begin here; their tables are some times the input */

size_t recompress_bytes(uint64_t plain, int level)
{
	return (size_t)plain * (level >= HIGH_LEVEL ? 12 : 5);
}

/* ---- what was kept ---- */

struct kept {
	struct work *w;
	struct plan *p;
	uint64_t *ret;
	struct kept_blob {
		struct name name;
		uint32_t len;
	} *v;
	size_t n;
	bool all;   /* whichever packs they are in */
	bool trial; /* flag them only */
	bool any;
};

static int kept_pack(void *ctx, uint64_t no, const struct id *id, uint64_t size, struct err *e)
{
	(void)size;
	return plan_on_pack(((struct kept *)ctx)->p, no, id, e);
}

static int note_kept(void *ctx, const struct name *name, uint64_t no, const struct blob_loc *l,
	struct err *e)
{
	struct kept *k = ctx;
	struct blobtab *t = k->p->tab;
	const struct cpack *x = plan_pack_of(k->p, no);
	uint32_t i = form_is_kept(l->form) ? blobtab_find(t, name) : BLOBTAB_NONE;
	if (i == BLOBTAB_NONE || !(t->flags[i] & BLOB_LIVE) || t->rank[i] != RANK_KEPT)
		return 0;
	if (k->trial) {
		t->flags[i] |= BLOB_FREED;
		k->any = true;
	}
	if (k->trial || !(k->all || (x && x->fate == PACK_GOES)))
		return 0;
	if ((k->n & (k->n - 1)) == 0) {
		struct kept_blob *v = realloc(k->v, (k->n ? 2 * k->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a list of groups");
		k->v = v;
	}
	k->v[k->n++] = (struct kept_blob){*name, l->plain_len};
	return 0;
}

static int look_for_kept(struct kept *k, struct err *e)
{
	const struct index_visit v = {kept_pack, note_kept, k};
	plan_begin_scan(k->p);
	return index_scan(store_index(k->p->s), &v, e);
}

/* As if they were inflated already: which packs go then? A kept copy in a pack that stays is no gain: the inflated
 * one would lie beside it. */
static int find_worthwhile(struct kept *k, unsigned max_unused, struct err *e)
{
	struct blobtab *t = k->p->tab;
	k->trial = true;
	int r = look_for_kept(k, e);
	k->trial = false;
	if (r < 0 || !k->any)
		return r;
	r = plan_count(k->p, e);
	if (r == 0) {
		plan_choose(k->p, max_unused);
		r = look_for_kept(k, e);
	}
	for (size_t i = 0; i < t->n; i++)
		t->flags[i] &= (uint16_t)~BLOB_FREED;
	return r == 0 && !k->n ? plan_count(k->p, e) : r;
}

static int inflate(void *ctx, struct store *s, struct coder *c, void *arg, struct err *e)
{
	struct kept *k = ctx;
	const struct kept_blob *b = arg;
	bool done;
	int r = store_recompress(s, c, &b->name, &done, e);
	work_lock(k->w);
	*k->ret += r == 0 && done;
	work_unlock(k->w);
	return r;
}

int recompress_kept(struct work *w, struct plan *p, unsigned max_unused, uint64_t *ret, struct err *e)
{
	struct kept k = {.w = w, .p = p, .ret = ret, .all = max_unused == 0};
	*ret = 0;
	int r = k.all ? look_for_kept(&k, e) : find_worthwhile(&k, max_unused, e);
	for (size_t i = 0; i < k.n && r == 0; i++) {
		struct kept_blob *b = malloc(sizeof *b);
		if (b)
			*b = k.v[i];
		r = work_submit(w, inflate, &k, b,
			recompress_bytes((uint64_t)k.v[i].len * INFLATES_BY, 0), e);
	}
	int drained = work_drain(w, r == 0 ? e : NULL);
	free(k.v);
	return r < 0 ? r : drained;
}

/* ---- what would become smaller ---- */

struct trial {
	struct plan *p;
	int level;
};

struct trial_job {
	size_t slot;
};

static int try_frames(struct store *s, struct coder *c, const struct rewrite_blob *v, size_t n, int level,
	bool *ret, struct err *e)
{
	uint64_t total = 0, seen = 0, old = 0, new = 0;
	size_t samples = 0, k;
	for (size_t i = 0; i < n; i++)
		total += v[i].loc.blob_off == 0 ? v[i].loc.sealed_len : 0;
	for (size_t i = 0; i < n; i = k) {
		uint64_t len;
		for (k = i + 1; k < n && v[k].loc.place == v[i].loc.place; k++)
			;
		seen += v[i].loc.sealed_len;
		if (seen * SAMPLES < total * (samples + 1) - total / 2)
			continue;
		samples = (size_t)(seen * SAMPLES / total) + 1;
		struct err own = ERR_INIT;
		int r = store_frame_again(s, c, &v[i].loc, level, &len, &own);
		/* A difference that nobody needs may have no base; damage is told by who needs it. */
		if (r == E_CORRUPT || r == E_UNSUPPORTED || r == E_NOTFOUND)
			continue;
		if (r < 0)
			return err_pass(e, &own);
		old += v[i].loc.sealed_len;
		new += len;
	}
	*ret = new && new * 100 <= old * (100 - GAIN_PERCENT);
	return 0;
}

static int try_pack(void *ctx, struct store *s, struct coder *c, void *arg, struct err *e)
{
	const struct trial *t = ctx;
	struct cpack *x = &t->p->v[((struct trial_job *)arg)->slot];
	CLEANUP_FREE struct rewrite_blob *v = NULL;
	size_t n = 0;
	bool smaller = false;
	int r = store_pack_blobs(s, &x->id, &v, &n, e);
	if (r == 0)
		r = try_frames(s, c, v, n, t->level, &smaller, e);
	if (r == 0 && smaller)
		x->fate = PACK_GOES;
	return r;
}

int recompress_choose(struct work *w, struct plan *p, int level, struct err *e)
{
	struct trial t = {p, level};
	int r = 0;
	for (size_t i = 0; i < p->n && r == 0; i++) {
		if (p->v[i].fate != PACK_STAYS)
			continue;
		struct trial_job *j = malloc(sizeof *j);
		if (j)
			*j = (struct trial_job){i};
		r = work_submit(w, try_pack, &t, j, recompress_bytes((uint64_t)1 << 20, level), e);
	}
	int drained = work_drain(w, r == 0 ? e : NULL);
	return r < 0 ? r : drained;
}
