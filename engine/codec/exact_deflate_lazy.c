/* Levels 4 to 9: take a match only when the next position has no better one. */
#include "engine/codec/exact_deflate_internal.h"

struct match {
	unsigned len;
	uint32_t dist;
};

/* The first candidate: may be as far as ED_MAX_DIST, the others must be nearer. Index entries are
 * positions plus one, so that 0 is "none"; position 0 of the window is never matched. */
static bool head_usable(const struct exact_deflate *d, uint32_t head, size_t pos)
{
	if (head <= 1)
		return false;
	size_t at = head - 1;
	return pos - at <= ED_MAX_DIST && at != d->window_base;
}

/* The longest match of more than `best` bytes, else {best, 0}. */
static struct match search(const struct exact_deflate *d, const struct ed_limits *l, size_t pos,
	uint32_t entry, unsigned best)
{
	struct match m = {best, 0};
	size_t ahead = d->n - pos;
	unsigned max = ahead < ED_MAX_MATCH ? (unsigned)ahead : ED_MAX_MATCH;
	unsigned nice = l->nice < max ? l->nice : max;
	size_t lowest = pos > ED_MAX_DIST ? pos - ED_MAX_DIST : 0; /* candidates are above it */
	const uint8_t *p = d->in + pos;

	if (best >= max)
		return m;
	for (unsigned chain = best >= l->good ? l->chain >> 2 : l->chain; chain; chain--) {
		const uint8_t *c = d->in + (entry - 1);
		if (c[m.len] == p[m.len] && c[m.len - 1] == p[m.len - 1] && c[0] == p[0]) {
			unsigned len = ed_common(c, p, max);
			if (len > m.len) {
				m.len = len;
				m.dist = (uint32_t)(pos - (entry - 1));
				if (len >= nice)
					break;
			}
		}
		entry = d->u.fast.prev[(entry - 1) % ED_WINDOW];
		if (entry == 0 || entry - 1 <= lowest)
			break;
	}
	return m;
}

static uint32_t insert(struct ed_fast *x, const uint8_t *in, size_t pos)
{
	unsigned h = ed_hash3(in + pos);
	uint32_t head = x->head[h];
	x->prev[pos % ED_WINDOW] = head;
	x->head[h] = (uint32_t)pos + 1;
	return head;
}

int ed_parse_lazy(struct exact_deflate *d, const struct ed_limits *l, struct err *e)
{
	struct ed_fast *x = &d->u.fast;
	size_t pos = 0, top;
	struct match prev, cur = {ED_MIN_MATCH - 1, 0};
	bool waiting = false; /* the byte before pos has not been output */
	memset(x->head, 0, sizeof x->head);

	for (; pos < d->n; ) {
		uint32_t head = 0;
		top = pos;
		ed_slide(d, pos);
		if (d->n - pos >= ED_MIN_MATCH)
			head = insert(x, d->in, pos);
		prev = cur;
		cur = (struct match){ED_MIN_MATCH - 1, 0};
		if (head_usable(d, head, pos) && prev.len < l->lazy) {
			cur = search(d, l, pos, head, prev.len);
			if (cur.len == ED_MIN_MATCH && cur.dist > ED_TOO_FAR)
				cur.len = ED_MIN_MATCH - 1;
		}
		size_t end;
		if (prev.len >= ED_MIN_MATCH && cur.len <= prev.len) {
			d->sym[d->nsym++] = ed_sym_match(prev.len, prev.dist);
			end = pos - 1 + prev.len;
			while (++pos < end)
				if (d->n - pos >= ED_MIN_MATCH)
					insert(x, d->in, pos);
			waiting = false;
			cur = (struct match){ED_MIN_MATCH - 1, 0};
		} else {
			end = pos;
			if (waiting)
				d->sym[d->nsym++] = d->in[pos - 1];
			waiting = true;
			pos++;
		}
		if (d->nsym == ED_BLOCK_SYMBOLS) {
			int r = ed_block_flush(d, top, end, false, e);
			if (r < 0)
				return r;
		}
	}
	if (waiting)
		d->sym[d->nsym++] = d->in[pos - 1];
	return ed_block_flush(d, pos, pos, true, e);
}
