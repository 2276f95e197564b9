/* exact_deflate against zlib, for libFuzzer.
 *
 * Byte 0: level (1 to 9, six is preferred), wrapping in the high bits. Byte 1: how the rest is
 * read. Even: the rest is the data. Odd: the rest is a program that makes it, so that short inputs
 * reach long runs, far copies and block ends, see expand(); two bits limit how much it makes, one
 * turns to the code without AVX2 where there is another. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "engine/base/buf.h"
#include "engine/codec/exact_deflate_internal.h"

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define WRITTEN_BY_ZLIB(p, n) __msan_unpoison(p, n)
#endif
#endif
#ifndef WRITTEN_BY_ZLIB
#define WRITTEN_BY_ZLIB(p, n) (void)0
#endif

enum { MAX_DATA = 150000 };

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static uint8_t data[MAX_DATA];
static size_t limit; /* of what is in it */

/* What the data is made from: ops of one byte (low 3 bits: what, high 5: size class) and operands.
 */
struct program {
	const uint8_t *p, *end;
};

static unsigned next(struct program *g)
{
	return g->p < g->end ? *g->p++ : 0;
}

static size_t put_noise(size_t at, size_t len, unsigned seed, unsigned mask)
{
	uint32_t x = seed * 2654435761u + 1;
	for (; len && at < limit; len--) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		data[at++] = (uint8_t)(x >> 11 & mask);
	}
	return at;
}

static size_t put_copy(size_t at, size_t len, size_t dist)
{
	if (dist == 0 || dist > at)
		return at;
	for (; len && at < limit; len--, at++)
		data[at] = data[at - dist];
	return at;
}

static size_t put_run(size_t at, size_t len, unsigned v)
{
	for (; len && at < limit; len--)
		data[at++] = (uint8_t)v;
	return at;
}

static size_t expand(struct program g)
{
	size_t at = 0;
	while (g.p < g.end && at < limit) {
		unsigned op = next(&g);
		size_t len = op >> 3;
		switch (op & 7) {
		case 0: /* literal bytes */
			for (len++; len && g.p < g.end && at < limit; len--)
				data[at++] = (uint8_t)next(&g);
			break;
		case 1: /* a run, or one of some windows */
			len = len < 28 ? len << 3 | (next(&g) & 7) : (len - 27) << 14 | next(&g);
			at = put_run(at, len, next(&g));
			break;
		case 2: /* a near copy */
			at = put_copy(at, len + 3, 1 + next(&g));
			break;
		case 3: /* a copy from anywhere */
			len = len << 4 | (next(&g) & 15);
			at = put_copy(at, len, (size_t)next(&g) << 8 | next(&g));
			break;
		case 4: /* a copy from the edge of the window, or of TOO_FAR */
			at = put_copy(at, len + 1, (next(&g) & 1 ? 4090u : 32500u) + next(&g) % 16);
			break;
		case 5: /* noise of all or of few values */
			at = put_noise(at, len << 5 | 1, next(&g), len & 1 ? 255 : 3);
			break;
		case 6: /* much of it, up to the end of a block */
			at = put_noise(at, (size_t)next(&g) << 7, len, len & 1 ? 255 : 15);
			break;
		default: /* long periodic data, then change one byte */
			at = put_copy(at, (size_t)next(&g) << 6, 1 + len);
			if (at)
				data[at - 1 - len % at] ^= 1;
		}
	}
	return at;
}

static void by_zlib(struct span in, int level, enum exact_wrap wrap, struct buf *out)
{
	static const int window_bits[] = {-15, 15, 31};
	z_stream z = {0};
	if (deflateInit2(&z, level, Z_DEFLATED, window_bits[wrap], 8, Z_DEFAULT_STRATEGY) != Z_OK ||
		buf_reserve(out, deflateBound(&z, in.n) + 64, NULL) < 0)
		exit(1);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = out->p;
	z.avail_out = (uInt)out->cap;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		abort();
	out->len = z.total_out;
	WRITTEN_BY_ZLIB(out->p, out->len);
	deflateEnd(&z);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct exact_deflate *work; /* reused: what it remembers must not matter */
	struct buf want = BUF_INIT, got = BUF_INIT;

	if (n < 2)
		return 0;
	if (!work && exact_deflate_new(&work, NULL) < 0)
		exit(1);
#ifdef __x86_64__
	work->index.avx2 = !(p[1] & 8) && __builtin_cpu_supports("avx2");
#endif
	int level = p[0] % 16 >= 9 ? 6 : 1 + p[0] % 16;
	enum exact_wrap wrap = (enum exact_wrap)((p[0] >> 4) % 3);
	size_t len = n - 2;
	limit = (size_t[]){3000, 20000, 70000, MAX_DATA}[p[1] >> 1 & 3];
	if (p[1] & 1)
		len = expand((struct program){p + 2, p + n});
	/* Exactly as large as the data, so that reads beyond it are seen. */
	uint8_t *in = malloc(len ? len : 1);
	if (!in)
		exit(1);
	memcpy(in, p[1] & 1 ? data : p + 2, len);

	by_zlib(span_of(in, len), level, wrap, &want);
	if (exact_deflate(work, level, wrap, span_of(in, len), &got, NULL) < 0 ||
		got.len != want.len || memcmp(got.p, want.p, got.len) != 0 ||
		got.len > exact_deflate_bound(len))
		abort();
	buf_free(&want);
	buf_free(&got);
	free(in);
	return 0;
}
