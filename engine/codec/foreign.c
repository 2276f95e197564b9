/* The way in: choose the dialect, describe, prove; and the way back. */
#include "engine/codec/foreign.h"

#include <stdlib.h>

#include "engine/base/cleanup.h"
#include "engine/codec/foreign_internal.h"

enum {
	HEADER = 3,	     /* bytes in front of the coded ones */
	MAX_SAMPLE = 65536,  /* tokens the dialects are tried on */
	FEW = 512,	     /* ... and at first */
	SETTLE = 2,	     /* so few misses are not worth a longer search */
	CLOSE = 16,	     /* so many more misses are no worse */
	MAX_HEADERS = 16,    /* headers that are looked at for the writer's ways */
	STORED_RUN = 0xffff, /* a "distance" in the sample: stored bytes */
	MAX_PLAIN = 1 << 30
};

struct foreign {
	struct fo_reader reader;
	struct fo_block block;
	struct fo_state state;
	struct fo_chain chain, all;
	uint32_t *sample;
	size_t nsample;
};

int foreign_new(struct foreign **ret, struct err *e)
{
	struct foreign *f = calloc(1, sizeof *f);
	if (f)
		f->sample = malloc(MAX_SAMPLE * sizeof *f->sample);
	if (!f || !f->sample) {
		foreign_free(f);
		return err_set(e, E_NOMEM, 0, "no memory for foreign streams");
	}
	*ret = f;
	return 0;
}

void foreign_free(struct foreign *f)
{
	if (!f)
		return;
	free(f->block.tok);
	free(f->sample);
	free(f);
}

/* ---- the model before anything was learnt ---- */

static void model_init(struct fo_model *m)
{
	/* All is even but what a dialect that is met makes rare, so that it costs little there. */
	const fo_prob likely = FO_PROB(64500), sure = FO_PROB(65400);
	fo_probs_init((fo_prob *)m, sizeof *m / sizeof(fo_prob), FO_EVEN);
	fo_probs_init(m->dynamic, 4, likely);
	fo_probs_init(&m->miss[0][0], FO_GUESS_KINDS * FO_HISTORY, sure);
	fo_probs_init(m->lens_differ, 3, likely);
	fo_probs_init(m->count_differs, 3, likely);
	fo_probs_init(&m->len_differs[0][0], 3 * 4, FO_PROB(50000));
	fo_probs_init(m->step_differs, 3, FO_PROB(50000));
	m->by_rule = m->final = m->pad = m->steps_differ = m->long_258 = likely;
}

static void state_init(struct foreign *f, struct fo_dialect d, struct span plain)
{
	struct fo_state *st = &f->state;
	model_init(&st->m);
	fo_predictor_init(&st->pred, &f->chain, d, plain);
	st->d = d;
	st->plain = plain;
	st->pos = 0;
	st->bad = false;
	st->last_type = 3;
	st->history = 0;
	st->all = &f->all;
	st->all_base = fo_chain_begin(&f->all, plain.n);
	st->all_entered = 0;
}

/* ---- the first bytes of a side ---- */

static void header_put(uint8_t h[HEADER], struct fo_dialect d)
{
	h[0] = FO_VERSION;
	h[1] = (uint8_t)(d.family | (d.lengths << 4) | (d.joined << 6));
	h[2] = (uint8_t)(d.level | d.mem << 4);
}

static int header_get(struct span side, struct fo_dialect *d, struct err *e)
{
	if (side.n && side.p[0] > FO_VERSION)
		return err_set(e, E_UNSUPPORTED, 0,
			"a stream is described in a later version's form %u", side.p[0]);
	if (side.n < HEADER || side.p[0] != FO_VERSION)
		return err_set(e, E_CORRUPT, 0, "the description of a stream is cut short");
	*d = (struct fo_dialect){.family = side.p[1] & 15,
		.lengths = side.p[1] >> 4 & 3,
		.joined = side.p[1] >> 6 & 1,
		.level = side.p[2] & 15,
		.mem = side.p[2] >> 4};
	if (d->family >= FO_FAM_COUNT || d->lengths >= FO_LENGTHS_COUNT || side.p[1] >> 7 ||
		d->level < 1 || d->level > 9 || d->mem < 1 || d->mem > 9)
		return err_set(e, E_CORRUPT, 0, "a stream is described by an unknown dialect");
	return 0;
}

/* ---- choosing ---- */

/* What the first blocks show of the writer, besides their tokens. */
struct traits {
	unsigned wrong[FO_LENGTHS_COUNT]; /* code lengths that differ from each way's */
	unsigned unjoined, joined;	  /* headers that each way does not explain */
	unsigned headers;
	uint8_t mem;
};

static void note_header(struct traits *t, const struct fo_block *b, const uint8_t *plain)
{
	struct fo_freq freq;
	uint8_t lit[FO_LIT_CODES], dist[FO_DIST_CODES];
	fo_count(b, plain, &freq);
	for (unsigned who = 0; who < FO_LENGTHS_COUNT; who++) {
		fo_predict_lengths((enum fo_lengths)who, &freq, lit, dist);
		for (unsigned i = 0; i < FO_LIT_CODES; i++)
			t->wrong[who] += lit[i] != b->h.lit[i];
		for (unsigned i = 0; i < FO_DIST_CODES; i++)
			t->wrong[who] += dist[i] != b->h.dist[i];
	}
	for (unsigned joined = 0; joined < 2; joined++) {
		unsigned at = 0;
		bool same = true;
		for (unsigned i = 0; i < b->h.nsteps && same; i++) {
			struct fo_step s = fo_predict_step(&b->h, joined, at);
			same = s.sym == b->h.step[i].sym && s.arg == b->h.step[i].arg;
			at += fo_step_run(b->h.step[i]);
		}
		*(joined ? &t->joined : &t->unjoined) += !same;
	}
}

/* zlib's memLevel from the number of symbols of a block that is not the last; 0 when it is not of
 * that kind. */
static uint8_t mem_level(size_t ntok)
{
	for (uint8_t mem = 1; mem <= 9; mem++)
		if (ntok == ((size_t)1 << (mem + 6)) - 1)
			return mem;
	return 0;
}

static void sample_add(struct foreign *f, const struct fo_block *b)
{
	size_t n = b->ntok;
	if (b->type == FO_STORED && f->nsample < MAX_SAMPLE)
		f->sample[f->nsample++] = fo_match(b->stored, STORED_RUN);
	if (b->type == FO_STORED)
		return;
	if (n > MAX_SAMPLE - f->nsample)
		n = MAX_SAMPLE - f->nsample;
	if (n)
		memcpy(f->sample + f->nsample, b->tok, n * sizeof *b->tok);
	f->nsample += n;
}

/* Read the whole stream once; keep its first tokens and what they show. */
static int survey(
	struct foreign *f, struct span stream, struct span plain, struct traits *t, struct err *e)
{
	struct fo_block *b = &f->block;
	*t = (struct traits){.mem = 0};
	f->nsample = 0;
	fo_reader_init(&f->reader, stream, plain);
	do {
		size_t begin = f->reader.pos;
		int r = fo_read_block(&f->reader, b, e);
		if (r < 0)
			return r;
		sample_add(f, b);
		if (b->type == FO_DYNAMIC && t->headers++ < MAX_HEADERS)
			note_header(t, b, plain.p + begin);
		if (b->type != FO_STORED && !b->final && !t->mem)
			t->mem = mem_level(b->ntok);
	} while (!b->final);
	return 0;
}

/* How many of the first `ntok` tokens of the sample a dialect does not foresee; stops counting
 * beyond `enough`. */
static size_t misses(
	struct foreign *f, struct fo_dialect d, struct span plain, size_t ntok, size_t enough)
{
	struct fo_predictor p;
	size_t pos = 0, n = 0;
	fo_predictor_init(&p, &f->chain, d, plain);
	for (size_t i = 0; i < ntok && n <= enough; i++) {
		uint32_t tok = f->sample[i];
		if (fo_dist(tok) == STORED_RUN) {
			fo_learn_stored(&p, pos, tok & 0xffff);
			pos += tok & 0xffff;
			continue;
		}
		tok &= ~(uint32_t)FO_LONG_258;
		struct fo_guess g = fo_predict(&p, pos);
		n += tok != (g.take ? g.match : FO_LITERAL);
		fo_learn(&p, pos, g, tok);
		pos += fo_len(tok);
	}
	return n;
}

/* The dialects in the order in which they are met in the wild. */
static const struct {
	uint8_t family, level;
} known[] = {{FO_FAM_ZLIB, 6}, {FO_FAM_CHROMIUM, 6}, {FO_FAM_CRC3, 6}, {FO_FAM_ZLIB, 9},
	{FO_FAM_ZLIB, 1}, {FO_FAM_CHROMIUM, 9}, {FO_FAM_CHROMIUM, 1}, {FO_FAM_ZLIB, 8},
	{FO_FAM_ZLIB, 7}, {FO_FAM_ZLIB, 5}, {FO_FAM_ZLIB, 4}, {FO_FAM_ZLIB, 3}, {FO_FAM_ZLIB, 2},
	{FO_FAM_CHROMIUM, 8}, {FO_FAM_CHROMIUM, 7}, {FO_FAM_CHROMIUM, 5}, {FO_FAM_CHROMIUM, 4},
	{FO_FAM_CHROMIUM, 3}, {FO_FAM_CHROMIUM, 2}, {FO_FAM_CRC3, 9}, {FO_FAM_CRC3, 1},
	{FO_FAM_CRC3, 8}, {FO_FAM_CRC3, 7}, {FO_FAM_CRC3, 5}, {FO_FAM_CRC3, 4}, {FO_FAM_CRC3, 3},
	{FO_FAM_CRC3, 2}, {FO_FAM_LITERALS, 1}, {FO_FAM_RUNS, 1}};
enum { KNOWN = sizeof known / sizeof *known };

static struct fo_dialect as_known(struct fo_dialect d, size_t i)
{
	d.family = known[i].family;
	d.level = known[i].level;
	return d;
}

/* Try each on a few tokens. One that foresees next to all of those, and then of the sample, is it;
 * else those that did about as well as the best are tried on the sample. */
static struct fo_dialect choose(struct foreign *f, const struct traits *t, struct span plain)
{
	struct fo_dialect d = {.mem = t->mem ? t->mem : 8, .joined = t->joined < t->unjoined};
	d.lengths = t->wrong[FO_BY_RANK] < t->wrong[FO_BY_HEAP] ? FO_BY_RANK : FO_BY_HEAP;
	size_t few[KNOWN], least = SIZE_MAX, best = 0, nfew = f->nsample < FEW ? f->nsample : FEW;
	for (size_t i = 0; i < KNOWN; i++) {
		size_t enough = least < FEW ? least + CLOSE + least / 8 : least;
		few[i] = misses(f, as_known(d, i), plain, nfew, enough);
		least = few[i] < least ? few[i] : least;
		if (few[i] <= SETTLE &&
			(nfew == f->nsample ||
				misses(f, as_known(d, i), plain, f->nsample, SETTLE) <= SETTLE))
			return as_known(d, i);
	}
	size_t limit = least + (least < 8 * CLOSE ? CLOSE : least / 8);
	least = SIZE_MAX;
	for (size_t i = 0; i < KNOWN; i++) {
		if (few[i] > limit)
			continue;
		size_t n = misses(f, as_known(d, i), plain, f->nsample, least);
		if (n < least) {
			least = n;
			best = i;
		}
	}
	return as_known(d, best);
}

/* ---- both ways ---- */

static int describe(
	struct foreign *f, struct span stream, struct span plain, struct buf *side, struct err *e)
{
	struct traits t;
	uint8_t header[HEADER];
	int r = survey(f, stream, plain, &t, e);
	if (r < 0)
		return r;
	struct fo_dialect d = choose(f, &t, plain);
	header_put(header, d);
	r = buf_add(side, header, HEADER, e);
	if (r < 0)
		return r;
	size_t body = side->len;
	state_init(f, d, plain);
	fo_encoder_init(&f->state.c, side);
	fo_reader_init(&f->reader, stream, plain);
	do {
		r = fo_read_block(&f->reader, &f->block, e);
		if (r == 0)
			r = fo_code_block(&f->state, &f->block, e);
		if (r < 0)
			return r;
	} while (!f->block.final);
	r = fo_encoder_done(&f->state.c, e);
	/* The decoder reads zeros behind the end. */
	while (r == 0 && side->len > body && side->p[side->len - 1] == 0)
		side->len--;
	return r;
}

int foreign_describe(
	struct foreign *f, struct span stream, struct span plain, struct buf *side, struct err *e)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	size_t start = side->len;
	if (plain.n > MAX_PLAIN || stream.n > MAX_PLAIN)
		return err_set(
			e, E_FORMAT, 0, "a stream of %zu bytes is too long to describe", plain.n);
	int r = describe(f, stream, plain, side, e);
	if (r == 0)
		r = foreign_make(
			f, span_sub(buf_span(side), start, SIZE_MAX), plain, stream.n, &again, e);
	if (r == 0 && (again.len != stream.n || memcmp(again.p, stream.p, stream.n) != 0))
		r = err_set(e, E_FORMAT, 0, "a stream did not come out as it was");
	if (r < 0)
		side->len = start;
	/* A description that cannot be read back is no description. */
	if (r == E_CORRUPT)
		r = err_set(e, E_FORMAT, 0, "a stream cannot be described");
	return r;
}

static int make(struct foreign *f, struct span side, struct span plain, size_t max, struct buf *out,
	struct err *e)
{
	struct fo_dialect d = {0};
	int r = header_get(side, &d, e);
	if (r < 0)
		return r;
	if (plain.n > MAX_PLAIN)
		return err_set(
			e, E_CORRUPT, 0, "%zu bytes cannot be of a described stream", plain.n);
	struct fo_writer w = {.out = out, .start = out->len, .max = max};
	state_init(f, d, plain);
	fo_decoder_init(&f->state.c, span_sub(side, HEADER, SIZE_MAX));
	do {
		size_t begin = f->state.pos;
		r = fo_code_block(&f->state, &f->block, e);
		if (r == 0)
			r = fo_write_block(&w, &f->block, span_sub(plain, begin, SIZE_MAX), e);
		if (r < 0)
			return r;
	} while (!f->block.final);
	if (!fo_decoder_done(&f->state.c))
		return err_set(
			e, E_CORRUPT, 0, "the description of a stream has more behind its end");
	if (out->len - w.start > max)
		return err_set(e, E_CORRUPT, 0, "a stream grows beyond %zu bytes", max);
	return 0;
}

int foreign_make(struct foreign *f, struct span side, struct span plain, size_t max,
	struct buf *out, struct err *e)
{
	size_t start = out->len;
	int r = make(f, side, plain, max, out, e);
	if (r < 0)
		out->len = start;
	return r;
}
