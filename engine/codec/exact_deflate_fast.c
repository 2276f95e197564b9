/* Levels 1 to 3: take the first match that will do, index only what short matches cover.
 *
 * What is indexed depends on the matches taken, so this follows zlib's steps one by one; the gain
 * is in comparing eight bytes at a time and in never moving the window. */
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

static struct match search(
	const struct exact_deflate *d, const struct ed_limits *l, size_t pos, uint32_t entry)
{
	struct match m = {ED_MIN_MATCH - 1, 0};
	size_t ahead = d->n - pos;
	unsigned max = ahead < ED_MAX_MATCH ? (unsigned)ahead : ED_MAX_MATCH;
	unsigned nice = l->nice < max ? l->nice : max;
	size_t lowest = pos > ED_MAX_DIST ? pos - ED_MAX_DIST : 0; /* candidates are above it */
	const uint8_t *p = d->in + pos;

	for (unsigned chain = l->chain; chain; chain--) {
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

int ed_parse_fast(struct exact_deflate *d, const struct ed_limits *l, struct err *e)
{
	struct ed_fast *x = &d->u.fast;
	size_t pos = 0;
	memset(x->head, 0, sizeof x->head);

	while (pos < d->n) {
		size_t top = pos;
		struct match m = {0, 0};
		ed_slide(d, pos);
		if (d->n - pos >= ED_MIN_MATCH) {
			uint32_t head = insert(x, d->in, pos);
			if (head_usable(d, head, pos))
				m = search(d, l, pos, head);
		}
		if (m.len < ED_MIN_MATCH) {
			ed_put_literal(d, d->in[pos++]);
		} else {
			ed_put_match(d, m.len, m.dist);
			size_t end = pos + m.len;
			if (m.len <= l->lazy && d->n - end >= ED_MIN_MATCH)
				while (++pos < end)
					insert(x, d->in, pos);
			pos = end;
		}
		if (d->nsym == ED_BLOCK_SYMBOLS) {
			int r = ed_block_flush(d, top, pos, false, e);
			if (r < 0)
				return r;
		}
	}
	return ed_block_flush(d, pos, pos, true, e);
}
