#include "engine/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/base/wire.h"
#include "engine/store/nameset.h"

#define CACHE_BYTES_DEFAULT ((size_t)12 << 20)
#define INDEX_OBJECT_VERSION 1
/* Sizes that are believed before a seal is opened. */
#define INDEX_MAX_BYTES ((size_t)64 << 20)
#define OBJECT_MAX_BYTES ((size_t)4 << 20)

int store_create(struct object_place *place, struct store_config *cfg, const struct secret *secret,
	struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct keys *keys = NULL;
	cfg->created = time(NULL);
	int r = config_create(cfg, secret, &text, &keys, e);
	if (r == 0)
		r = object_put(place, "config", buf_span(&text), false, e);
	keys_free(keys);
	return r;
}

int store_config_read(struct object_place *place, struct buf *text, struct err *e)
{
	int r = object_get(place, "config", CONFIG_MAX_BYTES, text, e);
	if (r == E_NOTFOUND)
		return err_set(e, E_NOTFOUND, 0,
			"there is no store here (no 'config' in it): make one with 'mcfs init'");
	return r;
}

int store_config_replace(struct object_place *place, struct span text, struct err *e)
{
	return object_put(place, "config", text, true, e);
}

int store_peek(struct object_place *place, struct store_config *cfg, unsigned *ret_kinds,
	struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r = store_config_read(place, &text, e);
	return r < 0 ? r : config_peek(buf_span(&text), cfg, ret_kinds, e);
}

static int open_index(struct store *s, const struct store_options *opt, struct err *e)
{
	char hex[2 * ID_BYTES + 1], note[200];
	CLEANUP_FREE char *path = NULL;
	if (opt->cache_dir) {
		struct err ignored = ERR_INIT;
		if (asprintf(&path, "%s/%s/index.sqlite", opt->cache_dir,
			    hex_of(s->cfg.id.b, ID_BYTES, hex)) < 0) {
			path = NULL;
			return err_set(e, E_NOMEM, 0, "no memory for a path");
		}
		char *slash = strrchr(path, '/');
		*slash = 0;
		int r = io_mkdirs(path, 0700, &ignored);
		*slash = '/';
		if (r < 0)
			log_say(&s->log, LOG_WARN, "no cache directory: %s", ignored.msg);
	}
	int r = index_open(&s->index, path, &s->cfg.id, note, sizeof note, e);
	if (r == 0 && note[0])
		log_say(&s->log, LOG_WARN,
			"the index cache '%s' cannot be used (%s); working without it", path, note);
	return r;
}

int store_open(struct store **ret, struct object_place *place, const struct secret *secret,
	const struct store_options *opt, struct err *e)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct store *s = calloc(1, sizeof *s);
	if (!s) {
		object_place_free(place);
		return err_set(e, E_NOMEM, 0, "no memory for a store");
	}
	pthread_mutex_init(&s->m, NULL);
	pthread_mutex_init(&s->lost_m, NULL);
	pthread_mutex_init(&s->refresh_m, NULL);
	s->place = place;
	s->log = opt->log;
	s->lock_interval_ms = opt->lock_interval_ms ? opt->lock_interval_ms : LOCK_INTERVAL_MS;
	snprintf(s->what, sizeof s->what, "%s", opt->what ? opt->what : "writing");
	int r = store_config_read(place, &text, e);
	if (r == 0)
		r = config_unlock(buf_span(&text), secret, &s->cfg, &s->keys, e);
	if (r == 0)
		r = plain_cache_new(&s->cache,
			opt->cache_bytes ? opt->cache_bytes : CACHE_BYTES_DEFAULT, e);
	if (r == 0)
		r = open_index(s, opt, e);
	if (r == 0)
		r = store_refresh(s, e);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	store_abort(s);
	doomed_free(&s->doomed);
	index_close(s->index);
	plain_cache_free(s->cache);
	keys_free(s->keys);
	object_place_free(s->place);
	pthread_mutex_destroy(&s->m);
	pthread_mutex_destroy(&s->lost_m);
	nameset_free(&s->lost);
	pthread_mutex_destroy(&s->refresh_m);
	free(s);
}

const struct store_config *store_config(const struct store *s)
{
	return &s->cfg;
}

const struct keys *store_keys(const struct store *s)
{
	return s->keys;
}

const struct log *store_log(const struct store *s)
{
	return &s->log;
}

struct object_place *store_place(struct store *s)
{
	return s->place;
}

struct index *store_index(struct store *s)
{
	return s->index;
}

void store_stats(struct store *s, struct store_stats *ret)
{
	LOCK_SCOPE(&s->m);
	*ret = s->stats;
}

/* ---- sealed objects ---- */

char *store_object_key(const char *kind, const struct id *id, char out[64])
{
	char hex[2 * ID_BYTES + 1];
	snprintf(out, 64, "%.20s/%s", kind, hex_of(id->b, ID_BYTES, hex));
	return out;
}

int store_object_remove(struct store *s, const char *kind, const struct id *id, struct err *e)
{
	char key[64];
	return object_remove(s->place, store_object_key(kind, id, key), e);
}

static size_t max_bytes(const char *kind)
{
	return strcmp(kind, "index") == 0 ? INDEX_MAX_BYTES : OBJECT_MAX_BYTES;
}

int store_object_put(struct store *s, const char *kind, const struct id *id, struct span content,
	bool replace, struct err *e)
{
	char key[64];
	CLEANUP_BUF struct buf plain = BUF_INIT;
	CLEANUP_BUF struct buf sealed = BUF_INIT;
	int r = put_bytes(&plain, content, e);
	if (r == 0) {
		uint64_t bare = plain.len + SEAL_OBJECT_OVERHEAD;
		r = buf_add_zero(&plain, (size_t)(padded_size(bare) - bare), e);
	}
	if (r == 0)
		r = object_seal(s->keys, kind, id, buf_span(&plain), &sealed, e);
	store_object_key(kind, id, key);
	if (r == 0 && sealed.len > max_bytes(kind))
		r = err_set(e, E_UNSUPPORTED, 0, "%s would be larger than readers accept", key);
	return r < 0 ? r : object_put(s->place, key, buf_span(&sealed), replace, e);
}

int store_object_get(struct store *s, const char *kind, const struct id *id, struct buf *out,
	struct err *e)
{
	char key[64];
	CLEANUP_BUF struct buf plain = BUF_INIT;
	CLEANUP_BUF struct buf sealed = BUF_INIT;
	store_object_key(kind, id, key);
	int r = object_get(s->place, key, max_bytes(kind), &sealed, e);
	if (r == 0)
		r = object_open(s->keys, kind, id, buf_span(&sealed), &plain, e);
	if (r < 0)
		return err_wrap(e, "%s", key);
	struct rd rd = rd_of(buf_span(&plain));
	struct span content = rd_bytes(&rd);
	if (rd.bad)
		return err_set(e, E_CORRUPT, 0, "%s is not well formed", key);
	return buf_add(out, content.p, content.n, e);
}

struct listing {
	store_object_each fn;
	void *ctx;
};

static int list_one(void *ctx, const char *name, uint64_t size, struct err *e)
{
	struct listing *l = ctx;
	struct id id;
	char hex[2 * ID_BYTES + 1];
	/* Foreign files, spelled otherwise than we would, are none of our business. */
	if (!hex_parse(name, ID_BYTES, id.b) || strcmp(hex_of(id.b, ID_BYTES, hex), name) != 0)
		return 0;
	return l->fn(l->ctx, &id, size, e);
}

int store_object_list(struct store *s, const char *kind, store_object_each fn, void *ctx,
	struct err *e)
{
	struct listing l = {fn, ctx};
	return object_list(s->place, kind, list_one, &l, e);
}

/* ---- index objects ---- */

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
	return r < 0 ? r : add_to_index(s, k == n ? id : NULL, records, k, e);
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

int add_to_index(struct store *s, const struct id *id, const struct span *records, size_t n,
	struct err *e)
{
	int r = index_add_object(s->index, id, records, n, e);
	if ((r != E_IO && r != E_NOSPACE) || !index_is_file(s->index))
		return r;
	log_say(&s->log, LOG_WARN, "%s; working without it", e->msg);
	r = index_to_memory(s->index, &s->cfg.id, e);
	return r < 0 ? r : store_refresh(s, e);
}

struct refreshing {
	struct store *s;
	struct nameset present; /* ids, padded to names */
	struct id *stale;	/* index objects that were read once and are gone */
	size_t n_stale;
	uint64_t damaged, news;
	bool moved; /* one went between being listed and being read */
};

static void name_of_id(const struct id *id, struct name *ret)
{
	*ret = (struct name){{0}};
	memcpy(ret->b, id->b, ID_BYTES);
}

static int refresh_one(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct refreshing *f = ctx;
	struct err own = ERR_INIT;
	struct name padded;
	bool have;
	(void)size;
	name_of_id(id, &padded);
	int r = nameset_add(&f->present, &padded, e);
	if (r == 0)
		r = index_has_object(f->s->index, id, &have, e);
	if (r < 0 || have)
		return r;
	r = load_index_object(f->s, id, &own);
	/* One that is not whole, or damaged, is looked at each time. */
	if (r == 0) {
		r = index_has_object(f->s->index, id, &have, e);
		f->news += have;
		return r;
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
	if (r < 0)
		*e = own;
	return r;
}

static int note_stale(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	struct refreshing *f = ctx;
	struct name padded;
	(void)size;
	name_of_id(id, &padded);
	if (nameset_has(&f->present, &padded))
		return 0;
	if ((f->n_stale & (f->n_stale - 1)) == 0) {
		struct id *v = realloc(f->stale, (f->n_stale ? 2 * f->n_stale : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a list of index objects");
		f->stale = v;
	}
	f->stale[f->n_stale++] = *id;
	return 0;
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
	struct name padded;
	(void)size;
	name_of_id(id, &padded);
	return nameset_add(&w->known, &padded, e);
}

static int see_pack(void *ctx, const char *name, uint64_t size, struct err *e)
{
	struct pack_walk *w = ctx;
	struct name padded;
	struct id id;
	struct err own = ERR_INIT;
	CLEANUP_BUF struct buf rec = BUF_INIT;
	(void)size;
	if (!hex_parse(name, ID_BYTES, id.b))
		return 0;
	name_of_id(&id, &padded);
	int r = nameset_add(&w->there, &padded, e);
	if (r < 0 || !w->recover || nameset_has(&w->known, &padded))
		return r;
	if (pack_read_footer(w->s->place, w->s->keys, &id, &rec, &own) < 0) {
		log_say(&w->s->log, LOG_WARN, "%s", own.msg);
		return 0;
	}
	struct span span = buf_span(&rec);
	return add_to_index(w->s, NULL, &span, 1, e);
}

static int walk_packs(struct pack_walk *w, struct err *e)
{
	char dir[16];
	int r = index_each_pack(w->s->index, know_pack, w, e);
	for (unsigned i = 0; i < 256 && r == 0; i++) {
		snprintf(dir, sizeof dir, "packs/%02x", i);
		r = object_list(w->s->place, dir, see_pack, w, e);
	}
	return r;
}

int store_recover(struct store *s, struct err *e)
{
	struct pack_walk w = {.s = s, .recover = true};
	int r = walk_packs(&w, e);
	nameset_free(&w.known);
	nameset_free(&w.there);
	return r;
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
	f->n_stale = 0;
	nameset_free(&f->present);
	int r = store_object_list(s, "index", refresh_one, f, e);
	return r < 0 ? r : index_each_object(s->index, note_stale, f, e);
}

static int refresh(struct store *s, uint64_t *ret_news, struct err *e)
{
	struct refreshing f = {.s = s};
	uint64_t dropped = 0, stale = 0, news = 0;
	bool more;
	int r;
	do {
		r = refresh_once(s, &f, e);
		for (size_t i = 0; i < f.n_stale && r == 0; i++)
			r = index_unlist_object(s->index, &f.stale[i], e);
		stale += f.n_stale;
		/* What footers told, or an object that was not whole, was unlisted with them. */
		if (r == 0 && f.n_stale)
			r = store_object_list(s, "index", refresh_one, &f, e);
		/* Reading takes time, and objects come and go: until a look finds nothing new. */
		more = f.moved || f.n_stale || f.news != news;
		news = f.news;
	} while (r == 0 && more);
	if (r == 0 && f.damaged)
		r = store_recover(s, e);
	if (r == 0)
		r = index_drop_unlisted(s->index, &dropped, e);
	*ret_news = f.news + stale + dropped;
	free(f.stale);
	nameset_free(&f.present);
	return r < 0 ? err_wrap(e, "load the index") : 0;
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
static bool look_again(struct store *s, uint64_t before, bool first)
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

static uint64_t count_refreshes(struct store *s)
{
	LOCK_SCOPE(&s->refresh_m);
	return s->refreshes;
}

int find_kept(struct store *s, const struct name *name, bool *ret_there, bool *ret_doomed,
	struct err *e)
{
	struct blob_loc l;
	*ret_there = *ret_doomed = false;
	for (unsigned nth = 0;; nth++) {
		int r = index_find(s->index, name, nth, &l, e);
		if (r < 0)
			return r == E_NOTFOUND ? 0 : r;
		if (!doomed_has(&s->doomed, &l.pack)) {
			*ret_there = true;
			return 0;
		}
		*ret_doomed = true;
	}
}

int find_base_kept(struct store *s, const uint8_t base[BASE_BYTES], struct name *ret, struct err *e)
{
	struct blob_loc l;
	int r = index_find_base(s->index, base, ret, &l, e);
	for (unsigned nth = 0; r == 0; nth++) {
		r = index_find(s->index, ret, nth, &l, e);
		if (r == 0 && !form_is_kept(l.form) && !doomed_has(&s->doomed, &l.pack))
			return 0;
	}
	return r;
}

/* ---- reading blobs ---- */

bool store_has(struct store *s, const struct name *name)
{
	struct blob_loc l;
	bool read;
	return txn_find(s, name, &l, NULL, &read, NULL) == 0 ||
	       index_find(s->index, name, 0, &l, NULL) == 0;
}

static int read_sealed(struct store *s, struct coder *c, const struct blob_loc *l, struct buf *out,
	struct err *e)
{
	char key[PACK_KEY_CHARS];
	pack_object_key(&l->pack, key);
	int r = object_read(s->place, key, l->offset, l->sealed_len, out, e);
	if (r == E_NOTFOUND) {
		c->missing = true;
		return err_set(e, E_CORRUPT, 0, "pack %s is missing", key + 9);
	}
	if (r == 0 && out->len != l->sealed_len)
		return err_set(e, E_CORRUPT, 0, "pack %s is cut short", key + 9);
	return r;
}

/* Where the nth copy of a blob is; E_NOTFOUND behind the last one. */
static int find_blob(struct store *s, struct coder *c, const struct name *name, unsigned nth,
	struct blob_loc *l, bool *ret_have, struct err *e)
{
	char hex[2 * ID_BYTES + 1];
	*ret_have = false;
	c->sealed.len = 0;
	int r = nth ? E_NOTFOUND : txn_find(s, name, l, &c->sealed, ret_have, e);
	if (r == E_NOTFOUND)
		r = index_find(s->index, name, nth, l, e);
	if (r == E_NOTFOUND && nth)
		return r;
	if (r == E_NOTFOUND) {
		c->missing = true;
		return err_set(e, E_CORRUPT, 0, "blob %s is in no pack of the store",
			hex_of(name->b, 8, hex));
	}
	if (r < 0)
		return r;
	if (l->plain_len > PLAIN_MAX || l->frame_plain > PLAIN_MAX || l->canon_len > CANON_MAX ||
		l->sealed_len > PLAIN_MAX ||
		(uint64_t)l->blob_off + l->plain_len > l->frame_plain)
		return err_set(e, E_CORRUPT, 0, "the index gives a blob an impossible size");
	return 0;
}

/* The frame's packed bytes, opened, in c->packed. `have`: sealed they are in c->sealed already. */
static int read_frame(struct store *s, struct coder *c, const struct blob_loc *l, bool have,
	struct err *e)
{
	char hex[2 * ID_BYTES + 1];
	struct pack_key pk;
	c->packed.len = 0;
	if (!have)
		c->sealed.len = 0;
	int r = have ? 0 : read_sealed(s, c, l, &c->sealed, e);
	if (r < 0)
		return r;
	pack_key_of(s->keys, &l->pack, &pk);
	r = frame_open(&pk, l->place, buf_span(&c->sealed), &c->packed, e);
	crypto_wipe(&pk, sizeof pk);
	if (r < 0)
		return err_wrap(e, "pack %s, frame %u at %llu", hex_of(l->pack.b, ID_BYTES, hex),
			l->place, (unsigned long long)l->offset);
	return 0;
}

static int read_base(struct store *s, struct coder *c, const struct blob_loc *l, unsigned depth,
	struct plain **ret, struct err *e)
{
	struct name base;
	struct blob_loc bl;
	if (depth == 0)
		return err_set(e, E_CORRUPT, 0, "a chain of differences is too long");
	int r = txn_find_base(s, l->base, &base, e);
	if (r == E_NOTFOUND)
		r = index_find_base(s->index, l->base, &base, &bl, e);
	if (r == E_NOTFOUND) {
		char hex[2 * BASE_BYTES + 1];
		c->missing = true;
		return err_set(e, E_CORRUPT, 0, "blob %s, the base of a difference, is missing",
			hex_of(l->base, 8, hex));
	}
	if (r < 0)
		return r;
	/* Reading the base uses the same scratch: keep what was read. */
	struct buf packed = take_buf(&c->packed);
	r = read_plain(s, c, &base, WANT_BASE, depth - 1, ret, e);
	buf_free(&c->packed);
	c->packed = packed;
	return r;
}

static int unpack(struct store *s, struct coder *c, const struct blob_loc *l, unsigned depth,
	struct buf *out, struct err *e)
{
	CLEANUP_PLAIN struct plain *base = NULL;
	struct span prefix = {NULL, 0};
	int r;
	switch (l->method) {
	case METHOD_STORE:
		if (c->packed.len != l->frame_plain)
			return err_set(e, E_CORRUPT, 0, "a stored frame has the wrong length");
		return buf_add(out, c->packed.p, c->packed.len, e);
	case METHOD_DELTA:
		r = read_base(s, c, l, depth, &base, e);
		if (r < 0)
			return r;
		prefix = buf_span(&base->data);
		break;
	case METHOD_ZSTD:
		break;
	default:
		return err_set(e, E_CORRUPT, 0, "unknown method %d of a frame", l->method);
	}
	r = buf_reserve_exact(out, l->frame_plain + 1, e);
	return r < 0 ? r
		     : zs_decompress(c->zs, prefix, buf_span(&c->packed), l->frame_plain, out, e);
}

static int decode_frame(struct store *s, struct coder *c, const struct blob_loc *l, bool have,
	unsigned depth, struct buf *out, struct err *e)
{
	char hex[2 * ID_BYTES + 1];
	int r = read_frame(s, c, l, have, e);
	if (r < 0)
		return r;
	r = unpack(s, c, l, depth, out, e);
	return r < 0 ? err_wrap(e, "pack %s, frame %u", hex_of(l->pack.b, ID_BYTES, hex), l->place)
		     : 0;
}

static int sizes_ok(const struct blob_loc *l, struct err *e)
{
	if (l->plain_len > PLAIN_MAX || l->frame_plain > PLAIN_MAX || l->canon_len > CANON_MAX ||
		l->sealed_len > PLAIN_MAX || l->sealed_len < SEAL_TAG_BYTES)
		return err_set(e, E_CORRUPT, 0, "a pack gives a blob an impossible size");
	return 0;
}

int read_frame_of(struct store *s, struct coder *c, const struct blob_loc *l, struct err *e)
{
	int r = sizes_ok(l, e);
	return r < 0 ? r : read_frame(s, c, l, false, e);
}

int decode_frame_of(struct store *s, struct coder *c, const struct blob_loc *l, struct buf *out,
	struct err *e)
{
	int r = sizes_ok(l, e);
	return r < 0 ? r : decode_frame(s, c, l, false, DEPTH_MAX, out, e);
}

/* One blob of a solid frame. The whole frame is kept, under a name made of its place, since its
 * other blobs are likely to be wanted next. */
static int decode_solid(struct store *s, struct coder *c, const struct blob_loc *l, bool have,
	unsigned depth, struct buf *out, struct err *e)
{
	struct name key = {{0}};
	memcpy(key.b, l->pack.b, ID_BYTES);
	set_le32(key.b + ID_BYTES, l->place);
	CLEANUP_PLAIN struct plain *frame = plain_cache_get(s->cache, &key);
	if (!frame) {
		frame = plain_new();
		if (!frame)
			return err_set(e, E_NOMEM, 0, "no memory for a blob");
		int r = decode_frame(s, c, l, have, depth, &frame->data, e);
		if (r < 0)
			return r;
		plain_cache_put(s->cache, &key, frame);
	}
	if ((uint64_t)l->blob_off + l->plain_len > frame->data.len)
		return err_set(e, E_CORRUPT, 0, "the index gives a blob an impossible size");
	int r = buf_reserve_exact(out, l->plain_len, e);
	return r < 0 ? r : buf_add(out, frame->data.p + l->blob_off, l->plain_len, e);
}

/* From the bare bytes of a kept form to what WANT_TABLE asks for. */
static int wrap_kept(struct store *s, struct plain *p, struct err *e)
{
	struct buf canon = take_buf(&p->data);
	int r = form_wrap(s->keys, p->form, buf_span(&canon), &p->data, e);
	buf_free(&canon);
	p->form = form_named(p->form);
	return r == E_FORMAT ? err_set(e, E_CORRUPT, 0, "a kept group of chunks is not well formed")
			     : r;
}

static int read_copy(struct store *s, struct coder *c, const struct name *name, enum want want,
	unsigned nth, unsigned depth, struct plain **ret, struct err *e)
{
	struct blob_loc l;
	bool have;
	int r = find_blob(s, c, name, nth, &l, &have, e);
	if (r < 0)
		return r;
	if (form_is_kept(l.form) && want == WANT_BASE) {
		char hex[2 * ID_BYTES + 1];
		return err_set(e, E_CORRUPT, 0, "blob %s, the base of a difference, is there only as "
			"it was in the file", hex_of(name->b, 8, hex));
	}
	CLEANUP_PLAIN struct plain *p = plain_new();
	if (!p)
		return err_set(e, E_NOMEM, 0, "no memory for a blob");
	r = l.plain_len == l.frame_plain ? decode_frame(s, c, &l, have, depth, &p->data, e)
					 : decode_solid(s, c, &l, have, depth, &p->data, e);
	if (r < 0)
		return r;
	p->canon_len = l.canon_len;
	p->form = l.form;
	p->depth = l.depth;
	p->method = l.method;
	p->packed_len = l.sealed_len;
	memcpy(p->base, l.base, BASE_BYTES);
	p->kept = form_is_kept(l.form);
	if (p->kept && want == WANT_TABLE)
		r = wrap_kept(s, p, e);
	if (r < 0)
		return r;
	if (!form_is_kept(p->form)) /* bare ones are restored once, and quick to read */
		plain_cache_put(s->cache, name, p);
	*ret = TAKE_PTR(p);
	return 0;
}

int read_plain(struct store *s, struct coder *c, const struct name *name, enum want want,
	unsigned depth, struct plain **ret, struct err *e)
{
	*ret = plain_cache_get(s->cache, name);
	if (*ret && !((*ret)->kept && want == WANT_BASE))
		return 0;
	plain_unref(TAKE_PTR(*ret));
	int r = read_copy(s, c, name, want, 0, depth, ret, e);
	/* Another copy may be whole. The first failure is the one to tell. */
	for (unsigned nth = 1; r == E_CORRUPT || r == E_IO; nth++) {
		int again = read_copy(s, c, name, want, nth, depth, ret, NULL);
		if (again == 0 || again == E_NOTFOUND)
			return again == 0 ? 0 : r;
	}
	return r;
}

/* Compact moves blobs under the feet of those who read. */
static int read_again(struct store *s, struct coder *c, const struct name *name, enum want want,
	struct plain **ret, struct err *e)
{
	uint64_t refreshes = count_refreshes(s);
	c->missing = false;
	int r = read_plain(s, c, name, want, DEPTH_MAX, ret, e);
	for (int tries = 0; r == E_CORRUPT && c->missing && tries < 5; tries++) {
		if (!look_again(s, refreshes, tries == 0))
			break;
		c->missing = false;
		r = read_plain(s, c, name, want, DEPTH_MAX, ret, e);
	}
	return r;
}

/* What repair gave up is no news. */
static int tell_lost(struct store *s, const struct name *name, int r, struct err *e)
{
	if (r != E_CORRUPT || store_has(s, name) || !store_is_lost(s, name))
		return r;
	return err_set(e, E_LOST, 0, "damaged: 'check --repair' could not save a part of it");
}

int store_plain(struct store *s, struct coder *c, const struct name *name, struct plain **ret,
	struct err *e)
{
	return tell_lost(s, name, read_again(s, c, name, WANT_TABLE, ret, e), e);
}

/* The canonical bytes behind *out, which is left as it was when they are not those of the name. */
static int decode_named(struct store *s, struct coder *c, const struct name *name,
	const struct plain *p, struct buf *out, struct err *e)
{
	size_t start = out->len;
	char hex[2 * ID_BYTES + 1];
	struct name got;
	int r = form_decode(c->rs, p->form, buf_span(&p->data), p->canon_len, out, e);
	if (r == 0) {
		name_of(s->keys, form_named(p->form), span_of(out->p + start, out->len - start),
			&got);
		if (name_cmp(&got, name) != 0)
			r = err_set(e, E_CORRUPT, 0,
				"blob %s does not have the bytes its name stands for",
				hex_of(name->b, 8, hex));
	}
	if (r < 0)
		out->len = start;
	return r;
}

int store_get(struct store *s, struct coder *c, const struct name *name, struct buf *out,
	struct err *e)
{
	CLEANUP_PLAIN struct plain *p = NULL;
	int r = read_again(s, c, name, WANT_CANON, &p, e);
	if (r < 0)
		return tell_lost(s, name, r, e);
	r = decode_named(s, c, name, p, out, e);
	if (r != E_CORRUPT || (p->form != FORM_GROUP && p->form != FORM_STREAM))
		return r;
	/* Written by another version, whose deflate gave other bytes than this one's? zlib knows. */
	char hex[2 * ID_BYTES + 1];
	enum restream_by by = restreamer_by(c->rs, RESTREAM_ZLIB);
	int again = decode_named(s, c, name, p, out, NULL);
	restreamer_by(c->rs, by);
	if (again < 0)
		return r;
	log_say(&s->log, LOG_WARN,
		"blob %s came out right only with zlib's own deflate: please report this",
		hex_of(name->b, 8, hex));
	return 0;
}
