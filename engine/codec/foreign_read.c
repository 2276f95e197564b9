/* A deflate stream to blocks and tokens, losing nothing: every bit of the stream follows from what
 * is kept. More is accepted than zlib would write, and than inflate would read where it can be
 * written again; what contradicts the plain bytes is not. */
#include <stdlib.h>

#include "engine/codec/foreign_internal.h"

/* An entry of a decoding table: symbol << 4 | length of its code; 0: no code. */
enum { ENTRY_LEN = 15 };

void fo_reader_init(struct fo_reader *r, struct span stream, struct span plain)
{
	r->in = stream;
	r->plain = plain;
	r->at = r->pos = 0;
	r->acc = 0;
	r->n = 0;
}

/* Have 48 bits ahead, or all that are left. */
static inline void refill(struct fo_reader *r)
{
	while (r->n <= 56 && r->at < r->in.n) {
		r->acc |= (uint64_t)r->in.p[r->at++] << r->n;
		r->n += 8;
	}
}

static int broken(struct err *e, const char *what)
{
	return err_set(e, E_FORMAT, 0, "no deflate stream of these bytes: %s", what);
}

/* Up to 16 bits; false when the stream ends before. */
static inline bool take(struct fo_reader *r, unsigned n, unsigned *ret)
{
	refill(r);
	if (r->n < n)
		return false;
	*ret = (unsigned)(r->acc & ((1u << n) - 1));
	r->acc >>= n;
	r->n -= n;
	return true;
}

static bool table_build(uint16_t *table, const uint8_t *len, unsigned n, unsigned *ret_bits)
{
	uint16_t code[FO_LIT_CODES];
	unsigned bits = 1;
	if (!fo_codes(len, n, code))
		return false;
	for (unsigned i = 0; i < n; i++)
		bits = len[i] > bits ? len[i] : bits;
	memset(table, 0, sizeof *table << bits);
	for (unsigned i = 0; i < n; i++)
		for (unsigned at = code[i]; len[i] && at < 1u << bits; at += 1u << len[i])
			table[at] = (uint16_t)(i << 4 | len[i]);
	*ret_bits = bits;
	return true;
}

/* The next symbol, or -1. */
static inline int symbol(struct fo_reader *r, const uint16_t *table, unsigned bits)
{
	unsigned entry = table[r->acc & ((1u << bits) - 1)], len = entry & ENTRY_LEN;
	if (len == 0 || len > r->n)
		return -1;
	r->acc >>= len;
	r->n -= len;
	return (int)(entry >> 4);
}

static int read_stored(struct fo_reader *r, struct fo_block *b, struct err *e)
{
	unsigned pad = 0, n, inverse;
	if (!take(r, r->n % 8, &pad) || !take(r, 16, &n) || !take(r, 16, &inverse))
		return broken(e, "it ends within a block");
	if ((n ^ inverse) != 0xffff)
		return broken(e, "a stored block's length is wrong");
	r->at -= r->n / 8; /* whole bytes ahead go back */
	r->acc = 0;
	r->n = 0;
	if (n > r->in.n - r->at || n > r->plain.n - r->pos ||
		(n && memcmp(r->in.p + r->at, r->plain.p + r->pos, n) != 0))
		return broken(e, "a stored block differs");
	b->stored_pad = (uint8_t)pad;
	b->stored = n;
	r->at += n;
	r->pos += n;
	return 0;
}

/* The run-length coded lengths of both trees. */
static int read_steps(struct fo_reader *r, struct fo_header *h, const uint16_t *table,
	unsigned bits, struct err *e)
{
	uint8_t len[FO_LENS] = {0};
	unsigned at = 0, total = h->nlit + h->ndist;
	for (h->nsteps = 0; at < total; h->nsteps++) {
		unsigned arg = 0;
		refill(r);
		int sym = symbol(r, table, bits);
		if (sym < 0 || !take(r, fo_step_bits((unsigned)sym), &arg))
			return broken(e, "a bad header");
		struct fo_step s = {(uint8_t)sym, (uint8_t)arg};
		unsigned run = fo_step_run(s);
		if (run > total - at || (sym == 16 && at == 0))
			return broken(e, "a bad header");
		memset(len + at, sym < 16 ? sym : sym == 16 ? len[at - 1] : 0, run);
		at += run;
		h->step[h->nsteps] = s;
	}
	memcpy(h->lit, len, h->nlit);
	memcpy(h->dist, len + h->nlit, h->ndist);
	return 0;
}

static int read_header(struct fo_reader *r, struct fo_header *h, struct err *e)
{
	memset(h, 0, sizeof *h);
	if (!take(r, 5, &h->nlit) || !take(r, 5, &h->ndist) || !take(r, 4, &h->ncl))
		return broken(e, "it ends within a header");
	h->nlit += 257;
	h->ndist += 1;
	h->ncl += 4;
	if (h->nlit > FO_LIT_CODES)
		return broken(e, "too many codes");
	for (unsigned i = 0; i < h->ncl; i++) {
		unsigned len;
		if (!take(r, 3, &len))
			return broken(e, "it ends within a header");
		h->cl[fo_cl_order[i]] = (uint8_t)len;
	}
	unsigned bits;
	if (!table_build(r->lit_table, h->cl, FO_CL_CODES, &bits))
		return broken(e, "a bad header");
	return read_steps(r, h, r->lit_table, bits, e);
}

/* A match, its length symbol read; 0 when it is none. */
static uint32_t read_match(struct fo_reader *r, unsigned lsym, unsigned dist_bits)
{
	unsigned extra, dextra;
	if (lsym >= 29 || !take(r, fo_len_extra[lsym], &extra))
		return 0;
	refill(r);
	int dsym = symbol(r, r->dist_table, dist_bits);
	if (dsym < 0 || dsym >= 30 || !take(r, fo_dist_extra[dsym], &dextra))
		return 0;
	unsigned len = fo_len_base[lsym] + extra, dist = fo_dist_base[dsym] + dextra;
	if (dist > r->pos || len > r->plain.n - r->pos ||
		memcmp(r->plain.p + r->pos, r->plain.p + r->pos - dist, len) != 0)
		return 0;
	return fo_match(len, dist) | (lsym == 27 && extra == 31 ? FO_LONG_258 : 0);
}

static int read_tokens(struct fo_reader *r, struct fo_block *b, const uint8_t *lit,
	const uint8_t *dist, struct err *e)
{
	unsigned lit_bits, dist_bits;
	if (!table_build(r->lit_table, lit, FO_LIT_CODES, &lit_bits) ||
		!table_build(r->dist_table, dist, FO_DIST_CODES, &dist_bits))
		return broken(e, "bad codes");
	for (;;) {
		refill(r);
		int sym = symbol(r, r->lit_table, lit_bits);
		if (sym < 0)
			return broken(e, "a bad code");
		if (sym == FO_END_BLOCK)
			return 0;
		uint32_t tok = FO_LITERAL;
		if (sym > FO_END_BLOCK) {
			tok = read_match(r, (unsigned)sym - FO_END_BLOCK - 1, dist_bits);
			if (tok == 0)
				return broken(e, "a bad match");
		} else if (r->pos >= r->plain.n || r->plain.p[r->pos] != sym) {
			return broken(e, "a literal differs");
		}
		r->pos += fo_len(tok);
		int rc = fo_block_push(b, tok, e);
		if (rc < 0)
			return rc;
	}
}

int fo_block_push(struct fo_block *b, uint32_t tok, struct err *e)
{
	if (b->ntok == b->cap) {
		size_t cap = b->cap ? 2 * b->cap : 32768;
		uint32_t *p = realloc(b->tok, cap * sizeof *p);
		if (!p)
			return err_set(e, E_NOMEM, 0, "no memory for the tokens of a stream");
		b->tok = p;
		b->cap = cap;
	}
	b->tok[b->ntok++] = tok;
	return 0;
}

/* Behind the final block: bits up to the end of the byte, and no more. */
static int read_end(struct fo_reader *r, struct fo_block *b, struct err *e)
{
	unsigned pad = 0;
	refill(r);
	if (r->n >= 8 || r->at < r->in.n)
		return broken(e, "there is more behind its end");
	if (r->pos < r->plain.n)
		return broken(e, "it ends too early");
	if (!take(r, r->n, &pad))
		return broken(e, "it ends within a byte");
	b->end_pad = (uint8_t)pad;
	return 0;
}

int fo_read_block(struct fo_reader *r, struct fo_block *b, struct err *e)
{
	unsigned type;
	int rc = 0;
	b->ntok = 0;
	b->stored = 0;
	b->stored_pad = b->end_pad = 0;
	if (!take(r, 3, &type))
		return broken(e, "it ends before its final block");
	b->final = type & 1;
	b->type = (enum fo_type)(type >> 1);
	if (b->type == FO_STORED) {
		rc = read_stored(r, b, e);
	} else if (b->type == FO_FIXED) {
		uint8_t lit[FO_LIT_CODES], dist[FO_DIST_CODES];
		fo_fixed_lengths(lit, dist);
		rc = read_tokens(r, b, lit, dist, e);
	} else if (b->type == FO_DYNAMIC) {
		rc = read_header(r, &b->h, e);
		if (rc == 0)
			rc = read_tokens(r, b, b->h.lit, b->h.dist, e);
	} else {
		rc = broken(e, "a block of no known type");
	}
	return rc == 0 && b->final ? read_end(r, b, e) : rc;
}
