/* Which token would the dialect have written here?
 *
 * zlib's search and its lazy (levels 4 to 9) or greedy (1 to 3) choice, as state that follows the
 * stream's own tokens: while the writer is the dialect every prediction is right, and after any
 * other token the next prediction starts from where that one ended. Written for exactness; speed
 * is that of zlib itself. */
#include "engine/codec/foreign_internal.h"

struct limits {
	uint16_t good, lazy, nice, chain;
};

static const struct limits limits_of[10] = {{0, 0, 0, 0}, {4, 4, 8, 4}, {4, 5, 16, 8},
	{4, 6, 32, 32}, {4, 4, 16, 16}, {8, 16, 32, 32}, {8, 16, 128, 128}, {8, 32, 128, 256},
	{32, 128, 258, 1024}, {32, 258, 258, 4096}};

/* Where zlib's window begins when it is at `pos` and all input was at hand: it moves on by half
 * its size when what is ahead does not suffice. */
static size_t window_base(size_t pos)
{
	size_t first = FO_WINDOW + FO_MAX_DIST;
	return pos < first ? 0 : ((pos - first) / FO_WINDOW + 1) * FO_WINDOW;
}

static void crc_init(uint32_t *table)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;
		for (int k = 0; k < 8; k++)
			v = v >> 1 ^ (0x82f63b78u & (0u - (v & 1)));
		table[i] = v;
	}
}

/* CRC-32C of four bytes, begun with 0, as the processors' instruction has it. */
static uint32_t crc32c_of(const uint32_t *table, uint32_t v)
{
	for (int k = 0; k < 4; k++)
		v = v >> 8 ^ table[v & 255];
	return v;
}

uint32_t fo_chain_begin(struct fo_chain *c, size_t n)
{
	if (n >= UINT32_MAX - c->end) {
		memset(c->head, 0, sizeof c->head);
		memset(c->prev, 0, sizeof c->prev);
		c->end = 0;
	}
	uint32_t base = c->end;
	c->end += (uint32_t)n + 1;
	return base;
}

void fo_predictor_init(
	struct fo_predictor *p, struct fo_chain *mem, struct fo_dialect d, struct span in)
{
	*p = (struct fo_predictor){.in = in, .d = d, .chain = mem, .ahead_pos = SIZE_MAX};
	/* Chromium's zlib has 15 bits at least. */
	p->hash_bits = d.mem + 7u;
	if (d.family != FO_FAM_ZLIB && p->hash_bits < 15)
		p->hash_bits = 15;
	if (d.family == FO_FAM_CRC3)
		crc_init(p->crc);
	p->base = fo_chain_begin(mem, in.n);
	/* The four-byte hash at the last position reads one byte too far: 0 in a fresh window, else
	 * what was there before the window moved. */
	size_t base = in.n >= 3 ? window_base(in.n - 3) : 0;
	if (base && in.n - base < 2 * (size_t)FO_WINDOW)
		p->beyond = in.p[in.n - FO_WINDOW];
}

static unsigned hash_at(const struct fo_predictor *p, size_t pos)
{
	const uint8_t *b = p->in.p + pos;
	unsigned bits = p->hash_bits, mask = (1u << bits) - 1;
	if (p->d.family == FO_FAM_ZLIB) {
		unsigned shift = (bits + 2) / 3;
		return ((unsigned)b[0] << 2 * shift ^ (unsigned)b[1] << shift ^ b[2]) & mask;
	}
	uint32_t fourth = pos + 3 < p->in.n ? b[3] : p->beyond;
	uint32_t v = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | fourth << 24;
	if (p->d.family == FO_FAM_CHROMIUM)
		return (v * 66521u + 66521u) >> 16 & mask;
	return crc32c_of(p->crc, p->d.level >= 6 ? v & 0xffffff : v) & mask;
}

/* Enter `pos` and what is missing before it. */
static void enter(struct fo_predictor *p, size_t pos)
{
	for (; p->entered <= pos && p->entered + FO_MIN_MATCH <= p->in.n; p->entered++) {
		unsigned h = hash_at(p, p->entered);
		p->chain->prev[p->entered % FO_WINDOW] = p->chain->head[h];
		p->chain->head[h] = p->base + (uint32_t)p->entered;
	}
}

static unsigned common(const uint8_t *a, const uint8_t *b, unsigned max)
{
	unsigned i = 0;
	for (uint64_t x, y; i + 8 <= max; i += 8) {
		memcpy(&x, a + i, 8);
		memcpy(&y, b + i, 8);
		if (x != y)
			break;
	}
	while (i < max && a[i] == b[i])
		i++;
	return i;
}

static inline uint16_t two_bytes(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

/* What is before `pos` in its chain; 0 for none. */
static inline size_t candidate(const struct fo_predictor *p, size_t pos)
{
	uint32_t v = p->chain->prev[pos % FO_WINDOW];
	return v > p->base ? v - p->base : 0;
}

/* The longest match at `pos` that is longer than `best`, as zlib finds it; 0 when there is none. */
static uint32_t search(struct fo_predictor *p, size_t pos, unsigned best)
{
	const struct limits *l = &limits_of[p->d.level];
	if (p->in.n - pos < FO_MIN_MATCH)
		return 0;
	enter(p, pos);
	const uint8_t *s = p->in.p + pos;
	unsigned max = p->in.n - pos < FO_MAX_MATCH ? (unsigned)(p->in.n - pos) : FO_MAX_MATCH;
	unsigned chain = best >= l->good ? l->chain >> 2 : l->chain;
	unsigned nice = l->nice < max ? l->nice : max;
	uint32_t found = 0;
	size_t cand = candidate(p, pos);
	/* Position 0 is zlib's end of the chain. Only the first may be as far as it gets. */
	if (cand == 0 || pos - cand > FO_MAX_DIST || best >= max)
		return 0;
	uint16_t first = two_bytes(s), last = two_bytes(s + best - 1);
	do {
		const uint8_t *m = p->in.p + cand;
		if (two_bytes(m + best - 1) == last && two_bytes(m) == first) {
			unsigned len = common(m, s, max);
			if (len > best) {
				found = fo_match(len, (unsigned)(pos - cand));
				best = len;
				if (len >= nice || len == max)
					break;
				last = two_bytes(s + best - 1);
			}
		}
		cand = candidate(p, cand);
	} while (cand && pos - cand < FO_MAX_DIST && --chain);
	return found;
}

static struct fo_guess predict_lazy(struct fo_predictor *p, size_t pos)
{
	const struct limits *l = &limits_of[p->d.level];
	struct fo_guess g = {0, false};
	uint32_t next = 0;
	g.match = p->ahead_pos == pos ? p->ahead : search(p, pos, 2);
	p->ahead_pos = SIZE_MAX;
	if (fo_len(g.match) == FO_MIN_MATCH && fo_dist(g.match) > FO_TOO_FAR)
		g.match = 0;
	if (!g.match)
		return g;
	if (fo_len(g.match) < l->lazy && pos + 1 < p->in.n)
		next = search(p, pos + 1, fo_len(g.match));
	g.take = next == 0;
	if (next) {
		p->ahead_pos = pos + 1;
		p->ahead = next;
	}
	return g;
}

struct fo_guess fo_predict(struct fo_predictor *p, size_t pos)
{
	struct fo_guess g = {0, false};
	switch (p->d.family) {
	case FO_FAM_LITERALS:
		break;
	case FO_FAM_RUNS:
		if (pos && p->in.n - pos >= FO_MIN_MATCH) {
			const uint8_t *s = p->in.p + pos;
			size_t max = p->in.n - pos;
			unsigned len = common(
				s - 1, s, max < FO_MAX_MATCH ? (unsigned)max : FO_MAX_MATCH);
			if (len >= FO_MIN_MATCH)
				g = (struct fo_guess){fo_match(len, 1), true};
		}
		break;
	default:
		if (p->d.level > 3)
			return predict_lazy(p, pos);
		g.match = search(p, pos, 2);
		g.take = g.match != 0;
	}
	return g;
}

void fo_learn(struct fo_predictor *p, size_t pos, struct fo_guess g, uint32_t tok)
{
	/* What was found one byte ahead counts if that is where the stream goes on, and why. */
	if (tok != FO_LITERAL || g.take)
		p->ahead_pos = SIZE_MAX;
	if (p->d.family < FO_FAM_ZLIB || p->d.level > 3 || tok == FO_LITERAL)
		return;
	/* The fast levels enter the insides of short matches only, and none near the end. */
	size_t end = pos + fo_len(tok);
	enter(p, pos);
	if (fo_len(tok) <= limits_of[p->d.level].lazy && p->in.n - end >= FO_MIN_MATCH)
		enter(p, end - 1);
	else if (p->entered < end)
		p->entered = end;
}

void fo_learn_stored(struct fo_predictor *p, size_t pos, size_t n)
{
	p->ahead_pos = SIZE_MAX;
	if (n && p->d.family >= FO_FAM_ZLIB)
		enter(p, pos + n - 1);
}
