#include "engine/codec/inflate.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <zlib.h>

struct inflater {
	struct libdeflate_decompressor *d;
};

int inflater_new(struct inflater **ret, struct err *e)
{
	struct inflater *f = calloc(1, sizeof *f);
	if (f)
		f->d = libdeflate_alloc_decompressor();
	if (!f || !f->d) {
		free(f);
		return err_set(e, E_NOMEM, 0, "no memory for inflate");
	}
	*ret = f;
	return 0;
}

void inflater_free(struct inflater *f)
{
	if (!f)
		return;
	libdeflate_free_decompressor(f->d);
	free(f);
}

static enum libdeflate_result attempt(struct inflater *f, enum stream_wrap wrap, struct span in,
	uint8_t *p, size_t cap, size_t *used, size_t *got)
{
	switch (wrap) {
	case WRAP_ZLIB:
		return libdeflate_zlib_decompress_ex(f->d, in.p, in.n, p, cap, used, got);
	case WRAP_GZIP:
		return libdeflate_gzip_decompress_ex(f->d, in.p, in.n, p, cap, used, got);
	default:
		return libdeflate_deflate_decompress_ex(f->d, in.p, in.n, p, cap, used, got);
	}
}

int inflate_whole(struct inflater *f, enum stream_wrap wrap, struct span in, size_t max,
	struct buf *out, size_t *ret_used, struct err *e)
{
	/* Chunks inflate about sevenfold; a second attempt with more room is rare. */
	size_t cap = in.n < max / 12 ? in.n * 12 + 4096 : max;
	for (;;) {
		if (cap > max)
			cap = max;
		int r = buf_reserve(out, cap, e);
		if (r < 0)
			return r;
		size_t got = 0;
		switch (attempt(f, wrap, in, out->p + out->len, cap, ret_used, &got)) {
		case LIBDEFLATE_SUCCESS:
			out->len += got;
			return 0;
		case LIBDEFLATE_INSUFFICIENT_SPACE:
			if (cap == max)
				return err_set(e, E_FORMAT, 0,
					"stream inflates to more than %zu bytes", max);
			cap = cap > max / 4 ? max : cap * 4;
			continue;
		default:
			return err_set(e, E_FORMAT, 0, "stream is damaged or cut short");
		}
	}
}

int inflate_lenient(enum stream_wrap wrap, struct span in, size_t max, struct buf *out,
	struct err *e)
{
	static const int bits[] = {[WRAP_RAW] = -15, [WRAP_ZLIB] = 15, [WRAP_GZIP] = 31};
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
	if (in.n > UINT32_MAX / 2)
		return err_set(e, E_FORMAT, 0, "a stream of %zu bytes is too long", in.n);
	if (inflateInit2(&z, bits[wrap]) != Z_OK)
		return err_set(e, E_NOMEM, 0, "no memory for inflate");
	size_t start = out->len;
	int r = 0, zr = Z_OK;
	while (zr == Z_OK && out->len - start < max) {
		size_t room = max - (out->len - start);
		if (room > 65536)
			room = 65536;
		r = buf_reserve(out, room, e);
		if (r < 0)
			break;
		z.next_out = out->p + out->len;
		z.avail_out = (uInt)room;
		zr = inflate(&z, Z_SYNC_FLUSH);
		out->len += room - z.avail_out;
		if (z.avail_out == room)
			break; /* no progress: the input is used up */
	}
	inflateEnd(&z);
	if (r == 0 && out->len == start)
		r = err_set(e, E_FORMAT, 0, "no byte of the stream can be inflated");
	return r;
}

/* ---- step by step ---- */

struct inflate_steps {
	z_stream z;
	bool ready; /* inflateInit was called */
};

int inflate_steps_new(struct inflate_steps **ret, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : err_set(e, E_NOMEM, 0, "no memory for inflate");
}

void inflate_steps_free(struct inflate_steps *s)
{
	if (s && s->ready)
		inflateEnd(&s->z);
	free(s);
}

int inflate_steps_begin(struct inflate_steps *s, enum stream_wrap wrap, struct span in,
	struct err *e)
{
	static const int bits[] = {[WRAP_RAW] = -15, [WRAP_ZLIB] = 15, [WRAP_GZIP] = 31};
	if (in.n > UINT32_MAX / 2)
		return err_set(e, E_FORMAT, 0, "a stream of %zu bytes is too long", in.n);
	int zr = s->ready ? inflateReset2(&s->z, bits[wrap]) : inflateInit2(&s->z, bits[wrap]);
	if (zr != Z_OK)
		return err_set(e, E_NOMEM, 0, "no memory for inflate");
	s->ready = true;
	s->z.next_in = (Bytef *)(uintptr_t)in.p;
	s->z.avail_in = (uInt)in.n;
	return 0;
}

int inflate_steps_more(struct inflate_steps *s, size_t more, struct buf *out, bool *ret_end,
	struct err *e)
{
	if (more > UINT32_MAX / 2)
		more = UINT32_MAX / 2;
	int r = buf_reserve(out, more, e);
	if (r < 0)
		return r;
	s->z.next_out = out->p + out->len;
	s->z.avail_out = (uInt)more;
	int zr = inflate(&s->z, Z_SYNC_FLUSH);
	size_t got = more - s->z.avail_out;
	out->len += got;
	*ret_end = zr == Z_STREAM_END;
	if (zr == Z_MEM_ERROR)
		return err_set(e, E_NOMEM, 0, "no memory for inflate");
	if ((zr != Z_OK && zr != Z_STREAM_END) || (zr == Z_OK && got == 0))
		return err_set(e, E_FORMAT, 0, "stream is damaged or cut short");
	return 0;
}

size_t inflate_steps_used(const struct inflate_steps *s)
{
	return (size_t)s->z.total_in;
}
