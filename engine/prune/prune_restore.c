/* prune_restore.c - chunks back into the world: from the trash, or from elsewhere. docs/PRUNE.md, 4. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/prune/prune_internal.h"

/* The region part last: until then the chunk is not there. */
static const int restore_order[SOURCE_KINDS] = {SOURCE_POI, SOURCE_ENTITIES, SOURCE_REGION};

struct going {
	struct trash_item item;
	unsigned flags;
	unsigned slot;
	bool replaces; /* something else is in its place */
	bool there[SOURCE_KINDS]; /* the part is in the world already */
};

struct restoring {
	const struct region_key *key;
	const struct prune_how *how;
	const char *folder; /* of the dimension, as it is now */
	struct region_files files;
	struct going *v;
	size_t n;
	struct row_ids old;    /* items that were made of what is replaced */
	struct clearing *gone; /* what they had */
	bool begun;	       /* the world may be another one than before */
	bool made[SOURCE_KINDS];
	bool taken[REGION_SLOTS];
};

/* ---- what goes back ---- */

static int leave_it(struct prune *p, const struct trash_item *it, const char *why, struct err *e)
{
	log_say(&p->log, LOG_WARN, "chunk %d, %d of %s stays in the trash: %s", it->x, it->z,
		it->dimension, why);
	prune_tell(p, it->dimension, it->x, it->z, PRUNE_OCCUPIED, why);
	return it->state == TRASH_KEPT ? 0 : trash_set_state(p->trash, it->id, TRASH_KEPT, e);
}

/* What the disk has done to one item is no reason to keep the others out of the world. */
static int leave_damaged(struct prune *p, const struct trash_item *it, const struct err *why,
	struct err *e)
{
	log_say(&p->log, LOG_ERROR, "chunk %d, %d of %s stays in the trash: %s", it->x, it->z,
		it->dimension, why->msg);
	prune_tell(p, it->dimension, it->x, it->z, PRUNE_FAILED, why->msg);
	if (p->corrupt.code == 0)
		p->corrupt = *why;
	return it->state == TRASH_KEPT ? 0 : trash_set_state(p->trash, it->id, TRASH_KEPT, e);
}

/* What is in its place goes to the trash in the same transaction. */
static int add_old(struct prune *p, struct restoring *w, const struct trash_item *it,
	const struct chunk_parts *now, struct err *e)
{
	CLEANUP_FREE char *why = NULL;
	unsigned slot = slot_of(it->x, it->z);
	int64_t id;
	if (asprintf(&why, "replaced by %s", it->why) < 0) {
		why = NULL;
		return prune_no_memory(e);
	}
	struct new_item old = {.state = TRASH_PRUNING, .dimension = it->dimension,
		.folder = w->folder, .x = it->x, .z = it->z, .why = why, .who = it->who,
		.flags = parts_check(now, it->x, it->z, NULL) < 0 ? FLAG_DAMAGED : 0};
	int r = trash_add(p->trash, &old, now, &id, e);
	if (r == 0)
		r = row_ids_add(&w->old, id, e);
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++)
		if (now->part[k].present)
			clearing_add(w->gone, k, slot, &now->part[k].entry);
	return r;
}

static bool is_candidate(const struct trash_item *it)
{
	return it->state == TRASH_KEPT || it->state == TRASH_RESTORE_WAITS ||
	       it->state == TRASH_RESTORING;
}

/* One item: may it go? */
static int consider(struct prune *p, struct restoring *w, struct going *g, bool *ret_goes,
	struct err *e)
{
	CLEANUP_PARTS struct chunk_parts parts = {0};
	CLEANUP_PARTS struct chunk_parts now = {0};
	const struct trash_item *it = &g->item;
	bool differs = false, replace = w->how->replace || it->replace;
	g->slot = slot_of(it->x, it->z);
	*ret_goes = false;
	if (w->taken[g->slot])
		return leave_it(p, it, "a newer version of it goes back", e);
	struct err why = ERR_INIT;
	int r = trash_load(p->trash, it->id, &parts, &why);
	if (r == E_CORRUPT)
		return leave_damaged(p, it, &why, e);
	if (r < 0 && e)
		*e = why;
	if (r == 0)
		r = region_files_read(&w->files, g->slot, &now, e);
	if (r < 0)
		return r;
	for (int k = 0; k < SOURCE_KINDS; k++) {
		g->there[k] = part_same(&parts.part[k], &now.part[k]);
		/* Without `replace`, a part that only the world has does no harm to the others. */
		differs = differs || (now.part[k].present && !g->there[k]);
	}
	if (differs && !replace)
		return leave_it(p, it, "there is a chunk in its place", e);
	g->replaces = differs;
	if (differs)
		r = add_old(p, w, it, &now, e);
	if (r == 0)
		r = trash_set_folder(p->trash, it->id, w->folder, e);
	if (r == 0)
		r = trash_set_state(p->trash, it->id, TRASH_RESTORING, e);
	w->taken[g->slot] = true;
	*ret_goes = r == 0;
	p->res->payload_bytes += r == 0 ? it->bytes : 0;
	return r;
}

static int choose_all(struct prune *p, struct restoring *w, const struct row_ids *ids, struct err *e)
{
	int r = 0;
	/* The newest version of a chunk is the one that goes. */
	for (size_t i = ids->n; i-- > 0 && r == 0;) {
		struct going *g = &w->v[w->n];
		bool goes = false;
		*g = (struct going){0};
		r = trash_load_item(p->trash, ids->v[i], &g->item, e);
		if (r == E_NOTFOUND) {
			r = 0; /* it was removed meanwhile */
			continue;
		}
		if (r == 0 && is_candidate(&g->item))
			r = consider(p, w, g, &goes, e);
		if (goes)
			w->n++;
		else
			trash_item_free(&g->item);
	}
	return r;
}

static int choose(struct prune *p, struct restoring *w, const struct row_ids *ids, struct err *e)
{
	int r = trash_begin(p->trash, e);
	if (r < 0)
		return r;
	r = choose_all(p, w, ids, e);
	return trash_end(p->trash, r, e);
}

/* ---- into the files ---- */

static int put_part(struct prune *p, struct restoring *w, const struct going *g, int kind,
	struct err *e)
{
	struct chunk_part part;
	bool made = false;
	int r;
	if (g->there[kind])
		return 0;
	{
		LOCK_SCOPE(&p->trash->m);
		r = trash_load_part(p->trash, g->item.id, kind, &part, e);
	}
	if (r < 0)
		return r;
	if (part.present)
		r = region_files_make(p, &w->files, kind, w->folder, &made, e);
	if (made && r == 0) {
		w->made[kind] = true;
		p->res->files_made++;
	}
	if (r == 0 && w->files.edit[kind]) {
		/* Its .mcc takes the place of the one that is there. */
		if (part.has_mcc)
			w->begun = true;
		r = region_edit_put(w->files.edit[kind], g->slot, &part, &p->res->used_bytes, e);
	}
	chunk_part_free(&part);
	return r;
}

static int put_all(struct prune *p, struct restoring *w, struct err *e)
{
	int r = 0;
	for (int i = 0; i < SOURCE_KINDS && r == 0; i++) {
		int kind = restore_order[i];
		for (size_t j = 0; j < w->n && r == 0; j++)
			r = put_part(p, w, &w->v[j], kind, e);
		if (r == 0 && w->files.edit[kind])
			r = region_edit_commit(w->files.edit[kind], &w->begun, e);
	}
	return r;
}

/* What was replaced: its sectors are free, its .mcc may be needless, a file may be empty. */
static int clean_up(struct prune *p, struct restoring *w, struct err *e)
{
	int r = 0;
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++) {
		if (!w->files.edit[k] || !w->gone->touched[k])
			continue;
		r = region_edit_unlink_mcc(w->files.edit[k], w->gone->slots[k],
			&p->res->freed_bytes, e);
		if (r == 0 && region_edit_count(w->files.edit[k]))
			r = region_edit_punch(w->files.edit[k], w->gone->was[k], w->gone->n[k],
				!w->how->no_hole_punch, &p->res->freed_bytes, e);
	}
	return r;
}

/* ---- the end ---- */

static int finish_rows(struct prune *p, struct restoring *w, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < w->old.n && r == 0; i++)
		r = trash_set_state(p->trash, w->old.v[i], TRASH_KEPT, e);
	for (size_t i = 0; i < w->n && r == 0; i++)
		r = trash_delete(p->trash, w->v[i].item.id, e);
	for (int k = 0; k < SOURCE_KINDS && r == 0; k++)
		if (w->made[k])
			r = trash_forget_file(p->trash, w->folder, (enum source_kind)k, w->files.rx,
				w->files.rz, e);
	return r;
}

/* It did not work. With the world as before, so is the trash; else everything stays in it. */
static int undo_rows(struct prune *p, struct restoring *w, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < w->old.n && r == 0; i++)
		r = w->begun ? trash_set_state(p->trash, w->old.v[i], TRASH_KEPT, e)
			     : trash_delete(p->trash, w->old.v[i], e);
	for (size_t i = 0; i < w->n && r == 0; i++)
		r = w->v[i].item.copy && !w->begun
			    ? trash_delete(p->trash, w->v[i].item.id, e)
			    : trash_set_state(p->trash, w->v[i].item.id, TRASH_KEPT, e);
	return r;
}

static int end_rows(struct prune *p, struct restoring *w,
	int (*rows)(struct prune *, struct restoring *, struct err *), struct err *e)
{
	int r = trash_begin(p->trash, e);
	if (r < 0)
		return r;
	r = rows(p, w, e);
	return trash_end(p->trash, r, e);
}

static void restoring_free(struct restoring *w)
{
	region_files_close(&w->files);
	for (size_t i = 0; i < w->n; i++)
		trash_item_free(&w->v[i].item);
	free(w->v);
	row_ids_free(&w->old);
	free(w->gone);
	free(w);
}

static int restore_chosen(struct prune *p, struct restoring *w, struct err *e)
{
	int r = put_all(p, w, e);
	if (r == 0)
		r = clean_up(p, w, e);
	if (r == 0)
		return end_rows(p, w, finish_rows, e);
	/* Should this fail as well, recovery does it. */
	struct err own = ERR_INIT;
	region_files_close(&w->files);
	if (end_rows(p, w, undo_rows, &own) < 0)
		log_say(&p->log, LOG_ERROR, "%s", own.msg);
	return r;
}

int restore_region(struct prune *p, const struct region_key *key, const struct row_ids *ids,
	const struct prune_how *how, struct err *e)
{
	struct restoring *w = calloc(1, sizeof *w);
	const struct world_dim *dim;
	if (!w)
		return prune_no_memory(e);
	w->key = key;
	w->how = how;
	w->v = calloc(ids->n ? ids->n : 1, sizeof *w->v);
	w->gone = calloc(1, sizeof *w->gone);
	/* An upgrade may have moved the dimension; without any it has the place it had. */
	w->folder = prune_dimension(p, key->dimension, &dim, NULL) == 0 ? dim->folder : key->folder;
	int r = w->v && w->gone ? 0 : prune_no_memory(e);
	if (r == 0)
		r = region_files_open(p, w->folder, key->rx, key->rz, true, &w->files, e);
	if (r == 0)
		r = choose(p, w, ids, e);
	if (r == 0 && w->n)
		r = restore_chosen(p, w, e);
	for (size_t i = 0; i < w->n; i++)
		prune_tell(p, w->v[i].item.dimension, w->v[i].item.x, w->v[i].item.z,
			r < 0 ? PRUNE_FAILED : PRUNE_DONE, NULL);
	restoring_free(w);
	return r;
}

/* ---- items by region ---- */

struct region_group {
	struct region_key key;
	struct row_ids ids;
};
struct region_groups {
	struct region_group *v;
	size_t n, cap;
};

static void groups_free(struct region_groups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		region_key_free(&g->v[i].key);
		row_ids_free(&g->v[i].ids);
	}
	free(g->v);
	*g = (struct region_groups){0};
}
#define CLEANUP_GROUPS __attribute__((cleanup(groups_free)))

static bool is_of(const struct region_key *k, const struct trash_item *it)
{
	return k->rx == it->x >> 5 && k->rz == it->z >> 5 && strcmp(k->folder, it->folder) == 0 &&
	       strcmp(k->dimension, it->dimension) == 0;
}

/* From the end: lists come region by region as a rule. */
static struct region_group *find_group(struct region_groups *g, const struct trash_item *it)
{
	for (size_t i = g->n; i-- > 0;)
		if (is_of(&g->v[i].key, it))
			return &g->v[i];
	return NULL;
}

static int groups_add(struct region_groups *g, const struct trash_item *it, struct err *e)
{
	struct region_group *to = find_group(g, it);
	if (to)
		return row_ids_add(&to->ids, it->id, e);
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 16;
		struct region_group *v = realloc(g->v, cap * sizeof *v);
		if (!v)
			return prune_no_memory(e);
		g->v = v;
		g->cap = cap;
	}
	to = &g->v[g->n];
	*to = (struct region_group){.key = {strdup(it->dimension), strdup(it->folder), it->x >> 5,
					    it->z >> 5}};
	if (!to->key.dimension || !to->key.folder) {
		region_key_free(&to->key);
		return prune_no_memory(e);
	}
	g->n++;
	return row_ids_add(&to->ids, it->id, e);
}

static int by_id(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

/* ---- restore ---- */

/* What only waited to be pruned stays where it is; the others are put into groups. */
static int sort_out(struct prune *p, const int64_t *ids, size_t n, struct region_groups *g,
	int64_t *ret_missing, struct err *e)
{
	int r = trash_begin(p->trash, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n && r == 0; i++) {
		CLEANUP_ITEM struct trash_item it = {0};
		r = trash_load_item(p->trash, ids[i], &it, NULL);
		if (r == E_NOTFOUND) {
			*ret_missing = ids[i];
			r = 0;
			continue;
		}
		if (r < 0) {
			r = trash_load_item(p->trash, ids[i], &it, e); /* for the message */
		} else if (it.state == TRASH_PRUNE_WAITS) {
			r = trash_delete(p->trash, it.id, e);
			if (r == 0)
				prune_tell(p, it.dimension, it.x, it.z, PRUNE_CANCELLED, NULL);
		} else {
			r = groups_add(g, &it, e);
		}
	}
	return trash_end(p->trash, r, e);
}

static int note_one(struct prune *p, int64_t id, bool replace, struct err *e)
{
	CLEANUP_ITEM struct trash_item it = {0};
	int r = trash_load_item(p->trash, id, &it, e);
	if (r == 0 && it.state == TRASH_KEPT)
		r = trash_set_state(p->trash, id, TRASH_RESTORE_WAITS, e);
	if (r == 0 && it.state == TRASH_KEPT && replace)
		r = trash_set_replace(p->trash, id, e);
	if (r == 0)
		prune_tell(p, it.dimension, it.x, it.z, PRUNE_DEFERRED, NULL);
	return r;
}

static int note_all(struct prune *p, const struct region_groups *g, bool replace, struct err *e)
{
	int r = trash_begin(p->trash, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < g->n && r == 0; i++)
		for (size_t j = 0; j < g->v[i].ids.n && r == 0; j++)
			r = note_one(p, g->v[i].ids.v[j], replace, e);
	return trash_end(p->trash, r, e);
}

static int restore_groups(struct prune *p, struct region_groups *g, const struct prune_how *how,
	struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < g->n && r == 0; i++) {
		struct row_ids *l = &g->v[i].ids;
		qsort(l->v, l->n, sizeof *l->v, by_id);
		r = prune_cancelled(p) ? err_set(e, E_CANCELLED, 0, "interrupted")
				       : restore_region(p, &g->v[i].key, l, how, e);
	}
	return r;
}

int prune_restore(struct prune *p, const int64_t *ids, size_t n, const struct prune_how *how,
	struct prune_result *ret, struct err *e)
{
	CLEANUP_GROUPS struct region_groups g = {0};
	int64_t missing = -1;
	bool is_free = false;
	LOCK_SCOPE(&p->m);
	*ret = (struct prune_result){0};
	p->res = ret;
	int r = sort_out(p, ids, n, &g, &missing, e);
	if (r == 0 && g.n) {
		r = prune_enter(p, how->when_running, &is_free, e);
		p->corrupt = ERR_INIT; /* what recovery came across was told */
		if (r == 0)
			r = is_free ? restore_groups(p, &g, how, e)
				    : note_all(p, &g, how->replace, e);
		prune_leave(p);
	}
	if (r == 0 && p->corrupt.code && e)
		*e = p->corrupt;
	if (r == 0 && p->corrupt.code)
		r = p->corrupt.code;
	if (r == 0 && missing >= 0)
		r = err_set(e, E_NOTFOUND, 0, "there is no item %lld in the trash",
			(long long)missing);
	return r;
}

/* ---- put ---- */

static int check_put(const struct chunk_parts *parts, struct err *e)
{
	for (int k = 0; k < SOURCE_KINDS; k++) {
		const struct chunk_part *p = &parts->part[k];
		if (!p->present)
			continue;
		if (p->raw || p->record.len < 5 || p->record.len > 255 * REGION_SECTOR ||
			(uint64_t)get_be32(p->record.p) + 4 != p->record.len)
			return err_set(e, E_FORMAT, 0, "the chunk's %s part is no whole record",
				source_kind_name[k]);
		if (!(p->record.p[4] & CHUNK_EXTERNAL) == p->has_mcc)
			return err_set(e, E_FORMAT, 0, "the chunk's %s part and its .mcc do not fit",
				source_kind_name[k]);
	}
	return parts->part[SOURCE_REGION].present
		       ? 0
		       : err_set(e, E_FORMAT, 0, "the chunk has no region part");
}

static int add_put(struct prune *p, const struct new_item *it, const struct chunk_parts *parts,
	int64_t *ret_id, struct err *e)
{
	uint64_t n, m;
	int r = trash_begin(p->trash, e);
	if (r < 0)
		return r;
	/* A copy that was to go there before is not needed: whoever gave it has it. */
	r = trash_drop_copies(p->trash, it->dimension, it->x, it->z, e);
	if (r == 0)
		r = trash_drop_waiting(p->trash, it->dimension, it->x, it->z, &n, &m, e);
	if (r == 0)
		r = trash_add(p->trash, it, parts, ret_id, e);
	return trash_end(p->trash, r, e);
}

int prune_put(struct prune *p, const char *dimension, int32_t x, int32_t z,
	const struct chunk_parts *parts, const char *why, const struct prune_how *how,
	struct prune_result *ret, struct err *e)
{
	CLEANUP_ROW_IDS struct row_ids ids = {0};
	CLEANUP_KEY struct region_key key = {.rx = x >> 5, .rz = z >> 5};
	const struct world_dim *dim;
	bool is_free = false;
	int64_t id = 0;
	LOCK_SCOPE(&p->m);
	*ret = (struct prune_result){0};
	p->res = ret;
	int r = check_put(parts, e);
	if (r == 0)
		r = prune_dimension(p, dimension, &dim, e);
	if (r < 0)
		return r;
	key.dimension = strdup(dim->name);
	key.folder = strdup(dim->folder);
	if (!key.dimension || !key.folder)
		return prune_no_memory(e);
	r = prune_enter(p, how->when_running, &is_free, e);
	if (r == 0) {
		struct new_item it = {.state = is_free ? TRASH_RESTORING : TRASH_RESTORE_WAITS,
			.dimension = key.dimension, .folder = key.folder, .x = x, .z = z,
			.why = why ? why : "by hand", .who = how->who ? how->who : p->who,
			.flags = FLAG_REPLACE | FLAG_COPY};
		r = add_put(p, &it, parts, &id, e);
	}
	if (r == 0 && is_free) {
		r = row_ids_add(&ids, id, e);
		if (r == 0)
			r = restore_region(p, &key, &ids, how, e);
	} else if (r == 0) {
		prune_tell(p, key.dimension, x, z, PRUNE_DEFERRED, NULL);
	}
	prune_leave(p);
	return r;
}
