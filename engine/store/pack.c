#include "engine/store/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"

#define PLACE_FOOTER (UINT64_MAX - 1)
#define PLACE_TRAILER UINT64_MAX
#define TRAILER_BYTES (16 + SEAL_TAG_BYTES) /* u64 offset and u64 length of the sealed footer */
#define FOOTER_MAX ((uint64_t)256 << 20)

struct pack_writer {
	struct object_place *place;
	struct object_writer *w;
	struct id id;
	struct pack_key key;
	uint64_t size;
	uint32_t frames;
	struct buf list;   /* frame descriptions of the record */
	struct buf sealed; /* scratch */
};

uint64_t padded_size(uint64_t n)
{
	if (n < 256)
		return 256;
	unsigned e = 63 - (unsigned)__builtin_clzll(n);
	unsigned s = 32 - (unsigned)__builtin_clz(e);
	uint64_t mask = ((uint64_t)1 << (e - s)) - 1;
	return (n + mask) & ~mask;
}

char *pack_object_key(const struct id *id, char out[PACK_KEY_CHARS])
{
	char hex[2 * ID_BYTES + 1];
	hex_of(id->b, ID_BYTES, hex);
	memcpy(out, "packs/", 6);
	memcpy(out + 6, hex, 2);
	out[8] = '/';
	memcpy(out + 9, hex, sizeof hex);
	return out;
}

int pack_list(struct object_place *place, bool sizes, object_each fn, void *ctx, struct err *e)
{
	char dir[16];
	int r = 0;
	for (unsigned i = 0; i < 256 && r == 0; i++) {
		snprintf(dir, sizeof dir, "packs/%02x", i);
		r = sizes ? object_list(place, dir, fn, ctx, e) : object_list_names(place, dir, fn, ctx, e);
	}
	return r;
}

int blob_loc_put(struct buf *b, const struct blob_loc *l, struct err *e)
{
	const uint64_t v[] = {l->offset, l->place, l->sealed_len, l->frame_plain, l->blob_off,
		l->plain_len, l->canon_len};
	const uint8_t c[] = {l->method, l->form, l->depth};
	int r = buf_add(b, c, sizeof c, e);
	for (size_t i = 0; i < sizeof v / sizeof *v && r == 0; i++)
		r = put_var(b, v[i], e);
	if (r == 0 && l->method == METHOD_DELTA)
		r = buf_add(b, l->base, BASE_BYTES, e);
	return r;
}

int blob_loc_get(struct span s, struct blob_loc *l, struct err *e)
{
	struct rd r = rd_of(s);
	l->method = rd_u8(&r);
	l->form = rd_u8(&r);
	l->depth = rd_u8(&r);
	l->offset = rd_var(&r);
	l->place = (uint32_t)rd_var_max(&r, UINT32_MAX);
	l->sealed_len = (uint32_t)rd_var_max(&r, UINT32_MAX);
	l->frame_plain = (uint32_t)rd_var_max(&r, UINT32_MAX);
	l->blob_off = (uint32_t)rd_var_max(&r, UINT32_MAX);
	l->plain_len = (uint32_t)rd_var_max(&r, UINT32_MAX);
	l->canon_len = (uint32_t)rd_var_max(&r, UINT32_MAX);
	if (l->method == METHOD_DELTA) {
		struct span base = rd_raw(&r, BASE_BYTES);
		if (base.n)
			memcpy(l->base, base.p, BASE_BYTES);
	}
	return rd_done(&r, "a line of the index cache", e);
}

int pack_begin(struct pack_writer **ret, struct object_place *place, const struct keys *k,
	struct err *e)
{
	struct pack_writer *w = calloc(1, sizeof *w);
	if (!w)
		return err_set(e, E_NOMEM, 0, "no memory for a pack");
	w->place = place;
	crypto_random(w->id.b, ID_BYTES);
	pack_key_of(k, &w->id, &w->key);
	int r = object_begin(place, &w->w, e);
	if (r < 0) {
		free(w);
		return r;
	}
	*ret = w;
	return 0;
}

static void writer_free(struct pack_writer *w)
{
	crypto_wipe(&w->key, sizeof w->key);
	buf_free(&w->list);
	buf_free(&w->sealed);
	free(w);
}

void pack_abort(struct pack_writer *w)
{
	if (!w)
		return;
	object_abort(w->w);
	writer_free(w);
}

uint64_t pack_bytes(const struct pack_writer *w)
{
	return w->size;
}

const struct id *pack_id(const struct pack_writer *w)
{
	return &w->id;
}

static int append_sealed(struct pack_writer *w, uint64_t place, struct span s, struct err *e)
{
	w->sealed.len = 0;
	int r = frame_seal(&w->key, place, s, &w->sealed, e);
	if (r == 0)
		r = object_append(w->w, buf_span(&w->sealed), e);
	if (r == 0)
		w->size += w->sealed.len;
	return r;
}

static int describe(struct pack_writer *w, enum method method, uint64_t sealed_len,
	uint32_t frame_plain, const struct pack_blob *blobs, size_t n, struct err *e)
{
	int r = put_u8(&w->list, (uint8_t)method, e);
	if (r == 0)
		r = put_var(&w->list, sealed_len, e);
	if (r == 0)
		r = put_var(&w->list, frame_plain, e);
	if (r == 0)
		r = put_var(&w->list, n, e);
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct pack_blob *b = &blobs[i];
		r = buf_add(&w->list, b->name.b, NAME_BYTES, e);
		if (r == 0)
			r = put_u8(&w->list, b->form, e);
		if (r == 0)
			r = put_var(&w->list, b->plain_len, e);
		if (r == 0)
			r = put_var(&w->list, b->canon_len, e);
		if (r == 0 && method == METHOD_DELTA)
			r = put_u8(&w->list, b->depth, e);
		if (r == 0 && method == METHOD_DELTA)
			r = buf_add(&w->list, b->base, BASE_BYTES, e);
	}
	return r;
}

int pack_add(struct pack_writer *w, enum method method, struct span packed, uint32_t frame_plain,
	const struct pack_blob *blobs, size_t n, struct blob_loc *ret, struct err *e)
{
	*ret = (struct blob_loc){.pack = w->id,
		.offset = w->size,
		.place = w->frames,
		.sealed_len = (uint32_t)(packed.n + SEAL_TAG_BYTES),
		.frame_plain = frame_plain,
		.plain_len = blobs[0].plain_len,
		.canon_len = blobs[0].canon_len,
		.method = (uint8_t)method,
		.form = blobs[0].form,
		.depth = blobs[0].depth};
	memcpy(ret->base, blobs[0].base, BASE_BYTES);
	int r = append_sealed(w, w->frames, packed, e);
	if (r == 0)
		r = describe(w, method, ret->sealed_len, frame_plain, blobs, n, e);
	if (r == 0)
		w->frames++;
	return r;
}

int pack_read_back(struct pack_writer *w, const struct blob_loc *l, struct buf *out, struct err *e)
{
	return object_read_back(w->w, l->offset, l->sealed_len, out, e);
}

/* The record: id, size of the object, frames. In the footer, zeros follow it as padding. */
static int build_record(struct pack_writer *w, uint64_t size, struct buf *rec, struct err *e)
{
	int r = buf_add(rec, w->id.b, ID_BYTES, e);
	if (r == 0)
		r = put_u64(rec, size, e);
	if (r == 0)
		r = put_var(rec, w->frames, e);
	if (r == 0)
		r = buf_add(rec, w->list.p, w->list.len, e);
	return r;
}

static int write_footer(struct pack_writer *w, struct buf *rec, struct err *e)
{
	CLEANUP_BUF struct buf footer = BUF_INIT;
	uint64_t offset = w->size;
	/* The record's length does not depend on the size in it: fixed width. */
	int r = build_record(w, 0, &footer, e);
	if (r < 0)
		return r;
	uint64_t bare = offset + 4 + footer.len + SEAL_TAG_BYTES + TRAILER_BYTES;
	uint64_t total = padded_size(bare);
	r = build_record(w, total, rec, e);
	footer.len = 0;
	if (r == 0)
		r = put_u32(&footer, (uint32_t)rec->len, e);
	if (r == 0)
		r = buf_add(&footer, rec->p, rec->len, e);
	if (r == 0)
		r = buf_add_zero(&footer, (size_t)(total - bare), e);
	if (r == 0)
		r = append_sealed(w, PLACE_FOOTER, buf_span(&footer), e);
	uint8_t trailer[16];
	set_le64(trailer, offset);
	set_le64(trailer + 8, w->size - offset);
	if (r == 0)
		r = append_sealed(w, PLACE_TRAILER, span_of(trailer, sizeof trailer), e);
	return r;
}

int pack_finish(struct pack_writer *w, struct buf *record, struct err *e)
{
	char key[PACK_KEY_CHARS];
	CLEANUP_BUF struct buf rec = BUF_INIT;
	int r = write_footer(w, &rec, e);
	if (r < 0) {
		pack_abort(w);
		return err_wrap(e, "write a pack");
	}
	r = object_commit(TAKE_PTR(w->w), pack_object_key(&w->id, key), e);
	if (r == 0)
		r = buf_add(record, rec.p, rec.len, e);
	writer_free(w);
	return r < 0 ? err_wrap(e, "write a pack") : 0;
}

static int read_blob_line(struct rd *r, struct blob_loc *l, struct name *name)
{
	struct span n = rd_raw(r, NAME_BYTES);
	if (n.n)
		memcpy(name->b, n.p, NAME_BYTES);
	l->form = rd_u8(r);
	l->plain_len = (uint32_t)rd_var_max(r, UINT32_MAX);
	l->canon_len = (uint32_t)rd_var_max(r, UINT32_MAX);
	l->depth = 0;
	if (l->method == METHOD_DELTA) {
		l->depth = rd_u8(r);
		struct span b = rd_raw(r, BASE_BYTES);
		if (b.n)
			memcpy(l->base, b.p, BASE_BYTES);
	}
	return r->bad;
}

int pack_record_read(struct span record, struct pack_summary *sum, pack_each fn, void *ctx,
	struct err *e)
{
	struct rd r = rd_of(record);
	struct span id = rd_raw(&r, ID_BYTES);
	*sum = (struct pack_summary){0};
	if (id.n)
		memcpy(sum->id.b, id.p, ID_BYTES);
	sum->size = rd_u64(&r);
	sum->frames = rd_count(&r, 4);
	uint64_t offset = 0;
	for (uint64_t f = 0; f < sum->frames && !r.bad; f++) {
		struct blob_loc l = {.pack = sum->id, .offset = offset, .place = (uint32_t)f};
		l.method = rd_u8(&r);
		l.sealed_len = (uint32_t)rd_var_max(&r, UINT32_MAX);
		l.frame_plain = (uint32_t)rd_var_max(&r, UINT32_MAX);
		uint64_t n = rd_count(&r, NAME_BYTES), at = 0;
		offset += l.sealed_len;
		for (uint64_t i = 0; i < n; i++) {
			struct name name;
			l.blob_off = (uint32_t)at;
			if (read_blob_line(&r, &l, &name))
				break;
			at += l.plain_len;
			if (at > l.frame_plain || offset > sum->size) {
				r.bad = true;
				break;
			}
			sum->blobs++;
			int rc = fn ? fn(ctx, &name, &l, e) : 0;
			if (rc)
				return rc;
		}
	}
	return rd_done(&r, "the list of a pack's frames", e);
}

static int read_place(struct object_place *place, const char *key, const struct pack_key *pk,
	uint64_t at, uint64_t off, uint64_t n, struct buf *out, struct err *e)
{
	CLEANUP_BUF struct buf sealed = BUF_INIT;
	int r = object_read(place, key, off, (size_t)n, &sealed, e);
	return r < 0 ? r : frame_open(pk, at, buf_span(&sealed), out, e);
}

int pack_read_footer(struct object_place *place, const struct keys *k, const struct id *id,
	struct buf *record, struct err *e)
{
	char key[PACK_KEY_CHARS];
	struct pack_key pk;
	uint64_t size;
	CLEANUP_BUF struct buf t = BUF_INIT;
	CLEANUP_BUF struct buf f = BUF_INIT;
	pack_object_key(id, key);
	pack_key_of(k, id, &pk);
	int r = object_size(place, key, &size, e);
	if (r == 0 && size < TRAILER_BYTES)
		r = err_set(e, E_CORRUPT, 0, "it has only %llu bytes", (unsigned long long)size);
	if (r == 0)
		r = read_place(place, key, &pk, PLACE_TRAILER, size - TRAILER_BYTES, TRAILER_BYTES,
			&t, e);
	if (r == 0) {
		uint64_t off = get_le64(t.p), len = get_le64(t.p + 8);
		if (len > FOOTER_MAX || off > size || len > size - off)
			r = err_set(e, E_CORRUPT, 0, "its footer is out of bounds");
		else
			r = read_place(place, key, &pk, PLACE_FOOTER, off, len, &f, e);
	}
	crypto_wipe(&pk, sizeof pk);
	if (r == 0) {
		struct rd rd = rd_of(buf_span(&f));
		struct span rec = rd_raw(&rd, rd_u32(&rd));
		r = rd.bad ? err_set(e, E_CORRUPT, 0, "its footer is not well formed")
			   : buf_add(record, rec.p, rec.n, e);
	}
	return r < 0 ? err_wrap(e, "pack %s", key + 9) : 0;
}
