#include "engine/snapshot/compact.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/compact_recompress.h"
#include "engine/snapshot/compact_rekey.h"
#include "engine/snapshot/forgotten.h"
#include "engine/snapshot/mark.h"
#include "engine/store/nameset.h"
#include "engine/store/parity.h"
#include "engine/store/rewrite.h"

#define LEVEL_DEFAULT 6
#define MAX_UNUSED_DEFAULT 10
#define STEP_MIN ((uint64_t)4 << 20)
#define STEP_MAX ((uint64_t)256 << 20)

struct compacting {
	struct store *s;
	const struct compact_options *opt;
	struct compact_result *ret;
	struct coder coder;
	struct blobtab tab;
	struct marker mark;
	struct plan plan;
	struct rekey rekey;
	struct work *work; /* NULL with dry_run */
	struct doomed doomed; /* what lay in doomed/ when we began, and what we put there since */
	uint64_t copied;
};

static bool cancelled(const struct compacting *c)
{
	return c->opt->cancel && *c->opt->cancel;
}

static void progress(const struct compacting *c, const char *what, uint64_t done, uint64_t bytes)
{
	if (c->opt->on_progress)
		c->opt->on_progress(c->opt->ctx, what, done, bytes);
}

static void on_mark(void *ctx, uint64_t roots, uint64_t nodes)
{
	progress(ctx, "snapshots", roots, nodes);
}

/* ---- who else uses the store ---- */

static bool is_other_host(void *ctx, const struct lock_info *l)
{
	return strcmp(l->host, ctx) != 0;
}

static int find_shared(struct compacting *c, struct err *e)
{
	char host[65] = "";
	struct snapshot_list l;
	struct lock_list locks;
	gethostname(host, sizeof host - 1);
	int r = snapshot_list_load(&l, c->s, e);
	/* Of a store that shows less than it had, what is hidden must not be thrown away. */
	if (r == 0)
		r = snapshot_check_rollback(&l, c->s, c->opt->state_dir, c->opt->accept_rollback, e);
	for (size_t i = 0; i < l.n && r == 0; i++)
		c->ret->shared |= strcmp(l.v[i].host, host) != 0;
	snapshot_list_free(&l);
	if (r == 0)
		r = lock_list_load(&locks, c->s, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < locks.n; i++)
		c->ret->shared |= is_other_host(host, &locks.v[i]);
	lock_list_free(&locks);
	c->ret->grace = c->opt->grace >= 0 ? c->opt->grace
			: c->ret->shared   ? COMPACT_GRACE_SHARED
					   : 0;
	return 0;
}

/* A snapshot that vanished without being forgotten may come back, and would need what seems unused. */
static int tell_gap(void *ctx, uint64_t generation, const struct name *self, const char *successor,
	struct err *e)
{
	(void)ctx;
	(void)self;
	return err_set(e, E_CORRUPT, 0,
		"snapshot number %llu is gone, though nobody forgot it (%s was made after it): put it back, or "
		"give it up with 'check --repair'", (unsigned long long)generation, successor);
}

static int check_gaps(struct compacting *c, struct err *e)
{
	struct past before, after;
	struct snapshot_list l;
	int r = past_load(&before, c->s, e);
	if (r < 0)
		return r;
	/* One that is just being brought back, or forgotten, is in one of the three. */
	r = snapshot_list_load(&l, c->s, e);
	if (r == 0) {
		r = past_load(&after, c->s, e);
		if (r == 0) {
			r = past_each_gap(&after, &l, tell_gap, NULL, e);
			if (r == E_CORRUPT)
				r = past_each_gap(&before, &l, tell_gap, NULL, e);
			past_free(&after);
		}
		snapshot_list_free(&l);
	}
	past_free(&before);
	return r;
}

/* ---- what is needed ---- */

static int load(struct compacting *c, struct err *e)
{
	uint64_t new;
	int r = store_refresh(c->s, e);
	if (r == 0 && store_left_out(c->s))
		r = err_set(e, E_CORRUPT, 0, "packs are missing");
	if (r == 0)
		r = blobtab_load(&c->tab, store_index(c->s), e);
	if (r < 0)
		return r;
	c->mark = (struct marker){.s = c->s, .c = &c->coder, .tab = &c->tab,
		.cancel = c->opt->cancel, .on_progress = on_mark, .ctx = c};
	r = mark_snapshots(&c->mark, &new, e);
	c->ret->blobs = c->tab.n;
	return r;
}

/* Copies were added, or more is known. */
static int rank_again(struct compacting *c, struct err *e)
{
	int r = blobtab_rank(&c->tab, store_index(c->s), e);
	if (r == 0)
		blobtab_need_live(&c->tab);
	return r;
}

/* Step 1, once it is known that the store is whole: what was forgotten is given up for good, then what
 * came back in the meantime is looked at. */
static int release(struct compacting *c, struct err *e)
{
	size_t n = 0;
	uint64_t new;
	struct forgotten_list l;
	int r;
	if (c->opt->dry_run) {
		r = forgotten_load(&l, c->s, e);
		c->ret->forgotten = l.n;
		forgotten_free(&l);
	} else {
		r = forgotten_release(c->s, &n, e);
		c->ret->forgotten = n;
		if (r == 0)
			r = mark_all(&c->mark, &new, e);
	}
	c->ret->snapshots = c->mark.roots;
	/* Of several differences of a depth, one against what is needed anyway: that is known now. */
	return r == 0 && c->tab.ties ? rank_again(c, e) : r;
}

static int level_of(const struct compacting *c)
{
	return c->opt->level ? c->opt->level : LEVEL_DEFAULT;
}

/* Inflate what snapshots kept as it was. */
static int inflate_kept(struct compacting *c, struct err *e)
{
	struct store_stats st;
	int r = store_begin(c->s, level_of(c), e);
	if (r == 0)
		r = recompress_kept(c->work, &c->tab, &c->ret->recompressed, e);
	if (r == 0)
		r = store_commit(c->s, &c->coder, e);
	if (r < 0 || !c->ret->recompressed)
		return r;
	store_stats(c->s, &st);
	c->ret->written_bytes += st.new_bytes;
	return rank_again(c, e);
}

/* ---- what goes ---- */

/* How much may be copied before something is removed. */
static uint64_t step_bytes(struct compacting *c)
{
	uint64_t free, step = c->plan.bytes / 128;
	if (c->ret->grace)
		return UINT64_MAX; /* nothing is removed in between */
	if (object_space(store_place(c->s), &free, NULL) == 0)
		return free / 2;
	return step < STEP_MIN ? STEP_MIN : step > STEP_MAX ? STEP_MAX : step;
}

static int store_anew(struct compacting *c, struct err *e)
{
	struct store_stats st;
	int r = store_begin(c->s, level_of(c), e);
	if (r == 0)
		r = rekey_run(&c->rekey, c->work, &c->ret->rekeyed, e);
	if (r == 0)
		r = store_commit(c->s, &c->coder, e);
	if (r < 0)
		return r;
	store_stats(c->s, &st);
	c->ret->written_bytes += st.new_bytes;
	for (size_t i = 0; i < c->tab.n; i++)
		c->tab.flags[i] &= (uint16_t)~BLOB_FREED;
	r = rank_again(c, e);
	return r == 0 ? plan_count(&c->plan, e) : r; /* the fates stay */
}

/* Decide which packs go, and store anew what makes that worth more. */
static int choose(struct compacting *c, struct err *e)
{
	unsigned max_unused = c->opt->max_unused ? c->opt->max_unused : MAX_UNUSED_DEFAULT;
	int r = plan_load(&c->plan, c->s, &c->tab, &c->doomed, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->tab.n; i++)
		c->ret->used_blobs += (c->tab.flags[i] & BLOB_NEEDED) != 0;
	c->ret->packs = c->plan.n;
	c->ret->bytes = c->plan.bytes;
	c->ret->used_bytes = c->plan.used;
	r = rekey_plan(&c->rekey, &c->plan, max_unused, step_bytes(c), e);
	if (r == 0 && c->opt->recompress && !c->opt->dry_run)
		r = recompress_choose(c->work, &c->plan, level_of(c), e);
	return r == 0 && c->rekey.n_chosen && !c->opt->dry_run ? store_anew(c, e) : r;
}

/* ---- copying ---- */

static bool must_copy(const struct compacting *c, const struct rewrite_blob *b, uint32_t *ret_i)
{
	uint32_t i = *ret_i = blobtab_find(&c->tab, &b->name);
	return i != BLOBTAB_NONE && (c->tab.flags[i] & BLOB_NEEDED) &&
	       !(c->tab.flags[i] & BLOB_HELD) && blobtab_will_do(&c->tab, i, &b->loc);
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
static int copy_frame(struct compacting *c, struct rewrite_blob *v, size_t n, struct err *e)
{
	bool any = false;
	for (size_t i = 0; i < n; i++) {
		uint32_t k;
		v[i].wanted = must_copy(c, &v[i], &k);
		any |= v[i].wanted;
		if (!v[i].wanted)
			continue;
		c->tab.flags[k] |= BLOB_HELD;
		c->ret->rewritten_bytes += blob_share(&v[i].loc);
	}
	if (!any || !c->opt->recompress)
		return any ? store_copy_frame(c->s, &c->coder, v, n, 0, e) : 0;
	struct copy_job *j = malloc(sizeof *j + n * sizeof *v);
	if (j) {
		*j = (struct copy_job){.level = level_of(c), .n = n};
		memcpy(j->v, v, n * sizeof *v);
	}
	return work_submit(c->work, copy_at_level, NULL, j,
		recompress_bytes(v[0].loc.frame_plain, level_of(c)), e);
}

static int copy_pack(struct compacting *c, const struct cpack *x, struct err *e)
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
static int copy_out(struct compacting *c, struct err *e)
{
	struct store_stats st;
	int r = plan_settle(&c->plan, e);
	bool any = false;
	for (size_t i = 0; i < c->plan.n && r == 0 && !any; i++)
		any = c->plan.v[i].fate == PACK_NOW && c->plan.v[i].indexed;
	if (r < 0 || !any)
		return r;
	r = store_begin(c->s, level_of(c), e);
	if (r == 0 && store_lost_packs(c->s))
		r = err_set(e, E_CORRUPT, 0, "packs are missing");
	for (size_t i = 0, done = 0; i < c->plan.n && r == 0; i++) {
		if (c->plan.v[i].fate != PACK_NOW || !c->plan.v[i].indexed)
			continue;
		r = copy_pack(c, &c->plan.v[i], e);
		progress(c, "packs", ++done, c->ret->rewritten_bytes);
	}
	int drained = work_drain(c->work, r == 0 ? e : NULL);
	r = r < 0 ? r : drained;
	if (r == 0)
		r = store_commit(c->s, &c->coder, e);
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
static int doom(struct compacting *c, struct id *ret, struct err *e)
{
	size_t n = 0;
	CLEANUP_FREE struct doomed_pack *v = calloc(c->plan.n + 1, sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for a list of packs");
	for (size_t i = 0; i < c->plan.n; i++) {
		struct cpack *x = &c->plan.v[i];
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
	for (size_t i = 0; i < c->doomed.n_objects && r == 0; i++)
		r = doomed_remove(c->s, &c->doomed.objects[i], e);
	if (r < 0)
		return r;
	doomed_free(&c->doomed);
	if (!n)
		return 0;
	c->doomed.objects = malloc(sizeof *c->doomed.objects);
	if (!c->doomed.objects)
		return err_set(e, E_NOMEM, 0, "no memory for a list of packs");
	c->doomed.objects[0] = *ret;
	c->doomed.n_objects = 1;
	return 0;
}

static bool has_not_seen(void *ctx, const struct lock_info *l)
{
	return !lock_has_seen(l, ctx);
}

/* Step 6. 0: nobody is in the way. E_LOCKED: somebody is, and *ret says who. */
static int wait_for_others(struct compacting *c, const struct id *doomed, struct err *e)
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

static bool may_go(const struct compacting *c, const struct cpack *x)
{
	return x->fate == PACK_NOW &&
	       (c->ret->grace == 0 || time(NULL) - x->since >= c->ret->grace);
}

/* Steps 8 and 9 for those whose grace is over. */
static int remove_packs(struct compacting *c, struct err *e)
{
	struct nameset gone = {0};
	struct reindex_stats st = {0};
	int r = 0;
	for (size_t i = 0; i < c->plan.n && r == 0; i++) {
		bool known = false;
		struct cpack *x = &c->plan.v[i];
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
	for (size_t i = 0; i < c->plan.n && r == 0; i++) {
		struct cpack *x = &c->plan.v[i];
		char key[PACK_KEY_CHARS];
		if (!may_go(c, x))
			continue;
		r = store_still_ours(c->s, e);
		if (r == 0)
			r = object_remove(store_place(c->s), pack_object_key(&x->id, key), e);
		if (r == 0 || r == E_NOTFOUND)
			r = parity_remove(c->s, &x->id, e);
		if (r < 0)
			break;
		x->fate = PACK_GONE;
		c->ret->removed_packs++;
		c->ret->removed_bytes += x->size;
		progress(c, "packs removed", c->ret->removed_packs, c->ret->removed_bytes);
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
static int next_round(struct compacting *c, uint64_t limit, bool *ret_any, struct err *e)
{
	CLEANUP_FREE struct cpack **order = malloc((c->plan.n + 1) * sizeof *order);
	uint64_t all = 0, copy = 0;
	size_t n = 0, i;
	if (!order)
		return err_set(e, E_NOMEM, 0, "no memory for a list of packs");
	for (i = 0; i < c->plan.n; i++)
		if (c->plan.v[i].fate == PACK_GOES) {
			order[n++] = &c->plan.v[i];
			all += c->plan.v[i].used;
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

static bool any_may_go(const struct compacting *c)
{
	for (size_t i = 0; i < c->plan.n; i++)
		if (may_go(c, &c->plan.v[i]))
			return true;
	return false;
}

/* One round, steps 4 to 9. *ret_more: whether another may follow. */
static int do_round(struct compacting *c, bool *ret_more, struct err *e)
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
	if (r < 0) {
		*e = own;
		return r;
	}
	uint64_t refreshes_news = 0;
	r = store_refresh_news(c->s, &refreshes_news, e);
	if (r == 0)
		r = mark_all(&c->mark, &new, e);
	if (r == 0 && (new || refreshes_news))
		r = copy_out(c, e);
	if (r == 0)
		r = remove_packs(c, e);
	*ret_more = r == 0;
	return r;
}

struct left_names {
	struct id *v;
	size_t n;
};

static int note_name(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct left_names *l = ctx;
	struct id *v = realloc(l->v, (l->n + 1) * sizeof *v);
	(void)size;
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for a list of names");
	l->v = v;
	v[l->n++] = *id;
	return 0;
}

/* Names that a snapshot was about to take when it was killed. Its lock was there before the name, and is there as
 * long as it lives: when nobody holds one now, nobody is about to take what was listed before. */
static int tidy_names(struct compacting *c, struct err *e)
{
	struct left_names l = {0};
	struct lock_list locks = {0};
	int r = store_object_list(c->s, "names", note_name, &l, e);
	if (r == 0 && l.n)
		r = lock_list_load(&locks, c->s, e);
	for (size_t i = 0; i < l.n && r == 0 && locks.n == 1; i++) { /* ours */
		r = store_object_remove(c->s, "names", &l.v[i], e);
		r = r == E_NOTFOUND ? 0 : r;
	}
	lock_list_free(&locks);
	free(l.v);
	return r;
}

/* What is still doomed keeps its list; or the list goes. */
static int finish(struct compacting *c, struct err *e)
{
	struct id id;
	for (size_t i = 0; i < c->plan.n; i++) {
		struct cpack *x = &c->plan.v[i];
		if (!is_doomed(x))
			continue;
		c->ret->doomed_packs++;
		c->ret->doomed_bytes += x->size;
	}
	if (c->ret->removed_packs || !c->ret->doomed_packs)
		return doom(c, &id, e);
	return 0;
}

static void tell_dry(struct compacting *c)
{
	for (size_t i = 0; i < c->plan.n; i++) {
		const struct cpack *x = &c->plan.v[i];
		if (x->fate != PACK_GOES)
			continue;
		c->ret->removed_packs++;
		c->ret->removed_bytes += x->size;
		c->ret->rewritten_bytes += x->used;
	}
	c->ret->written_bytes = c->ret->rewritten_bytes + rekey_cost(&c->rekey);
}

static int work(struct compacting *c, struct err *e)
{
	const struct compact_options *opt = c->opt;
	bool recompress = opt->recompress ||
			  store_config(c->s)->recompress != RECOMPRESS_NOW;
	int r = find_shared(c, e);
	if (r == 0 && !opt->accept_rollback)
		r = check_gaps(c, e);
	if (r == 0)
		r = doomed_load(&c->doomed, c->s, e);
	if (r == 0)
		r = load(c, e);
	if (r == 0)
		r = release(c, e);
	if (r == 0 && recompress && !opt->dry_run)
		r = inflate_kept(c, e);
	if (r == 0)
		r = choose(c, e);
	if (r < 0)
		return r;
	if (opt->dry_run) {
		tell_dry(c);
		return 0;
	}
	bool more = true, any = false;
	while (r == 0 && more) {
		r = next_round(c, step_bytes(c), &any, e);
		if (r < 0 || !any)
			break;
		r = do_round(c, &more, e);
	}
	if (r == 0)
		r = finish(c, e);
	return r == 0 ? tidy_names(c, e) : r;
}

int compact_run(struct store *s, const struct compact_options *opt, struct compact_result *ret,
	struct err *e)
{
	struct compacting c = {.s = s, .opt = opt, .ret = ret};
	const struct lock_wait wait = {.seconds = opt->wait_seconds, .cancel = opt->cancel,
		.on_wait = opt->on_wait, .ctx = opt->ctx};
	*ret = (struct compact_result){0};
	int r = coder_init(&c.coder, e);
	if (r == 0 && !opt->dry_run)
		r = work_new(&c.work, s, opt->threads, opt->cancel, e);
	if (r == 0 && !opt->dry_run)
		r = store_hold(s, LOCK_EXCLUSIVE, "compact", &wait, e);
	if (r == 0)
		r = work(&c, e);
	work_free(c.work); /* before what it works on */
	store_abort(s);	   /* lets the lock go */
	coder_free(&c.coder);
	marker_free(&c.mark);
	rekey_free(&c.rekey);
	plan_free(&c.plan);
	doomed_free(&c.doomed);
	blobtab_free(&c.tab);
	if (r == E_CORRUPT)
		return err_wrap(e, "the store is damaged (see 'mcfs check'): compact stopped");
	return r;
}
