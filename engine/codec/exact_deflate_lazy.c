/* Levels 4 to 9: take a match only when the next position has no better one.
 *
 * zlib walks the chain of all earlier positions with the same three-byte hash, nearest first, as
 * far as the level's limits go, and keeps the first of the longest matches. The same match comes
 * out when positions that cannot win are never looked at, provided that the limits are applied as
 * if they had been: an ordinal tells how many entries zlib would have passed. */
#include "engine/codec/exact_deflate_internal.h"

struct match {
	unsigned len;
	uint32_t dist;
};

struct parse {
	struct exact_deflate *d;
	struct ed_index *x;
	const uint8_t *in;
	size_t n;
	struct ed_limits l;
};

/* What one search is bound by. */
struct query {
	size_t pos;
	const uint8_t *p;
	unsigned max, nice, limit; /* longest possible; good enough; chain entries */
	uint32_t reach;		   /* largest distance */
	uint16_t ord;
};

/* A query is passed by value to what is not inlined, so that it can live in registers. */

/* The ordinal of an entered position in its three-byte chain. */
static inline uint16_t ord_of(const struct parse *s, size_t pos)
{
	return (uint16_t)(s->x->at3[pos - s->x->origin] >> 16);
}

/* How many chain entries zlib has looked at when it comes to the one at this distance. Positions
 * within a run have no ordinal of their own, but the third last of a run has; `lead` is how far
 * ahead that is. */
static inline unsigned entries_to(
	const struct parse *s, const struct query *q, uint32_t dist, unsigned lead)
{
	return (uint16_t)(q->ord - ord_of(s, q->pos - dist + lead) + lead);
}

static inline uint32_t back4(const struct parse *s, size_t pos)
{
	return s->x->back4[pos - s->x->origin];
}

/* Never 0, though what came full circle may lie 65,536 back. */
static inline uint32_t back3(const struct parse *s, size_t pos)
{
	uint32_t seen = s->x->at3[pos - s->x->origin];
	return 1 + (uint32_t)(uint16_t)(s->x->base + (uint32_t)pos - seen - 1);
}

static inline uint32_t reach_of(size_t pos)
{
	return pos > ED_MAX_DIST ? ED_MAX_DIST : (uint32_t)pos - 1;
}

/* At the largest distance only the first chain entry counts, and not from where zlib's window
 * begins. */
static __attribute__((noinline)) bool edge_usable(
	const struct parse *s, size_t pos, unsigned entries)
{
	ed_slide(s->d, pos);
	return entries == 1 && pos - ED_MAX_DIST != s->d->window_base;
}

/* Entry for entry as zlib does it: the way out when the short cuts take longer. */
static __attribute__((noinline)) struct match search_slowly(
	const struct parse *s, struct query query, struct match m)
{
	const struct query *q = &query;
	uint32_t dist = back3(s, q->pos);
	while (dist <= q->reach) {
		unsigned entries = entries_to(s, q, dist, 0);
		if (entries > q->limit || (dist == ED_MAX_DIST && !edge_usable(s, q->pos, entries)))
			break;
		unsigned len = ed_common(q->p - dist, q->p, q->max);
		if (len > m.len && len > ED_MIN_MATCH) {
			m = (struct match){len, dist};
			if (len >= q->nice)
				break;
		}
		dist += back3(s, q->pos - dist);
	}
	return m;
}

static inline uint32_t reach3_of(size_t pos)
{
	return pos > ED_TOO_FAR ? ED_TOO_FAR : (uint32_t)pos - 1;
}

/* Four bytes, of which only the first three matter. */
static inline uint32_t load24(const uint8_t *p)
{
	return ed_load32(p) << 8;
}

/* The nearest match of `three`, the bytes at pos. */
static inline struct match search3_at(const struct parse *s, size_t pos, uint32_t three)
{
	const uint8_t *p = s->in + pos;
	uint32_t reach = reach3_of(pos);
	uint16_t ord = ord_of(s, pos);
	for (uint32_t dist = back3(s, pos); dist <= reach; dist += back3(s, pos - dist)) {
		if ((uint16_t)(ord - ord_of(s, pos - dist)) > s->l.chain)
			break;
		if (load24(p - dist) == three)
			return (struct match){ED_MIN_MATCH, dist};
	}
	return (struct match){ED_MIN_MATCH - 1, 0};
}

/* For a position that has four bytes. */
static inline struct match search3(const struct parse *s, size_t pos)
{
	return search3_at(s, pos, load24(s->in + pos));
}

/* For the last position that has three. */
static __attribute__((noinline)) struct match search_last(const struct parse *s, size_t pos)
{
	return search3_at(s, pos, ed_load32(s->in + pos - 1) & ~0xffu);
}

/* Leave the runs behind that end at or before pos. */
static inline void skip_runs(struct ed_index *x, size_t pos)
{
	while (x->cursor != x->nruns && x->run[x->cursor % ED_RUN_RING].end <= pos)
		x->cursor++;
}

/* The run that pos is in. */
static const struct ed_run *run_at(struct ed_index *x, size_t pos)
{
	skip_runs(x, pos);
	return &x->run[x->cursor % ED_RUN_RING];
}

/* The run of the same byte before it, or NULL. */
static const struct ed_run *run_before(const struct ed_index *x, const struct ed_run *r)
{
	uint32_t id = r->prev - 1;
	return r->prev && x->nruns - id <= ED_RUN_RING ? &x->run[id % ED_RUN_RING] : NULL;
}

/* The same for a position that has `ahead` bytes of the run r ahead, by the list of runs. Of an
 * earlier run only one position can give the longest match: the one with as much of the run ahead
 * as there is here, or its start if it is shorter. Stops at a match of `enough`. */
static __attribute__((noinline)) struct match search_runs(const struct parse *s, struct query query,
	struct match m, const struct ed_run *r, unsigned ahead, unsigned enough)
{
	const struct query *q = &query;
	unsigned want = ahead < q->nice ? ahead : q->nice;
	size_t lowest = q->pos - q->reach;
	while (m.len < enough && (r = run_before(s->x, r))) {
		size_t c = r->end - r->start > want ? r->end - want : r->start;
		bool last = c < lowest;
		if (last)
			c = lowest;
		unsigned entries = (uint16_t)(q->ord - r->ord - (uint32_t)(c - r->start));
		if (entries > q->limit) {
			c += entries - q->limit;
			last = true;
		}
		if (c + 4 > r->end)
			break;
		unsigned len = (unsigned)(r->end - c);
		if (len > m.len || len >= ahead) {
			const uint8_t *p = s->in + c;
			if (len >= ahead)
				len = ahead + ed_common(p + ahead, q->p + ahead, q->max - ahead);
			if (len > m.len)
				m = (struct match){len, (uint32_t)(q->pos - c)};
		}
		if (last)
			break;
	}
	return m;
}

/* A match longer than m.len, of four bytes or more. Follows the chain of the four bytes at pos + k,
 * which every longer match must have too; k moves to what the best match so far lacks, when that
 * was seen less recently. In a run (then r is not NULL) `lead` is 3 less than what is left of it,
 * and m.len is more than lead + 2; else 0. */
static inline __attribute__((always_inline)) struct match search4(const struct parse *s,
	const struct query *q, struct match m, const struct ed_run *r, unsigned lead)
{
	uint32_t first = ed_load32(q->p), behind = ed_load32(q->p + lead), tail;
	unsigned k = lead, tail_at = lead, steps = q->limit + 8;
	if (m.len > ED_MIN_MATCH) {
		tail_at = m.len - ED_MIN_MATCH;
		if (!ed_is_run(ed_load32(q->p + tail_at)))
			k = tail_at;
		if (tail_at > lead && !ed_is_run(ed_load32(q->p + tail_at - 1)) &&
			back4(s, q->pos + tail_at - 1) > back4(s, q->pos + k))
			k = tail_at - 1;
	}
	tail = ed_load32(q->p + tail_at);
	/* Distances are negative here, to be added to `chain` and `c`. */
	const uint16_t *chain = s->x->back4 + (q->pos - s->x->origin) + k;
	const uint8_t *c = q->p + tail_at;
	ptrdiff_t at = -(ptrdiff_t)*chain, lowest = -(ptrdiff_t)q->reach;
	while (at >= lowest) {
		ptrdiff_t step = chain[at];
		if (ed_load32(c + at) == tail && ed_load32(q->p + at) == first) {
			unsigned len = 4 + ed_common(q->p + 4 + at, q->p + 4, q->max - 4);
			if (len > m.len) {
				uint32_t dist = (uint32_t)-at;
				unsigned entries = entries_to(s, q, dist, lead);
				if (entries > q->limit ||
					(dist == ED_MAX_DIST && !edge_usable(s, q->pos, entries)))
					break;
				m = (struct match){len, dist};
				if (len >= q->nice)
					break;
				tail_at = len - ED_MIN_MATCH;
				c = q->p + tail_at;
				tail = ed_load32(c);
				ptrdiff_t other = back4(s, q->pos + tail_at);
				if (!ed_is_run(tail) & (other > step - at)) {
					chain = s->x->back4 + (q->pos - s->x->origin) + tail_at;
					step = other + at;
				}
			}
		}
		/* Chains of what follows a run are long, and most of them beyond the limit. */
		if (r && ed_load32(q->p + at + lead) == behind &&
			entries_to(s, q, (uint32_t)-at, lead) > q->limit)
			break;
		at -= step;
		if (--steps == 0)
			return r ? search_runs(s, *q, m, r, lead + 3, q->nice)
				 : search_slowly(s, *q, m);
	}
	return m;
}

/* The same for a position in a run. Once a match as long as the run is known, a longer one must
 * have what follows the run too. */
static __attribute__((noinline)) struct match search_run(
	const struct parse *s, struct query query, struct match m)
{
	struct query *q = &query;
	const struct ed_run *r = run_at(s->x, q->pos);
	unsigned ahead = r->end - q->pos < q->max ? (unsigned)(r->end - q->pos) : q->max;

	q->ord = (uint16_t)(r->ord + (q->pos - r->start));
	if (q->reach == ED_MAX_DIST)
		q->reach--; /* for the first entry only, which is too far for its three bytes */
	if (m.len < ahead) {
		if (q->pos > r->start)
			m = (struct match){ahead, 1};
		else
			m = search_runs(s, *q, m, r, ahead, ahead < q->nice ? ahead : q->nice);
	}
	if (m.len < ahead || m.len >= q->nice)
		return m;
	return search4(s, q, m, r, ahead - 3);
}

static inline struct query ask(const struct parse *s, size_t pos, unsigned best)
{
	struct query q = {.pos = pos, .p = s->in + pos};
	size_t left = s->n - pos;
	q.max = left < ED_MAX_MATCH ? (unsigned)left : ED_MAX_MATCH;
	q.nice = s->l.nice < q.max ? s->l.nice : q.max;
	q.limit = best >= s->l.good ? s->l.chain >> 2 : s->l.chain;
	q.reach = reach_of(pos);
	q.ord = ord_of(s, pos);
	return q;
}

/* Can there be a match of four bytes or more at pos? One branch, on purpose. */
static inline bool four_possible(const struct parse *s, size_t pos)
{
	return (back4(s, pos) <= reach_of(pos)) | ed_is_run(ed_load32(s->in + pos));
}

/* The match zlib would take at pos, which has four bytes, if there was none before. */
static struct match search_first(const struct parse *s, size_t pos)
{
	struct match m = {ED_MIN_MATCH - 1, 0};
	if (four_possible(s, pos)) {
		struct query q = ask(s, pos, m.len);
		m = ed_is_run(ed_load32(q.p)) ? search_run(s, q, m) : search4(s, &q, m, NULL, 0);
	}
	return m.len < ED_MIN_MATCH ? search3(s, pos) : m;
}

/* Can there be a match at pos that is longer than `best`, which is 3 or more? */
static inline bool better_possible(const struct parse *s, size_t pos, unsigned best)
{
	if (s->n - pos <= best)
		return false;
	size_t tail = pos + best - ED_MIN_MATCH;
	uint32_t reach = reach_of(pos);
	return ((back4(s, tail) <= reach) | ed_is_run(ed_load32(s->in + tail))) &
	       ((best == ED_MIN_MATCH) | (back4(s, tail - 1) <= reach) |
		       ed_is_run(ed_load32(s->in + tail - 1)));
}

/* A match at pos that is longer than `best`, or {best, 0}. */
static struct match search_better(const struct parse *s, size_t pos, unsigned best)
{
	struct match m = {best, 0};
	struct query q = ask(s, pos, best);
	if (ed_is_run(ed_load32(q.p)))
		return search_run(s, q, m);
	return search4(s, &q, m, NULL, 0);
}

/* End the block when it is full; `top` and `end` as in ed_block_flush(). */
static inline int end_full(const struct parse *s, size_t top, size_t end, struct err *e)
{
	if (s->d->nsym < ED_BLOCK_SYMBOLS || top == s->n)
		return 0;
	return ed_block_flush(s->d, top, end, false, e);
}

static inline int put_literal(const struct parse *s, size_t pos, struct err *e)
{
	ed_put_literal(s->d, s->in[pos]);
	return end_full(s, pos + 1, pos + 1, e);
}

/* Put literals up to where a match of four bytes is possible, `stop`, the last but one that fits
 * the block, or a match of three bytes, which is left in *m. */
static inline size_t put_literals(const struct parse *s, size_t pos, size_t stop, struct match *m)
{
	struct exact_deflate *d = s->d;
	size_t room = ED_BLOCK_SYMBOLS - 1 - d->nsym;
	if (stop > pos + room)
		stop = pos + room;
	uint32_t *sym = d->sym + d->nsym;
	while (pos < stop && !four_possible(s, pos)) {
		if (back3(s, pos) <= reach3_of(pos)) {
			*m = search3(s, pos);
			if (m->len == ED_MIN_MATCH)
				break;
		}
		uint8_t byte = s->in[pos++];
		*sym++ = byte;
		d->lit_freq[byte]++;
	}
	d->nsym = (unsigned)(sym - d->sym);
	return pos;
}

/* Put what zlib puts next: a match, after the literals by which it was put off, or a literal. `m`
 * is the match at the position, if it was looked for. */
static inline int put_next(const struct parse *s, size_t *ppos, struct match m, struct err *e)
{
	size_t pos = *ppos;
	int r = 0;
	if (m.len < ED_MIN_MATCH && s->n - pos > ED_MIN_MATCH)
		m = search_first(s, pos);
	else if (m.len < ED_MIN_MATCH && s->n - pos == ED_MIN_MATCH)
		m = search_last(s, pos);
	while (m.len >= ED_MIN_MATCH && m.len < s->l.lazy && better_possible(s, pos + 1, m.len)) {
		struct match better = search_better(s, pos + 1, m.len);
		if (better.len <= m.len)
			break;
		r = put_literal(s, pos++, e);
		if (r < 0)
			return r;
		m = better;
	}
	if (m.len < ED_MIN_MATCH)
		r = put_literal(s, pos++, e);
	else {
		ed_put_match(s->d, m.len, m.dist);
		r = end_full(s, pos + 1, pos + m.len, e);
		pos += m.len;
	}
	*ppos = pos;
	return r;
}

int ed_parse_lazy(struct exact_deflate *d, const struct ed_limits *l, struct err *e)
{
	enum { NEEDED = 2 * ED_MAX_MATCH + 8 }; /* what a search wants entered ahead of it */
	const struct parse s = {d, &d->index, d->in, d->n, *l};
	size_t pos = 0, n = s.n, tail = n > 4 ? n - 4 : 0;
	int r = 0;
	ed_index_reset(s.x);
	if (n > 0)
		r = put_literal(&s, pos++, e);
	while (pos < n && r == 0) {
		while (s.x->end < n && s.x->end <= pos + NEEDED) {
			skip_runs(s.x, pos);
			ed_index_more(s.x, s.in, n, pos);
		}
		size_t stop = s.x->end < n ? s.x->end - NEEDED : n;
		while (pos < stop && r == 0) {
			struct match m = {0, 0};
			pos = put_literals(&s, pos, stop < tail ? stop : tail, &m);
			if (pos < stop)
				r = put_next(&s, &pos, m, e);
		}
	}
	return r < 0 ? r : ed_block_flush(d, pos, pos, true, e);
}
