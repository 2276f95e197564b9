#include "engine/anvil/chunk.h"

#include <string.h>

#include "engine/anvil/nbt.h"
#include "engine/anvil/region.h"
#include "engine/base/wire.h"
#include "engine/codec/inflate.h"
#include "engine/codec/lz4block.h"

/* ---- streams ---- */

static int decode_deflate(enum stream_wrap wrap, struct span in, size_t max, struct buf *out,
	bool *ret_whole, struct err *e)
{
	struct inflater *f;
	struct err whole = ERR_INIT;
	size_t used;
	int r = inflater_new(&f, e);
	if (r < 0)
		return r;
	r = inflate_whole(f, wrap, in, max, out, &used, &whole);
	inflater_free(f);
	*ret_whole = r == 0;
	if (r == E_FORMAT)
		return inflate_lenient(wrap, in, max, out, e);
	return r < 0 ? err_set(e, r, 0, "%s", whole.msg) : 0;
}

static int decode_raw(struct span in, size_t max, struct buf *out, struct err *e)
{
	if (in.n == 0)
		return err_set(e, E_FORMAT, 0, "the chunk has no bytes");
	if (in.n > max)
		return err_set(e, E_FORMAT, 0, "the chunk has more than %zu bytes", max);
	return buf_add(out, in.p, in.n, e);
}

int chunk_decode(unsigned type, struct span in, size_t max, struct buf *out, struct err *e)
{
	size_t start = out->len;
	bool whole = true;
	int r;
	switch (type) {
	case CHUNK_GZIP:
		r = decode_deflate(WRAP_GZIP, in, max, out, &whole, e);
		break;
	case CHUNK_ZLIB:
		r = decode_deflate(WRAP_ZLIB, in, max, out, &whole, e);
		break;
	case CHUNK_RAW:
		r = decode_raw(in, max, out, e);
		break;
	case CHUNK_LZ4:
		r = lz4block_decode(in, max, out, &whole, e);
		break;
	default:
		r = err_set(e, E_FORMAT, 0, "the chunk has an unknown type of compression (%u)",
			type);
	}
	if (r == 0 && !whole) {
		r = nbt_check(span_of(out->p + start, out->len - start), e);
		if (r < 0)
			r = err_set(e, r, 0, "the chunk's stream is damaged or cut short");
	}
	if (r < 0)
		out->len = start;
	return r;
}

/* ---- what the NBT says ---- */

struct found {
	struct chunk_info *info;
	bool has_x, has_z;
};

static void note(struct found *f, const struct nbt_tag *t)
{
	struct chunk_info *i = f->info;
	if (nbt_is(t, NBT_INT, "xPos")) {
		i->x = (int32_t)t->number;
		f->has_x = true;
	} else if (nbt_is(t, NBT_INT, "zPos")) {
		i->z = (int32_t)t->number;
		f->has_z = true;
	} else if (nbt_is(t, NBT_INTS, "Position") && t->count == 2) {
		i->x = (int32_t)get_be32(t->raw.p);
		i->z = (int32_t)get_be32(t->raw.p + 4);
		f->has_x = f->has_z = true;
		i->is_entities = true;
	} else if (nbt_is(t, NBT_COMPOUND, "Sections")) {
		i->is_poi = true;
	} else if (nbt_is(t, NBT_INT, "DataVersion")) {
		i->data_version = (int32_t)t->number;
	} else if (nbt_is(t, NBT_LONG, "InhabitedTime")) {
		i->inhabited_time = t->number;
		i->has_inhabited = true;
	} else if (nbt_is(t, NBT_LONG, "LastUpdate")) {
		i->last_update = t->number;
		i->has_last_update = true;
	} else if (nbt_is(t, NBT_STRING, "Status")) {
		size_t n = t->raw.n < sizeof i->status ? t->raw.n : sizeof i->status - 1;
		memset(i->status, 0, sizeof i->status);
		memcpy(i->status, t->raw.p, n);
	}
}

/* The next tag that stands in the root or in the root's Level; others are passed over. */
static int next_of_chunk(struct nbt_reader *r, struct nbt_tag *t, struct err *e)
{
	int rc;
	while ((rc = nbt_next(r, t, e)) == 1) {
		if (t->type == NBT_END || t->depth == 0)
			continue;
		if (t->depth == 1 && nbt_is(t, NBT_COMPOUND, "Level"))
			continue;
		rc = nbt_skip(r, t, e);
		return rc < 0 ? rc : 1;
	}
	return rc;
}

int chunk_info_read(struct span nbt, struct chunk_info *ret, struct err *e)
{
	struct nbt_reader r;
	struct nbt_tag t;
	struct found f = {.info = ret};
	int rc;
	*ret = (struct chunk_info){0};
	nbt_open(&r, nbt);
	while ((rc = next_of_chunk(&r, &t, e)) == 1)
		note(&f, &t);
	ret->has_pos = f.has_x && f.has_z;
	return rc;
}

/* ---- comparing ---- */

/* The next long that a save changes; 0 behind the last. */
static int next_time(struct nbt_reader *r, struct nbt_tag *t)
{
	int rc;
	while ((rc = next_of_chunk(r, t, NULL)) == 1)
		if (nbt_is(t, NBT_LONG, "LastUpdate") || nbt_is(t, NBT_LONG, "InhabitedTime"))
			break;
	return rc;
}

/* The game writes the keys of a compound always in the same order, so that documents which differ in
 * two values of fixed size have them at the same places. */
bool chunk_equal_but_times(struct span a, struct span b)
{
	struct nbt_reader ra, rb;
	struct nbt_tag ta, tb;
	size_t at = 0;
	if (a.n != b.n)
		return false;
	if (a.n == 0 || memcmp(a.p, b.p, a.n) == 0)
		return true;
	nbt_open(&ra, a);
	nbt_open(&rb, b);
	for (;;) {
		int more = next_time(&ra, &ta);
		if (more < 0 || next_time(&rb, &tb) != more)
			return false;
		size_t end = more ? (size_t)(ta.raw.p - a.p) : a.n;
		if (more && (size_t)(tb.raw.p - b.p) != end)
			return false;
		if (memcmp(a.p + at, b.p + at, end - at) != 0)
			return false;
		if (!more)
			return true;
		at = end + ta.raw.n;
	}
}
