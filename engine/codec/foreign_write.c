/* Blocks and tokens to a deflate stream, and what reading and writing share: the tables of
 * RFC 1951. */
#include "engine/codec/foreign_internal.h"

const uint16_t fo_len_base[29] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43,
	51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
const uint8_t fo_len_extra[29] = {
	0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
const uint16_t fo_dist_base[30] = {1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257,
	385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
const uint8_t fo_dist_extra[30] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9,
	10, 10, 11, 11, 12, 12, 13, 13};
const uint8_t fo_cl_order[FO_CL_CODES] = {
	16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};

static unsigned log2_of(unsigned v)
{
	return 31 - (unsigned)__builtin_clz(v);
}

unsigned fo_len_code(uint32_t tok)
{
	unsigned len = fo_len(tok), v = len - 3;
	if (len == FO_MAX_MATCH)
		return tok & FO_LONG_258 ? 27 : 28;
	if (v < 8)
		return v;
	unsigned extra = log2_of(v) - 2;
	return 4 * extra + (v >> extra);
}

unsigned fo_dist_code(unsigned dist)
{
	unsigned v = dist - 1;
	if (v < 4)
		return v;
	unsigned extra = log2_of(v) - 1;
	return 2 * extra + (v >> extra);
}

unsigned fo_step_bits(unsigned sym)
{
	return sym < 16 ? 0 : sym == 16 ? 2 : sym == 17 ? 3 : 7;
}

unsigned fo_step_run(struct fo_step s)
{
	return s.sym < 16 ? 1u : s.sym == 18 ? 11u + s.arg : 3u + s.arg;
}

bool fo_codes(const uint8_t *len, unsigned n, uint16_t *code)
{
	unsigned count[FO_MAX_BITS + 1] = {0}, next[FO_MAX_BITS + 1], first = 0;
	for (unsigned i = 0; i < n; i++)
		count[len[i]]++;
	count[0] = 0;
	for (unsigned bits = 1; bits <= FO_MAX_BITS; bits++) {
		first = (first + count[bits - 1]) << 1;
		next[bits] = first;
		if (first + count[bits] > 1u << bits)
			return false;
	}
	for (unsigned i = 0; i < n; i++) {
		unsigned v = len[i] ? next[len[i]]++ : 0, rev = 0;
		for (unsigned k = 0; k < len[i]; k++)
			rev = rev << 1 | (v >> k & 1);
		code[i] = (uint16_t)rev;
	}
	return true;
}

void fo_fixed_lengths(uint8_t lit[FO_LIT_CODES], uint8_t dist[FO_DIST_CODES])
{
	for (unsigned i = 0; i < FO_LIT_CODES; i++)
		lit[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
	memset(dist, 5, FO_DIST_CODES);
}

void fo_count(const struct fo_block *b, const uint8_t *plain, struct fo_freq *f)
{
	memset(f, 0, sizeof *f);
	f->lit[FO_END_BLOCK] = 1;
	for (size_t i = 0; i < b->ntok; i++) {
		uint32_t tok = b->tok[i];
		if (tok) {
			f->lit[FO_END_BLOCK + 1 + fo_len_code(tok)]++;
			f->dist[fo_dist_code(fo_dist(tok))]++;
		} else {
			f->lit[*plain]++;
		}
		plain += fo_len(tok);
	}
}

static inline void put(struct fo_writer *w, uint64_t v, unsigned n)
{
	w->acc |= v << w->n;
	w->n += n;
}

/* Move whole bytes out; at most 8 at a time, for which there is room. */
static inline void drain(struct fo_writer *w)
{
	for (; w->n >= 8; w->n -= 8) {
		w->out->p[w->out->len++] = (uint8_t)w->acc;
		w->acc >>= 8;
	}
}

/* Make sure that `n` more bytes fit the memory, and that what is there fits the limit. */
static int room(struct fo_writer *w, size_t n, struct err *e)
{
	if (w->out->len - w->start + (w->n != 0) > w->max)
		return err_set(e, E_CORRUPT, 0, "a stream grows beyond %zu bytes", w->max);
	return buf_reserve(w->out, n, e);
}

static int write_stored(
	struct fo_writer *w, const struct fo_block *b, struct span plain, struct err *e)
{
	unsigned pad = (8 - w->n % 8) % 8;
	if (b->stored > plain.n || b->stored > 0xffff || b->stored_pad >> pad)
		return err_set(e, E_CORRUPT, 0, "a stored block that cannot be");
	int r = room(w, 16 + (size_t)b->stored, e);
	if (r < 0)
		return r;
	put(w, b->stored_pad, pad);
	drain(w);
	put(w, b->stored, 16);
	put(w, ~b->stored & 0xffff, 16);
	drain(w);
	if (b->stored)
		memcpy(w->out->p + w->out->len, plain.p, b->stored);
	w->out->len += b->stored;
	return 0;
}

static int write_header(struct fo_writer *w, const struct fo_header *h, struct err *e)
{
	uint16_t code[FO_CL_CODES];
	int r = room(w, 1024, e);
	if (r < 0)
		return r;
	if (!fo_codes(h->cl, FO_CL_CODES, code))
		return err_set(e, E_CORRUPT, 0, "a header's codes are oversubscribed");
	put(w, h->nlit - 257, 5);
	put(w, h->ndist - 1, 5);
	put(w, h->ncl - 4, 4);
	drain(w);
	for (unsigned i = 0; i < h->ncl; i++) {
		put(w, h->cl[fo_cl_order[i]], 3);
		drain(w);
	}
	for (unsigned i = 0; i < h->nsteps; i++) {
		struct fo_step s = h->step[i];
		if (h->cl[s.sym] == 0)
			return err_set(e, E_CORRUPT, 0, "a header lacks a code it needs");
		put(w, code[s.sym], h->cl[s.sym]);
		put(w, s.arg, fo_step_bits(s.sym));
		drain(w);
	}
	return 0;
}

static bool put_match(struct fo_writer *w, uint32_t tok, const uint8_t *lit, const uint16_t *lcode,
	const uint8_t *dist, const uint16_t *dcode)
{
	unsigned lc = fo_len_code(tok), ls = FO_END_BLOCK + 1 + lc;
	unsigned dc = fo_dist_code(fo_dist(tok));
	if (lit[ls] == 0 || dist[dc] == 0)
		return false;
	put(w, lcode[ls], lit[ls]);
	put(w, fo_len(tok) - fo_len_base[lc], fo_len_extra[lc]);
	drain(w);
	put(w, dcode[dc], dist[dc]);
	put(w, fo_dist(tok) - fo_dist_base[dc], fo_dist_extra[dc]);
	return true;
}

static int write_tokens(struct fo_writer *w, const struct fo_block *b, const uint8_t *p,
	const uint8_t *lit, const uint8_t *dist, struct err *e)
{
	uint16_t lcode[FO_LIT_CODES], dcode[FO_DIST_CODES];
	if (!fo_codes(lit, FO_LIT_CODES, lcode) || !fo_codes(dist, FO_DIST_CODES, dcode))
		return err_set(e, E_CORRUPT, 0, "a block's codes are oversubscribed");
	for (size_t i = 0; i <= b->ntok; i++) {
		if (i % 1024 == 0) { /* a token takes 6 bytes at most */
			int r = room(w, 6 * 1024 + 16, e);
			if (r < 0)
				return r;
		}
		uint32_t tok = i < b->ntok ? b->tok[i] : FO_LITERAL;
		unsigned sym = i < b->ntok ? *p : FO_END_BLOCK;
		bool ok;
		if (tok) {
			ok = put_match(w, tok, lit, lcode, dist, dcode);
		} else {
			ok = lit[sym] != 0;
			put(w, lcode[sym], lit[sym]);
		}
		if (!ok)
			return err_set(e, E_CORRUPT, 0, "a block lacks a code it needs");
		drain(w);
		p += i < b->ntok ? fo_len(tok) : 0;
	}
	return 0;
}

int fo_write_block(struct fo_writer *w, const struct fo_block *b, struct span plain, struct err *e)
{
	int r = room(w, 16, e);
	if (r < 0)
		return r;
	put(w, (unsigned)b->type << 1 | b->final, 3);
	if (b->type == FO_STORED) {
		r = write_stored(w, b, plain, e);
	} else if (b->type == FO_FIXED) {
		uint8_t lit[FO_LIT_CODES], dist[FO_DIST_CODES];
		fo_fixed_lengths(lit, dist);
		r = write_tokens(w, b, plain.p, lit, dist, e);
	} else {
		r = write_header(w, &b->h, e);
		if (r == 0)
			r = write_tokens(w, b, plain.p, b->h.lit, b->h.dist, e);
	}
	if (r == 0 && b->final) {
		unsigned pad = (8 - w->n % 8) % 8;
		if (b->end_pad >> pad)
			return err_set(e, E_CORRUPT, 0, "bits behind the end that cannot be");
		put(w, b->end_pad, pad);
	}
	if (r == 0)
		r = room(w, 16, e);
	if (r == 0)
		drain(w);
	return r;
}
