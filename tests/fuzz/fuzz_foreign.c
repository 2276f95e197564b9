/* Foreign streams, both ways. The first byte says which:
 *   even  the rest is a bare deflate stream: if zlib inflates it, it must be described and come
 *         back as it was; described as other bytes it must be refused
 *   odd   two bytes of length, so many plain bytes, a side: made into a stream of bounded size */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "engine/codec/foreign.h"

enum { MAX_DATA = 1 << 18 };

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct foreign *work; /* reused: what it remembers must not matter */

static void describe(struct span stream)
{
	static uint8_t plain[MAX_DATA];
	struct buf side = BUF_INIT, out = BUF_INIT;
	z_stream z = {.next_in = (Bytef *)(uintptr_t)stream.p, .avail_in = (uInt)stream.n};
	if (inflateInit2(&z, -15) != Z_OK)
		exit(1);
	z.next_out = plain;
	z.avail_out = MAX_DATA;
	int zr = inflate(&z, Z_FINISH);
	size_t n = z.total_out, used = stream.n - z.avail_in;
	inflateEnd(&z);
	struct span p = span_of(plain, n), s = span_of(stream.p, used);
	int r = foreign_describe(work, s, p, &side, NULL);
	if (r != 0 && (r != E_FORMAT || zr == Z_STREAM_END || side.len))
		abort();
	if (r == 0 && (foreign_make(work, buf_span(&side), p, s.n, &out, NULL) < 0 ||
			      out.len != s.n || memcmp(out.p, s.p, s.n) != 0))
		abort();
	if (n) { /* other bytes */
		plain[n / 2] ^= 1;
		side.len = 0;
		if (foreign_describe(work, s, p, &side, NULL) == 0)
			abort();
	}
	buf_free(&side);
	buf_free(&out);
}

static void make(struct span plain, struct span side)
{
	struct buf out = BUF_INIT;
	size_t max = 2 * plain.n + 300;
	int r = foreign_make(work, side, plain, max, &out, NULL);
	if (out.len > max || (r < 0 && out.len))
		abort();
	/* Whatever was made is a deflate stream of the plain bytes: so it can be described. */
	struct buf again = BUF_INIT;
	if (r == 0 && foreign_describe(work, buf_span(&out), plain, &again, NULL) != 0)
		abort();
	buf_free(&again);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (!work && foreign_new(&work, NULL) < 0)
		exit(1);
	if (n == 0)
		return 0;
	if (p[0] & 1) {
		if (n < 3)
			return 0;
		size_t len = (size_t)p[1] << 8 | p[2];
		struct span rest = span_of(p + 3, n - 3);
		make(span_sub(rest, 0, len), span_sub(rest, len, SIZE_MAX));
	} else {
		describe(span_of(p + 1, n - 1));
	}
	return 0;
}
