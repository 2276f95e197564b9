/* prune_settle.c - what is left to do: after a crash, and when the world has become free. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/prune/prune_internal.h"

struct settling {
	const struct region_key *key;
	const struct row_ids *ids;
	struct region_files files;
	struct clearing *c;
	struct row_ids done; /* what goes on to KEPT */
};

/* ---- PRUNING ---- */

static int first_part(const struct chunk_parts *c)
{
	for (int k = 0; k < SOURCE_KINDS; k++)
		if (c->part[k].present)
			return k;
	return SOURCE_REGION;
}

/* Did nothing of it change since it was put into the trash? What is gone was us. */
static bool is_as_recorded(const struct chunk_parts *rec, const struct chunk_parts *now)
{
	for (int k = 0; k < SOURCE_KINDS; k++)
		if (now->part[k].present && !part_same(&rec->part[k], &now->part[k]))
			return false;
	return true;
}

/* What pruning has still to do about one item. */
static int settle_item(struct prune *p, struct settling *w, int64_t id, struct err *e)
{
	CLEANUP_PARTS struct chunk_parts rec = {0};
	CLEANUP_PARTS struct chunk_parts now = {0};
	CLEANUP_ITEM struct trash_item it = {0};
	struct err why = ERR_INIT;
	int r;
	{
		LOCK_SCOPE(&p->trash->m);
		r = trash_load_item(p->trash, id, &it, &why);
		if (r == 0)
			r = trash_load(p->trash, id, &rec, &why);
	}
	/* What is in the world is all there is of it; and the others are not to wait for ever. */
	if (r == E_CORRUPT) {
		log_say(&p->log, LOG_ERROR, "chunk %d, %d of %s: pruning it was interrupted, and it stays "
			"as it is in the world: %s", it.x, it.z, it.dimension, why.msg);
		return row_ids_add(&w->done, id, e);
	}
	if (r < 0 && e)
		*e = why;
	unsigned slot = slot_of(it.x, it.z);
	if (r == 0)
		r = region_files_read(&w->files, slot, &now, e);
	if (r == 0)
		r = row_ids_add(&w->done, id, e);
	if (r < 0)
		return r;
	int first = first_part(&rec);
	bool first_there = now.part[first].present;
	if (first_there && !is_as_recorded(&rec, &now)) {
		log_say(&p->log, LOG_WARN,
			"chunk %d, %d of %s was saved again after pruning was interrupted: it stays in "
			"the world, the older version in the trash", it.x, it.z, it.dimension);
		return 0;
	}
	for (int k = 0; k < SOURCE_KINDS; k++) {
		if (!rec.part[k].present)
			continue;
		w->c->touched[k] = true;
		if (!now.part[k].present) {
			/* Its sectors may not be freed yet; those that have an owner now stay. */
			if (w->c->n[k] < 2 * REGION_SLOTS)
				w->c->was[k][w->c->n[k]++] = rec.part[k].entry;
		} else if (part_same(&rec.part[k], &now.part[k])) {
			clearing_add(w->c, k, slot, &now.part[k].entry);
		}
	}
	return 0;
}

static int note_files(struct prune *p, struct settling *w, struct err *e)
{
	int r = trash_begin(p->trash, e);
	if (r < 0)
		return r;
	r = clearing_note_files(p, &w->files, w->c, w->key->folder, w->key->rx, w->key->rz, e);
	return trash_end(p->trash, r, e);
}

static int settle_pruning(struct prune *p, const struct region_key *key, const struct row_ids *ids,
	struct err *e)
{
	struct settling w = {.key = key, .ids = ids, .c = calloc(1, sizeof *w.c)};
	int r = w.c ? region_files_open(p, key->folder, key->rx, key->rz, true, &w.files, e)
		    : prune_no_memory(e);
	for (size_t i = 0; i < ids->n && r == 0; i++)
		r = settle_item(p, &w, ids->v[i], e);
	if (r == 0)
		r = note_files(p, &w, e);
	if (r == 0)
		r = clearing_apply(p, &w.files, w.c, true, e);
	if (r == 0)
		r = prune_set_states(p, &w.done, TRASH_KEPT, e);
	if (r == 0)
		log_say(&p->log, LOG_INFO, "settled %zu chunks of r.%d.%d that an interrupted run left "
					   "half pruned", ids->n, key->rx, key->rz);
	region_files_close(&w.files);
	row_ids_free(&w.done);
	free(w.c);
	return r;
}

/* ---- the next region with something to do ---- */

typedef int (*settle_fn)(struct prune *p, const struct region_key *key, const struct row_ids *ids,
	struct err *e);

/* Does a failure say something about one region only? */
static bool is_of_region(int r)
{
	return r == E_IO || r == E_FORMAT || r == E_CHANGED;
}

/* Until no item is left in the state: fn takes each it is given out of it, or fails. With `go_on` a region
 * that fails keeps its items, the others are done, and the first failure is returned. */
static int for_regions(struct prune *p, enum trash_state state, settle_fn fn, bool go_on,
	struct err *e)
{
	CLEANUP_ROW_IDS struct row_ids ids = {0};
	CLEANUP_KEY struct region_key after = {0};
	struct err first = ERR_INIT;
	int64_t last = -1;
	for (;;) {
		CLEANUP_KEY struct region_key key = {0};
		struct err own = ERR_INIT;
		int r;
		if (prune_cancelled(p))
			return err_set(e, E_CANCELLED, 0, "interrupted");
		{
			LOCK_SCOPE(&p->trash->m);
			r = trash_first_region(p->trash, state, &after, &key, &ids, e);
		}
		if (r < 0)
			return r;
		if (!key.folder || ids.n == 0)
			break;
		/* Never for ever: an item that will not leave its state. */
		if (ids.v[0] == last)
			return err_set(e, E_IO, 0, "item %lld of the trash '%s' cannot be settled",
				(long long)last, p->trash->path);
		last = ids.v[0];
		r = fn(p, &key, &ids, &own);
		if (r == 0)
			continue;
		if (first.code == 0)
			first = own;
		if (!go_on || !is_of_region(r))
			break;
		region_key_free(&after);
		after = key;
		key = (struct region_key){0};
	}
	if (first.code && e)
		*e = first;
	return first.code;
}

static int settle_restoring(struct prune *p, const struct region_key *key, const struct row_ids *ids,
	struct err *e)
{
	struct prune_how how = {0};
	struct err own = ERR_INIT;
	int r = restore_region(p, key, ids, &how, &own);
	/* Without room it is all in the trash again, and other work, which may make room, goes on. */
	if (r == E_NOSPACE) {
		log_say(&p->log, LOG_WARN, "%s: the chunks stay in the trash", own.msg);
		return 0;
	}
	return r < 0 ? err_pass(e, &own) : r;
}

int prune_settle(struct prune *p, struct err *e)
{
	/* What is settled here is not what the caller asked for. */
	struct prune_result own = {0}, *theirs = p->res;
	void (*on_chunk)(void *, const char *, int32_t, int32_t, enum prune_outcome, const char *) =
		p->opt.on_chunk;
	p->res = &own;
	p->opt.on_chunk = NULL;
	int r = for_regions(p, TRASH_PRUNING, settle_pruning, false, e);
	if (r == 0)
		r = for_regions(p, TRASH_RESTORING, settle_restoring, false, e);
	p->res = theirs;
	p->opt.on_chunk = on_chunk;
	return r < 0 && r != E_CANCELLED ? err_wrap(e, "settle what an interrupted run left") : r;
}

/* ---- what waited ---- */

static int drop_intent(struct prune *p, const struct trash_item *it, enum prune_outcome o,
	const char *why, struct err *e)
{
	log_say(&p->log, LOG_WARN, "chunk %d, %d of %s is not pruned: %s", it->x, it->z,
		it->dimension, why);
	prune_tell(p, it->dimension, it->x, it->z, o, why);
	return trash_delete(p->trash, it->id, e);
}

static int fill_intent(struct prune *p, struct settling *w, int64_t id, struct err *e)
{
	CLEANUP_PARTS struct chunk_parts parts = {0};
	CLEANUP_ITEM struct trash_item it = {0};
	bool same = false;
	int r = trash_load_item(p->trash, id, &it, e);
	unsigned slot = slot_of(it.x, it.z);
	if (r == 0)
		r = region_files_read(&w->files, slot, &parts, e);
	if (r == 0 && !parts_present(&parts))
		return drop_intent(p, &it, PRUNE_ABSENT, "it is not in the world any more", e);
	if (r == 0)
		r = trash_matches(p->trash, id, &parts, &same, e);
	if (r == 0 && !same)
		return drop_intent(p, &it, PRUNE_SAVED_SINCE, "it was saved since that was asked for",
			e);
	if (r == 0)
		r = trash_fill(p->trash, id, &parts, e);
	if (r == 0)
		r = row_ids_add(&w->done, id, e);
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++)
		if (parts.part[k].present)
			clearing_add(w->c, k, slot, &parts.part[k].entry);
	p->res->payload_bytes += r == 0 ? it.bytes : 0;
	return r;
}

static int fill_intents(struct prune *p, struct settling *w, struct err *e)
{
	int r = trash_begin(p->trash, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < w->ids->n && r == 0; i++)
		r = fill_intent(p, w, w->ids->v[i], e);
	if (r == 0)
		r = clearing_note_files(p, &w->files, w->c, w->key->folder, w->key->rx, w->key->rz,
			e);
	return trash_end(p->trash, r, e);
}

static void tell_done(struct prune *p, const struct row_ids *ids)
{
	for (size_t i = 0; i < ids->n; i++) {
		struct trash_item it;
		if (trash_find(p->trash, ids->v[i], &it, NULL) < 0)
			continue;
		prune_tell(p, it.dimension, it.x, it.z, PRUNE_DONE, NULL);
		trash_item_free(&it);
	}
}

static int apply_pruning(struct prune *p, const struct region_key *key, const struct row_ids *ids,
	struct err *e)
{
	struct settling w = {.key = key, .ids = ids, .c = calloc(1, sizeof *w.c)};
	int r = w.c ? region_files_open(p, key->folder, key->rx, key->rz, true, &w.files, e)
		    : prune_no_memory(e);
	if (r == 0)
		r = fill_intents(p, &w, e);
	if (r == 0 && w.done.n)
		r = clearing_apply(p, &w.files, w.c, true, e);
	if (r == 0 && w.done.n)
		r = prune_set_states(p, &w.done, TRASH_KEPT, e);
	if (r == 0)
		tell_done(p, &w.done);
	region_files_close(&w.files);
	row_ids_free(&w.done);
	free(w.c);
	return r;
}

static int apply_restoring(struct prune *p, const struct region_key *key, const struct row_ids *ids,
	struct err *e)
{
	struct prune_how how = {0};
	return restore_region(p, key, ids, &how, e);
}

int prune_apply(struct prune *p, const struct prune_how *how, struct prune_result *ret,
	struct err *e)
{
	uint64_t n;
	bool is_free;
	(void)how;
	int r = prune_pending(p, &n, e);
	*ret = (struct prune_result){0};
	if (r < 0 || n == 0)
		return r;
	LOCK_SCOPE(&p->m);
	p->res = ret;
	r = prune_enter(p, WHEN_RUNNING_REFUSE, &is_free, e);
	if (r == 0) {
		struct err own = ERR_INIT;
		int r2 = 0;
		r = for_regions(p, TRASH_PRUNE_WAITS, apply_pruning, true, e);
		if (r == 0 || is_of_region(r))
			r2 = for_regions(p, TRASH_RESTORE_WAITS, apply_restoring, true, &own);
		if (r == 0 && r2 < 0 && e)
			*e = own;
		r = r < 0 ? r : r2;
	}
	prune_leave(p);
	return r;
}

/* ---- repack ---- */

static int repack_file(struct prune *p, struct region_folder *f, int32_t x, int32_t z, struct err *e)
{
	struct region_edit *r;
	uint64_t saved;
	struct err own = ERR_INIT;
	int rc = region_edit_open(&r, f, x, z, true, e);
	if (rc == E_NOTFOUND)
		return 0;
	if (rc < 0)
		return rc;
	rc = region_edit_repack(r, &saved, &own);
	region_edit_close(r);
	if (rc == E_FORMAT) {
		log_say(&p->log, LOG_WARN, "%s", own.msg);
		p->res->damaged++;
		return 0;
	}
	if (rc < 0)
		return err_pass(e, &own);
	p->res->freed_bytes += saved;
	p->res->done += saved > 0;
	return 0;
}

static int repack_dimension(struct prune *p, struct source *src, const struct world_dim *dim,
	struct err *e)
{
	struct source_regions list;
	int r = source_regions(src, dim, &list, e);
	if (r < 0)
		return r;
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++) {
		struct region_folder f;
		CLEANUP_FREE char *path = NULL;
		if (asprintf(&path, "%s/%s/%s", p->world, dim->folder, source_kind_name[k]) < 0) {
			path = NULL;
			r = prune_no_memory(e);
			break;
		}
		r = region_folder_open(&f, path, false, e);
		if (r == E_NOTFOUND) {
			r = 0;
			continue;
		}
		for (size_t i = 0; i < list.n && r == 0; i++)
			if (list.v[i].kinds >> k & 1)
				r = prune_cancelled(p)
					    ? err_set(e, E_CANCELLED, 0, "interrupted")
					    : repack_file(p, &f, list.v[i].x, list.v[i].z, e);
		region_folder_close(&f);
	}
	source_regions_free(&list);
	return r;
}

int prune_repack(struct prune *p, const char *dimension, struct prune_result *ret, struct err *e)
{
	CLEANUP_SOURCE struct source *src = NULL;
	const struct world_dim *only = NULL;
	bool is_free;
	LOCK_SCOPE(&p->m);
	*ret = (struct prune_result){0};
	p->res = ret;
	int r = dimension ? prune_dimension(p, dimension, &only, e) : 0;
	if (r == 0)
		r = source_dir_open(&src, p->world, e);
	if (r == 0)
		r = prune_enter(p, WHEN_RUNNING_REFUSE, &is_free, e);
	for (size_t i = 0; i < p->dims.n && r == 0; i++)
		if (!only || only == &p->dims.v[i])
			r = repack_dimension(p, src, &p->dims.v[i], e);
	prune_leave(p);
	return r;
}
