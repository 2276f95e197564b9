#include "engine/snapshot/compact_rounds.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/compact_recompress.h"
#include "engine/store/nameset.h"
#include "engine/store/parity.h"
#include "engine/store/rewrite.h"

#define STEP_MIN ((uint64_t)4 << 20)
#define STEP_MAX ((uint64_t)256 << 20)
#define REMOVE_AT_ONCE 64 /* packs between two looks at the lock */

static bool cancelled(const struct rounds *c)
{
	return c->opt->cancel && *c->opt->cancel;
}

static void progress(const struct rounds *c, const char *what, uint64_t done, uint64_t bytes)
{
	if (c->opt->on_progress)
		c->opt->on_progress(c->opt->ctx, what, done, bytes);
}

uint64_t rounds_step_bytes(const struct rounds *c)
{
	uint64_t free, step = c->plan->bytes / 128;
	if (c->ret->grace)
		return UINT64_MAX; /* nothing is removed in between */
	if (object_space(store_place(c->s), &free, NULL) == 0)
		return free / 2;
	return step < STEP_MIN ? STEP_MIN : step > STEP_MAX ? STEP_MAX : step;
}

/* ---- copying ---- */

static bool must_copy(const struct rounds *c, const struct rewrite_blob *b, uint32_t *ret_i)
{
	uint32_t i = *ret_i = blobtab_find(c->plan->tab, &b->name);
	return i != BLOBTAB_NONE && (c->plan->tab->flags[i] & BLOB_NEEDED) &&
	       !(c->plan->tab->flags[i] & BLOB_HELD) && blobtab_will_do(c->plan->tab, i, &b->loc);
}

struct copy_job {
	int level;
	size_t n;
	struct rewrite_blob v[];
};

static int copy_at_level(void *ctx, struct store *s, struct coder *c, void *arg, struct err *e)
{
	struct copy_job *j = arg;
	(void)ctx;
	return store_copy_frame(s, c, j->v, j->n, j->level, e);
}

/* In order by this thread; by all of them when it is to be compressed. */
static int copy_frame(struct rounds *c, struct rewrite_blob *v, size_t n, struct err *e)
{
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		uint32_t k;
		v[i].wanted = must_copy(c, &v[i], &k);
		any |= v[i].wanted;
		if (!v[i].wanted)
			continue;
		c->plan->tab->flags[k] |= BLOB_HELD;
		c->ret->rewritten_bytes += blob_share(&v[i].loc);
	}
	if (!any || !c->opt->recompress)
		return any ? store_copy_frame(c->s, c->coder, v, n, 0, e) : 0;
	struct copy_job *j = malloc(sizeof *j + n * sizeof *v);
	if (j) {
		*j = (struct copy_job){.level = c->level, .n = n};
		memcpy(j->v, v, n * sizeof *v);
	}
	return work_submit(c->work, copy_at_level, NULL, j,
		recompress_bytes(v[0].loc.frame_plain, c->level), e);
}

static int copy_pack(struct rounds *c, const struct cpack *x, struct err *e)
{
	CLEANUP_FREE struct rewrite_blob *v = NULL;
	size_t n = 0;
	int r = store_pack_blobs(c->s, &x->id, &v, &n, e);
	for (size_t i = 0, k; i < n && r == 0; i = k) {
		for (k = i + 1; k < n && v[k].loc.place == v[i].loc.place; k++)
			;
		r = cancelled(c) ? err_set(e, E_CANCELLED, 0, "interrupted")
				 : copy_frame(c, v + i, k - i, e);
	}
	return r;
}

/* What is needed of the packs of this round and lies nowhere else goes into new packs. */
static int copy_out(struct rounds *c, struct err *e)
{
	struct store_stats st;
	int r = plan_settle(c->plan, e);
	bool any = false;
	for (size_t i = 0; i < c->plan->n && r == 0 && !any; i++)
		any = c->plan->v[i].fate == PACK_NOW && c->plan->v[i].indexed;
	if (r < 0 || !any)
		return r;
	r = store_begin(c->s, c->level, e);
	if (r == 0 && store_lost_packs(c->s))
		r = err_set(e, E_CORRUPT, 0, "packs are missing");
	for (size_t i = 0, done = 0; i < c->plan->n && r == 0; i++) {
		if (c->plan->v[i].fate != PACK_NOW || !c->plan->v[i].indexed)
			continue;
		r = copy_pack(c, &c->plan->v[i], e);
		progress(c, "packs", ++done, c->ret->rewritten_bytes);
	}
	int drained = work_drain(c->work, r == 0 ? e : NULL);
	r = r < 0 ? r : drained;
	if (r == 0)
		r = store_commit(c->s, c->coder, e);
	if (r < 0)
		return r;
	store_stats(c->s, &st);
	c->ret->written_bytes += st.new_bytes;
	return 0;
}

/* ---- dooming ---- */

static bool is_doomed(const struct cpack *x)
{
	return x->fate == PACK_NOW || x->fate == PACK_LATER ||
	       (x->fate == PACK_GOES && x->was_doomed);
}

/* Put what goes now, and what is doomed since long, under a fresh id; then away with the older lists. */
static int doom(struct rounds *c, struct id *ret, struct err *e)
{
	size_t n = 0;
	CLEANUP_FREE struct doomed_pack *v = calloc(c->plan->n + 1, sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for a list of packs");
	for (size_t i = 0; i < c->plan->n; i++) {
		struct cpack *x = &c->plan->v[i];
		if (!is_doomed(x))
			continue;
		if (!x->was_doomed)
			x->since = time(NULL);
		x->was_doomed = true;
		v[n++] = (struct doomed_pack){x->id, x->since};
	}
	int r = 0;
	if (n)
		r = doomed_put(c->s, v, n, ret, e);
	for (size_t i = 0; i < c->doomed->objects.n && r == 0; i++)
		r = doomed_remove(c->s, &c->doomed->objects.v[i], e);
	if (r < 0)
		return r;
	doomed_free(c->doomed);
	return n ? id_list_add(&c->doomed->objects, ret, e) : 0;
}

static bool has_not_seen(void *ctx, const struct lock_info *l)
{
	return !id_list_has(&l->seen, ctx);
}

/* Step 6. 0: nobody is in the way. E_LOCKED: somebody is, and *ret says who. */
static int wait_for_others(struct rounds *c, const struct id *doomed, struct err *e)
{
	struct lock_info who;
	const struct lock_wait wait = {.seconds = c->opt->wait_seconds, .cancel = c->opt->cancel,
		.on_wait = c->opt->on_wait, .ctx = c->opt->ctx};
	int r = store_locks_clear(c->s, store_held(c->s), has_not_seen, (void *)doomed, &wait, &who, e);
	if (r == E_LOCKED)
		lock_text(&who, c->ret->waits_for);
	return r;
}

/* ---- removing ---- */

static bool may_go(const struct rounds *c, const struct cpack *x)
{
	return x->fate == PACK_NOW &&
	       (c->ret->grace == 0 || time(NULL) - x->since >= c->ret->grace);
}

static int remove_lot(struct rounds *c, struct cpack *const *v, size_t n, struct err *e)
{
	char key[REMOVE_AT_ONCE][PACK_KEY_CHARS];
	const char *keys[REMOVE_AT_ONCE];
	struct id ids[REMOVE_AT_ONCE];
	for (size_t i = 0; i < n; i++) {
		keys[i] = pack_object_key(&v[i]->id, key[i]);
		ids[i] = v[i]->id;
	}
	int r = store_still_ours(c->s, e);
	if (r == 0)
		r = object_remove_all(store_place(c->s), keys, n, e);
	if (r == 0)
		r = parity_remove(c->s, ids, n, e);
	for (size_t i = 0; i < n && r == 0; i++) {
		v[i]->fate = PACK_GONE;
		c->ret->removed_packs++;
		c->ret->removed_bytes += v[i]->size;
	}
	progress(c, "packs removed", c->ret->removed_packs, c->ret->removed_bytes);
	return r;
}

/* Steps 8 and 9 for those whose grace is over. */
static int remove_packs(struct rounds *c, struct err *e)
{
	struct nameset gone = {0};
	struct reindex_stats st = {0};
	int r = 0;
	for (size_t i = 0; i < c->plan->n && r == 0; i++) {
		bool known = false;
		struct cpack *x = &c->plan->v[i];
		if (!may_go(c, x))
			continue;
		/* One that was in no index object may have come into one: the next run looks at it. */
		if (!x->indexed)
			r = index_has_pack(store_index(c->s), &x->id, &known, e);
		if (known) {
			x->fate = PACK_LATER;
			continue;
		}
		if (r == 0)
			r = nameset_add_id(&gone, &x->id, e);
	}
	if (r == 0)
		r = store_still_ours(c->s, e);
	if (r == 0)
		r = store_reindex(c->s, &gone, &st, e);
	c->ret->written_bytes += st.written_bytes;
	c->ret->index_objects = st.after;
	nameset_free(&gone);
	struct cpack *lot[REMOVE_AT_ONCE];
	for (size_t i = 0, n = 0; i < c->plan->n && r == 0; i++) {
		if (may_go(c, &c->plan->v[i]))
			lot[n++] = &c->plan->v[i];
		if (n && (n == REMOVE_AT_ONCE || i + 1 == c->plan->n)) {
			r = remove_lot(c, lot, n, e);
			n = 0;
		}
	}
	return r;
}

/* ---- rounds ---- */

static int by_used(const void *a, const void *b)
{
	const struct cpack *x = *(struct cpack *const *)a, *y = *(struct cpack *const *)b;
	return (x->used > y->used) - (x->used < y->used);
}

/* Choose what goes in this round: what is unused, then what needs the least copying, at most `limit` bytes
 * but one pack at least. When all of it is more than that, what is unused goes in a round of its own: it
 * makes room for the rest. *ret_any false: nothing is left. */
static int next_round(struct rounds *c, uint64_t limit, bool *ret_any, struct err *e)
{
	CLEANUP_FREE struct cpack **order = malloc((c->plan->n + 1) * sizeof *order);
	uint64_t all = 0, copy = 0;
	size_t n = 0, i;
	if (!order)
		return err_set(e, E_NOMEM, 0, "no memory for a list of packs");
	for (i = 0; i < c->plan->n; i++)
		if (c->plan->v[i].fate == PACK_GOES) {
			order[n++] = &c->plan->v[i];
			all += c->plan->v[i].used;
		}
	qsort(order, n, sizeof *order, by_used);
	for (i = 0; i < n; i++) {
		if (order[i]->used && i && (copy + order[i]->used > limit || (!copy && all > limit)))
			break;
		copy += order[i]->used;
		order[i]->fate = PACK_NOW;
	}
	*ret_any = n > 0;
	return 0;
}

static bool any_may_go(const struct rounds *c)
{
	for (size_t i = 0; i < c->plan->n; i++)
		if (may_go(c, &c->plan->v[i]))
			return true;
	return false;
}

/* One round, steps 4 to 9. *ret_more: whether another may follow. */
static int do_round(struct rounds *c, bool *ret_more, struct err *e)
{
	struct id doomed;
	struct err own = ERR_INIT;
	uint64_t new;
	*ret_more = false;
	int r = copy_out(c, e);
	if (r == 0)
		r = doom(c, &doomed, e);
	if (r < 0 || !any_may_go(c))
		return r;
	r = wait_for_others(c, &doomed, &own);
	if (r == E_LOCKED)
		return 0;
	if (r < 0)
		return err_pass(e, &own);
	uint64_t refreshes_news = 0;
	r = store_refresh_news(c->s, &refreshes_news, e);
	if (r == 0)
		r = mark_all(c->mark, &new, e);
	if (r == 0 && (new || refreshes_news))
		r = copy_out(c, e);
	if (r == 0)
		r = remove_packs(c, e);
	*ret_more = r == 0;
	return r;
}

/* What is still doomed keeps its list; or the list goes. */
static int finish(struct rounds *c, struct err *e)
{
	struct id id;
	for (size_t i = 0; i < c->plan->n; i++) {
		struct cpack *x = &c->plan->v[i];
		if (!is_doomed(x))
			continue;
		c->ret->doomed_packs++;
		c->ret->doomed_bytes += x->size;
	}
	if (c->ret->removed_packs || !c->ret->doomed_packs)
		return doom(c, &id, e);
	return 0;
}

int rounds_run(struct rounds *c, struct err *e)
{
	bool more = true, any = false;
	int r = 0;
	while (r == 0 && more) {
		r = next_round(c, rounds_step_bytes(c), &any, e);
		if (r < 0 || !any)
			break;
		r = do_round(c, &more, e);
	}
	return r == 0 ? finish(c, e) : r;
}
