#include "engine/codec/restream.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/codec/exact_deflate.h"

#define GZIP_HEADER 10
#define KIND_ZLIB 0x10u
#define KIND_GZIP 0x20u

struct restreamer {
	struct inflater *inf;
	struct exact_deflate *def;
	struct buf again; /* the stream as made for a proof */
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

static int make_gzip(struct restreamer *rs, int level, struct span plain, struct buf *out,
	struct err *e)
{
	if (plain.n < GZIP_HEADER)
		return err_set(e, E_CORRUPT, 0, "gzip stream without a header");
	struct span body = span_sub(plain, GZIP_HEADER, plain.n);
	int r = buf_add(out, plain.p, GZIP_HEADER, e);
	if (r == 0)
		r = exact_deflate(rs->def, level, EXACT_RAW, body, out, e);
	if (r == 0)
		r = put_u32(out, (uint32_t)crc32_z(0, body.p, body.n), e);
	if (r == 0)
		r = put_u32(out, (uint32_t)body.n, e);
	return r;
}

int restream_make(struct restreamer *rs, unsigned recipe, struct span plain, struct buf *out,
	struct err *e)
{
	int level = (int)(recipe & 0xf);
	if (level >= 1 && level <= 9 && (recipe & ~0xfu) == KIND_ZLIB)
		return exact_deflate(rs->def, level, EXACT_ZLIB, plain, out, e);
	if (level >= 1 && level <= 9 && (recipe & ~0xfu) == KIND_GZIP)
		return make_gzip(rs, level, plain, out, e);
	return err_set(e, E_CORRUPT, 0, "unknown recipe 0x%x for a stream", recipe);
}

static int makes(struct restreamer *rs, unsigned recipe, struct span stream, struct span plain,
	bool *ret, struct err *e)
{
	rs->again.len = 0;
	int r = restream_make(rs, recipe, plain, &rs->again, e);
	*ret = r == 0 && rs->again.len == stream.n &&
	       memcmp(rs->again.p, stream.p, stream.n) == 0;
	return r;
}

int restream_prove(struct restreamer *rs, unsigned guess, struct span stream, struct span plain,
	unsigned *ret_recipe, struct err *e)
{
	/* Behind the guess, the other levels that share its header; 6 and 9 for gzip, whose header
	 * says nothing. Real worlds need the first in 99.9 % of all cases. */
	static const uint8_t others[10][4] = {
		[1] = {1, 0}, [5] = {5, 4, 3, 2}, [6] = {6, 0}, [9] = {9, 8, 7, 0}};
	static const uint8_t gzip_levels[4] = {6, 9, 1, 0};
	unsigned kind = guess & ~0xfu, level = guess & 0xf;
	const uint8_t *try = kind == KIND_GZIP ? gzip_levels : level < 10 ? others[level] : NULL;
	*ret_recipe = RECIPE_NONE;
	for (int i = 0; try && i < 4 && try[i]; i++) {
		bool same;
		int r = makes(rs, kind | try[i], stream, plain, &same, e);
		if (r < 0)
			return r;
		if (same) {
			*ret_recipe = kind | try[i];
			return 0;
		}
	}
	return 0;
}
