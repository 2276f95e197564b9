#include "fs/blobs.h"

#include <stdatomic.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/anvil/region.h"
#include "engine/base/cleanup.h"
#include "engine/base/wire.h"

#define RECORD_HEAD 5
#define RECORDS_ENOUGH 3 /* of a group, one by one: then the rest is made as well */
#define GZIP_HEADER 10 /* in front of a gzip stream's plain form */

struct making {
	struct fs *fs;
	const struct name *name;
	struct plain *plain; /* a group, for its records */
	const struct group_slot *slot;
	bool made; /* it was not in the cache */
};

static int own_piece(struct piece *p)
{
	p->data = buf_span(&p->own);
	return 0;
}

static int make_whole(void *ctx, struct coder *c, struct piece *p, struct err *e)
{
	struct making *m = ctx;
	CLEANUP_PLAIN struct plain *plain = NULL;
	int r = store_plain(m->fs->store, c, m->name, &plain, e);
	if (r < 0)
		return r;
	/* Raw bytes need no copy. The seal of the frame vouches for them, and the sealed index for the
	 * name; only a difference depends on a second blob, so that is checked by name. */
	if (plain->form == FORM_RAW && plain->method != METHOD_DELTA &&
		plain->data.len == plain->canon_len) {
		p->plain = TAKE_PTR(plain);
		p->data = buf_span(&p->plain->data);
		return 0;
	}
	r = buf_reserve_exact(&p->own, plain->canon_len, e);
	if (r == 0)
		r = store_get(m->fs->store, c, m->name, &p->own, e);
	return r < 0 ? r : own_piece(p);
}

static int get_piece(struct call *cl, const struct name *name, uint32_t what, piece_make make,
	struct making *m, struct piece **ret)
{
	struct piece_key key = {*name, what};
	m->fs = cl->fs;
	m->name = name;
	return fscache_get(cl->fs->cache, cl->c, &key, make, m, ret, &cl->e);
}

int blob_whole(struct call *cl, const struct name *name, struct piece **ret)
{
	struct making m = {0};
	return get_piece(cl, name, PIECE_WHOLE, make_whole, &m, ret);
}

bool blob_is_here(struct fs *fs, const struct name *name)
{
	struct piece_key key = {*name, PIECE_WHOLE};
	return fscache_has(fs->cache, &key);
}

/* ---- groups ---- */

static int open_group(struct store *s, struct coder *c, const struct name *name,
	struct plain **ret, struct group_slot slots[GROUP_SLOTS], struct err *e)
{
	int r = store_plain(s, c, name, ret, e);
	if (r < 0)
		return r;
	if ((*ret)->form != FORM_GROUP)
		r = err_set(e, E_CORRUPT, 0, "a group of chunks is something else");
	else
		r = group_parse(buf_span(&(*ret)->data), slots, e);
	if (r < 0) {
		plain_unref(*ret);
		*ret = NULL;
	}
	return r;
}

static int make_record(void *ctx, struct coder *c, struct piece *p, struct err *e)
{
	struct making *m = ctx;
	m->made = true;
	int r = buf_reserve_exact(&p->own, m->slot->canon_len, e);
	if (r == 0)
		r = group_record_checked(c->rs, m->fs->keys,
			buf_span(&m->plain->data), m->slot, &p->own, e);
	return r < 0 ? r : own_piece(p);
}

/* Of one reader at random a record here and there was wanted. When it has come back to this group as often as that,
 * all of it is worth making, by a helper. */
static void group_ahead(struct fs *fs, const struct name *name)
{
	unsigned here = 0;
	for (uint32_t i = 0; i < GROUP_SLOTS; i++) {
		struct piece_key key = {*name, PIECE_RECORD + i};
		here += fscache_has(fs->cache, &key);
	}
	if (here == RECORDS_ENOUGH)
		blob_ahead(fs, name, PIECE_WHOLE);
}

int blob_group_copy(struct call *cl, const struct name *name, uint32_t at, uint8_t *p, size_t n)
{
	CLEANUP_PLAIN struct plain *plain = NULL;
	struct group_slot slots[GROUP_SLOTS];
	int r = open_group(cl->fs->store, cl->c, name, &plain, slots, &cl->e);
	if (r < 0)
		return r;
	uint64_t end = (uint64_t)at + n, done = 0;
	bool made = false;
	for (unsigned i = 0; i < GROUP_SLOTS; i++) {
		const struct group_slot *s = &slots[i];
		uint64_t lo = s->canon_off, hi = lo + s->canon_len;
		if (!s->canon_len || hi <= at || lo >= end)
			continue;
		struct making m = {.plain = plain, .slot = s};
		CLEANUP_PIECE struct piece *rec = NULL;
		r = get_piece(cl, name, PIECE_RECORD + i, make_record, &m, &rec);
		if (r < 0)
			return r;
		made |= m.made;
		uint64_t from = lo > at ? lo : at, to = hi < end ? hi : end;
		memcpy(p + (from - at), rec->data.p + (from - lo), (size_t)(to - from));
		done += to - from;
	}
	if (made)
		group_ahead(cl->fs, name);
	if (done == n)
		return 0;
	/* A part of the mask in front of the records: take the canonical bytes as such. */
	CLEANUP_PIECE struct piece *whole = NULL;
	r = blob_whole(cl, name, &whole);
	if (r < 0)
		return r;
	if (at > whole->data.n || n > whole->data.n - at)
		return err_set(&cl->e, E_CORRUPT, 0, "a part of the file is shorter than it should be");
	memcpy(p, whole->data.p + at, n);
	return 0;
}

int chunk_judge(struct span record, struct chunk_slot *ret, struct buf *scratch, struct err *e)
{
	*ret = (struct chunk_slot){.state = CHUNK_DAMAGED};
	if (record.n < RECORD_HEAD)
		return 0;
	ret->type = record.p[4];
	if (ret->type & CHUNK_EXTERNAL) {
		ret->state = CHUNK_OUTSIDE;
		return 0;
	}
	scratch->len = 0;
	int r = chunk_decode(ret->type, span_sub(record, RECORD_HEAD, record.n), CHUNK_NBT_MAX,
		scratch, e);
	if (r == E_FORMAT)
		return 0;
	if (r < 0)
		return r;
	ret->state = CHUNK_FINE;
	ret->size = (uint32_t)scratch->len;
	return 0;
}

/* The length of a gzip chunk's NBT: its plain form has the stream's header in front. */
static uint32_t head_of(const struct group_slot *s)
{
	return (s->recipe & ~0xfu) == 0x20 || s->recipe == 0x32 ? GZIP_HEADER : 0;
}

static int judge_slot(struct coder *c, const struct plain *plain, const struct group_slot *s,
	struct chunk_slot *ret, struct buf *scratch, struct err *e)
{
	*ret = (struct chunk_slot){0};
	if (!s->canon_len)
		return 0;
	if (s->recipe != RECIPE_NONE && s->plain_len >= head_of(s)) {
		ret->state = CHUNK_FINE;
		ret->type = head_of(s) ? CHUNK_GZIP : CHUNK_ZLIB;
		ret->size = s->plain_len - head_of(s);
		return 0;
	}
	c->canon.len = 0;
	int r = group_record(c->rs, buf_span(&plain->data), s, &c->canon, e);
	return r < 0 ? r : chunk_judge(buf_span(&c->canon), ret, scratch, e);
}

static int make_table(void *ctx, struct coder *c, struct piece *p, struct err *e)
{
	struct making *m = ctx;
	CLEANUP_PLAIN struct plain *plain = NULL;
	CLEANUP_BUF struct buf scratch = BUF_INIT;
	struct group_slot slots[GROUP_SLOTS];
	int r = open_group(m->fs->store, c, m->name, &plain, slots, e);
	for (unsigned i = 0; i < GROUP_SLOTS && r == 0; i++) {
		struct chunk_slot cs;
		r = judge_slot(c, plain, &slots[i], &cs, &scratch, e);
		if (r == 0)
			r = buf_add(&p->own, &cs, sizeof cs, e);
	}
	return r < 0 ? r : own_piece(p);
}

int blob_table(struct call *cl, const struct name *name, struct piece **ret)
{
	struct making m = {0};
	return get_piece(cl, name, PIECE_TABLE, make_table, &m, ret);
}

static int make_nbt(void *ctx, struct coder *c, struct piece *p, struct err *e)
{
	struct making *m = ctx;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct span plain = buf_span(&m->plain->data);
	const struct group_slot *s = m->slot;
	int r;
	if (s->recipe == RECIPE_NONE) {
		r = group_record(c->rs, plain, s, &b, e);
		if (r == 0)
			r = chunk_decode(b.p[4], span_sub(buf_span(&b), RECORD_HEAD, b.len),
				CHUNK_NBT_MAX, &p->own, e);
	} else {
		r = buf_reserve_exact(&p->own, s->plain_len, e);
		if (r == 0)
			r = group_nbt(plain, s, &p->own, e);
	}
	if (r < 0)
		return r;
	p->data = buf_span(&p->own);
	return 0;
}

int blob_nbt(struct call *cl, const struct name *name, unsigned slot, struct piece **ret)
{
	CLEANUP_PLAIN struct plain *plain = NULL;
	struct group_slot slots[GROUP_SLOTS];
	int r = open_group(cl->fs->store, cl->c, name, &plain, slots, &cl->e);
	if (r < 0)
		return r;
	if (!slots[slot].canon_len)
		return err_set(&cl->e, E_CORRUPT, 0, "a chunk is missing in its group");
	struct making m = {.plain = plain, .slot = &slots[slot]};
	return get_piece(cl, name, PIECE_NBT + slot, make_nbt, &m, ret);
}

/* ---- ahead ---- */

void blob_ahead(struct fs *fs, const struct name *name, uint32_t what)
{
	struct piece_key key = {*name, what};
	if (!fscache_has(fs->cache, &key) && ahead_submit(fs->ahead, name, what))
		atomic_fetch_add(&fs->n.ahead, 1);
}

void blob_ahead_run(void *ctx, struct coder *c, const struct name *name, uint32_t what)
{
	struct fs *fs = ctx;
	struct call cl = {.fs = fs, .c = c};
	struct piece_key key = {*name, what};
	CLEANUP_PIECE struct piece *p = NULL;
	if (fscache_has(fs->cache, &key))
		return;
	pthread_rwlock_rdlock(&fs->index_lock);
	/* A failure will be met again, and told, by the one who really reads. */
	if (what == PIECE_TABLE)
		(void)!blob_table(&cl, name, &p);
	else
		(void)!blob_whole(&cl, name, &p);
	pthread_rwlock_unlock(&fs->index_lock);
}
