/* Transactions: from canonical bytes to frames in packs to an index object. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/store/parity.h"
#include "engine/store/rewrite.h"
#include "engine/store/store_internal.h"

#define PACK_TARGET ((uint64_t)32 << 20)
#define SOLID_TARGET ((size_t)192 << 10)
#define SOLID_BLOB_MAX ((size_t)24 << 10) /* larger ones get frames of their own */
#define INDEX_FLUSH_BLOBS 16384 /* what is not indexed yet is in memory, some 200 bytes a blob */
#define INDEX_OBJECT_VERSION 1
#define KEPT_LEVEL 3

/* Chains of differences: each version is stored against the one before it, up to this depth, then
 * against the first again. Measured in docs/PERFORMANCE.md. */
#ifndef CHAIN_DEPTH
#define CHAIN_DEPTH 12
#endif

struct solid {
	struct buf plain;
	struct pack_blob *blobs;
	size_t n, cap;
};

struct txn {
	int level;
	struct pack_writer *pack;
	struct pending pending;
	struct solid solid;
	struct buf records; /* of finished packs, each with its length in front */
	uint64_t n_records, unflushed;
	bool broken;	   /* a write failed: only abort is left */
	struct err reason; /* why: the first failure, whichever thread asks */
};

static int tell_reason(const struct txn *t, struct err *e)
{
	return err_pass(e, &t->reason);
}

static void solid_free(struct solid *so)
{
	buf_free(&so->plain);
	free(so->blobs);
	*so = (struct solid){0};
}

static void let_go(struct store *s)
{
	store_lock_release(TAKE_PTR(s->lock));
	doomed_free(&s->doomed);
}

int store_enter(struct store *s, struct err *e)
{
	if (s->lock)
		return 0;
	/* In this order: docs/CRASH-SAFETY.md, "Compact". */
	int r = store_lock_take(s, LOCK_WRITER, s->what, NULL, &s->lock, e);
	if (r == 0)
		r = learn_doomed(s, e);
	if (r == 0)
		r = store_lock_saw(s->lock, &s->doomed.objects, e);
	if (r == 0)
		r = store_refresh(s, e);
	if (r < 0)
		let_go(s);
	return r;
}

int store_begin(struct store *s, int level, struct err *e)
{
	struct txn *t = calloc(1, sizeof *t);
	if (!t)
		return err_set(e, E_NOMEM, 0, "no memory for a transaction");
	t->level = level;
	s->stats = (struct store_stats){0};
	s->txn = t;
	int r = store_enter(s, e);
	if (r == 0)
		r = forget_missing_packs(s, e);
	if (r < 0)
		store_abort(s);
	return r;
}

int learn_doomed(struct store *s, struct err *e)
{
	doomed_free(&s->doomed);
	return doomed_load(&s->doomed, s, e);
}

int store_still_ours(struct store *s, struct err *e)
{
	return s->lock ? store_lock_check(s->lock, e) : 0;
}

int store_end(struct store *s, struct err *e)
{
	int r = store_still_ours(s, e);
	let_go(s);
	return r;
}

int txn_find(struct store *s, const struct name *name, struct blob_loc *ret, struct buf *sealed,
	bool *ret_read, struct err *e)
{
	LOCK_SCOPE(&s->m);
	*ret_read = false;
	struct pending_entry *x = s->txn ? pending_find(&s->txn->pending, name) : NULL;
	if (!x || x->state != PENDING_WRITTEN)
		return E_NOTFOUND;
	*ret = x->loc;
	if (!sealed || !s->txn->pack ||
		memcmp(&x->loc.pack, pack_id(s->txn->pack), sizeof x->loc.pack) != 0)
		return 0;
	*ret_read = true;
	return pack_read_back(s->txn->pack, &x->loc, sealed, e);
}

int txn_find_base(struct store *s, const uint8_t base[BASE_BYTES], struct name *ret, struct err *e)
{
	(void)e;
	LOCK_SCOPE(&s->m);
	struct pending_entry *x = s->txn ? pending_find_base(&s->txn->pending, base) : NULL;
	if (!x || x->state != PENDING_WRITTEN)
		return E_NOTFOUND;
	*ret = x->name;
	return 0;
}

/* ---- packs and index objects; the lock is held ---- */

static int finish_pack(struct store *s, struct err *e)
{
	struct txn *t = s->txn;
	CLEANUP_BUF struct buf rec = BUF_INIT;
	if (!t->pack)
		return 0;
	struct id id = *pack_id(t->pack);
	int r = pack_finish(TAKE_PTR(t->pack), &rec, e);
	if (r == 0)
		r = put_bytes(&t->records, buf_span(&rec), e);
	if (r == 0) {
		t->n_records++;
		s->stats.packs++;
	}
	return r == 0 && s->cfg.parity ? parity_make(s, &id, s->cfg.parity, e) : r;
}

static int flush_index(struct store *s, struct err *e)
{
	struct txn *t = s->txn;
	static const struct id none;
	struct id id;
	CLEANUP_BUF struct buf content = BUF_INIT;
	if (!t->n_records)
		return 0;
	int r = put_u8(&content, INDEX_OBJECT_VERSION, e);
	if (r == 0)
		r = put_var(&content, t->n_records, e);
	if (r == 0)
		r = buf_add(&content, t->records.p, t->records.len, e);
	if (r == 0)
		r = put_index_object(s, buf_span(&content), &id, e);
	if (r < 0)
		return r;
	CLEANUP_FREE struct span *records = calloc((size_t)t->n_records, sizeof *records);
	if (!records)
		return err_set(e, E_NOMEM, 0, "no memory for the index");
	struct rd rd = rd_of(buf_span(&t->records));
	for (uint64_t i = 0; i < t->n_records; i++)
		records[i] = rd_bytes(&rd);
	r = add_to_index(s, &id, records, (size_t)t->n_records, e);
	if (r == 0)
		r = pending_keep_pack(&t->pending, t->pack ? pack_id(t->pack) : &none, e);
	t->records.len = 0;
	t->n_records = t->unflushed = 0;
	return r;
}

static int add_frame(struct store *s, enum method method, struct span packed,
	uint32_t frame_plain, const struct pack_blob *blobs, size_t n, struct err *e)
{
	struct txn *t = s->txn;
	struct blob_loc loc;
	int r = 0;
	if (!t->pack)
		r = pack_begin(&t->pack, s->place, s->keys, e);
	if (r == 0)
		r = pack_add(t->pack, method, packed, frame_plain, blobs, n, &loc, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct pending_entry *x = pending_find(&t->pending, &blobs[i].name);
		loc.plain_len = blobs[i].plain_len;
		loc.canon_len = blobs[i].canon_len;
		loc.form = blobs[i].form;
		x->loc = loc;
		x->state = PENDING_WRITTEN;
		loc.blob_off += blobs[i].plain_len;
	}
	s->stats.new_blobs += n;
	s->stats.new_plain += frame_plain;
	s->stats.new_bytes += packed.n + SEAL_TAG_BYTES;
	s->stats.delta_blobs += method == METHOD_DELTA;
	t->unflushed += n;
	bool full = t->unflushed >= INDEX_FLUSH_BLOBS;
	if (full || pack_bytes(t->pack) >= PACK_TARGET)
		r = finish_pack(s, e);
	return r == 0 && full ? flush_index(s, e) : r;
}

static int add_frame_locked(struct store *s, enum method method, struct span packed,
	uint32_t frame_plain, const struct pack_blob *blobs, size_t n, struct err *e)
{
	LOCK_SCOPE(&s->m);
	struct txn *t = s->txn;
	if (t->broken)
		return tell_reason(t, e);
	int r = add_frame(s, method, packed, frame_plain, blobs, n, &t->reason);
	if (r < 0) {
		t->broken = true;
		return tell_reason(t, e);
	}
	return r;
}

/* ---- compression ---- */

static int write_solid(struct store *s, struct coder *c, struct solid *so, struct err *e)
{
	struct span plain = buf_span(&so->plain);
	if (!so->n)
		return 0;
	c->packed.len = 0;
	int r = zs_compress(c->zs, s->txn->level, (struct span){NULL, 0}, plain, &c->packed, e);
	if (r < 0)
		return r;
	bool smaller = c->packed.len < plain.n;
	return add_frame_locked(s, smaller ? METHOD_ZSTD : METHOD_STORE,
		smaller ? buf_span(&c->packed) : plain, (uint32_t)plain.n, so->blobs, so->n, e);
}

/* Put a small blob with others; when there are enough, they become a frame. */
static int put_solid(struct store *s, struct coder *c, const struct pack_blob *b,
	struct span plain, struct err *e)
{
	struct solid full = {0};
	int r = 0;
	pthread_mutex_lock(&s->m);
	struct solid *so = &s->txn->solid;
	if (so->n == so->cap) {
		size_t cap = so->cap ? so->cap * 2 : 64;
		struct pack_blob *n = realloc(so->blobs, cap * sizeof *n);
		if (n) {
			so->blobs = n;
			so->cap = cap;
		} else {
			r = err_set(e, E_NOMEM, 0, "no memory for small files");
		}
	}
	if (r == 0)
		r = buf_add(&so->plain, plain.p, plain.n, e);
	if (r == 0)
		so->blobs[so->n++] = *b;
	if (r == 0 && so->plain.len >= SOLID_TARGET) {
		full = *so;
		*so = (struct solid){0};
	}
	pthread_mutex_unlock(&s->m);
	if (r == 0)
		r = write_solid(s, c, &full, e);
	solid_free(&full);
	return r;
}

/* The plain form to take the difference against: the version before, or, where that would make the
 * chain too long, the first of the chain. The version before is named by a snapshot; those further up
 * may be there for a copy alone that goes with its pack, so they must lie in one that is not doomed. */
static int choose_base(struct store *s, struct coder *c, struct plain *parent,
	const struct name *parent_name, struct name *ret_name, struct plain **ret, struct err *e)
{
	struct plain *p = plain_ref(parent);
	*ret_name = *parent_name;
	while (parent->depth >= CHAIN_DEPTH && p->method == METHOD_DELTA) {
		struct plain *up = NULL;
		int r = txn_find_base(s, p->base, ret_name, e);
		if (r == E_NOTFOUND)
			r = find_base_kept(s, p->base, ret_name, e);
		if (r == 0)
			r = read_plain(s, c, ret_name, WANT_BASE, DEPTH_MAX, &up, e);
		plain_unref(p);
		if (r < 0)
			return r;
		p = up;
	}
	*ret = p;
	return 0;
}

/* Compress into c->packed, as a difference where that pays. */
static int pack_plain(struct store *s, struct coder *c, struct span plain, struct plain *base,
	enum method *method, struct err *e)
{
	CLEANUP_BUF struct buf alone = BUF_INIT;
	c->packed.len = 0;
	*method = base ? METHOD_DELTA : METHOD_ZSTD;
	int r = zs_compress(c->zs, s->txn->level,
		base ? buf_span(&base->data) : (struct span){NULL, 0}, plain, &c->packed, e);
	if (r == 0 && base && c->packed.len > 512 &&
		c->packed.len > base->packed_len / 2) {
		/* It has drifted far: a fresh start may be as small and is quicker to read. */
		r = zs_compress(c->zs, s->txn->level, (struct span){NULL, 0}, plain, &alone, e);
		if (r == 0 && alone.len <= c->packed.len + c->packed.len / 4) {
			struct buf t = c->packed;
			c->packed = alone;
			alone = t;
			*method = METHOD_ZSTD;
		}
	}
	if (r == 0 && c->packed.len >= plain.n)
		*method = METHOD_STORE;
	return r;
}

static int put_frame(struct store *s, struct coder *c, struct pack_blob *b, struct span plain,
	struct plain *parent, const struct name *parent_name, struct err *e)
{
	CLEANUP_PLAIN struct plain *base = NULL;
	struct name base_name;
	enum method method;
	if (parent && choose_base(s, c, parent, parent_name, &base_name, &base, NULL) < 0)
		base = NULL; /* unreadable: store it whole, which also heals */
	int r = pack_plain(s, c, plain, base, &method, e);
	if (r < 0)
		return r;
	if (method == METHOD_DELTA) {
		memcpy(b->base, base_name.b, BASE_BYTES);
		b->depth = (uint8_t)(base->depth + 1);
	}
	return add_frame_locked(s, method, method == METHOD_STORE ? plain : buf_span(&c->packed),
		(uint32_t)plain.n, b, 1, e);
}

/* True when the blob is there or on its way; else it is ours to write. *ret_doomed: there are copies that may
 * not be relied on. */
static int reserve(struct store *s, const struct name *name, bool *ret_there, bool *ret_doomed,
	struct err *e)
{
	LOCK_SCOPE(&s->m);
	*ret_doomed = false;
	*ret_there = pending_find(&s->txn->pending, name) != NULL;
	if (*ret_there)
		return 0;
	int r = find_sound(s, name, true, false, ret_there, ret_doomed, e);
	return r == 0 && !*ret_there ? pending_add(&s->txn->pending, name, e) : r;
}

/* As reserve(), for a blob that is there kept: is it there inflated, too? */
static int reserve_inflated(struct store *s, const struct name *name, bool *ret_there,
	struct err *e)
{
	bool others;
	LOCK_SCOPE(&s->m);
	*ret_there = pending_find(&s->txn->pending, name) != NULL;
	if (*ret_there)
		return 0;
	int r = find_sound(s, name, false, true, ret_there, &others, e);
	if (r < 0 || *ret_there)
		return r;
	return others ? pending_add(&s->txn->pending, name, e)
		      : err_set(e, E_NOTFOUND, 0, "there is no such blob");
}

/* Inflate what is kept and write it. *ret is its plain form, NULL when there was nothing to do. */
static int write_inflated(struct store *s, struct coder *c, enum form form,
	const struct name *name, struct plain **ret, struct err *e)
{
	CLEANUP_BUF struct buf canon = BUF_INIT;
	bool there;
	*ret = NULL;
	int r = store_get(s, c, name, &canon, e);
	if (r == 0)
		r = reserve_inflated(s, name, &there, e);
	if (r < 0 || there)
		return r;
	CLEANUP_PLAIN struct plain *p = plain_new();
	if (!p)
		return err_set(e, E_NOMEM, 0, "no memory for a blob");
	r = form_encode(c->rs, s->keys, form, buf_span(&canon), (struct span){NULL, 0},
		&p->data, e);
	if (r < 0)
		return r;
	struct pack_blob b = {.name = *name, .form = (uint8_t)form,
		.plain_len = (uint32_t)p->data.len, .canon_len = (uint32_t)canon.len};
	r = put_frame(s, c, &b, buf_span(&p->data), NULL, NULL, e);
	if (r < 0)
		return r;
	p->form = (uint8_t)form;
	p->method = METHOD_ZSTD;
	p->canon_len = (uint32_t)canon.len;
	p->packed_len = (uint32_t)c->packed.len + SEAL_TAG_BYTES;
	plain_cache_put(s->cache, name, p);
	*ret = TAKE_PTR(p);
	return 0;
}

int store_recompress(struct store *s, struct coder *c, const struct name *name, bool *ret_done,
	struct err *e)
{
	struct blob_loc l;
	bool read;
	*ret_done = false;
	int r = txn_find(s, name, &l, NULL, &read, NULL);
	if (r == E_NOTFOUND)
		r = index_find(s->index, name, 0, &l, e);
	if (r == E_NOTFOUND)
		return err_set(e, r, 0, "there is no such blob");
	enum form form = form_named(l.form);
	if (r < 0 || (form != FORM_GROUP && form != FORM_STREAM))
		return r;
	CLEANUP_PLAIN struct plain *p = NULL;
	r = write_inflated(s, c, form, name, &p, e);
	*ret_done = p != NULL;
	return r;
}

static bool has_form(struct store *s, const struct name *name, enum form form)
{
	struct blob_loc l;
	return index_find(s->index, name, 0, &l, NULL) == 0 && form_named(l.form) == form;
}

/* The older version's plain form, for a difference against it; NULL when it will not do. One that was
 * kept as it is so far is inflated now that it has a second version. */
static int open_parent(struct store *s, struct coder *c, enum form form, const struct name *name,
	struct plain **ret, struct err *e)
{
	struct err own = ERR_INIT;
	int r = read_plain(s, c, name, WANT_BASE, DEPTH_MAX, ret, NULL);
	if (r < 0 && form != FORM_RAW && has_form(s, name, form)) {
		r = write_inflated(s, c, form, name, ret, &own);
		if (r < 0 && r != E_CORRUPT && r != E_NOTFOUND && r != E_UNSUPPORTED)
			return err_pass(e, &own);
	}
	if (r < 0)
		*ret = NULL;
	if (*ret && (*ret)->form != form)
		plain_unref(TAKE_PTR(*ret));
	return 0;
}

/* As it is. Its streams are compressed already, but those of small chunks have much in common. */
static int put_kept(struct store *s, struct coder *c, enum form form, const struct name *name,
	struct span canon, struct err *e)
{
	struct pack_blob b = {.name = *name, .form = (uint8_t)form,
		.plain_len = (uint32_t)canon.n, .canon_len = (uint32_t)canon.n};
	c->packed.len = 0;
	int r = zs_compress(c->zs, KEPT_LEVEL, (struct span){NULL, 0}, canon, &c->packed, e);
	bool smaller = c->packed.len < canon.n - canon.n / 32;
	return r < 0 ? r
		     : add_frame_locked(s, smaller ? METHOD_ZSTD : METHOD_STORE,
			       smaller ? buf_span(&c->packed) : canon, (uint32_t)canon.n, &b, 1, e);
}

int store_put(struct store *s, struct coder *c, enum form form, struct span canon,
	const struct name *base, struct name *ret, struct err *e)
{
	bool there, doomed;
	name_of(s->keys, form_named(form), canon, ret);
	int r = reserve(s, ret, &there, &doomed, e);
	if (r < 0 || there)
		return r;
	if (form_is_kept(form))
		return put_kept(s, c, form, ret, canon, e);
	CLEANUP_PLAIN struct plain *parent = NULL;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	/* What is stored again since its copy is doomed is stored whole: a base might rest on that copy. */
	r = base && !doomed ? open_parent(s, c, form, base, &parent, e) : 0;
	if (r < 0)
		return r;
	struct span known = parent ? buf_span(&parent->data) : (struct span){NULL, 0};
	struct span face = canon;
	if (form != FORM_RAW) {
		r = form_encode(c->rs, s->keys, form, canon, known, &plain, e);
		face = buf_span(&plain);
	}
	if (r < 0)
		return r;
	struct pack_blob b = {.name = *ret, .form = (uint8_t)form,
		.plain_len = (uint32_t)face.n, .canon_len = (uint32_t)canon.n};
	if (!parent && face.n <= SOLID_BLOB_MAX)
		return put_solid(s, c, &b, face, e);
	return put_frame(s, c, &b, face, parent, base, e);
}

int store_commit(struct store *s, struct coder *c, struct err *e)
{
	struct txn *t = s->txn;
	struct solid last = t->solid;
	t->solid = (struct solid){0};
	int r = t->broken ? tell_reason(t, e) : write_solid(s, c, &last, e);
	solid_free(&last);
	pthread_mutex_lock(&s->m);
	if (r == 0)
		r = finish_pack(s, e);
	if (r == 0)
		r = flush_index(s, e);
	pthread_mutex_unlock(&s->m);
	if (r == 0) {
		pending_free(&t->pending);
		buf_free(&t->records);
		s->txn = NULL;
		free(t);
	}
	return r;
}

void store_abort(struct store *s)
{
	struct txn *t = s->txn;
	struct err ignored = ERR_INIT;
	if (!t) {
		let_go(s);
		return;
	}
	pthread_mutex_lock(&s->m);
	/* Whole frames are worth keeping: an interrupted first snapshot goes on where it was. */
	bool kept = !t->broken && finish_pack(s, &ignored) == 0;
	if (kept && flush_index(s, &ignored) < 0)
		log_say(&s->log, LOG_WARN, "%s", ignored.msg);
	pack_abort(TAKE_PTR(t->pack));
	pending_free(&t->pending);
	solid_free(&t->solid);
	buf_free(&t->records);
	s->txn = NULL;
	pthread_mutex_unlock(&s->m);
	free(t);
	let_go(s);
}

/* ---- what compact writes ---- */

/* Enter a name that the index knows elsewhere, to write one more copy. *ret_there: it is on its way. */
static int reserve_copy(struct store *s, const struct name *name, bool *ret_there, struct err *e)
{
	LOCK_SCOPE(&s->m);
	*ret_there = pending_find(&s->txn->pending, name) != NULL;
	return *ret_there ? 0 : pending_add(&s->txn->pending, name, e);
}

static struct pack_blob describe_copy(const struct rewrite_blob *b)
{
	struct pack_blob p = {.name = b->name, .form = b->loc.form, .depth = b->loc.depth,
		.plain_len = b->loc.plain_len, .canon_len = b->loc.canon_len};
	memcpy(p.base, b->loc.base, BASE_BYTES);
	return p;
}

/* A frame's bytes compressed again at a level: in *ret, when that is smaller (else *ret is empty). What it was
 * compressed against stays the same. */
static int pack_again(struct store *s, struct coder *c, const struct blob_loc *l, int level, struct buf *ret,
	struct err *e)
{
	CLEANUP_BUF struct buf plain = BUF_INIT;
	CLEANUP_PLAIN struct plain *base = NULL;
	struct name name;
	ret->len = 0;
	int r = decode_frame_of(s, c, l, &plain, e);
	if (r == 0 && l->method == METHOD_DELTA) {
		struct blob_loc ignored;
		r = txn_find_base(s, l->base, &name, e);
		if (r == E_NOTFOUND)
			r = index_find_base(s->index, l->base, &name, &ignored, e);
		if (r == 0)
			r = read_plain(s, c, &name, WANT_BASE, DEPTH_MAX, &base, e);
	}
	if (r == 0)
		r = zs_compress(c->zs, level, base ? buf_span(&base->data) : (struct span){NULL, 0},
			buf_span(&plain), ret, e);
	if (r == 0 && ret->len + SEAL_TAG_BYTES >= l->sealed_len)
		ret->len = 0;
	return r;
}

int store_frame_again(struct store *s, struct coder *c, const struct blob_loc *l, int level,
	uint64_t *ret, struct err *e)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	int r = pack_again(s, c, l, level, &again, e);
	*ret = again.len ? again.len + SEAL_TAG_BYTES : l->sealed_len;
	return r;
}

/* The whole frame under the seal of its new pack. */
static int copy_whole(struct store *s, struct coder *c, const struct rewrite_blob *v, size_t n, int level,
	struct err *e)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	CLEANUP_FREE struct pack_blob *blobs = calloc(n, sizeof *blobs);
	const struct blob_loc *l = &v[0].loc;
	if (!blobs)
		return err_set(e, E_NOMEM, 0, "no memory for a frame");
	for (size_t i = 0; i < n; i++)
		blobs[i] = describe_copy(&v[i]);
	int r = level ? pack_again(s, c, l, level, &again, e) : 0;
	if (r == 0 && again.len)
		return add_frame_locked(s, l->method == METHOD_STORE ? METHOD_ZSTD : (enum method)l->method,
			buf_span(&again), l->frame_plain, blobs, n, e);
	if (r == 0)
		r = read_frame_of(s, c, l, e);
	return r < 0 ? r
		     : add_frame_locked(s, (enum method)l->method, buf_span(&c->packed), l->frame_plain,
			       blobs, n, e);
}

/* Some of a solid frame's blobs, into the solid frame that is being filled. */
static int copy_some(struct store *s, struct coder *c, const struct rewrite_blob *v, size_t n,
	struct err *e)
{
	CLEANUP_BUF struct buf plain = BUF_INIT;
	int r = decode_frame_of(s, c, &v[0].loc, &plain, e);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (!v[i].wanted)
			continue;
		if ((uint64_t)v[i].loc.blob_off + v[i].loc.plain_len > plain.len)
			return err_set(e, E_CORRUPT, 0, "a pack gives a blob an impossible size");
		struct pack_blob b = describe_copy(&v[i]);
		r = put_solid(s, c, &b,
			span_of(plain.p + v[i].loc.blob_off, v[i].loc.plain_len), e);
	}
	return r;
}

int store_copy_frame(struct store *s, struct coder *c, struct rewrite_blob *v, size_t n, int level,
	struct err *e)
{
	size_t wanted = 0;
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		bool there = false;
		if (v[i].wanted)
			r = reserve_copy(s, &v[i].name, &there, e);
		v[i].wanted &= !there;
		wanted += v[i].wanted;
	}
	if (r < 0 || !wanted)
		return r;
	return wanted == n ? copy_whole(s, c, v, n, level, e) : copy_some(s, c, v, n, e);
}

int store_rekey_make(struct store *s, struct coder *c, const struct name *name, const struct name *base,
	uint8_t base_depth, struct rekeyed *ret, struct err *e)
{
	CLEANUP_PLAIN struct plain *p = NULL;
	CLEANUP_PLAIN struct plain *b = NULL;
	*ret = (struct rekeyed){0};
	int r = read_plain(s, c, name, WANT_BASE, DEPTH_MAX, &p, e);
	if (r == 0 && base)
		r = read_plain(s, c, base, WANT_BASE, DEPTH_MAX, &b, e);
	if (r == 0 && b && b->form != p->form)
		r = err_set(e, E_UNSUPPORTED, 0, "a difference between blobs of two forms");
	/* The old copy is about to go: what takes its place must be what the name says. */
	c->canon.len = 0;
	if (r == 0)
		r = decode_named(s, c, name, p, &c->canon, e);
	if (r < 0)
		return r;
	struct span plain = buf_span(&p->data);
	ret->method = b ? METHOD_DELTA : METHOD_ZSTD;
	r = zs_compress(c->zs, s->txn->level, b ? buf_span(&b->data) : (struct span){NULL, 0}, plain,
		&ret->packed, e);
	if (r == 0 && ret->packed.len >= plain.n) {
		ret->method = METHOD_STORE;
		ret->packed.len = 0;
		r = buf_add(&ret->packed, plain.p, plain.n, e);
	}
	ret->blob = (struct pack_blob){.name = *name, .form = p->form, .plain_len = (uint32_t)plain.n,
		.canon_len = p->canon_len};
	if (ret->method == METHOD_DELTA) {
		memcpy(ret->blob.base, base->b, BASE_BYTES);
		ret->blob.depth = (uint8_t)(base_depth + 1);
	}
	return r;
}

int store_rekey_put(struct store *s, const struct rekeyed *x, struct err *e)
{
	bool there;
	int r = reserve_copy(s, &x->blob.name, &there, e);
	return r < 0 || there ? r
			      : add_frame_locked(s, x->method, buf_span(&x->packed), x->blob.plain_len,
					&x->blob, 1, e);
}
