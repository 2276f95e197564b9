#include "engine/codec/lz4block.h"

#include <lz4.h>
#include <string.h>
#include <xxhash.h>

#include "engine/base/wire.h"

#define HEAD 21
#define SEED 0x9747b28cu
#define CHECK_MASK 0x0fffffffu
#define METHOD_RAW 0x10
#define METHOD_LZ4 0x20
#define LEVEL_BASE 10
#define MOST_RATIO 255 /* of LZ4: one more byte of a match length stands for 255 bytes */

struct block {
	uint8_t method;
	uint32_t packed, raw, check;
};

/* False when it is no head of a block, or what it says cannot be. */
static bool read_head(struct span in, struct block *b)
{
	if (in.n < HEAD || memcmp(in.p, "LZ4Block", 8) != 0)
		return false;
	b->method = in.p[8] & 0xf0;
	b->packed = get_le32(in.p + 9);
	b->raw = get_le32(in.p + 13);
	b->check = get_le32(in.p + 17);
	if (b->raw == 0)
		return b->packed == 0 && b->check == 0;
	if (b->packed == 0 || b->packed > in.n - HEAD ||
		b->raw > (uint32_t)1 << (LEVEL_BASE + (in.p[8] & 0x0f)))
		return false;
	if (b->method == METHOD_RAW)
		return b->packed == b->raw;
	/* Believed only as far as its input can carry it: memory is reserved for it. */
	return b->method == METHOD_LZ4 && b->raw / MOST_RATIO <= b->packed;
}

static bool decode_block(const struct block *b, const uint8_t *in, uint8_t *out)
{
	if (b->method == METHOD_RAW)
		memcpy(out, in, b->raw);
	else if (LZ4_decompress_safe((const char *)in, (char *)out, (int)b->packed, (int)b->raw) !=
		 (int)b->raw)
		return false;
	return (XXH32(out, b->raw, SEED) & CHECK_MASK) == b->check;
}

int lz4block_decode(struct span in, size_t max, struct buf *out, bool *ret_whole, struct err *e)
{
	size_t start = out->len;
	struct block b;
	*ret_whole = false;
	while (read_head(in, &b)) {
		if (b.raw == 0) {
			*ret_whole = true;
			break;
		}
		if (b.raw > max - (out->len - start))
			break;
		int r = buf_reserve(out, b.raw, e);
		if (r < 0) {
			out->len = start;
			return r;
		}
		if (!decode_block(&b, in.p + HEAD, out->p + out->len))
			break;
		out->len += b.raw;
		in = span_sub(in, HEAD + (size_t)b.packed, in.n);
	}
	if (out->len == start)
		return err_set(e, E_FORMAT, 0, "no block of the LZ4 stream can be decoded");
	return 0;
}
