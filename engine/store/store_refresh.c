/* What the store's index objects and packs say, brought into the local index. */
#include "engine/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/store/id_list.h"
#include "engine/store/nameset.h"

#define INDEX_OBJECT_VERSION 1

/* A pack that is not in the store is left out: another may have the same blobs. An index object with
 * such a pack is not remembered as read, so that the pack may come back. */
static bool pack_is_there(struct store *s, struct span record)
{
	struct id id;
	char key[PACK_KEY_CHARS];
	uint64_t size;
	if (record.n < ID_BYTES)
		return true; /* for the parser to complain about */
	memcpy(id.b, record.p, ID_BYTES);
	return object_size(s->place, pack_object_key(&id, key), &size, NULL) != E_NOTFOUND;
}

static void say_missing(struct store *s, const struct span *records, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char hex[2 * ID_BYTES + 1];
		if (!pack_is_there(s, records[i]))
			log_say(&s->log, LOG_ERROR,
				"pack %s is missing: 'mcfs check' tells what it touches",
				hex_of(records[i].p, ID_BYTES, hex));
	}
}

static int load_index_object(struct store *s, const struct id *id, struct err *e)
{
	CLEANUP_BUF struct buf content = BUF_INIT;
	int r = store_object_get(s, "index", id, &content, e);
	if (r < 0)
		return r;
	struct rd rd = rd_of(buf_span(&content));
	if (rd_u8(&rd) != INDEX_OBJECT_VERSION)
		return err_set(e, E_UNSUPPORTED, 0,
			"an index object of another version: use a newer mcfs");
	uint64_t n = rd_count(&rd, ID_BYTES);
	CLEANUP_FREE struct span *records = calloc((size_t)n + 1, sizeof *records);
	CLEANUP_FREE struct span *gone = calloc((size_t)n + 1, sizeof *gone);
	if (!records || !gone)
		return err_set(e, E_NOMEM, 0, "no memory for an index object");
	size_t k = 0, n_gone = 0;
	for (uint64_t i = 0; i < n; i++) {
		struct span rec = rd_bytes(&rd);
		if (pack_is_there(s, rec))
			records[k++] = rec;
		else
			gone[n_gone++] = rec;
	}
	r = rd_done(&rd, "an index object", e);
	if (r == 0 && n_gone) {
		/* Compact removes the index object before the packs: then it is gone as well. */
		char key[64];
		uint64_t size;
		r = object_size(s->place, store_object_key("index", id, key), &size, e);
		if (r < 0)
			return r;
		say_missing(s, gone, n_gone);
		s->left_out = true;
	}
	return r < 0 ? r : index_add_object(s->index, k == n ? id : NULL, records, k, e);
}

int put_index_object(struct store *s, struct span content, struct id *ret, struct err *e)
{
	struct err ignored = ERR_INIT;
	crypto_random(ret->b, ID_BYTES);
	int r = store_still_ours(s, e);
	if (r == 0)
		r = store_object_put(s, "index", ret, content, false, e);
	if (r < 0)
		return err_wrap(e, "write the index");
	r = store_still_ours(s, e);
	if (r == E_LOCKED && store_object_remove(s, "index", ret, &ignored) < 0)
		log_say(&s->log, LOG_WARN, "%s", ignored.msg);
	return r;
}

/* The index cache cannot be used any more, for the reason in *e: go on, empty, without it. */
static int give_up_file(struct store *s, struct err *e)
{
	log_say(&s->log, LOG_WARN, "%s; working without it", e->msg);
	return index_to_memory(s->index, &s->cfg.id, e);
}

int add_to_index(struct store *s, const struct id *id, const struct span *records, size_t n,
	struct err *e)
{
	int r = index_add_object(s->index, id, records, n, e);
	if (r == 0 || !index_file_failed(s->index))
		return r;
	r = give_up_file(s, e);
	return r < 0 ? r : store_refresh(s, e);
}

struct refreshing {
	struct store *s;
	struct nameset present; /* ids */
	struct nameset known;	/* what the index held when we began, and what we read into it since */
	struct id_list stale;	/* index objects that were read once and are gone */
	uint64_t damaged, news;
	bool moved; /* one went between being listed and being read */
};

/* Ask the index once for all and not once for each object: there may be as many as snapshots. */
static int know_object(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct refreshing *f = ctx;
	(void)size;
	return nameset_add_id(&f->known, id, e);
}

static int refresh_one(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct refreshing *f = ctx;
	struct err own = ERR_INIT;
	bool have;
	(void)size;
	int r = nameset_add_id(&f->present, id, e);
	if (r < 0 || nameset_has_id(&f->known, id))
		return r;
	r = load_index_object(f->s, id, &own);
	/* One that is not whole, or damaged, is looked at each time. */
	if (r == 0) {
		r = index_has_object(f->s->index, id, &have, e);
		f->news += have;
		return r == 0 && have ? nameset_add_id(&f->known, id, e) : r;
	}
	if (r == E_NOTFOUND) {
		f->moved = true;
		return 0;
	}
	if (r == E_CORRUPT || r == E_UNSUPPORTED) {
		/* The packs' footers say the same. */
		log_say(&f->s->log, LOG_ERROR, "%s", own.msg);
		f->damaged++;
		return 0;
	}
	return r < 0 ? err_pass(e, &own) : r;
}

static int note_stale(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct refreshing *f = ctx;
	(void)size;
	return nameset_has_id(&f->present, id) ? 0 : id_list_add(&f->stale, id, e);
}

/* ---- packs as they lie in the store ---- */

struct pack_walk {
	struct store *s;
	struct nameset known; /* packs of the index */
	struct nameset there; /* packs of the store */
	bool recover;	      /* read the footers of those that the index does not know */
};

static int know_pack(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct pack_walk *w = ctx;
	(void)size;
	return nameset_add_id(&w->known, id, e);
}

static int see_pack(void *ctx, const char *name, uint64_t size, struct err *e)
{
	struct pack_walk *w = ctx;
	struct id id;
	struct err own = ERR_INIT;
	CLEANUP_BUF struct buf rec = BUF_INIT;
	(void)size;
	if (!hex_parse(name, ID_BYTES, id.b))
		return 0;
	int r = nameset_add_id(&w->there, &id, e);
	if (r < 0 || !w->recover || nameset_has_id(&w->known, &id))
		return r;
	if (pack_read_footer(w->s->place, w->s->keys, &id, &rec, &own) < 0) {
		log_say(&w->s->log, LOG_WARN, "%s", own.msg);
		return 0;
	}
	struct span span = buf_span(&rec);
	return index_add_object(w->s->index, NULL, &span, 1, e);
}

static int walk_packs(struct pack_walk *w, struct err *e)
{
	int r = index_each_pack(w->s->index, know_pack, w, e);
	return r < 0 ? r : pack_list(w->s->place, false, see_pack, w, e);
}

static int recover(struct store *s, struct err *e)
{
	struct pack_walk w = {.s = s, .recover = true};
	int r = walk_packs(&w, e);
	nameset_free(&w.known);
	nameset_free(&w.there);
	return r;
}

int store_recover(struct store *s, struct err *e)
{
	int r = recover(s, e);
	if (r == 0 || !index_file_failed(s->index))
		return r;
	r = give_up_file(s, e);
	if (r == 0)
		r = store_refresh(s, e);
	return r < 0 ? r : recover(s, e);
}

/* The packs of the index that are not in the store. */
static int find_missing(struct store *s, struct nameset *ret, struct err *e)
{
	struct pack_walk w = {.s = s};
	int r = walk_packs(&w, e);
	for (size_t i = 0; i < w.known.cap && r == 0; i++)
		if (w.known.taken[i] && !nameset_has(&w.there, &w.known.v[i]))
			r = nameset_add(ret, &w.known.v[i], e);
	nameset_free(&w.known);
	nameset_free(&w.there);
	return r;
}

int forget_missing_packs(struct store *s, struct err *e)
{
	struct nameset missing = {0};
	int r = find_missing(s, &missing, e);
	s->lost_packs = false;
	if (r == 0 && missing.n) {
		/* Compact may have removed them while we looked. */
		nameset_free(&missing);
		r = store_refresh(s, e);
		if (r == 0)
			r = find_missing(s, &missing, e);
	}
	for (size_t i = 0; i < missing.cap && r == 0; i++) {
		struct id id;
		char hex[2 * ID_BYTES + 1];
		if (!missing.taken[i])
			continue;
		memcpy(id.b, missing.v[i].b, ID_BYTES);
		log_say(&s->log, LOG_ERROR,
			"pack %s is missing; what this snapshot needs of it is stored again",
			hex_of(id.b, ID_BYTES, hex));
		s->lost_packs = true;
		r = index_drop_pack(s->index, &id, e);
	}
	nameset_free(&missing);
	s->lost_packs |= s->left_out;
	if (r == 0 && s->lost_packs)
		r = index_drop_baseless(s->index, e);
	return r;
}

bool store_lost_packs(const struct store *s)
{
	return s->lost_packs;
}

/* One listing: read what is new, and note what is gone. */
static int refresh_once(struct store *s, struct refreshing *f, struct err *e)
{
	s->left_out = false;
	f->damaged = 0;
	f->moved = false;
	f->stale.n = 0;
	nameset_free(&f->present);
	nameset_free(&f->known);
	int r = index_each_object(s->index, know_object, f, e);
	if (r == 0)
		r = store_object_list(s, "index", refresh_one, f, e);
	return r < 0 ? r : index_each_object(s->index, note_stale, f, e);
}

static int refresh_all(struct store *s, uint64_t *ret_news, struct err *e)
{
	struct refreshing f = {.s = s};
	uint64_t dropped = 0, stale = 0, news = 0;
	bool more;
	int r;
	do {
		r = refresh_once(s, &f, e);
		if (r == 0 && f.stale.n)
			r = index_unlist_objects(s->index, f.stale.v, f.stale.n, e);
		stale += f.stale.n;
		/* What footers told, or an object that was not whole, was unlisted with them. */
		if (r == 0 && f.stale.n)
			r = store_object_list(s, "index", refresh_one, &f, e);
		/* Reading takes time, and objects come and go: until a look finds nothing new. */
		more = f.moved || f.stale.n || f.news != news;
		news = f.news;
	} while (r == 0 && more);
	if (r == 0 && f.damaged)
		r = recover(s, e);
	if (r == 0)
		r = index_drop_unlisted(s->index, &dropped, e);
	*ret_news = f.news + stale + dropped;
	id_list_free(&f.stale);
	nameset_free(&f.present);
	nameset_free(&f.known);
	return r < 0 ? err_wrap(e, "load the index") : 0;
}

/* With refresh_m held: what fails below must not begin a refresh of its own. */
static int refresh(struct store *s, uint64_t *ret_news, struct err *e)
{
	struct err own = ERR_INIT;
	int r = index_file_failed(s->index) ? err_set(&own, E_IO, 0, "index cache: it failed before")
					    : refresh_all(s, ret_news, &own);
	if (r < 0 && index_file_failed(s->index)) {
		r = give_up_file(s, &own);
		if (r == 0)
			r = refresh_all(s, ret_news, &own);
	}
	return r < 0 ? err_pass(e, &own) : r;
}

int store_refresh_news(struct store *s, uint64_t *ret_news, struct err *e)
{
	LOCK_SCOPE(&s->refresh_m);
	s->refreshes++;
	return refresh(s, ret_news, e);
}

int store_refresh(struct store *s, struct err *e)
{
	uint64_t news;
	return store_refresh_news(s, &news, e);
}

bool store_left_out(const struct store *s)
{
	return s->left_out;
}

/* A blob was not where the index says: has compact been at work? `before`: the count of refreshes when
 * it was looked for; one that came since will do, the first time. True when it is worth looking again. */
bool look_again(struct store *s, uint64_t before, bool first)
{
	uint64_t news = 0;
	LOCK_SCOPE(&s->refresh_m);
	if (first && s->refreshes != before)
		return true;
	s->refreshes++;
	/* Twice: what is replaced during a listing may be missed under both names. */
	for (int again = 0; again < 2 && news == 0; again++)
		if (refresh(s, &news, NULL) < 0)
			return false;
	return news > 0;
}

uint64_t count_refreshes(struct store *s)
{
	LOCK_SCOPE(&s->refresh_m);
	return s->refreshes;
}

/* Copies of bases that are looked at for one blob: more than that is no honest store. */
#define BASES_MAX 256

/* Can this copy be decoded, as far as the index tells: is it whole, or is there such a copy of its base? With
 * `lasting`, copies in doomed packs do not count. */
static int is_sound(struct store *s, const struct blob_loc *l, bool lasting, unsigned depth,
	unsigned *left, bool *ret, struct err *e)
{
	struct blob_loc base;
	struct name name;
	bool counts = !lasting || !doomed_has(&s->doomed, &l->pack);
	*ret = counts && l->method != METHOD_DELTA;
	if (!counts || *ret || depth == 0)
		return 0;
	int r = index_find_base(s->index, l->base, &name, &base, e);
	for (unsigned nth = 1; r == 0 && *left > 0; nth++) {
		--*left;
		if (!form_is_kept(base.form))
			r = is_sound(s, &base, lasting, depth - 1, left, ret, e);
		if (r < 0 || *ret)
			return r;
		r = index_find(s->index, &name, nth, &base, e);
	}
	return r == E_NOTFOUND ? 0 : r;
}

int find_sound(struct store *s, const struct name *name, bool lasting, bool inflated, bool *ret_there,
	bool *ret_others, struct err *e)
{
	struct blob_loc l;
	unsigned left = BASES_MAX;
	*ret_there = *ret_others = false;
	for (unsigned nth = 0;; nth++) {
		int r = index_find(s->index, name, nth, &l, e);
		if (r == 0 && !(inflated && form_is_kept(l.form)))
			r = is_sound(s, &l, lasting, DEPTH_MAX, &left, ret_there, e);
		if (r < 0 || *ret_there)
			return r == E_NOTFOUND ? 0 : r;
		*ret_others = true;
	}
}

int find_base_kept(struct store *s, const uint8_t base[BASE_BYTES], struct name *ret, struct err *e)
{
	struct blob_loc l;
	bool there = false, others;
	int r = index_find_base(s->index, base, ret, &l, e);
	if (r == 0)
		r = find_sound(s, ret, true, true, &there, &others, e);
	return r == 0 && !there ? E_NOTFOUND : r;
}
