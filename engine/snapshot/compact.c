#include "engine/snapshot/compact.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/compact_recompress.h"
#include "engine/snapshot/compact_rekey.h"
#include "engine/snapshot/compact_rounds.h"
#include "engine/snapshot/forgotten.h"
#include "engine/store/id_list.h"

#define LEVEL_DEFAULT 6
#define MAX_UNUSED_DEFAULT 10

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
	struct rounds rounds;
};

static void on_mark(void *ctx, uint64_t roots, uint64_t nodes)
{
	const struct compacting *c = ctx;
	if (c->opt->on_progress)
		c->opt->on_progress(c->opt->ctx, "snapshots", roots, nodes);
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

/* ---- what goes ---- */

static unsigned max_unused(const struct compacting *c)
{
	return c->opt->max_unused ? c->opt->max_unused : MAX_UNUSED_DEFAULT;
}

/* The packs, and what is used of them. */
static int load_plan(struct compacting *c, struct err *e)
{
	int r = plan_load(&c->plan, c->s, &c->tab, &c->doomed, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->tab.n; i++)
		c->ret->used_blobs += (c->tab.flags[i] & BLOB_NEEDED) != 0;
	c->ret->packs = c->plan.n;
	c->ret->bytes = c->plan.bytes;
	c->ret->used_bytes = c->plan.used;
	return 0;
}

static int store_anew(struct compacting *c, struct err *e)
{
	struct store_stats st;
	int r = store_begin(c->s, c->rounds.level, e);
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

/* Inflate what snapshots kept as it was: all of it when told to compress, else where space is gained by it. */
static int inflate_kept(struct compacting *c, struct err *e)
{
	struct store_stats st;
	int r = store_begin(c->s, c->rounds.level, e);
	if (r == 0)
		r = recompress_kept(c->work, &c->plan, c->opt->recompress ? 0 : max_unused(c),
			&c->ret->recompressed, e);
	if (r == 0)
		r = store_commit(c->s, &c->coder, e);
	if (r < 0 || !c->ret->recompressed)
		return r;
	store_stats(c->s, &st);
	c->ret->written_bytes += st.new_bytes;
	r = rank_again(c, e);
	return r == 0 ? plan_count(&c->plan, e) : r;
}

/* Decide which packs go, and store anew what makes that worth more. */
static int choose(struct compacting *c, struct err *e)
{
	int r = rekey_plan(&c->rekey, &c->plan, max_unused(c), rounds_step_bytes(&c->rounds), e);
	if (r == 0 && c->opt->recompress && !c->opt->dry_run)
		r = recompress_choose(c->work, &c->plan, c->rounds.level, e);
	return r == 0 && c->rekey.n_chosen && !c->opt->dry_run ? store_anew(c, e) : r;
}

/* Names that a snapshot was about to take when it was killed. Its lock was there before the name, and is there as
 * long as it lives: when nobody holds one now, nobody is about to take what was listed before. */
static int tidy_names(struct compacting *c, struct err *e)
{
	CLEANUP_ID_LIST struct id_list l = {0};
	struct lock_list locks = {0};
	int r = store_object_list(c->s, "names", id_list_collect, &l, e);
	if (r == 0 && l.n)
		r = lock_list_load(&locks, c->s, e);
	for (size_t i = 0; i < l.n && r == 0 && locks.n == 1; i++) { /* ours */
		r = store_object_remove(c->s, "names", &l.v[i], e);
		r = r == E_NOTFOUND ? 0 : r;
	}
	lock_list_free(&locks);
	return r;
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
	if (r == 0)
		r = load_plan(c, e);
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
	c->rounds.work = c->work;
	r = rounds_run(&c->rounds, e);
	return r == 0 ? tidy_names(c, e) : r;
}

int compact_run(struct store *s, const struct compact_options *opt, struct compact_result *ret,
	struct err *e)
{
	struct compacting c = {.s = s, .opt = opt, .ret = ret};
	c.rounds = (struct rounds){.s = s, .opt = opt, .ret = ret, .coder = &c.coder, .mark = &c.mark,
		.plan = &c.plan, .doomed = &c.doomed, .level = opt->level ? opt->level : LEVEL_DEFAULT};
	const struct lock_wait wait = {.seconds = opt->wait_seconds, .cancel = opt->cancel,
		.on_wait = opt->on_wait, .ctx = opt->ctx};
	*ret = (struct compact_result){0};
	int r = coder_init(&c.coder, e);
	if (r == 0 && !opt->dry_run)
		r = work_new(&c.work, s, opt->threads, opt->cancel, e);
	if (r == 0 && !opt->dry_run)
		r = store_hold(s, LOCK_EXCLUSIVE, "compact", &wait, e);
	if (r == 0 && !opt->dry_run)
		r = store_config_mend(s, NULL, NULL, e);
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
