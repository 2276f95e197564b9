#include "tests/unit/support.h"

#include <zlib.h>

#include "engine/base/wire.h"
#include "tests/unit/make_region.h"

#define SECTOR 4096u
#define HEADER 8192u

static void deflate_all(struct buf *out, struct span in, int level, int window_bits, int strategy)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, window_bits, 8, strategy), Z_OK);
	OK(buf_reserve(out, deflateBound(&z, in.n) + 32, e));
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = out->p + out->len;
	z.avail_out = (uInt)(out->cap - out->len);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len += z.total_out;
	deflateEnd(&z);
}

void make_record(struct buf *out, size_t n, unsigned type, int level, unsigned seed)
{
	CLEANUP_BUF struct buf plain = BUF_INIT;
	uint8_t head[5];
	size_t start = out->len;
	OK(buf_resize(&plain, n, e));
	fill(plain.p, n, 3);
	for (size_t i = 0; i + 8 < n && i < 64; i += 8) /* something of its own in each */
		set_le32(plain.p + i, seed * 2654435761u + (unsigned)i);
	memset(head, 0, sizeof head);
	OK(buf_add(out, head, sizeof head, e));
	switch (type & 127) {
	case 1:
		deflate_all(out, buf_span(&plain), level, 31, Z_DEFAULT_STRATEGY);
		break;
	case 2:
		/* Level -1 stands for a writer that is not zlib as we know it. */
		deflate_all(out, buf_span(&plain), level < 0 ? 6 : level, 15,
			level < 0 ? Z_FIXED : Z_DEFAULT_STRATEGY);
		break;
	default:
		OK(buf_add(out, plain.p, plain.len, e));
	}
	set_be32(out->p + start, (uint32_t)(out->len - start - 4));
	out->p[start + 4] = (uint8_t)type;
}

static void set_entry(uint8_t *header, unsigned slot, uint32_t sector, uint32_t count,
	uint32_t stamp)
{
	set_be32(header + 4 * slot, sector << 8 | (count & 255));
	set_be32(header + 4096 + 4 * slot, stamp);
}

static void pad(struct buf *b, bool noise)
{
	size_t more = (SECTOR - b->len % SECTOR) % SECTOR;
	OK(buf_add_zero(b, more, e));
	if (noise)
		fill(b->p + b->len - more, more, 1);
}

static unsigned pick_type(unsigned flaws)
{
	static const uint8_t odd[] = {1, 3, 4, 127, 0, 77};
	if ((flaws & FLAW_EXTERNAL) && below(9) == 0)
		return 130;
	return (flaws & FLAW_TYPES) && below(3) == 0 ? odd[below(N_OF(odd))] : 2;
}

static void add_chunk(struct buf *b, unsigned slot, unsigned flaws)
{
	size_t start = b->len;
	int level = below(10) ? 6 : (flaws & FLAW_TYPES) && below(2) ? -1 : 1 + (int)below(9);
	make_record(b, 200 + below(12000), pick_type(flaws), level, slot);
	size_t n = b->len - start;
	if ((flaws & FLAW_CUT) && below(4) == 0 && n > 40) {
		b->len -= 1 + below(30); /* the length now reaches over its end */
		if (below(2))
			set_be32(b->p + start, (uint32_t)(b->len - start - 4));
	}
	if ((flaws & FLAW_CUT) && below(12) == 0)
		set_be32(b->p + start, below(2) ? 0 : 0xffffffffu - below(9));
	set_entry(b->p, slot, (uint32_t)(start / SECTOR), (uint32_t)((n + SECTOR - 1) / SECTOR),
		1600000000u + slot);
}

void make_region(struct buf *out, unsigned chunks, unsigned flaws)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	OK(buf_add_zero(&b, HEADER, e));
	for (unsigned i = 0; i < chunks; i++) {
		if ((flaws & FLAW_STALE) && below(4) == 0) {
			CLEANUP_BUF struct buf old = BUF_INIT;
			make_record(&old, 5000, 2, 6, i + 7777);
			OK(buf_add(&b, old.p, old.len, e));
			pad(&b, true);
		}
		add_chunk(&b, below(1024), flaws);
		if (i + 1 < chunks || !(flaws & FLAW_UNPADDED))
			pad(&b, (flaws & FLAW_STALE) && below(2));
	}
	uint32_t sectors = (uint32_t)(b.len / SECTOR);
	for (unsigned i = 0; i < 4; i++) {
		unsigned slot = below(1024);
		if (flaws & FLAW_PAST_EOF)
			set_entry(b.p, slot, sectors - 1 + below(9), 1 + below(200), 5);
		if (flaws & FLAW_OVERLAP)
			set_entry(b.p, below(1024), below(sectors + 1), below(4), 6);
		if (flaws & FLAW_LATE_STAMP)
			set_entry(b.p, below(1024), 0, 0, 0xfffffff0u);
	}
	OK(buf_add(out, b.p, b.len, e));
}

void play_region(struct buf *b, unsigned chunks)
{
	pad(b, false);
	for (unsigned i = 0; i < chunks; i++) {
		unsigned slot = below(1024);
		uint32_t entry = get_be32(b->p + 4 * slot);
		CLEANUP_BUF struct buf rec = BUF_INIT;
		make_record(&rec, 1000 + below(6000), 2, 6, slot);
		uint32_t n = (uint32_t)((rec.len + SECTOR - 1) / SECTOR);
		size_t at = b->len;
		/* Sometimes into the sectors of another chunk that has just moved away. */
		if ((entry & 255) >= n && below(2) && (size_t)(entry >> 8) * SECTOR + rec.len < b->len)
			at = (size_t)(entry >> 8) * SECTOR;
		if (at == b->len || at < HEADER) {
			at = b->len;
			OK(buf_add(b, rec.p, rec.len, e));
			pad(b, false);
		} else {
			memcpy(b->p + at, rec.p, rec.len);
		}
		set_entry(b->p, slot, (uint32_t)(at / SECTOR), n, 1700000000u + i);
	}
}
