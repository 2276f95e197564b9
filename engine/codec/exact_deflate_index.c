/* The index of the lazy levels: for every position, where its 4 bytes and its zlib hash were seen
 * before, and its ordinal among the positions of that hash.
 *
 * zlib enters every position at these levels, whatever it matches, so the index does not depend on
 * the parse and is built ahead of it in a tight loop. Runs of four or more equal bytes are entered
 * as one record each; of their positions only the last, whose fourth byte differs, is in a 4-byte
 * chain. Position 0 is never entered: zlib's 0 means "none". */
#include "engine/codec/exact_deflate_internal.h"

enum { FAR = 32768, BLOCK = 512 };

/* Bring what was seen FAR or more before `v` to exactly FAR, lest it be taken for new when the
 * positions have come full circle. FAR is beyond every match, so it also says "never seen". */
static void sweep(struct ed_index *x, uint32_t v)
{
	uint16_t far = (uint16_t)(v - FAR);
	for (size_t i = 0; i < sizeof x->seen4 / sizeof *x->seen4; i++) {
		uint16_t seen = x->seen4[i];
		uint16_t old = (uint16_t)((int16_t)(uint16_t)(v - seen) >> 15);
		x->seen4[i] = (uint16_t)((seen & ~old) | (far & old));
	}
	x->swept = v;
}

static void forget(struct ed_index *x, uint32_t v)
{
	for (size_t i = 0; i < sizeof x->seen4 / sizeof *x->seen4; i++)
		x->seen4[i] = (uint16_t)(v - FAR);
	x->swept = v;
}

/* Keep all that was seen within 65535 of what comes up to ED_AHEAD after `v`. Everything seen so
 * far was entered when less than FAR after the last sweep.
 *
 * seen3 is left alone: an entry that came full circle only leads to positions whose three bytes
 * differ. Had they been the same, they would have been entered later than that entry. */
static void advance(struct ed_index *x, uint32_t v)
{
	uint32_t gone = v - x->swept;
	if (gone < FAR - ED_AHEAD)
		return;
	if (gone >= 2 * FAR - 1) {
		forget(x, v);
		return;
	}
	if (gone >= FAR)
		sweep(x, x->swept + FAR - 1);
	sweep(x, v);
}

void ed_index_reset(struct ed_index *x)
{
	x->base += (uint32_t)x->end;
	x->end = 1;
	x->nruns = 0;
	x->cursor = 0;
	memset(x->last_run, 0, sizeof x->last_run);
}

/* Length of the run at p; the first four bytes are known to be equal. */
static inline size_t run_length(const uint8_t *p, size_t max)
{
	uint64_t pattern = p[0] * 0x0101010101010101u;
	size_t i = 4;
	for (; i + 8 <= max; i += 8) {
		uint64_t diff = ed_load64(p + i) ^ pattern;
		if (diff)
			return i + ed_first_byte(diff);
	}
	while (i < max && p[i] == p[0])
		i++;
	return i;
}

/* Enter the run that starts at `pos`; returns the position behind the last one entered. Of the
 * positions within the run only the last two are entered by their three bytes, so that the way back
 * from the last is as zlib's and from there skips the run. */
static inline size_t enter_run(struct ed_index *x, const uint8_t *in, size_t n, size_t pos)
{
	uint8_t byte = in[pos];
	uint32_t len = (uint32_t)run_length(in + pos, n - pos), id = x->nruns++;
	unsigned h3 = (byte << 10 ^ byte << 5 ^ byte) & (ED_HASH_SIZE - 1);
	uint32_t seen = x->seen3[h3], v = x->base + (uint32_t)pos;
	size_t last = pos + len - 3;

	x->run[id % ED_RUN_RING] = (struct ed_run){
		(uint32_t)pos, (uint32_t)pos + len, x->last_run[byte], seen & 0xffff};
	x->last_run[byte] = id + 1;
	uint32_t back = (uint16_t)(v - (seen >> 16)) + len - 4;
	if (back > FAR)
		back = FAR;
	v += len - 3;
	x->at3[(last - 1) % ED_RING] = (v - 1 - back) << 16 | (uint16_t)(seen + len - 4);
	x->at3[pos % ED_RING] = seen;
	x->at3[last % ED_RING] = (v - 1) << 16 | (uint16_t)(seen + len - 3);
	x->seen3[h3] = v << 16 | (uint16_t)(seen + len - 2);
	if (v - x->swept >= FAR)
		advance(x, v);
	if (last + 4 <= n) {
		unsigned h4 = ed_hash4(ed_load32(in + last));
		x->back4[last % ED_RING] = (uint16_t)(v - x->seen4[h4]);
		x->seen4[h4] = (uint16_t)v;
	}
	return last + 1;
}

/* The last position that has three bytes. */
static void enter_tail(struct ed_index *x, const uint8_t *in, size_t pos)
{
	unsigned h3 = ed_hash3(in + pos);
	uint32_t v = x->base + (uint32_t)pos;
	x->at3[pos % ED_RING] = x->seen3[h3];
	x->seen3[h3] = v << 16 | ((x->seen3[h3] + 1) & 0xffff);
}

static inline void enter(struct ed_index *x, uint32_t g, size_t pos)
{
	unsigned h3 = ed_hash3_of(g), h4 = ed_hash4(g);
	uint32_t v = x->base + (uint32_t)pos;
	uint32_t s3 = x->seen3[h3];
	uint16_t s4 = x->seen4[h4];
	x->seen3[h3] = v << 16 | ((s3 + 1) & 0xffff);
	x->seen4[h4] = (uint16_t)v;
	x->at3[pos % ED_RING] = s3;
	x->back4[pos % ED_RING] = (uint16_t)(v - s4);
}

/* ---- hashes of many positions at once ---- */

/* What is known of the positions of a block before they are entered. */
struct block {
	uint16_t h3[BLOCK], h4[BLOCK];
	uint64_t run[BLOCK / 64]; /* a bit for each position where four bytes are equal */
};

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint16_t words16 __attribute__((vector_size(32)));

static inline __attribute__((always_inline)) uint32_t mask_of(bytes16 v)
{
#ifdef __SSE2__
	return (uint32_t)__builtin_ia32_pmovmskb128((__attribute__((vector_size(16))) char)v);
#else
	uint32_t mask = 0;
	for (unsigned i = 0; i < 16; i++)
		mask |= (uint32_t)(v[i] & 1) << i;
	return mask;
#endif
}

/* Positions from p on, n rounded up to 16; reads up to three bytes behind them. */
static inline __attribute__((always_inline)) void hash_16s(
	const uint8_t *p, size_t n, struct block *b)
{
	for (size_t i = 0; i < n; i += 16, p += 16) {
		bytes16 v[4];
		for (unsigned k = 0; k < 4; k++)
			memcpy(&v[k], p + k, sizeof v[k]);
		words16 b0 = __builtin_convertvector(v[0], words16);
		words16 b1 = __builtin_convertvector(v[1], words16);
		words16 b2 = __builtin_convertvector(v[2], words16);
		words16 b3 = __builtin_convertvector(v[3], words16);
		words16 h3 = (b0 << 10 ^ b1 << 5 ^ b2) & (ED_HASH_SIZE - 1);
		words16 h4 = ((b0 | b1 << 8) * 0x9E35 + (b2 | b3 << 8) * 0x79B1) >>
			     (16 - ED_HASH4_BITS);
		memcpy(b->h3 + i, &h3, sizeof h3);
		memcpy(b->h4 + i, &h4, sizeof h4);
		uint64_t run = mask_of((bytes16)((v[0] == v[1]) & (v[1] == v[2]) & (v[2] == v[3])));
		b->run[i / 64] = (i % 64 ? b->run[i / 64] : 0) | run << i % 64;
	}
}

static void hash_plain(const uint8_t *p, size_t n, struct block *b)
{
	hash_16s(p, n, b);
}

#ifdef __x86_64__
static __attribute__((target("avx2"))) void hash_avx2(const uint8_t *p, size_t n, struct block *b)
{
	hash_16s(p, n, b);
}
#endif

/* Where the first run at or behind i starts; n if there is none before. */
static inline size_t next_run(const struct block *b, size_t i, size_t n)
{
	for (; i < n; i = (i | 63) + 1) {
		uint64_t left = b->run[i / 64] >> i % 64;
		if (left) {
			i += (unsigned)__builtin_ctzll(left);
			break;
		}
	}
	return i < n ? i : n;
}

/* Enter the positions [i, end) of the block that begins at `pos`; none of them starts a run. */
static inline void enter_many(
	struct ed_index *x, const struct block *b, size_t pos, size_t i, size_t end)
{
	uint32_t *at3 = x->at3 + pos % ED_RING;
	uint16_t *back4 = x->back4 + pos % ED_RING;
	uint32_t v = (x->base + (uint32_t)(pos + i)) << 16;
	for (; i < end; i++, v += 1 << 16) {
		unsigned h3 = b->h3[i], h4 = b->h4[i];
		uint32_t s3 = x->seen3[h3];
		uint16_t s4 = x->seen4[h4];
		x->seen3[h3] = v | (uint16_t)(s3 + 1);
		x->seen4[h4] = (uint16_t)(v >> 16);
		at3[i] = s3;
		back4[i] = (uint16_t)((v >> 16) - s4);
	}
}

/* Enter up to BLOCK positions from `pos` on, all before `stop`, or more when a run begins among
 * them. Returns the position behind the last one entered. Reads up to BLOCK + 18 bytes. */
static size_t enter_block(struct ed_index *x, const uint8_t *in, size_t n, size_t pos, size_t stop)
{
	struct block b;
	size_t room = ED_RING - pos % ED_RING, many = stop - pos < room ? stop - pos : room;
	if (many > BLOCK)
		many = BLOCK;
#ifdef __x86_64__
	if (x->avx2)
		hash_avx2(in + pos, many, &b);
	else
#endif
		hash_plain(in + pos, many, &b);
	size_t i = 0;
	while (i < many) {
		size_t run = next_run(&b, i, many);
		enter_many(x, &b, pos, i, run);
		i = run < many ? enter_run(x, in, n, pos + run) - pos : run;
	}
	return pos + i;
}

void ed_index_more(struct ed_index *x, const uint8_t *in, size_t n)
{
	size_t pos = x->end;
	size_t stop = n - pos > ED_AHEAD + 3 ? pos + ED_AHEAD : n < 3 ? 0 : n - 3;
	uint32_t base = x->base;
	advance(x, base + (uint32_t)pos);
	/* Vectors read up to 18 bytes behind the last position. */
	size_t wide = n > 18 ? n - 18 : 0;
	if (wide > stop)
		wide = stop;
	while (pos < wide)
		pos = enter_block(x, in, n, pos, wide);
	while (pos < stop) {
		uint32_t g = ed_load32(in + pos);
		if (ed_is_run(g)) {
			pos = enter_run(x, in, n, pos);
			continue;
		}
		enter(x, g, pos++);
	}
	if (pos + 3 == n)
		enter_tail(x, in, pos++);
	if (pos + 3 > n)
		pos = n;
	x->end = pos;
}
