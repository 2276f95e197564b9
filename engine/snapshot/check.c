#include "engine/snapshot/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/base/pool.h"
#include "engine/base/wire.h"
#include "engine/snapshot/content_names.h"
#include "engine/snapshot/forgotten.h"
#include "engine/snapshot/scrub.h"
#include "engine/snapshot/tree.h"
#include "engine/store/doomed.h"
#include "engine/store/index.h"
#include "engine/store/lock.h"
#include "engine/store/nameset.h"
#include "engine/store/parity.h"

#define POOL_BUDGET ((size_t)32 << 20)

struct run {
	struct store *s;
	const struct id *current; /* the snapshot that is being looked at, or NULL */
	const struct check_options *opt;
	struct check_result *ret;
	struct coder coder;
	struct nameset bad;  /* blobs that do not decode */
	struct nameset good; /* directories that were found whole */
	struct buf path;
	unsigned depth;
	struct err first; /* of a file's parts */
	struct scrub *scrub;
};

static void damage(struct run *w, const char *where, const struct err *e)
{
	char hex[2 * ID_BYTES + 1], key[64];
	uint64_t size;
	/* Forgotten meanwhile, and gone: then so may be what it held. */
	if (w->current) {
		snprintf(key, sizeof key, "snapshots/%s", hex_of(w->current->b, ID_BYTES, hex));
		if (object_size(store_place(w->s), key, &size, NULL) == E_NOTFOUND)
			return;
	}
	w->ret->damage++;
	if (w->opt->on_damage)
		w->opt->on_damage(w->opt->ctx, where, e);
}

static bool cancelled(const struct run *w)
{
	return w->opt->cancel && *w->opt->cancel;
}

/* True for what ends the run; all else is damage, a disk that cannot be read included. */
static bool is_fatal(int r)
{
	return r == E_NOMEM || r == E_CANCELLED;
}

/* ---- 1. index objects and packs ---- */

/* Packs that are in no index because they are not in the store. */
static int check_records(struct run *w, struct span content, struct err *e)
{
	struct rd rd = rd_of(content);
	struct err own = ERR_INIT;
	rd_u8(&rd);
	uint64_t n = rd_count(&rd, ID_BYTES), size;
	for (uint64_t i = 0; i < n && !rd.bad; i++) {
		struct span rec = rd_bytes(&rd);
		struct id id;
		char key[PACK_KEY_CHARS];
		bool known;
		if (rec.n < ID_BYTES)
			break;
		memcpy(id.b, rec.p, ID_BYTES);
		int r = index_has_pack(store_index(w->s), &id, &known, e);
		if (r < 0)
			return r;
		if (known || object_size(store_place(w->s), pack_object_key(&id, key), &size, NULL) !=
				     E_NOTFOUND)
			continue;
		err_set(&own, E_CORRUPT, 0, "the pack is missing");
		damage(w, key, &own);
	}
	return 0;
}

static int check_index_object(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct run *w = ctx;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err own = ERR_INIT;
	char hex[2 * ID_BYTES + 1], where[64];
	(void)size;
	w->ret->index_objects++;
	int r = store_object_get(w->s, "index", id, &b, &own);
	if (is_fatal(r))
		return err_pass(e, &own);
	if (r < 0) {
		snprintf(where, sizeof where, "index/%s", hex_of(id->b, ID_BYTES, hex));
		damage(w, where, &own);
		return 0;
	}
	return check_records(w, buf_span(&b), e);
}

struct pack_list {
	struct pack_item {
		struct id id;
		uint64_t size;
	} *v;
	size_t n;
};

static int add_pack(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct pack_list *l = ctx;
	if ((l->n & (l->n - 1)) == 0) {
		struct pack_item *v = realloc(l->v, (l->n ? 2 * l->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for the list of packs");
		l->v = v;
	}
	l->v[l->n++] = (struct pack_item){*id, size};
	return 0;
}

/* Are the blobs of a footer in the index, in this pack at this place? */
static int compare_blob(void *ctx, const struct name *name, const struct blob_loc *l, struct err *e)
{
	struct run *w = ctx;
	struct blob_loc in_index;
	for (unsigned nth = 0;; nth++) {
		int r = index_find(store_index(w->s), name, nth, &in_index, e);
		if (r == E_NOTFOUND)
			return err_set(e, E_CORRUPT, 0,
				"it holds a blob that the index does not know");
		if (r < 0)
			return r;
		if (memcmp(&in_index.pack, &l->pack, sizeof l->pack) != 0)
			continue;
		return in_index.offset == l->offset && in_index.plain_len == l->plain_len &&
				       in_index.blob_off == l->blob_off
			       ? 0
			       : err_set(e, E_CORRUPT, 0, "its footer and the index disagree");
	}
}

/* *ret: its footer's record, empty when that cannot be read. */
static int check_pack(struct run *w, const struct pack_item *p, struct buf *ret, struct err *e)
{
	char key[PACK_KEY_CHARS];
	uint64_t size;
	struct pack_summary sum;
	struct object_place *place = store_place(w->s);
	int r = object_size(place, pack_object_key(&p->id, key), &size, e);
	if (r == E_NOTFOUND) {
		/* Unless compact has removed it since the index was read. */
		bool known = true;
		if (store_refresh(w->s, NULL) == 0 &&
			index_has_pack(store_index(w->s), &p->id, &known, NULL) == 0 && !known)
			return 0;
		return err_set(e, E_CORRUPT, 0, "the pack is missing");
	}
	if (r == 0 && size != p->size)
		return err_set(e, E_CORRUPT, 0, "the pack has %llu bytes instead of %llu",
			(unsigned long long)size, (unsigned long long)p->size);
	if (r == 0)
		r = pack_read_footer(place, store_keys(w->s), &p->id, ret, e);
	return r < 0 ? r : pack_record_read(buf_span(ret), &sum, compare_blob, w, e);
}

struct name_list {
	struct run *w;
	struct name *v;
	uint8_t *is_delta;
	size_t n;
	uint64_t bytes;
};

static int collect(void *ctx, const struct name *name, const struct blob_loc *l, struct err *e)
{
	struct name_list *nl = ctx;
	if ((nl->n & (nl->n - 1)) == 0) {
		size_t cap = nl->n ? 2 * nl->n : 1;
		struct name *v = realloc(nl->v, cap * sizeof *v);
		if (v)
			nl->v = v;
		uint8_t *d = realloc(nl->is_delta, cap);
		if (d)
			nl->is_delta = d;
		if (!v || !d)
			return err_set(e, E_NOMEM, 0, "no memory for a list of blobs");
	}
	nl->v[nl->n] = *name;
	nl->is_delta[nl->n] = l->method == METHOD_DELTA;
	nl->n++;
	nl->bytes += l->blob_off == 0 ? l->sealed_len : 0;
	return 0;
}

static void name_list_free(struct name_list *nl)
{
	free(nl->v);
	free(nl->is_delta);
}

/* A difference whose base is gone is as good as not there: compact leaves those that nobody needs. Where
 * somebody does, the walk through the snapshots tells. */
static void leave_baseless(struct run *w, struct name_list *nl)
{
	size_t n = 0;
	for (size_t i = 0; i < nl->n; i++)
		if (!nl->is_delta[i] || store_has(w->s, &nl->v[i]))
			nl->v[n++] = nl->v[i];
	nl->n = n;
}

/* ---- 2. data ---- */

struct reading {
	struct run *w;
	struct pool *pool;
	struct coder *coders;
	const char *key;
	struct err fatal;
};

struct read_job {
	struct reading *rd;
	struct name name;
};

static void read_blob(void *arg, unsigned worker)
{
	struct read_job *j = arg;
	struct reading *rd = j->rd;
	struct run *w = rd->w;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err own = ERR_INIT;
	int r = cancelled(w) ? err_set(&own, E_CANCELLED, 0, "interrupted")
			     : store_get(w->s, &rd->coders[worker], &j->name, &b, &own);
	pool_lock(rd->pool);
	w->ret->read_blobs++;
	if (is_fatal(r) && rd->fatal.code == 0)
		rd->fatal = own;
	else if (r < 0) {
		damage(w, rd->key, &own);
		if (nameset_add(&w->bad, &j->name, &own) < 0 ||
			(w->opt->on_bad && w->opt->on_bad(w->opt->ctx, &j->name, &own) < 0))
			rd->fatal = own;
	}
	pool_unlock(rd->pool);
	free(j);
}

static int read_pack(struct reading *rd, const struct name_list *nl, const char *key,
	struct err *e)
{
	rd->key = key;
	for (size_t i = 0; i < nl->n; i++) {
		struct read_job *j = malloc(sizeof *j);
		if (!j) {
			pool_drain(rd->pool);
			return err_set(e, E_NOMEM, 0, "no memory for a job");
		}
		*j = (struct read_job){rd, nl->v[i]};
		pool_submit(rd->pool, read_blob, j, (size_t)1 << 21);
	}
	pool_drain(rd->pool);
	rd->w->ret->read_packs++;
	rd->w->ret->read_bytes += nl->bytes;
	if (rd->fatal.code)
		*e = rd->fatal;
	return rd->fatal.code;
}

/* Whether it is there at all, or, when its pack is read, whether it is sound. */
static int check_parity(struct run *w, const struct pack_item *p, bool read, struct err *e)
{
	struct err own = ERR_INIT;
	char hex[2 * ID_BYTES + 1], key[64];
	uint64_t size;
	bool sound = true;
	hex_of(p->id.b, ID_BYTES, hex);
	snprintf(key, sizeof key, "parity/%.2s/%s", hex, hex);
	if (object_size(store_place(w->s), key, &size, NULL) == E_NOTFOUND) {
		w->ret->without_parity++;
		return 0;
	}
	int r = read ? parity_sound(w->s, &p->id, 0, &sound, e) : 0;
	if (r == 0 && !sound) {
		err_set(&own, E_CORRUPT, 0, "the parity is damaged; 'check --repair' makes it anew");
		damage(w, key, &own);
	}
	return r;
}

/* From the footer: the index knows its blobs by name, and would be read as a whole for each pack. */
static int each_blob(struct run *w, const struct id *pack, struct span record, struct name_list *nl,
	struct err *e)
{
	struct pack_summary sum;
	struct err own = ERR_INIT;
	if (record.n && pack_record_read(record, &sum, collect, nl, &own) == 0)
		return 0;
	nl->n = 0;
	nl->bytes = 0;
	return index_each_blob(store_index(w->s), pack, collect, nl, e);
}

static int check_one(struct run *w, struct reading *rd, const struct pack_item *p, bool read,
	struct err *e)
{
	struct name_list nl = {.w = w};
	struct err own = ERR_INIT;
	CLEANUP_BUF struct buf record = BUF_INIT;
	char key[PACK_KEY_CHARS];
	pack_object_key(&p->id, key);
	int r = check_pack(w, p, &record, &own);
	if (is_fatal(r))
		return err_pass(e, &own);
	bool whole = r == 0;
	if (!whole)
		damage(w, key, &own);
	r = each_blob(w, &p->id, buf_span(&record), &nl, e);
	w->ret->blobs += nl.n;
	/* A damaged pack is read in any case: to know which files it touches. */
	if (r == 0 && (read || !whole)) {
		leave_baseless(w, &nl);
		r = read_pack(rd, &nl, key, e);
	}
	name_list_free(&nl);
	return r < 0 || !store_config(w->s)->parity ? r : check_parity(w, p, read, e);
}

/* ---- which packs to read ---- */

struct choice {
	size_t i;
	uint64_t size;
	int64_t last; /* read */
	uint32_t dice;
};

static int by_age(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;
	if (x->last != y->last)
		return x->last < y->last ? -1 : 1;
	return x->dice < y->dice ? -1 : x->dice > y->dice;
}

static bool in_part(const struct check_options *opt, const struct id *id)
{
	uint32_t v = get_le32(id->b); /* random */
	return v % opt->parts == opt->part - 1;
}

/* Those that were not read for the longest time, up to the share of all bytes. */
static int choose(struct run *w, const struct pack_list *l, bool *read, struct err *e)
{
	const struct check_options *opt = w->opt;
	uint64_t total = 0, taken = 0;
	struct choice *v = calloc(l->n + 1, sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for the list of packs");
	for (size_t i = 0; i < l->n; i++) {
		v[i] = (struct choice){i, l->v[i].size, scrub_last(w->scrub, &l->v[i].id), 0};
		crypto_random(&v[i].dice, sizeof v[i].dice);
		total += l->v[i].size;
	}
	qsort(v, l->n, sizeof *v, by_age);
	for (size_t i = 0; i < l->n; i++) {
		bool take = opt->parts ? in_part(opt, &l->v[v[i].i].id)
				       : opt->read_percent >= 100 ||
						 taken < total / 100 * opt->read_percent +
								 total % 100 * opt->read_percent / 100;
		read[v[i].i] = take;
		if (take)
			taken += v[i].size;
		else if (v[i].last == 0)
			w->ret->never_read++;
		else if (w->ret->oldest_read == 0)
			w->ret->oldest_read = (uint64_t)v[i].last;
	}
	free(v);
	return 0;
}

static int check_chosen(struct run *w, struct reading *rd, const struct pack_list *l,
	const bool *read, struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		int r = cancelled(w) ? err_set(e, E_CANCELLED, 0, "interrupted")
				     : check_one(w, rd, &l->v[i], read[i], e);
		if (r == 0 && read[i])
			r = scrub_note(w->scrub, &l->v[i].id, time(NULL), e);
		if (r < 0)
			return r;
		w->ret->packs++;
		if (w->opt->on_progress)
			w->opt->on_progress(w->opt->ctx, "pack", i + 1, w->ret->read_bytes);
	}
	return 0;
}

static int check_packs(struct run *w, struct reading *rd, struct err *e)
{
	struct pack_list l = {0};
	int r = index_each_pack(store_index(w->s), add_pack, &l, e);
	CLEANUP_FREE bool *read = calloc(l.n + 1, sizeof *read);
	CLEANUP_FREE struct id *ids = calloc(l.n + 1, sizeof *ids);
	if (r == 0 && (!read || !ids))
		r = err_set(e, E_NOMEM, 0, "no memory for the list of packs");
	if (r == 0)
		r = choose(w, &l, read, e);
	if (r == 0)
		r = check_chosen(w, rd, &l, read, e);
	for (size_t i = 0; ids && i < l.n; i++)
		ids[i] = l.v[i].id;
	if (ids && w->scrub)
		scrub_save(w->scrub, ids, l.n); /* what was read was read, interrupted or not */
	free(l.v);
	return r;
}

/* ---- 3. snapshots ---- */

static int check_tree(struct run *w, const struct content *dir, bool *ret_whole, struct err *e);

/* A blob that should be there. For content_each_name(). */
static int missing(void *ctx, const struct name *n, struct err *e)
{
	struct run *w = ctx;
	if (nameset_has(&w->bad, n))
		return err_set(e, E_CORRUPT, 0, "a part of it is damaged");
	if (store_has(w->s, n))
		return 0;
	if (w->opt->on_missing && w->opt->on_missing(w->opt->ctx, n, e) < 0)
		return e->code;
	return store_is_lost(w->s, n)
		       ? err_set(e, E_LOST, 0, "damaged: 'check --repair' could not save a part of it")
		       : err_set(e, E_CORRUPT, 0, "a part of it is missing from the store");
}

/* A whole-file look for one that needs all its missing parts told, not just the first. */
static int missing_all(void *ctx, const struct name *n, struct err *e)
{
	struct run *w = ctx;
	struct err own = ERR_INIT;
	int r = missing(w, n, &own);
	if (r == E_CORRUPT || r == E_LOST) {
		if (!w->first.code || w->first.code == E_LOST)
			w->first = own;
		return 0;
	}
	return r < 0 ? err_pass(e, &own) : r;
}

static int check_content(struct run *w, const struct content *c, struct err *e)
{
	w->first = ERR_INIT;
	int r = content_each_name(w->s, &w->coder, c, missing_all, w, e);
	if (w->first.code && (r == 0 || r == E_CORRUPT || r == E_LOST))
		return err_pass(e, &w->first);
	return r;
}

static void file_damage(struct run *w, const struct err *own)
{
	if (own->code == E_LOST) {
		w->ret->lost_files++;
		if (w->opt->on_damage)
			w->opt->on_damage(w->opt->ctx, (const char *)w->path.p, own);
		return;
	}
	w->ret->damaged_files++;
	damage(w, (const char *)w->path.p, own);
}

static int check_entry(struct run *w, const struct entry *en, bool *whole, struct err *e)
{
	size_t mark = w->path.len;
	struct err own = ERR_INIT;
	bool below = true;
	int r = buf_add(&w->path, "/", 1, e);
	if (r == 0)
		r = buf_add(&w->path, en->name.p, en->name.n, e);
	if (r == 0)
		r = buf_add(&w->path, "", 1, e);
	if (r < 0)
		return r;
	w->path.len--;
	if (en->type == NODE_DIR)
		r = check_tree(w, &en->content, &below, e);
	else if ((r = check_content(w, &en->content, &own)) < 0) {
		below = false;
		if (is_fatal(r)) {
			*e = own;
		} else {
			r = 0;
			file_damage(w, &own);
		}
	}
	*whole &= below;
	w->path.len = mark;
	w->path.p[mark] = 0;
	return r;
}

static int check_tree(struct run *w, const struct content *dir, bool *ret_whole, struct err *e)
{
	struct tree_iter it;
	struct entry en;
	struct err own = ERR_INIT;
	*ret_whole = true;
	if (cancelled(w))
		return err_set(e, E_CANCELLED, 0, "interrupted");
	/* Most directories are the same in many snapshots: once is enough. */
	if (dir->kind == CONTENT_TREE && nameset_has(&w->good, &dir->name))
		return 0;
	int r = w->depth < TREE_DEPTH_MAX
			? tree_iter_open(&it, w->s, &w->coder, dir, 0, &own)
			: err_set(&own, E_CORRUPT, 0, "is nested deeper than a snapshot can be");
	int more = r;
	if (r < 0)
		it.depth = -1;
	w->depth++;
	while (r == 0 && (more = tree_iter_next(&it, &en, &own)) == 1)
		r = check_entry(w, &en, ret_whole, e);
	tree_iter_close(&it);
	w->depth--;
	if (more >= 0)
		own = ERR_INIT; /* of a copy, say, beside which there was a whole one */
	if (r == 0 && more < 0)
		r = more;
	if (own.code < 0 && !is_fatal(own.code)) {
		*ret_whole = false;
		if (own.code == E_LOST)
			file_damage(w, &own);
		else
			damage(w, (const char *)w->path.p, &own);
		/* Only the node at its top has a name here; one below it tells by not being found. */
		return dir->kind == CONTENT_TREE && w->opt->on_missing && !store_has(w->s, &dir->name)
			       ? w->opt->on_missing(w->opt->ctx, &dir->name, e)
			       : 0;
	}
	if (own.code < 0)
		*e = own;
	if (r == 0 && *ret_whole && dir->kind == CONTENT_TREE)
		r = nameset_add(&w->good, &dir->name, e);
	return r;
}

/* ---- the chain of snapshots ---- */

static int tell_gap(void *ctx, uint64_t generation, const struct name *self, const char *successor,
	struct err *e)
{
	struct run *w = ctx;
	struct err own = ERR_INIT;
	char where[64];
	snprintf(where, sizeof where, "snapshot number %llu", (unsigned long long)generation);
	err_set(&own, E_CORRUPT, 0, "it is gone, though nobody forgot it (%s was made after it)", successor);
	damage(w, where, &own);
	return w->opt->on_vanished ? w->opt->on_vanished(w->opt->ctx, generation, self, e) : 0;
}

/* Every snapshot names the one before it: is that there, forgotten, or on record? */
static int check_chain(struct run *w, const struct snapshot_list *l, struct err *e)
{
	struct past p;
	int r = past_load(&p, w->s, e);
	if (r < 0)
		return r;
	if (p.damaged) {
		struct err own = ERR_INIT;
		err_set(&own, E_CORRUPT, 0, "%zu of them cannot be read", p.damaged);
		damage(w, "forgotten snapshots and marks", &own);
	}
	r = past_each_gap(&p, l, tell_gap, w, e);
	past_free(&p);
	return r;
}

static void on_bad_copy(void *ctx, const char *key, const char *what)
{
	struct err own = ERR_INIT;
	err_set(&own, E_CORRUPT, 0, "%s; 'check --repair' mends that", what);
	damage(ctx, key, &own);
}

/* The chain tells of snapshots that are gone, but for the newest: nothing names those, only this
 * machine's memory. One that is there and does not open may be what is remembered. */
static int check_newest(struct run *w, const struct snapshot_list *l, struct err *e)
{
	struct err own = ERR_INIT;
	if (l->damaged)
		return 0;
	int r = snapshot_check_rollback(l, w->s, w->opt->state_dir, w->opt->accept_rollback, &own);
	if (r < 0 && r != E_CORRUPT)
		return err_pass(e, &own);
	if (r < 0)
		damage(w, "snapshots", &own);
	return 0;
}

static int check_snapshots(struct run *w, struct err *e)
{
	struct snapshot_list l;
	int r = store_config_check(w->s, &w->ret->stale_config, on_bad_copy, w, e);
	if (r == 0)
		r = store_copies_check(w->s, on_bad_copy, w, e);
	if (r == 0)
		r = doomed_check(w->s, false, on_bad_copy, w, e);
	if (r == 0)
		r = snapshot_list_load(&l, w->s, e);
	if (r < 0)
		return r;
	if (l.damaged) {
		damage(w, "snapshots", &l.first_damage);
		w->ret->damage += l.damaged - 1;
	}
	r = check_chain(w, &l, e);
	if (r == 0)
		r = check_newest(w, &l, e);
	for (size_t i = 0; i < l.n && r == 0; i++) {
		bool whole;
		w->path.len = 0;
		r = buf_add(&w->path, l.v[i].name, strlen(l.v[i].name) + 1, e);
		if (r == 0) {
			w->path.p[w->path.len - 1] = ':';
			r = buf_add(&w->path, "", 1, e);
		}
		if (r < 0)
			break;
		w->path.len--;
		w->current = &l.v[i].id;
		r = check_tree(w, &l.v[i].root, &whole, e);
		w->current = NULL;
		w->ret->snapshots++;
		if (w->opt->on_progress)
			w->opt->on_progress(w->opt->ctx, "snapshot", i + 1, w->ret->read_bytes);
	}
	snapshot_list_free(&l);
	return r;
}

/* ---- */

static int count_pack(void *ctx, const char *name, uint64_t size, struct err *e)
{
	(void)name;
	(void)size;
	(void)e;
	++*(uint64_t *)ctx;
	return 0;
}

static int count_packs(struct run *w, struct err *e)
{
	uint64_t present = 0;
	int r = pack_list(store_place(w->s), false, count_pack, &present, e);
	if (r < 0)
		return r;
	w->ret->unused_packs = present > w->ret->packs ? present - w->ret->packs : 0;
	return 0;
}

/* So that compact leaves alone what we are about to look at. A store that cannot be written is not
 * compacted either. */
static int hold(struct store *s, bool *ret_held, struct err *e)
{
	struct err own = ERR_INIT;
	*ret_held = !store_held(s) && store_hold(s, LOCK_WRITER, "check", NULL, &own) == 0;
	if (*ret_held)
		return store_refresh(s, e);
	log_say(store_log(s), LOG_DEBUG, "%s", own.msg);
	return 0;
}

int check_run(struct store *s, const struct check_options *opt, struct check_result *ret,
	struct err *e)
{
	struct run w = {.s = s, .opt = opt, .ret = ret};
	struct reading rd = {.w = &w};
	bool held = false;
	*ret = (struct check_result){0};
	int r = coder_init(&w.coder, e);
	if (r == 0)
		r = pool_new(&rd.pool, opt->threads, POOL_BUDGET, e);
	unsigned n = r == 0 ? pool_threads(rd.pool) : 0;
	if (r == 0 && !(rd.coders = calloc(n, sizeof *rd.coders)))
		r = err_set(e, E_NOMEM, 0, "no memory for threads");
	for (unsigned i = 0; i < n && r == 0; i++)
		r = coder_init(&rd.coders[i], e);
	if (r == 0)
		r = hold(s, &held, e);
	index_many_lookups(store_index(s), true);
	if (r == 0)
		r = scrub_open(&w.scrub, s, opt->state_dir, e);
	if (r == 0 && !opt->no_packs)
		r = store_object_list(s, "index", check_index_object, &w, e);
	if (r == 0 && !opt->no_packs)
		r = check_packs(&w, &rd, e);
	if (r == 0)
		r = check_snapshots(&w, e);
	if (r == 0 && !opt->no_packs)
		r = count_packs(&w, e);
	index_many_lookups(store_index(s), false);
	scrub_free(w.scrub);
	if (held && store_end(s, NULL) < 0)
		log_say(store_log(s), LOG_WARN, "compact may have removed what was looked at");
	pool_free(rd.pool);
	for (unsigned i = 0; rd.coders && i < n; i++)
		coder_free(&rd.coders[i]);
	free(rd.coders);
	coder_free(&w.coder);
	nameset_free(&w.bad);
	nameset_free(&w.good);
	buf_free(&w.path);
	return r;
}
