/* The headers of dynamic blocks as differences from what the dialect would have written. */
#include "engine/codec/foreign_internal.h"

static int corrupt(struct err *e)
{
	return err_set(e, E_CORRUPT, 0, "the description of a block's header is damaged");
}

/* One tree's lengths: all as predicted, or each with its difference. */
static void code_lengths(
	struct fo_state *st, unsigned which, uint8_t *len, const uint8_t *want, unsigned n)
{
	struct fo_model *m = &st->m;
	struct fo_coder *c = &st->c;
	if (!fo_bit(c, &m->lens_differ[which], memcmp(len, want, n) != 0)) {
		memcpy(len, want, n);
		return;
	}
	unsigned last = 0;
	for (unsigned i = 0; i < n; i++) {
		unsigned kind = want[i] == 0 ? 3 : last;
		if (!fo_bit(c, &m->len_differs[which][kind], len[i] != want[i])) {
			len[i] = want[i];
			last = want[i] ? 0 : last;
			continue;
		}
		unsigned up = fo_bit(c, &m->len_up[which][kind % 3], len[i] > want[i]);
		unsigned by = up ? len[i] - want[i] : want[i] - len[i];
		by = fo_number(c, &m->len_by[which], by - 1) + 1;
		/* A damaged side is told by the caller: lengths are up to 15. */
		unsigned v = up ? want[i] + by : want[i] - by;
		len[i] = v > FO_MAX_BITS ? UINT8_MAX : (uint8_t)v;
		if (c->decode && len[i] == UINT8_MAX)
			len[i] = 0, st->bad = true;
		last = 1 + up;
	}
}

static unsigned code_count(struct fo_state *st, unsigned which, unsigned v, unsigned want)
{
	if (!fo_bit(&st->c, &st->m.count_differs[which], v != want))
		return want;
	return fo_number(&st->c, &st->m.count, v);
}

static unsigned used(const uint8_t *len, unsigned n, unsigned least)
{
	while (n > least && len[n - 1] == 0)
		n--;
	return n;
}

static unsigned length_at(const struct fo_header *h, unsigned at)
{
	return at < h->nlit ? h->lit[at] : h->dist[at - h->nlit];
}

/* Does a step stand for the lengths that are there? */
static bool step_fits(const struct fo_header *h, unsigned at, struct fo_step s)
{
	unsigned run = fo_step_run(s), want = 0;
	if (run > h->nlit + h->ndist - at || (s.sym == 16 && at == 0))
		return false;
	if (s.sym <= 16)
		want = s.sym == 16 ? length_at(h, at - 1) : s.sym;
	for (unsigned i = 0; i < run; i++)
		if (length_at(h, at + i) != want)
			return false;
	return true;
}

static bool steps_as_predicted(const struct fo_header *h, bool joined)
{
	unsigned at = 0;
	for (unsigned i = 0; i < h->nsteps; i++) {
		struct fo_step want = fo_predict_step(h, joined, at);
		if (h->step[i].sym != want.sym || h->step[i].arg != want.arg)
			return false;
		at += fo_step_run(want);
	}
	return true;
}

static struct fo_step code_step(
	struct fo_state *st, const struct fo_header *h, unsigned at, struct fo_step s)
{
	struct fo_model *m = &st->m;
	struct fo_coder *c = &st->c;
	struct fo_step want = fo_predict_step(h, st->d.joined, at);
	unsigned kind = want.sym < 16 ? 0 : want.sym == 16 ? 1 : 2;
	if (!fo_bit(c, &m->step_differs[kind], s.sym != want.sym || s.arg != want.arg))
		return want;
	unsigned how = fo_tree(c, m->step_kind, 2, s.sym < 16 ? 0 : s.sym - 15u);
	if (how == 0)
		return (struct fo_step){(uint8_t)length_at(h, at), 0};
	unsigned sym = 15 + how;
	return (struct fo_step){
		(uint8_t)sym, (uint8_t)fo_tree(c, m->step_arg[how - 1], fo_step_bits(sym), s.arg)};
}

static int code_steps(struct fo_state *st, struct fo_header *h, struct err *e)
{
	struct fo_coder *c = &st->c;
	bool differ = !c->decode && !steps_as_predicted(h, st->d.joined);
	differ = fo_bit(c, &st->m.steps_differ, differ);
	unsigned at = 0, n = 0, total = h->nlit + h->ndist;
	for (; at < total; n++) {
		struct fo_step s = {0, 0};
		if (!differ)
			s = fo_predict_step(h, st->d.joined, at);
		else
			s = code_step(st, h, at, c->decode ? s : h->step[n]);
		if (!step_fits(h, at, s))
			return corrupt(e);
		h->step[n] = s;
		at += fo_step_run(s);
	}
	h->nsteps = n;
	return 0;
}

/* The lengths of the codes that spell the lengths. */
static void code_cl(struct fo_state *st, struct fo_header *h)
{
	uint32_t freq[FO_CL_CODES] = {0};
	uint8_t want[FO_CL_CODES], order[FO_CL_CODES];
	for (unsigned i = 0; i < h->nsteps; i++)
		freq[h->step[i].sym]++;
	fo_lengths((enum fo_lengths)st->d.lengths, freq, FO_CL_CODES, 7, want);
	if (fo_bit(&st->c, &st->m.lens_differ[2], memcmp(want, h->cl, sizeof want) != 0)) {
		for (unsigned i = 0; i < FO_CL_CODES; i++)
			h->cl[i] = (uint8_t)fo_tree(&st->c, st->m.cl[want[i]], 3, h->cl[i]);
	} else {
		memcpy(h->cl, want, sizeof want);
	}
	for (unsigned i = 0; i < FO_CL_CODES; i++)
		order[i] = h->cl[fo_cl_order[i]];
	h->ncl = code_count(st, 2, h->ncl, used(order, FO_CL_CODES, 4));
}

int fo_code_header(struct fo_state *st, struct fo_header *h, const struct fo_freq *f, struct err *e)
{
	uint8_t lit[FO_LIT_CODES], dist[FO_DIST_CODES];
	fo_predict_lengths((enum fo_lengths)st->d.lengths, f, lit, dist);
	code_lengths(st, 0, h->lit, lit, FO_LIT_CODES);
	code_lengths(st, 1, h->dist, dist, FO_DIST_CODES);
	h->nlit = code_count(st, 0, h->nlit, used(h->lit, FO_LIT_CODES, 257));
	h->ndist = code_count(st, 1, h->ndist, used(h->dist, FO_DIST_CODES, 1));
	if (st->bad || h->nlit < used(h->lit, FO_LIT_CODES, 257) || h->nlit > FO_LIT_CODES ||
		h->ndist < used(h->dist, FO_DIST_CODES, 1) || h->ndist > FO_DIST_CODES)
		return corrupt(e);
	int r = code_steps(st, h, e);
	if (r < 0)
		return r;
	code_cl(st, h);
	if (h->ncl < 4 || h->ncl > FO_CL_CODES)
		return corrupt(e);
	for (unsigned i = h->ncl; i < FO_CL_CODES; i++)
		if (h->cl[fo_cl_order[i]])
			return corrupt(e);
	return 0;
}
