#include "engine/codec/restream.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/codec/exact_deflate.h"
#include "engine/codec/foreign.h"

#define GZIP_HEADER 10
#define ZLIB_HEADER 2
#define KIND_ZLIB 0x10u
#define KIND_GZIP 0x20u
#define FOREIGN_ZLIB 0x31u
#define FOREIGN_GZIP 0x32u
/* A side larger than this share of its stream gains too little over keeping the stream. */
#define SIDE_SHARE 2

struct restreamer {
	struct inflater *inf;
	struct exact_deflate *def;
	struct foreign *foreign; /* made when first needed: most worlds never do */
	struct buf again;	 /* the stream as made for a proof */
	enum restream_by by;
};

int restreamer_new(struct restreamer **ret, struct err *e)
{
	struct restreamer *rs = calloc(1, sizeof *rs);
	if (!rs)
		return err_set(e, E_NOMEM, 0, "no memory for streams");
	int r = inflater_new(&rs->inf, e);
	if (r == 0)
		r = exact_deflate_new(&rs->def, e);
	if (r < 0) {
		restreamer_free(rs);
		return r;
	}
	*ret = rs;
	return 0;
}

void restreamer_free(struct restreamer *rs)
{
	if (!rs)
		return;
	inflater_free(rs->inf);
	exact_deflate_free(rs->def);
	foreign_free(rs->foreign);
	buf_free(&rs->again);
	free(rs);
}

/* The level that the stream's header hints at. zlib writes 2 bits (FLEVEL); java.util.zip's gzip
 * writes nothing, and 6 is then by far the most likely. */
static unsigned guess_recipe(enum stream_wrap wrap, struct span s)
{
	static const unsigned by_flevel[] = {1, 5, 6, 9};
	if (wrap == WRAP_ZLIB)
		return KIND_ZLIB | by_flevel[s.p[1] >> 6];
	return KIND_GZIP | (s.p[8] == 2 ? 9 : s.p[8] == 4 ? 1 : 6);
}

int restream_open(struct restreamer *rs, enum stream_wrap wrap, struct span s, size_t max,
	struct buf *plain, unsigned *ret_recipe, struct err *e)
{
	size_t start = plain->len, used = 0;
	*ret_recipe = RECIPE_NONE;
	if (wrap == WRAP_GZIP) {
		/* Only the plain ten bytes: no name, no comment, no extra field. */
		if (s.n < GZIP_HEADER + 8 || s.p[0] != 0x1f || s.p[1] != 0x8b || s.p[2] != 8 ||
			s.p[3] != 0)
			return 0;
		int r = buf_add(plain, s.p, GZIP_HEADER, e);
		if (r < 0)
			return r;
	} else if (s.n < 8 || s.p[0] != 0x78 || (s.p[1] & 0x20) ||
		   (s.p[0] * 256u + s.p[1]) % 31 != 0) {
		return 0;
	}
	struct err inner = ERR_INIT;
	int r = inflate_whole(rs->inf, wrap, s, max, plain, &used, &inner);
	if (r == 0 && used == s.n) {
		*ret_recipe = guess_recipe(wrap, s);
		return 0;
	}
	plain->len = start;
	if (r == E_NOMEM)
		return err_set(e, r, 0, "%s", inner.msg);
	return 0;
}

enum restream_by restreamer_by(struct restreamer *rs, enum restream_by by)
{
	enum restream_by old = rs->by;
	rs->by = by;
	return old;
}

enum restream_by restreamer_by_now(const struct restreamer *rs)
{
	return rs->by;
}

static int by_zlib(int level, enum exact_wrap wrap, struct span in, struct buf *out, struct err *e)
{
	z_stream z = {0};
	if (deflateInit2(&z, level, Z_DEFLATED, wrap == EXACT_RAW ? -15 : 15, 8,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(e, E_NOMEM, 0, "no memory for zlib");
	size_t room = deflateBound(&z, (uLong)in.n);
	int r = buf_reserve(out, room, e);
	if (r == 0) {
		z.next_in = (Bytef *)(uintptr_t)in.p;
		z.avail_in = (uInt)in.n;
		z.next_out = out->p + out->len;
		z.avail_out = (uInt)room;
		if (deflate(&z, Z_FINISH) == Z_STREAM_END)
			out->len += z.total_out;
		else
			r = err_set(e, E_NOMEM, 0, "zlib did not finish");
	}
	deflateEnd(&z);
	return r;
}

/* A classic stream, raw or with zlib's wrapping. */
static int make_classic(struct restreamer *rs, int level, enum exact_wrap wrap, struct span in,
	struct buf *out, struct err *e)
{
	if (rs->by == RESTREAM_ZLIB)
		return by_zlib(level, wrap, in, out, e);
	size_t start = out->len;
	int r = exact_deflate(rs->def, level, wrap, in, out, e);
	if (r == 0 && rs->by == RESTREAM_WRONG)
		out->p[start + (out->len - start) / 2] ^= 1;
	return r;
}

static int make_gzip(struct restreamer *rs, int level, struct span plain, struct buf *out,
	struct err *e)
{
	if (plain.n < GZIP_HEADER)
		return err_set(e, E_CORRUPT, 0, "gzip stream without a header");
	struct span body = span_sub(plain, GZIP_HEADER, plain.n);
	int r = buf_add(out, plain.p, GZIP_HEADER, e);
	if (r == 0)
		r = make_classic(rs, level, EXACT_RAW, body, out, e);
	if (r == 0)
		r = put_u32(out, (uint32_t)crc32_z(0, body.p, body.n), e);
	if (r == 0)
		r = put_u32(out, (uint32_t)body.n, e);
	return r;
}

bool restream_has_side(unsigned recipe)
{
	return recipe == FOREIGN_ZLIB || recipe == FOREIGN_GZIP;
}

static int need_foreign(struct restreamer *rs, struct err *e)
{
	return rs->foreign ? 0 : foreign_new(&rs->foreign, e);
}

static int make_foreign(struct restreamer *rs, unsigned recipe, struct span side,
	struct span plain, size_t max, struct buf *out, struct err *e)
{
	bool gzip = recipe == FOREIGN_GZIP;
	size_t head = gzip ? GZIP_HEADER : ZLIB_HEADER;
	struct span header = gzip ? plain : side;
	if (header.n < head)
		return err_set(e, E_CORRUPT, 0, "a stream without its header");
	struct span body = gzip ? span_sub(plain, head, plain.n) : plain;
	int r = need_foreign(rs, e);
	if (r == 0)
		r = buf_add(out, header.p, head, e);
	if (r == 0)
		r = foreign_make(rs->foreign, gzip ? side : span_sub(side, head, side.n), body, max,
			out, e);
	if (r == 0 && gzip)
		r = put_u32(out, (uint32_t)crc32_z(0, body.p, body.n), e);
	if (r == 0 && gzip)
		r = put_u32(out, (uint32_t)body.n, e);
	uint8_t adler[4];
	set_be32(adler, gzip ? 0 : (uint32_t)adler32_z(1, body.p, body.n));
	return r < 0 || gzip ? r : buf_add(out, adler, sizeof adler, e);
}

int restream_make(struct restreamer *rs, unsigned recipe, struct span side, struct span plain,
	size_t max, struct buf *out, struct err *e)
{
	int level = (int)(recipe & 0xf);
	if (restream_has_side(recipe))
		return make_foreign(rs, recipe, side, plain, max, out, e);
	if (level >= 1 && level <= 9 && (recipe & ~0xfu) == KIND_ZLIB)
		return make_classic(rs, level, EXACT_ZLIB, plain, out, e);
	if (level >= 1 && level <= 9 && (recipe & ~0xfu) == KIND_GZIP)
		return make_gzip(rs, level, plain, out, e);
	return err_set(e, E_UNSUPPORTED, 0, "unknown recipe 0x%x for a stream: use a newer mcfs",
		recipe);
}

static int makes(struct restreamer *rs, unsigned recipe, struct span side, struct span stream,
	struct span plain, bool *ret, struct err *e)
{
	rs->again.len = 0;
	int r = restream_make(rs, recipe, side, plain, stream.n, &rs->again, e);
	*ret = r == 0 && rs->again.len == stream.n &&
	       memcmp(rs->again.p, stream.p, stream.n) == 0;
	return r;
}

/* Describe what the classic recipes do not make; kept only when it is small. */
static int prove_foreign(struct restreamer *rs, unsigned kind, struct span stream,
	struct span plain, unsigned *ret_recipe, struct buf *side, struct err *e)
{
	bool gzip = kind == KIND_GZIP, same = false;
	size_t head = gzip ? GZIP_HEADER : ZLIB_HEADER, tail = gzip ? 8 : 4, start = side->len;
	struct span deflate = span_sub(stream, head, stream.n - head - tail);
	struct span body = gzip ? span_sub(plain, head, plain.n) : plain;
	struct err own = ERR_INIT;
	unsigned recipe = gzip ? FOREIGN_GZIP : FOREIGN_ZLIB;
	int r = need_foreign(rs, e);
	if (r == 0 && !gzip)
		r = buf_add(side, stream.p, head, e);
	if (r < 0)
		return r;
	r = foreign_describe(rs->foreign, deflate, body, side, &own);
	if (r == 0 && side->len - start <= stream.n / SIDE_SHARE) {
		r = makes(rs, recipe, span_of(side->p + start, side->len - start), stream, plain,
			&same, &own);
	}
	if (r == 0 && same) {
		*ret_recipe = recipe;
		return 0;
	}
	side->len = start;
	if (r == E_NOMEM)
		return err_pass(e, &own);
	return 0;
}

int restream_prove(struct restreamer *rs, unsigned guess, struct span stream, struct span plain,
	unsigned *ret_recipe, struct buf *side, struct err *e)
{
	/* Behind the guess, the other levels that share its header. For gzip always the same: most of
	 * its writers leave the level out of the header. Real worlds need the first in 99.9 % of all cases. */
	static const uint8_t others[10][4] = {
		[1] = {1, 0}, [5] = {5, 4, 3, 2}, [6] = {6, 0}, [9] = {9, 8, 7, 0}};
	static const uint8_t gzip_levels[4] = {6, 9, 1, 0};
	unsigned kind = guess & ~0xfu, level = guess & 0xf;
	const uint8_t *try = kind == KIND_GZIP ? gzip_levels : level < 10 ? others[level] : NULL;
	*ret_recipe = RECIPE_NONE;
	for (int i = 0; try && i < 4 && try[i]; i++) {
		bool same;
		int r = makes(rs, kind | try[i], (struct span){NULL, 0}, stream, plain, &same, e);
		if (r < 0)
			return r;
		if (same) {
			*ret_recipe = kind | try[i];
			return 0;
		}
	}
	return prove_foreign(rs, kind, stream, plain, ret_recipe, side, e);
}
