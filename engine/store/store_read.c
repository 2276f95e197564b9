/* Reading blobs: find the frame, its bases, decode, and make sure that it is what was asked for. */
#include "engine/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"

bool store_has(struct store *s, const struct name *name)
{
	struct blob_loc l;
	bool read, there = false, others;
	if (txn_find(s, name, &l, NULL, &read, NULL) == 0)
		return true;
	return find_sound(s, name, false, false, &there, &others, NULL) == 0 && there;
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
	struct blob_loc copy;
	for (unsigned nth = 1; (r == E_CORRUPT || r == E_IO) &&
		index_find(s->index, name, nth, &copy, NULL) == 0; nth++)
		if (read_copy(s, c, name, want, nth, depth, ret, NULL) == 0)
			return 0;
	return r;
}

/* Compact moves blobs under the feet of those who read, and the index cache may turn out to be damaged. */
static int read_again(struct store *s, struct coder *c, const struct name *name, enum want want,
	struct plain **ret, struct err *e)
{
	uint64_t refreshes = count_refreshes(s);
	struct err own = ERR_INIT; /* what failed before it succeeded is nobody's business */
	c->missing = false;
	int r = read_plain(s, c, name, want, DEPTH_MAX, ret, &own);
	for (int tries = 0; ((r == E_CORRUPT && c->missing) || (r < 0 && index_file_failed(s->index))) &&
		tries < 5; tries++) {
		if (!look_again(s, refreshes, tries == 0))
			break;
		c->missing = false;
		r = read_plain(s, c, name, want, DEPTH_MAX, ret, &own);
	}
	return r < 0 ? err_pass(e, &own) : r;
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

int decode_named(struct store *s, struct coder *c, const struct name *name, const struct plain *p,
	struct buf *out, struct err *e)
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
