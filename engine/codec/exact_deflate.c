#include "engine/codec/exact_deflate.h"

#include <stdlib.h>
#include <zlib.h>

#include <libdeflate.h>

#include "engine/codec/exact_deflate_internal.h"

enum { WRAP_MAX = 18 }; /* gzip: 10 before, 8 behind */

static const struct ed_limits limits[10] = {
	[1] = {4, 4, 8, 4},
	[2] = {4, 5, 16, 8},
	[3] = {4, 6, 32, 32},
	[4] = {4, 4, 16, 16},
	[5] = {8, 16, 32, 32},
	[6] = {8, 16, 128, 128},
	[7] = {8, 32, 128, 256},
	[8] = {32, 128, 258, 1024},
	[9] = {32, 258, 258, 4096},
};

int exact_deflate_new(struct exact_deflate **ret, struct err *e)
{
	struct exact_deflate *d = calloc(1, sizeof *d);
	if (!d)
		return err_set(e, E_NOMEM, 0, "no memory for %zu bytes", sizeof *d);
#ifdef __x86_64__
	d->index.avx2 = __builtin_cpu_supports("avx2");
#endif
	ed_block_init(d);
	*ret = d;
	return 0;
}

void exact_deflate_free(struct exact_deflate *d)
{
	free(d);
}

size_t exact_deflate_bound(size_t n)
{
	/* Incompressible input is stored: 5 bytes for every block, which holds 16,383 bytes at
	 * least, but for the last and for what level 0 makes of it. */
	return n + n / 8192 * 5 + 32 + WRAP_MAX;
}

static int put_header(struct buf *out, int level, enum exact_wrap wrap, struct err *e)
{
	if (wrap == EXACT_ZLIB) {
		static const uint8_t flags[10] = {
			0x01, 0x01, 0x5e, 0x5e, 0x5e, 0x5e, 0x9c, 0xda, 0xda, 0xda};
		return buf_add(out, (uint8_t[]){0x78, flags[level]}, 2, e);
	}
	if (wrap == EXACT_GZIP) {
		uint8_t h[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
		h[8] = level == 9 ? 2 : level < 2 ? 4 : 0;
		return buf_add(out, h, sizeof h, e);
	}
	return 0;
}

static int put_trailer(struct buf *out, enum exact_wrap wrap, struct span in, struct err *e)
{
	uint8_t t[8];
	if (wrap == EXACT_ZLIB) {
		uint32_t sum = in.n ? libdeflate_adler32(1, in.p, in.n) : 1;
		for (int i = 0; i < 4; i++)
			t[i] = (uint8_t)(sum >> (24 - 8 * i));
		return buf_add(out, t, 4, e);
	}
	if (wrap == EXACT_GZIP) {
		uint32_t sum = in.n ? libdeflate_crc32(0, in.p, in.n) : 0;
		for (int i = 0; i < 4; i++) {
			t[i] = (uint8_t)(sum >> 8 * i);
			t[4 + i] = (uint8_t)((uint32_t)in.n >> 8 * i);
		}
		return buf_add(out, t, 8, e);
	}
	return 0;
}

/* Level 0 is nothing but copying; zlib does it. */
static int store_by_zlib(struct span in, struct buf *out, struct err *e)
{
	z_stream z = {0};
	if (deflateInit2(&z, 0, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(e, E_NOMEM, 0, "no memory for zlib");
	size_t room = deflateBound(&z, (uLong)in.n);
	int r = buf_reserve(out, room, e);
	if (r == 0) {
		z.next_in = (Bytef *)(uintptr_t)in.p;
		z.avail_in = (uInt)in.n;
		z.next_out = out->p + out->len;
		z.avail_out = (uInt)room;
		if (deflate(&z, Z_FINISH) != Z_STREAM_END)
			r = err_set(e, E_NOMEM, 0, "zlib did not finish");
		else
			out->len += z.total_out;
	}
	deflateEnd(&z);
	return r;
}

static int put_body(
	struct exact_deflate *d, int level, struct span in, struct buf *out, struct err *e)
{
	if (level == 0)
		return store_by_zlib(in, out, e);
	d->out = out;
	d->bit_acc = 0;
	d->bit_n = 0;
	ed_block_begin(d);
	d->in = in.p;
	d->n = in.n;
	d->block_start = 0;
	d->window_base = 0;
	int r = level < 4 ? ed_parse_fast(d, &limits[level], e)
			  : ed_parse_lazy(d, &limits[level], e);
	if (r == 0)
		ed_bits_finish(d);
	return r;
}

int exact_deflate(struct exact_deflate *d, int level, enum exact_wrap wrap, struct span in,
	struct buf *out, struct err *e)
{
	if (level < 0 || level > 9)
		return err_set(e, E_USAGE, 0, "there is no deflate level %d", level);
	if (wrap != EXACT_RAW && wrap != EXACT_ZLIB && wrap != EXACT_GZIP)
		return err_set(e, E_USAGE, 0, "there is no deflate wrapping %d", (int)wrap);
	if (in.n > INT32_MAX)
		return err_set(e, E_UNSUPPORTED, 0, "%zu bytes are too many to deflate", in.n);

	size_t old = out->len;
	int r = put_header(out, level, wrap, e);
	if (r == 0)
		r = put_body(d, level, in, out, e);
	if (r == 0)
		r = put_trailer(out, wrap, in, e);
	if (r < 0)
		out->len = old;
	return r;
}
