/* Blocks and tokens as differences from what the dialect would have written. Every function here
 * does both directions (see struct fo_coder): when decoding, what is passed in is not looked at. */
#include "engine/codec/foreign_internal.h"

/* Search no further for the distance of a token that was not predicted. */
enum { MAX_HOPS = 4096 };

static int corrupt(struct err *e)
{
	return err_set(e, E_CORRUPT, 0, "the description of a stream is damaged");
}

/* ---- distances: the how-manieth earlier place that matches so long? ---- */

static unsigned hash3(const uint8_t *p)
{
	return ((unsigned)p[0] << 10 ^ (unsigned)p[1] << 5 ^ p[2]) & 32767;
}

static void all_enter(struct fo_state *st)
{
	struct fo_chain *a = st->all;
	for (; st->all_entered < st->pos && st->plain.n - st->all_entered >= 3; st->all_entered++) {
		unsigned h = hash3(st->plain.p + st->all_entered);
		a->prev[st->all_entered % FO_WINDOW] = a->head[h];
		a->head[h] = st->all_base + (uint32_t)st->all_entered + 1;
	}
}

/* Count places that match `len` bytes, from the nearest on, until the distance is `dist` (when not
 * 0) or the count is `rank`. Returns the distance, 0 when not found; *ret_rank is its rank. */
static unsigned find_place(
	struct fo_state *st, unsigned len, unsigned dist, uint32_t rank, uint32_t *ret_rank)
{
	const uint8_t *s = st->plain.p + st->pos;
	unsigned hops = MAX_HOPS;
	uint32_t n = 0;
	all_enter(st);
	uint32_t next = st->all->head[hash3(s)];
	while (next > st->all_base && hops--) {
		size_t at = next - st->all_base - 1;
		if (st->pos - at > FO_WINDOW)
			break;
		if (memcmp(st->plain.p + at, s, len) == 0) {
			unsigned d = (unsigned)(st->pos - at);
			if (dist ? d == dist : n == rank) {
				*ret_rank = n;
				return d;
			}
			n++;
		}
		next = st->all->prev[at % FO_WINDOW];
	}
	return 0;
}

static unsigned code_dist(struct fo_state *st, unsigned len, unsigned dist)
{
	uint32_t rank = 0;
	bool far = !st->c.decode && find_place(st, len, dist, 0, &rank) == 0;
	if (fo_bit(&st->c, &st->m.escape, far))
		return fo_number(&st->c, &st->m.far, dist - 1) + 1;
	rank = fo_number(&st->c, &st->m.rank, rank);
	return st->c.decode ? find_place(st, len, 0, rank, &rank) : dist;
}

/* ---- tokens ---- */

static unsigned kind_of(struct fo_guess g)
{
	unsigned len = fo_len(g.match);
	if (!g.match)
		return 0;
	if (!g.take)
		return len <= 4 ? 1 : 2;
	return len == 3 ? 3 : len == 4 ? 4 : len <= 8 ? 5 : len <= 32 ? 6 : 7;
}

/* A match that was not foreseen. 0 when a damaged side asks for what cannot be. */
static uint32_t code_match(struct fo_state *st, struct fo_guess g, uint32_t tok)
{
	struct fo_model *m = &st->m;
	struct fo_coder *c = &st->c;
	unsigned len = fo_len(tok), dist = fo_dist(tok), near = fo_len(g.match);
	size_t left = st->plain.n - st->pos;
	bool same = g.match &&
		    !fo_bit(c, &m->other_dist[g.take], c->decode || dist != fo_dist(g.match));
	if (same) {
		dist = fo_dist(g.match);
		if (fo_bit(c, &m->longer, len > near))
			len = near + 1 + fo_number(c, &m->longer_by, len - near - 1);
		else
			len = near - 1 - fo_number(c, &m->shorter_by, near - len - 1);
	} else {
		len = FO_MIN_MATCH + fo_number(c, &m->len[g.match != 0], len - FO_MIN_MATCH);
	}
	if (len < FO_MIN_MATCH || len > FO_MAX_MATCH || len > left)
		return 0;
	if (!same)
		dist = code_dist(st, len, dist);
	if (dist == 0 || dist > FO_WINDOW || dist > st->pos)
		return 0;
	const uint8_t *s = st->plain.p + st->pos;
	return memcmp(s, s - dist, len) == 0 ? fo_match(len, dist) : 0;
}

static int code_token(struct fo_state *st, uint32_t *ret, struct err *e)
{
	struct fo_model *m = &st->m;
	struct fo_coder *c = &st->c;
	struct fo_guess g = fo_predict(&st->pred, st->pos);
	uint32_t tok = *ret & ~(uint32_t)FO_LONG_258, want = g.take ? g.match : FO_LITERAL;
	unsigned kind = kind_of(g), long258 = *ret & FO_LONG_258 ? 1 : 0;

	unsigned miss = fo_bit(c, &m->miss[kind][st->history], tok != want);
	st->history = (st->history << 1 | miss) % FO_HISTORY;
	if (!miss) {
		tok = want;
	} else if (g.take && !fo_bit(c, &m->not_literal[kind], tok != FO_LITERAL)) {
		tok = FO_LITERAL;
	} else if (g.match && !g.take && !fo_bit(c, &m->not_greedy, tok != g.match)) {
		tok = g.match;
	} else {
		tok = code_match(st, g, tok);
		if (tok == 0)
			return corrupt(e);
	}
	fo_learn(&st->pred, st->pos, g, tok);
	if (tok && fo_len(tok) == FO_MAX_MATCH && fo_bit(c, &m->long_258, long258))
		tok |= FO_LONG_258;
	*ret = tok;
	return 0;
}

/* ---- blocks ---- */

/* The tokens of a block. It ends by the rule when it has as many as zlib's buffer holds, or where
 * the plain bytes end; else their number is told. */
static int code_tokens(struct fo_state *st, struct fo_block *b, struct err *e)
{
	struct fo_coder *c = &st->c;
	size_t full = ((size_t)1 << (st->d.mem + 6)) - 1, left = st->plain.n - st->pos, n = full, i;
	if (!c->decode) {
		size_t covered = 0;
		for (i = 0; i < b->ntok; i++)
			covered += fo_len(b->tok[i]);
		n = covered == left || b->ntok == full ? full : b->ntok;
		if (b->ntok > full)
			n = b->ntok;
	}
	if (fo_bit(c, &st->m.by_rule, n != full))
		n = fo_number(c, &st->m.ntok, (uint32_t)n);
	if (c->decode)
		b->ntok = 0;
	for (i = 0; i < n && st->pos < st->plain.n; i++) {
		int r = c->decode ? fo_block_push(b, 0, e) : 0;
		if (r == 0)
			r = code_token(st, &b->tok[i], e);
		if (r < 0)
			return r;
		st->pos += fo_len(b->tok[i]);
	}
	return 0;
}

static int code_stored(struct fo_state *st, struct fo_block *b, struct err *e)
{
	struct fo_coder *c = &st->c;
	struct fo_model *m = &st->m;
	size_t left = st->plain.n - st->pos;
	uint32_t most = left < 0xffff ? (uint32_t)left : 0xffff;
	b->stored_pad = (uint8_t)(fo_bit(c, &m->pad, b->stored_pad != 0)
					  ? fo_raw(c, 7, b->stored_pad)
					  : 0);
	if (fo_bit(c, &m->stored_zero, b->stored != 0) == 0)
		b->stored = 0;
	else if (fo_bit(c, &m->stored_rest, b->stored != most) == 0)
		b->stored = most;
	else
		b->stored = fo_number(c, &m->stored, b->stored);
	if (b->stored > left || b->stored > 0xffff)
		return corrupt(e);
	fo_learn_stored(&st->pred, st->pos, b->stored);
	st->pos += b->stored;
	return 0;
}

int fo_code_block(struct fo_state *st, struct fo_block *b, struct err *e)
{
	struct fo_coder *c = &st->c;
	struct fo_model *m = &st->m;
	const uint8_t *begin = st->plain.p + st->pos;
	int r;
	if (c->decode)
		b->ntok = 0;
	if (fo_bit(c, &m->dynamic[st->last_type], b->type != FO_DYNAMIC) == 0)
		b->type = FO_DYNAMIC;
	else
		b->type = fo_bit(c, &m->fixed[st->last_type], b->type == FO_FIXED) ? FO_FIXED
										   : FO_STORED;
	st->last_type = b->type;
	if (b->type == FO_STORED)
		r = code_stored(st, b, e);
	else
		r = code_tokens(st, b, e);
	if (r == 0 && b->type == FO_DYNAMIC) {
		struct fo_freq f;
		fo_count(b, begin, &f);
		r = fo_code_header(st, &b->h, &f, e);
	}
	if (r < 0)
		return r;
	b->final = st->pos == st->plain.n && !fo_bit(c, &m->final, !b->final);
	if (b->final)
		b->end_pad = (uint8_t)(fo_bit(c, &m->pad, b->end_pad != 0)
					       ? fo_raw(c, 7, b->end_pad)
					       : 0);
	return 0;
}
