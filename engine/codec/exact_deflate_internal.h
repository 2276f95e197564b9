/* exact_deflate_internal.h - shared by the exact_deflate*.c files only.
 *
 * exact_deflate.c        entry, headers and trailers
 * exact_deflate_index.c  levels 4 to 9: where was this seen before?
 * exact_deflate_lazy.c   levels 4 to 9: match search and lazy parse
 * exact_deflate_fast.c   levels 1 to 3: greedy parse
 * exact_deflate_block.c  one block of symbols: choice of form, emission
 * exact_deflate_tree.c   Huffman code lengths and codes
 *
 * The parsers put symbols into `struct exact_deflate` and call ed_block_flush() whenever zlib
 * would end a block. */
#ifndef MCFS_CODEC_EXACT_DEFLATE_INTERNAL_H
#define MCFS_CODEC_EXACT_DEFLATE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "engine/codec/exact_deflate.h"

/* The constants of the format and of zlib at windowBits 15, memLevel 8. */
enum {
	ED_MIN_MATCH = 3,
	ED_MAX_MATCH = 258,
	ED_WINDOW = 32768,
	/* zlib refills its window when less than this is ahead, and looks no further back than
	 * the window less this. */
	ED_MIN_LOOKAHEAD = ED_MAX_MATCH + ED_MIN_MATCH + 1,
	ED_MAX_DIST = ED_WINDOW - ED_MIN_LOOKAHEAD,
	ED_TOO_FAR = 4096,	  /* a match of 3 bytes from further away is not worth it */
	ED_BLOCK_SYMBOLS = 16383, /* zlib ends a block here: lit_bufsize - 1 */
	ED_HASH_SIZE = 32768,

	ED_L_CODES = 286,
	ED_D_CODES = 30,
	ED_BL_CODES = 19,
	ED_MAX_CODE_BITS = 15,
	ED_END_BLOCK = 256
};

/* A level is nothing but four limits. */
struct ed_limits {
	uint16_t good;	/* a previous match this long: search a quarter of the chain */
	uint16_t lazy;	/* this long: do not search for a better one (levels 1-3: do not index) */
	uint16_t nice;	/* stop searching at this length */
	uint16_t chain; /* chain entries looked at */
};

/* A Huffman code: bit-reversed code and its length. */
struct ed_code {
	uint16_t code, len;
};

struct ed_tree {
	struct ed_code c[ED_L_CODES + 2];
	int max_code;	   /* the largest symbol with a code */
	uint32_t opt_len;  /* bits of the data with this tree */
	uint32_t stat_len; /* bits of the data with the fixed tree */
};

struct ed_bits {
	uint64_t acc;
	unsigned n; /* bits in acc, fewer than 8 between symbols */
	uint8_t *p;
};

struct ed_fast {
	uint32_t head[ED_HASH_SIZE];
	uint32_t prev[ED_WINDOW];
};

/* A run: four or more equal bytes. */
struct ed_run {
	uint32_t start, end; /* input positions */
	uint32_t prev;	     /* number of the run of the same byte before it, plus 1 */
	uint32_t ord;	     /* ordinal of the first position */
};

enum {
	/* Positions the index has room for; a window of them is kept when it moves on. */
	ED_ROOM = 3 * ED_WINDOW,
	ED_HASH4_BITS = 15,
	ED_HASH4_LOW = 0x9E35, /* multipliers of its two halves */
	ED_HASH4_HIGH = 0x79B1,
	ED_RUN_RING = 65536 / 4,
	/* Positions indexed ahead in one go, and what one call may enter at most: the end of a long
	 * run may come first, and another run begin in the last place. */
	ED_AHEAD = 4096,
	ED_AHEAD_MOST = 3 * ED_AHEAD + 8
};

/* What was seen where. "Seen" values are positions modulo 65536, counted on from call to call, so
 * that the tables need no clearing; ed_index_more() keeps values from becoming ambiguous. The
 * arrays by position, which begin with that of `origin`, hold what the tables held when the
 * position was entered. */
struct ed_index {
	uint32_t seen3[ED_HASH_SIZE];	    /* by zlib's hash: count << 16 | position */
	uint16_t seen4[1 << ED_HASH4_BITS]; /* by a hash of 4 bytes: position */
	uint32_t at3[ED_ROOM];		    /* as seen3; the count is the ordinal */
	uint16_t back4[ED_ROOM];	    /* distance to the last with the same 4-byte hash */
	struct ed_run run[ED_RUN_RING];	    /* by number modulo ring */
	uint32_t last_run[256];		    /* by byte: number of the last run, plus 1 */
	uint32_t nruns;
	uint32_t cursor; /* the first run that ends behind what was parsed */
	uint32_t swept;	 /* seen positions are no older than this less 32768 */
	uint32_t base;	 /* what is added to input positions; reduced modulo 65536 when stored */
	size_t origin;	 /* the input position at3[0] and back4[0] are of */
	size_t end;	 /* positions before it are entered */
	size_t run_end;	 /* 0, or the end of a long run that `end` is in */
	bool avx2;	 /* the processor has it */
};

struct exact_deflate {
	struct buf *out;
	uint64_t bit_acc; /* bits of the last, unfinished byte */
	unsigned bit_n;
	unsigned nsym;
	/* The symbols of the block: low 9 bits are a literal or 256 + (length - 3); the high 16 are
	 * the distance or 0. And how often each code occurs. */
	uint32_t sym[ED_BLOCK_SYMBOLS + 1];
	uint16_t lit_freq[ED_L_CODES + 2], dist_freq[ED_D_CODES + 2];
	uint8_t len_code[256]; /* by length - 3 */
	const uint8_t *in;
	size_t n;
	size_t block_start;
	size_t window_base; /* the input position zlib's window would begin at */
	union {
		struct ed_fast fast;
	} u;
	struct ed_index index;
};

/* zlib's three-byte hash: 15 bits, 5 a byte. Entries that share a value by accident share a chain,
 * so they count against the chain limit. */
static inline unsigned ed_hash3(const uint8_t *p)
{
	return ((unsigned)p[0] << 10 ^ (unsigned)p[1] << 5 ^ p[2]) & (ED_HASH_SIZE - 1);
}

/* Little-endian loads, whatever the machine. */
static inline uint32_t ed_load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
	v = __builtin_bswap32(v);
#endif
	return v;
}

static inline uint64_t ed_load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

/* zlib's hash of the first three of four loaded bytes. */
static inline unsigned ed_hash3_of(uint32_t v)
{
	return (v << 10 ^ (v >> 3 & 0x1fe0) ^ (v >> 16 & 0xff)) & (ED_HASH_SIZE - 1);
}

static inline unsigned ed_hash4(uint32_t v)
{
	uint32_t sum = (v & 0xffff) * ED_HASH4_LOW + (v >> 16) * ED_HASH4_HIGH;
	return (uint16_t)sum >> (16 - ED_HASH4_BITS);
}

/* The first byte that is not zero. */
static inline unsigned ed_first_byte(uint64_t v)
{
	return (unsigned)__builtin_ctzll(v) / 8;
}

/* How many bytes a and b have in common, at most max. */
static inline unsigned ed_common(const uint8_t *a, const uint8_t *b, unsigned max)
{
	unsigned i = 0;
#ifdef __SSE2__
	for (; i + 16 <= max; i += 16) {
		__m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(a + i)),
			_mm_loadu_si128((const __m128i *)(b + i)));
		unsigned diff = ~(unsigned)_mm_movemask_epi8(same) & 0xffff;
		if (diff)
			return i + (unsigned)__builtin_ctz(diff);
	}
#endif
	for (; i + 8 <= max; i += 8) {
		uint64_t diff = ed_load64(a + i) ^ ed_load64(b + i);
		if (diff)
			return i + ed_first_byte(diff);
	}
	while (i < max && a[i] == b[i])
		i++;
	return i;
}

/* zlib slides its window by 32 KiB at the top of its loop when fewer than ED_MIN_LOOKAHEAD bytes
 * are ahead in it and the position is ED_MAX_DIST into the upper half. All that is visible of it:
 * a block that began before the window can no longer be stored, and what lies at offset 0 of the
 * window can not be matched. `pos` is the position at the top of the loop; in between, tops may
 * be left out. */
static inline void ed_slide(struct exact_deflate *d, size_t pos)
{
	while (pos - d->window_base > ED_WINDOW + ED_MAX_DIST ||
		(pos - d->window_base == ED_WINDOW + ED_MAX_DIST && d->n - pos < ED_MIN_LOOKAHEAD))
		d->window_base += ED_WINDOW;
}

/* Huffman codes for the frequencies; see exact_deflate_tree.c. */
enum ed_alphabet { ED_LITLEN, ED_DIST, ED_BITLEN };
void ed_tree_build(struct ed_tree *t, const uint16_t *freq, enum ed_alphabet a);
extern const uint8_t ed_len_extra[29], ed_dist_extra[30];

/* Make a new `struct exact_deflate` ready for symbols. */
void ed_block_init(struct exact_deflate *d);
/* Forget the symbols that were collected. */
void ed_block_begin(struct exact_deflate *d);

/* Distance codes: by distance up to 256, then by (distance - 1) / 128. */
extern const uint8_t ed_dist_codes[257 + 256];

static inline unsigned ed_dist_code(unsigned dist)
{
	unsigned far = 257 + ((dist - 1) >> 7), is_far = dist > 256;
	return ed_dist_codes[dist +
			     ((far - dist) & -is_far)]; /* not a branch: nobody can predict it */
}

static inline void ed_put_literal(struct exact_deflate *d, uint8_t byte)
{
	d->sym[d->nsym++] = byte;
	d->lit_freq[byte]++;
}

static inline void ed_put_match(struct exact_deflate *d, unsigned len, unsigned dist)
{
	len -= ED_MIN_MATCH;
	d->sym[d->nsym++] = (uint32_t)dist << 16 | (256 + len);
	d->lit_freq[ED_END_BLOCK + 1 + d->len_code[len]]++;
	d->dist_freq[ed_dist_code(dist)]++;
}

/* Write the collected symbols as one block that covers the input from block_start to `end`.
 * `top` is the position at the top of zlib's loop. */
int ed_block_flush(
	struct exact_deflate *d, size_t top, size_t end, bool last, struct err *e) MUST_CHECK;
/* Fill up the last byte. Needs no memory beyond what the last block reserved. */
void ed_bits_finish(struct exact_deflate *d);

/* Begin a new input; all that was seen is forgotten. */
void ed_index_reset(struct ed_index *x);
/* Enter some more positions, at most ED_AHEAD_MOST. Those more than a window before `pos` are
 * forgotten. */
void ed_index_more(struct ed_index *x, const uint8_t *in, size_t n, size_t pos);

/* Four equal bytes? */
static inline bool ed_is_run(uint32_t v)
{
	return v == (v << 8 | v >> 24);
}

/* Parse d->in, writing all blocks. */
int ed_parse_fast(struct exact_deflate *d, const struct ed_limits *l, struct err *e) MUST_CHECK;
int ed_parse_lazy(struct exact_deflate *d, const struct ed_limits *l, struct err *e) MUST_CHECK;

#endif
