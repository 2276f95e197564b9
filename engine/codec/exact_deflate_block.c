/* One block: count its symbols, choose its form as zlib does, write it.
 *
 * Everything is written through a 64-bit accumulator that is stored whole after each symbol; the
 * code tables hold literals and lengths with their extra bits ready made, so that a symbol is
 * written without a branch: a literal is a match whose distance takes no bits. */
#include "engine/codec/exact_deflate_internal.h"

enum { DIST_NONE = ED_D_CODES }; /* the "distance code" of a literal */

/* The order in which the lengths of the bit length codes are sent. */
static const uint8_t bl_order[ED_BL_CODES] = {
	16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

enum { COUNT_SHIFT = 24 };

struct dist_entry {
	uint16_t code;
	uint8_t len, total; /* bits of the code; with the extra bits */
	uint32_t mask;	    /* of the extra bits */
};

struct block {
	uint16_t bl_freq[ED_BL_CODES];
	struct ed_tree lit, dist, bl;
	uint16_t bl_sym[ED_L_CODES + ED_D_CODES]; /* both trees' lengths, coded */
	unsigned nbl;
	int max_bl; /* the last entry of bl_order that is sent */
	/* Ready for emission: for each literal and length the bits, and how many from bit 24 on;
	 * likewise distances. */
	uint32_t lit_bits[512];
	struct dist_entry dist_code[DIST_NONE + 1];
};

static inline void put(struct ed_bits *b, uint64_t v, unsigned n)
{
	b->acc |= v << b->n;
	b->n += n;
}

/* Move whole bytes out; writes 8, of which the further ones are overwritten later. */
static inline void drain(struct ed_bits *b)
{
	uint64_t v = b->acc;
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	memcpy(b->p, &v, 8);
	b->p += b->n >> 3;
	b->acc >>= b->n & 56;
	b->n &= 7;
}

/* Distance codes: by distance up to 256, then by (distance - 1) / 128. A literal's is DIST_NONE. */
#define TWICE(x) x, x
#define TIMES4(x) TWICE(x), TWICE(x)
#define TIMES16(x) TIMES4(x), TIMES4(x), TIMES4(x), TIMES4(x)
#define TIMES64(x) TIMES16(x), TIMES16(x), TIMES16(x), TIMES16(x)
const uint8_t ed_dist_codes[257 + 256] = {DIST_NONE, 0, 1, 2, 3, TWICE(4), TWICE(5), TIMES4(6),
	TIMES4(7), TIMES4(8), TIMES4(8), TIMES4(9), TIMES4(9), TIMES16(10), TIMES16(11),
	TIMES16(12), TIMES16(12), TIMES16(13), TIMES16(13), TIMES64(14), TIMES64(15),
	/* from 257 on; the first two are never used */
	0, 0, 16, 17, TWICE(18), TWICE(19), TIMES4(20), TIMES4(21), TIMES4(22), TIMES4(22),
	TIMES4(23), TIMES4(23), TIMES16(24), TIMES16(25), TIMES16(26), TIMES16(26), TIMES16(27),
	TIMES16(27), TIMES64(28), TIMES64(29)};

/* For every length code but the last the number of lengths it stands for is 1 << extra bits; length
 * 258 has a code of its own. `first` is counted from the length 3. */
struct len_range {
	unsigned first, end;
};

static inline struct len_range len_range(unsigned code, unsigned first)
{
	unsigned end = first + (1u << ed_len_extra[code]);
	return (struct len_range){first, code == 27 ? 255 : end};
}

void ed_block_init(struct exact_deflate *d)
{
	unsigned at = 0;
	for (unsigned code = 0; code < 29; code++) {
		struct len_range r = len_range(code, at);
		memset(d->len_code + r.first, (int)code, r.end - r.first);
		at = r.end;
	}
	ed_block_begin(d);
}

void ed_block_begin(struct exact_deflate *d)
{
	d->nsym = 0;
	memset(d->lit_freq, 0, sizeof d->lit_freq);
	memset(d->dist_freq, 0, sizeof d->dist_freq);
	d->lit_freq[ED_END_BLOCK] = 1;
}

/* Run-length code the lengths of a tree's codes: b->bl_sym gets codes of the bit length alphabet,
 * with their extra bits above. */
static void code_lengths(struct block *b, const struct ed_tree *t)
{
	for (int i = 0; i <= t->max_code;) {
		unsigned len = t->c[i].len;
		int run = 1, left = t->max_code + 1 - i;
		while (run < left && t->c[i + run].len == len)
			run++;
		i += run;
		bool again = false; /* the length was just sent, so it can be repeated */
		while (run > 0) {
			unsigned code = len, extra = 0;
			int used = 1;
			if (len == 0 && run >= 11) {
				used = run < 138 ? run : 138;
				code = 18, extra = (unsigned)used - 11;
			} else if (len == 0 && run >= 3) {
				used = run;
				code = 17, extra = (unsigned)used - 3;
			} else if (again && run >= 3) {
				used = run < 6 ? run : 6;
				code = 16, extra = (unsigned)used - 3;
			}
			again = true;
			run -= used;
			b->bl_freq[code]++;
			b->bl_sym[b->nbl++] = (uint16_t)(extra << 5 | code);
		}
	}
}

/* Both trees and the one that codes their lengths. Returns the size of the block in bits without
 * its three header bits. */
static uint32_t build(struct block *b, const struct exact_deflate *d)
{
	ed_tree_build(&b->lit, d->lit_freq, ED_LITLEN);
	ed_tree_build(&b->dist, d->dist_freq, ED_DIST);
	memset(b->bl_freq, 0, sizeof b->bl_freq);
	b->nbl = 0;
	code_lengths(b, &b->lit);
	code_lengths(b, &b->dist);
	ed_tree_build(&b->bl, b->bl_freq, ED_BITLEN);
	b->max_bl = ED_BL_CODES - 1;
	while (b->max_bl > 3 && b->bl.c[bl_order[b->max_bl]].len == 0)
		b->max_bl--;
	return b->lit.opt_len + b->dist.opt_len + b->bl.opt_len + 3 * ((uint32_t)b->max_bl + 1) +
	       5 + 5 + 4;
}

static void put_trees(struct block *b, struct ed_bits *bits)
{
	put(bits, (unsigned)b->lit.max_code - 256, 5);
	put(bits, (unsigned)b->dist.max_code, 5);
	put(bits, (unsigned)b->max_bl - 3, 4);
	drain(bits);
	for (int i = 0; i <= b->max_bl; i++) {
		put(bits, b->bl.c[bl_order[i]].len, 3);
		drain(bits);
	}
	for (unsigned i = 0; i < b->nbl; i++) {
		static const uint8_t nextra[ED_BL_CODES] = {[16] = 2, [17] = 3, [18] = 7};
		unsigned code = b->bl_sym[i] & 31;
		put(bits, b->bl.c[code].code, b->bl.c[code].len);
		put(bits, b->bl_sym[i] >> 5, nextra[code]);
		drain(bits);
	}
}

/* The tables of put_symbols(), from codes of literals and lengths, and of distances. */
static void emission_tables(struct block *b, const struct ed_code *lit, const struct ed_code *dist)
{
	for (unsigned i = 0; i < 256; i++)
		b->lit_bits[i] = lit[i].code | (uint32_t)lit[i].len << COUNT_SHIFT;
	unsigned at = 0;
	for (unsigned code = 0; code < 29; code++) {
		struct len_range r = len_range(code, at);
		struct ed_code c = lit[ED_END_BLOCK + 1 + code];
		at = r.end;
		if (c.len == 0)
			continue; /* does not occur */
		uint32_t bits = c.code | (c.len + (uint32_t)ed_len_extra[code]) << COUNT_SHIFT;
		for (unsigned i = r.first; i < r.end; i++)
			b->lit_bits[256 + i] = bits + ((i - r.first) << c.len);
	}
	for (unsigned i = 0; i < ED_D_CODES; i++)
		b->dist_code[i] = (struct dist_entry){dist[i].code, (uint8_t)dist[i].len,
			(uint8_t)(dist[i].len + ed_dist_extra[i]), (1u << ed_dist_extra[i]) - 1};
	b->dist_code[DIST_NONE] = (struct dist_entry){0, 0, 0, 0};
}

static void put_symbols(const struct block *b, struct ed_bits *out, const uint32_t *sym, unsigned n,
	struct ed_code eob)
{
	struct ed_bits bits = *out;
	for (unsigned i = 0; i < n; i++) {
		uint32_t lit = b->lit_bits[sym[i] & 511], dist = sym[i] >> 16;
		const struct dist_entry *dc = &b->dist_code[ed_dist_code(dist)];
		uint64_t far = (dist - 1) & dc->mask;
		put(&bits, lit & ((1u << COUNT_SHIFT) - 1), lit >> COUNT_SHIFT);
		put(&bits, dc->code | far << dc->len, dc->total);
		drain(&bits);
	}
	put(&bits, eob.code, eob.len);
	drain(&bits);
	*out = bits;
}

/* The fixed trees' codes, by the rule of RFC 1951 3.2.6. */
static void fixed_codes(struct ed_code lit[288], struct ed_code dist[30])
{
	static const struct {
		uint16_t first, end, code, len;
	} part[] = {{0, 144, 0x30, 8}, {144, 256, 0x190, 9}, {256, 280, 0, 7}, {280, 288, 0xc0, 8}};
	for (unsigned k = 0; k < 4; k++) {
		for (unsigned i = part[k].first; i < part[k].end; i++) {
			unsigned code = part[k].code + i - part[k].first, rev = 0;
			for (unsigned bit = 0; bit < part[k].len; bit++)
				rev |= (code >> bit & 1) << (part[k].len - 1 - bit);
			lit[i] = (struct ed_code){(uint16_t)rev, part[k].len};
		}
	}
	for (unsigned i = 0; i < ED_D_CODES; i++) {
		unsigned rev = 0;
		for (unsigned bit = 0; bit < 5; bit++)
			rev |= (i >> bit & 1) << (4 - bit);
		dist[i] = (struct ed_code){(uint16_t)rev, 5};
	}
}

static void put_stored(struct ed_bits *bits, const uint8_t *p, size_t n)
{
	put(bits, 0, (8 - bits->n % 8) % 8);
	put(bits, n & 0xffff, 16);
	put(bits, ~n & 0xffff, 16);
	drain(bits);
	memcpy(bits->p, p, n);
	bits->p += n;
}

/* Begin writing bits at the end of the output, where `need` more bytes fit. */
static int bits_open(struct exact_deflate *d, size_t need, struct ed_bits *bits, struct err *e)
{
	int r = buf_reserve(d->out, need + 16, e);
	if (r < 0)
		return r;
	*bits = (struct ed_bits){d->bit_acc, d->bit_n, d->out->p + d->out->len};
	return 0;
}

static void bits_close(struct exact_deflate *d, const struct ed_bits *bits)
{
	d->out->len = (size_t)(bits->p - d->out->p);
	d->bit_acc = bits->acc;
	d->bit_n = bits->n;
}

void ed_bits_finish(struct exact_deflate *d)
{
	if (d->bit_n)
		d->out->p[d->out->len++] = (uint8_t)d->bit_acc;
	d->bit_n = 0;
	d->bit_acc = 0;
}

int ed_block_flush(struct exact_deflate *d, size_t top, size_t end, bool last, struct err *e)
{
	struct block b;
	struct ed_bits bits;

	ed_slide(d, top);
	uint32_t dyn = (build(&b, d) + 3 + 7) >> 3;
	uint32_t fixed = (b.lit.stat_len + b.dist.stat_len + 3 + 7) >> 3;
	uint32_t best = fixed <= dyn ? fixed : dyn;
	size_t stored = end - d->block_start;
	bool can_store = d->block_start >= d->window_base;

	int r = bits_open(d, best + stored * (can_store && stored + 4 <= best), &bits, e);
	if (r < 0)
		return r;
	if (stored + 4 <= best && can_store) {
		put(&bits, last, 3);
		put_stored(&bits, d->in + d->block_start, stored);
	} else if (fixed == best) {
		struct ed_code lit[288], dist[ED_D_CODES];
		fixed_codes(lit, dist);
		put(&bits, 1 << 1 | last, 3);
		emission_tables(&b, lit, dist);
		put_symbols(&b, &bits, d->sym, d->nsym, lit[ED_END_BLOCK]);
	} else {
		put(&bits, 2 << 1 | last, 3);
		put_trees(&b, &bits);
		emission_tables(&b, b.lit.c, b.dist.c);
		put_symbols(&b, &bits, d->sym, d->nsym, b.lit.c[ED_END_BLOCK]);
	}
	bits_close(d, &bits);
	ed_block_begin(d);
	d->block_start = end;
	return 0;
}
