#include "engine/snapshot/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/forgotten.h"
#include "engine/store/doomed.h"
#include "engine/store/id_list.h"
#include "engine/store/lost.h"
#include "engine/store/parity.h"
#include "engine/store/salvage.h"

struct run {
	struct store *s;
	const struct repair_options *opt;
	struct repair_result *ret;
	struct nameset bad;	/* blobs that do not decode */
	struct nameset missing; /* blobs that snapshots name and the store has not */
	struct past_one *gone;	/* vanished snapshots */
	size_t n_gone;
};

static void done(struct run *w, const char *where, const char *what)
{
	if (w->opt->on_done)
		w->opt->on_done(w->opt->check.ctx, where, what);
}

/* ---- what check finds ---- */

static void on_damage(void *ctx, const char *where, const struct err *e)
{
	const struct run *w = ctx;
	if (w->opt->check.on_damage)
		w->opt->check.on_damage(w->opt->check.ctx, where, e);
}

static void on_progress(void *ctx, const char *what, uint64_t n, uint64_t bytes)
{
	const struct run *w = ctx;
	if (w->opt->check.on_progress)
		w->opt->check.on_progress(w->opt->check.ctx, what, n, bytes);
}

static int on_bad(void *ctx, const struct name *name, struct err *e)
{
	return nameset_add(&((struct run *)ctx)->bad, name, e);
}

static int on_missing(void *ctx, const struct name *name, struct err *e)
{
	return nameset_add(&((struct run *)ctx)->missing, name, e);
}

static int on_vanished(void *ctx, uint64_t generation, const struct name *self, struct err *e)
{
	struct run *w = ctx;
	struct past_one *v = realloc(w->gone, (w->n_gone + 1) * sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for vanished snapshots");
	w->gone = v;
	v[w->n_gone++] = (struct past_one){.generation = generation, .self = *self};
	return 0;
}

static int look(struct run *w, bool all, struct check_result *ret, struct err *e)
{
	struct check_options opt = w->opt->check;
	opt.read_percent = all ? 100 : 0;
	opt.parts = 0;
	opt.no_packs = false;
	/* What is put aside here is missed for a reason that was told. */
	opt.accept_rollback |= w->ret->snapshots_aside > 0;
	opt.on_damage = all ? on_damage : NULL;
	opt.on_progress = on_progress;
	opt.on_bad = on_bad;
	opt.on_missing = on_missing;
	opt.on_vanished = on_vanished;
	opt.ctx = w;
	return check_run(w->s, &opt, ret, e);
}

/* ---- parity ---- */

static int restore_pack(struct run *w, const struct id *pack, struct err *e)
{
	struct parity_result pr;
	char key[PACK_KEY_CHARS], text[160];
	int r = parity_restore(w->s, pack, &pr, e);
	if (r < 0 || pr.bad == 0)
		return r;
	snprintf(text, sizeof text, "parity restored %llu of %llu bad blocks of %llu bytes",
		(unsigned long long)pr.restored, (unsigned long long)pr.bad,
		(unsigned long long)pr.block);
	done(w, pack_object_key(pack, key), text);
	w->ret->parity_packs += pr.restored > 0;
	w->ret->parity_bytes += pr.wrong_bytes;
	return 0;
}

static int restore_packs(struct run *w, struct err *e)
{
	CLEANUP_ID_LIST struct id_list l = {0};
	int r = parity_list(w->s, id_list_collect, &l, e);
	for (size_t i = 0; i < l.n && r == 0; i++)
		r = w->opt->check.cancel && *w->opt->check.cancel
			    ? err_set(e, E_CANCELLED, 0, "interrupted")
			    : restore_pack(w, &l.v[i], e);
	/* Packs that were cut off may have been left out of the index. */
	if (r == 0 && w->ret->parity_packs)
		r = store_refresh(w->s, e);
	return r;
}

/* ---- snapshot objects ---- */

struct asides {
	struct run *w;
	struct id_list ids;
};

static int try_snapshot(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct asides *a = ctx;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct snapshot sn = {.id = *id};
	struct err own = ERR_INIT;
	(void)size;
	int r = store_object_get(a->w->s, SNAPSHOT_KIND, id, &b, &own);
	if (r == 0)
		r = snapshot_parse(buf_span(&b), store_keys(a->w->s), &sn, &own);
	snapshot_free(&sn);
	/* Of another version is not damaged. */
	if (r != E_CORRUPT)
		return 0;
	return id_list_add(&a->ids, id, e);
}

/* Nobody can read it, but somebody may want to try: the bytes stay. */
static int put_aside(struct run *w, const struct id *id, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char hex[2 * ID_BYTES + 1], from[64], to[64];
	struct object_place *place = store_place(w->s);
	hex_of(id->b, ID_BYTES, hex);
	snprintf(from, sizeof from, SNAPSHOT_KIND "/%s", hex);
	snprintf(to, sizeof to, "damaged/%s", hex);
	int r = object_get(place, from, (size_t)64 << 20, &b, e);
	if (r == 0)
		r = object_put(place, to, buf_span(&b), true, e);
	if (r == 0)
		r = object_remove(place, from, e);
	if (r == 0) {
		w->ret->snapshots_aside++;
		done(w, from, "cannot be read; moved to damaged/");
	}
	return r;
}

static void on_mended(void *ctx, const char *key, const char *what)
{
	done(ctx, key, what);
}

static int put_all_aside(struct run *w, struct err *e)
{
	struct asides a = {.w = w};
	int r = store_object_list(w->s, SNAPSHOT_KIND, try_snapshot, &a, e);
	for (size_t i = 0; i < a.ids.n && r == 0; i++)
		r = put_aside(w, &a.ids.v[i], e);
	id_list_free(&a.ids);
	return r;
}

/* ---- */

static void on_saved(void *ctx, const char *pack, uint64_t frames, uint64_t lost)
{
	struct run *w = ctx;
	char text[120];
	snprintf(text, sizeof text, "%llu frames saved, %llu dropped", (unsigned long long)frames,
		(unsigned long long)lost);
	done(w, pack, text);
}

static int salvage(struct run *w, struct err *e)
{
	struct salvage_result sr;
	int r = store_salvage(w->s, &w->bad, on_saved, w, w->opt->check.cancel, &sr, e);
	w->ret->rewritten_packs = sr.packs;
	w->ret->lost_frames = sr.lost_frames;
	w->ret->saved_bytes = sr.saved_bytes;
	w->ret->index_objects = sr.index_objects;
	return r;
}

/* What the snapshots need and is not there: the second look, on the new index. */
static int note_losses(struct run *w, struct err *e)
{
	struct nameset news = {0};
	int r = 0;
	for (size_t i = 0; i < w->missing.cap && r == 0; i++)
		if (w->missing.taken[i] && !store_has(w->s, &w->missing.v[i])) {
			w->ret->lost_blobs++;
			if (!store_is_lost(w->s, &w->missing.v[i]))
				r = nameset_add(&news, &w->missing.v[i], e);
		}
	if (r == 0 && news.n)
		r = lost_put(w->s, &news, e);
	nameset_free(&news);
	return r < 0 ? r : lost_tidy(w->s, e);
}

static int repair(struct run *w, struct err *e)
{
	uint64_t made, removed;
	int r = restore_packs(w, e);
	if (r == 0)
		r = look(w, true, &w->ret->before, e);
	if (r == 0)
		r = salvage(w, e);
	if (r == 0 && store_config(w->s)->parity)
		r = parity_tidy(w->s, store_config(w->s)->parity, NULL, NULL, &made, &removed, e);
	if (r == 0)
		r = store_copies_mend(w->s, store_config(w->s)->parity > 0, on_mended, w, e);
	if (r == 0)
		r = store_config_mend(w->s, on_mended, w, e);
	if (r == 0)
		r = doomed_check(w->s, true, on_mended, w, e);
	if (r == 0)
		r = put_all_aside(w, e);
	/* On what is there now. */
	w->n_gone = 0;
	struct check_result again;
	if (r == 0)
		r = look(w, false, &again, e);
	if (r == 0)
		r = note_losses(w, e);
	if (r == 0 && w->n_gone) {
		r = past_add(w->s, w->gone, w->n_gone, e);
		w->ret->vanished = w->n_gone;
	}
	/* One that vanished may have been the only one to name the one before it: nothing is known of that. */
	return r < 0 ? r : look(w, false, &w->ret->after, e);
}

int repair_run(struct store *s, const struct repair_options *opt, struct repair_result *ret,
	struct err *e)
{
	struct run w = {.s = s, .opt = opt, .ret = ret};
	*ret = (struct repair_result){0};
	int r = store_hold(s, LOCK_EXCLUSIVE, "check --repair", opt->wait, e);
	if (r == 0)
		r = store_refresh(s, e);
	/* Before anything is judged: bases may be in packs that no index object lists any more. */
	if (r == 0)
		r = store_recover(s, e);
	if (r == 0)
		r = repair(&w, e);
	store_abort(s); /* lets the lock go */
	nameset_free(&w.bad);
	nameset_free(&w.missing);
	free(w.gone);
	return r;
}
