/* The index of the lazy levels: for every position, where its 4 bytes and its zlib hash were seen
 * before, and its ordinal among the positions of that hash.
 *
 * zlib enters every position at these levels, whatever it matches, so the index does not depend on
 * the parse and is built ahead of it in a tight loop. Runs of four or more equal bytes are entered
 * as one record each; of their positions only the last, whose fourth byte differs, is in a 4-byte
 * chain. Position 0 is never entered: zlib's 0 means "none". */
#include "engine/codec/exact_deflate_internal.h"

enum { FAR = 32768, BATCH = 16 };

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

typedef uint8_t bytes8 __attribute__((vector_size(8)));
typedef uint16_t words8 __attribute__((vector_size(16)));

static inline words8 load8(const uint8_t *p)
{
	bytes8 v;
	memcpy(&v, p, sizeof v);
	return __builtin_convertvector(v, words8);
}

struct batch {
	uint16_t h3[BATCH], h4[BATCH], not_run[BATCH];
};

/* Both hashes of the positions from p on, and what is 0 where a run starts; eight at a time. */
static inline void hash_batch(const uint8_t *p, struct batch *b)
{
	for (unsigned i = 0; i < BATCH; i += 8, p += 8) {
		words8 b0 = load8(p), b1 = load8(p + 1), b2 = load8(p + 2), b3 = load8(p + 3);
		words8 h3 = (b0 << 10 ^ b1 << 5 ^ b2) & (ED_HASH_SIZE - 1);
		words8 h4 = ((b0 | b1 << 8) * 0x9E35 + (b2 | b3 << 8) * 0x79B1) >>
			    (16 - ED_HASH4_BITS);
		words8 not_run = (b0 ^ b1) | (b0 ^ b2) | (b0 ^ b3);
		memcpy(b->h3 + i, &h3, sizeof h3);
		memcpy(b->h4 + i, &h4, sizeof h4);
		memcpy(b->not_run + i, &not_run, sizeof not_run);
	}
}

/* Enter positions from pos on, up to `stop` at most, until a run or the end of a batch. */
static size_t enter_batch(struct ed_index *x, const uint8_t *in, size_t pos, size_t stop)
{
	struct batch b;
	hash_batch(in + pos, &b);
	size_t n = stop - pos < BATCH ? stop - pos : BATCH;
	uint32_t v = x->base + (uint32_t)pos;
	for (size_t i = 0; i < n && b.not_run[i]; i++, v++) {
		unsigned h3 = b.h3[i], h4 = b.h4[i];
		uint32_t s3 = x->seen3[h3];
		uint16_t s4 = x->seen4[h4];
		x->seen3[h3] = v << 16 | (uint16_t)(s3 + 1);
		x->seen4[h4] = (uint16_t)v;
		x->at3[(pos + i) % ED_RING] = s3;
		x->back4[(pos + i) % ED_RING] = (uint16_t)(v - s4);
	}
	return v - x->base;
}

void ed_index_more(struct ed_index *x, const uint8_t *in, size_t n)
{
	size_t pos = x->end;
	size_t stop = n - pos > ED_AHEAD + 3 ? pos + ED_AHEAD : n < 3 ? 0 : n - 3;
	uint32_t base = x->base;
	advance(x, base + (uint32_t)pos);
	while (pos < stop) {
		uint32_t g = ed_load32(in + pos);
		if (ed_is_run(g)) {
			pos = enter_run(x, in, n, pos);
			continue;
		}
		if (n - pos >= BATCH + 3) {
			pos = enter_batch(x, in, pos, stop);
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
