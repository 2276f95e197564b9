/* The index of the lazy levels: for every position, where its 4 bytes and its zlib hash were seen
 * before, and its ordinal among the positions of that hash.
 *
 * zlib enters every position at these levels, whatever it matches, so the index does not depend on
 * the parse and is built ahead of it in a tight loop. Runs of four or more equal bytes are entered
 * as one record each; of their positions only the last, whose fourth byte differs, is in a 4-byte
 * chain. Position 0 is never entered: zlib's 0 means "none". */
#include "engine/codec/exact_deflate_internal.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { FAR = 32768, BLOCK = 512 };

/* Bring what was seen FAR or more before `v` to exactly FAR, lest it be taken for new when the
 * positions have come full circle. FAR is beyond every match, so it also says "never seen". */
static inline __attribute__((always_inline)) void sweep_table(uint16_t *seen4, uint32_t v)
{
	uint16_t far = (uint16_t)(v - FAR);
	for (size_t i = 0; i < 1 << ED_HASH4_BITS; i++) {
		uint16_t old = (uint16_t)((int16_t)(uint16_t)(v - seen4[i]) >> 15);
		seen4[i] = (uint16_t)((seen4[i] & ~old) | (far & old));
	}
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))

static AVX2 void sweep_avx2(uint16_t *seen4, uint32_t v)
{
	sweep_table(seen4, v);
}
#endif

static void sweep(struct ed_index *x, uint32_t v)
{
#ifdef __x86_64__
	if (x->avx2)
		sweep_avx2(x->seen4, v);
	else
#endif
		sweep_table(x->seen4, v);
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
	x->origin = 0;
	x->end = 1;
	x->run_end = 0;
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

/* Enter the last positions of the newest run, and return the position behind the last one entered.
 * Of those within the run only the last two are entered by their three bytes, so that the way back
 * from the last is as zlib's and from there skips the run. */
static inline size_t end_run(struct ed_index *x, const uint8_t *in, size_t n)
{
	const struct ed_run *run = &x->run[(x->nruns - 1) % ED_RUN_RING];
	uint8_t byte = in[run->start];
	uint32_t len = run->end - run->start;
	unsigned h3 = (byte << 10 ^ byte << 5 ^ byte) & (ED_HASH_SIZE - 1);
	uint32_t seen = x->seen3[h3], v = x->base + run->start;
	uint32_t back = (uint16_t)(v - seen) + len - 4, count = seen >> 16;
	if (back > FAR)
		back = FAR;
	size_t last = run->end - 3, slot = last - x->origin;
	v += len - 3;
	x->at3[slot - 1] = (count + len - 4) << 16 | (uint16_t)(v - 1 - back);
	x->at3[slot] = (count + len - 3) << 16 | (uint16_t)(v - 1);
	x->seen3[h3] = (count + len - 2) << 16 | (uint16_t)v;
	if (v - x->swept >= FAR)
		advance(x, v);
	if (last + 4 <= n) {
		unsigned h4 = ed_hash4(ed_load32(in + last));
		x->back4[slot] = (uint16_t)(v - x->seen4[h4]);
		x->seen4[h4] = (uint16_t)v;
	}
	return last + 1;
}

/* Enter the run that starts at `pos`; returns the position behind the last one entered. The end of
 * a long one must wait, lest what is still to be searched has to make room for it. */
static inline size_t enter_run(struct ed_index *x, const uint8_t *in, size_t n, size_t pos)
{
	uint8_t byte = in[pos];
	size_t len = run_length(in + pos, n - pos);
	unsigned h3 = (byte << 10 ^ byte << 5 ^ byte) & (ED_HASH_SIZE - 1);
	uint32_t seen = x->seen3[h3], id = x->nruns++;
	x->run[id % ED_RUN_RING] = (struct ed_run){
		(uint32_t)pos, (uint32_t)(pos + len), x->last_run[byte], seen >> 16};
	x->last_run[byte] = id + 1;
	x->at3[pos - x->origin] = seen;
	if (len <= ED_AHEAD)
		return end_run(x, in, n);
	x->run_end = pos + len;
	return pos + 1;
}

/* What a table entry becomes when `v` is entered. */
static inline uint32_t seen_again(uint32_t seen3, uint16_t v)
{
	return (seen3 & 0xffff0000) + (0x10000 | v);
}

/* The last position that has three bytes. */
static void enter_tail(struct ed_index *x, const uint8_t *in, size_t pos)
{
	uint32_t *seen3 = &x->seen3[ed_hash3(in + pos)];
	x->at3[pos - x->origin] = *seen3;
	*seen3 = seen_again(*seen3, (uint16_t)(x->base + pos));
}

static inline void enter(struct ed_index *x, uint32_t g, size_t pos)
{
	uint32_t *seen3 = &x->seen3[ed_hash3_of(g)];
	uint16_t *seen4 = &x->seen4[ed_hash4(g)], v = (uint16_t)(x->base + pos);
	x->at3[pos - x->origin] = *seen3;
	x->back4[pos - x->origin] = (uint16_t)(v - *seen4);
	*seen3 = seen_again(*seen3, v);
	*seen4 = v;
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
		words16 h4 = ((b0 | b1 << 8) * ED_HASH4_LOW + (b2 | b3 << 8) * ED_HASH4_HIGH) >>
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
/* Both hashes of 16 positions, every other one, from the two bytes at each and the two behind. */
static inline AVX2 __m256i hash3_avx2(__m256i ab, __m256i cd)
{
	__m256i b = _mm256_and_si256(_mm256_srli_epi16(ab, 3), _mm256_set1_epi16(0x1fe0));
	__m256i c = _mm256_and_si256(cd, _mm256_set1_epi16(0xff));
	__m256i h = _mm256_xor_si256(_mm256_xor_si256(_mm256_slli_epi16(ab, 10), b), c);
	return _mm256_and_si256(h, _mm256_set1_epi16(ED_HASH_SIZE - 1));
}

static inline AVX2 __m256i hash4_avx2(__m256i ab, __m256i cd)
{
	__m256i lo = _mm256_mullo_epi16(ab, _mm256_set1_epi16((short)ED_HASH4_LOW));
	__m256i hi = _mm256_mullo_epi16(cd, _mm256_set1_epi16((short)ED_HASH4_HIGH));
	return _mm256_srli_epi16(_mm256_add_epi16(lo, hi), 16 - ED_HASH4_BITS);
}

/* Store what belongs to the even and to the odd positions in order. */
static inline AVX2 void store_32(uint16_t *to, __m256i even, __m256i odd)
{
	__m256i lo = _mm256_unpacklo_epi16(even, odd), hi = _mm256_unpackhi_epi16(even, odd);
	_mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(lo, hi, 0x20));
	_mm256_storeu_si256((__m256i *)(to + 16), _mm256_permute2x128_si256(lo, hi, 0x31));
}

/* The same, n rounded up to 32. */
static AVX2 void hash_avx2(const uint8_t *p, size_t n, struct block *b)
{
	for (size_t i = 0; i < n; i += 32, p += 32) {
		__m256i v0 = _mm256_loadu_si256((const __m256i *)p);
		__m256i v1 = _mm256_loadu_si256((const __m256i *)(p + 1));
		__m256i v2 = _mm256_loadu_si256((const __m256i *)(p + 2));
		__m256i v3 = _mm256_loadu_si256((const __m256i *)(p + 3));
		store_32(b->h3 + i, hash3_avx2(v0, v2), hash3_avx2(v1, v3));
		store_32(b->h4 + i, hash4_avx2(v0, v2), hash4_avx2(v1, v3));
		__m256i same = _mm256_and_si256(
			_mm256_and_si256(_mm256_cmpeq_epi8(v0, v1), _mm256_cmpeq_epi8(v1, v2)),
			_mm256_cmpeq_epi8(v2, v3));
		uint64_t run = (uint32_t)_mm256_movemask_epi8(same);
		b->run[i / 64] = (i % 64 ? b->run[i / 64] : 0) | run << i % 64;
	}
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
	uint32_t *at3 = x->at3 + (pos - x->origin);
	uint16_t *back4 = x->back4 + (pos - x->origin);
	uint32_t v = 0x10000 | (uint16_t)(x->base + pos + i);
	for (; i < end; i++, v++) {
		uint32_t *seen3 = &x->seen3[b->h3[i]], s3 = *seen3;
		uint16_t *seen4 = &x->seen4[b->h4[i]], s4 = *seen4;
		*seen3 = (s3 & 0xffff0000) + v; /* seen_again() */
		*seen4 = (uint16_t)v;
		at3[i] = s3;
		back4[i] = (uint16_t)(v - s4);
	}
}

/* Enter up to BLOCK positions from `pos` on, all before `stop`, or more when a run begins among
 * them. Returns the position behind the last one entered. Reads up to BLOCK + 34 bytes. */
static size_t enter_block(struct ed_index *x, const uint8_t *in, size_t n, size_t pos, size_t stop)
{
	struct block b;
	size_t many = stop - pos < BLOCK ? stop - pos : BLOCK;
	size_t whole = 65536 - (uint16_t)(x->base + pos); /* positions modulo 65536 begin anew */
	if (many > whole)
		many = whole;
#ifdef __x86_64__
	if (x->avx2)
		hash_avx2(in + pos, many, &b);
	else
#endif
		hash_plain(in + pos, many, &b);
	size_t i = 0;
	while (i < many && !x->run_end) {
		size_t run = next_run(&b, i, many);
		enter_many(x, &b, pos, i, run);
		i = run < many ? enter_run(x, in, n, pos + run) - pos : run;
	}
	return pos + i;
}

/* Make room, keeping a window before `pos`. */
static void move_on(struct ed_index *x, size_t pos)
{
	size_t origin = pos > ED_WINDOW ? pos - ED_WINDOW : 0;
	size_t gone = origin - x->origin, kept = x->end - origin;
	memmove(x->at3, x->at3 + gone, kept * sizeof *x->at3);
	memmove(x->back4, x->back4 + gone, kept * sizeof *x->back4);
	x->origin = origin;
}

void ed_index_more(struct ed_index *x, const uint8_t *in, size_t n, size_t before)
{
	if (x->end - x->origin + ED_AHEAD_MOST > ED_ROOM)
		move_on(x, before);
	if (x->run_end && x->run_end - x->end > ED_AHEAD) {
		x->end += ED_AHEAD;
		return;
	}
	if (x->run_end) {
		x->end = end_run(x, in, n);
		x->run_end = 0;
	}
	size_t pos = x->end;
	size_t stop = n - pos > ED_AHEAD + 3 ? pos + ED_AHEAD : n < 3 ? 0 : n - 3;
	advance(x, x->base + (uint32_t)pos);
	/* Vectors read up to 34 bytes behind the last position. */
	size_t wide = n > 34 ? n - 34 : 0;
	if (wide > stop)
		wide = stop;
	while (pos < wide && !x->run_end)
		pos = enter_block(x, in, n, pos, wide);
	while (pos < stop && !x->run_end) {
		uint32_t g = ed_load32(in + pos);
		if (ed_is_run(g)) {
			pos = enter_run(x, in, n, pos);
			continue;
		}
		enter(x, g, pos++);
	}
	if (pos + 3 == n && !x->run_end)
		enter_tail(x, in, pos++);
	if (pos + 3 > n)
		pos = n;
	x->end = pos;
}
