#include "engine/prune/examine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/base/cleanup.h"

#define FIRST_STEP 4096
#define KEEP_BYTES ((size_t)8 << 20)
#define ENTITIES_APART 2681 /* DataVersion since which they have files of their own */

int examiner_init(struct examiner *x, const struct query_names *names, struct err *e)
{
	*x = (struct examiner){0};
	int r = facts_init(&x->facts, names, e);
	if (r == 0)
		r = inflate_steps_new(&x->steps, e);
	if (r < 0)
		examiner_free(x);
	return r;
}

void examiner_free(struct examiner *x)
{
	facts_free(&x->facts);
	content_free(&x->content);
	inflate_steps_free(TAKE_PTR(x->steps));
	for (int k = 0; k < SOURCE_KINDS; k++)
		source_chunk_free(&x->chunk[k]);
	buf_free(&x->nbt);
}

/* ---- damage ---- */

struct claim {
	uint32_t from, to; /* sectors, the end not included */
	unsigned slot;
};

static int by_place(const void *a, const void *b)
{
	const struct claim *x = a, *y = b;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void find_shared(const struct source_region *reg, uint8_t bits[REGION_SLOTS / 8])
{
	struct claim v[REGION_SLOTS];
	size_t n = 0, widest = 0;
	memset(bits, 0, REGION_SLOTS / 8);
	for (unsigned slot = 0; reg && slot < REGION_SLOTS; slot++) {
		struct region_entry en = region_entry_at(reg->header, slot);
		if (en.count)
			v[n++] = (struct claim){en.sector, en.sector + en.count, slot};
	}
	if (n)
		qsort(v, n, sizeof *v, by_place);
	/* Against the one so far that reaches farthest. */
	for (size_t i = 1; i < n; i++) {
		if (v[i].from < v[widest].to) {
			bits[v[i].slot / 8] |= (uint8_t)(1u << (v[i].slot & 7));
			bits[v[widest].slot / 8] |= (uint8_t)(1u << (v[widest].slot & 7));
		}
		if (v[i].to > v[widest].to)
			widest = i;
	}
}

void examine_region(struct examiner *x, struct source_region *const reg[SOURCE_KINDS])
{
	for (int k = 0; k < SOURCE_KINDS; k++)
		find_shared(reg[k], x->shared[k]);
}

/* source_chunk_look(), for chunks that have their sectors to themselves. */
static int read_record(struct examiner *x, struct source_region *reg, enum source_kind k,
	unsigned slot, struct err *e)
{
	int r = source_chunk_look(reg, slot, &x->chunk[k], e);
	if (r == 0 && x->shared[k][slot / 8] >> (slot & 7) & 1)
		return err_set(e, E_FORMAT, 0, "it shares sectors with another chunk");
	return r;
}

static int check_place(const struct facts *f, bool has, int32_t x, int32_t z, struct err *e)
{
	return has && (x != f->x || z != f->z)
		       ? err_set(e, E_FORMAT, 0, "it says that it is chunk c.%d.%d", x, z)
		       : 0;
}

/* A failure that is the chunk's own: remember it. Others are failures of the call. */
static int is_damage(struct examiner *x, enum source_kind k, int rc, struct err *why, struct err *e)
{
	if (rc != E_FORMAT)
		return err_set(e, rc, 0, "%s", why->msg);
	snprintf(x->problem, sizeof x->problem, "%s%s%.150s",
		k == SOURCE_REGION ? "" : source_kind_name[k], k == SOURCE_REGION ? "" : ": ",
		why->msg);
	x->facts.damaged = true;
	x->facts.known |= FACT_BIT(FACT_DAMAGED);
	return 0;
}

/* ---- the other kinds ---- */

/* Read an entities or poi chunk's record. *ret: there is one, whole. */
static int read_other(struct examiner *x, struct source_region *const reg[], enum source_kind k,
	unsigned slot, bool *ret, struct err *e)
{
	struct err why = ERR_INIT;
	*ret = false;
	if (!reg[k] || !source_has_chunk(reg[k], slot))
		return 0;
	int r = read_record(x, reg[k], k, slot, &why);
	*ret = r == 0;
	if (r == 0 || r == E_NOTFOUND)
		return 0;
	return is_damage(x, k, r, &why, e);
}

static int know_types(struct examiner *x, struct source_region *const reg[], unsigned slot,
	struct err *e)
{
	for (int k = SOURCE_ENTITIES; k < SOURCE_KINDS; k++) {
		bool there;
		int r = read_other(x, reg, (enum source_kind)k, slot, &there, e);
		if (r < 0)
			return r;
		if (there) {
			x->facts.type[k] = x->chunk[k].type;
			x->facts.external[k] = x->chunk[k].external;
		}
	}
	x->facts.known |= FACT_BIT(FACT_TYPES);
	return 0;
}

/* Decode one of them to the end, into x->nbt. */
static int decode_other(struct examiner *x, struct source_region *const reg[], enum source_kind k,
	unsigned slot, bool *ret, struct err *e)
{
	struct err why = ERR_INIT;
	int r = read_other(x, reg, k, slot, ret, e);
	if (r < 0 || !*ret)
		return r;
	x->nbt.len = 0;
	r = source_chunk_decode(&x->chunk[k], &x->nbt, &why);
	if (r == 0)
		r = nbt_check(buf_span(&x->nbt), &why);
	if (r == 0 && k == SOURCE_ENTITIES) {
		struct chunk_info info;
		r = chunk_info_read(buf_span(&x->nbt), &info, &why);
		if (r == 0)
			r = check_place(&x->facts, info.has_pos, info.x, info.z, &why);
	}
	*ret = r == 0;
	return r == 0 ? 0 : is_damage(x, k, r, &why, e);
}

/* Entities stand in the chunk, or since 1.17 in a file of their own. */
static int know_entities(struct examiner *x, struct source_region *const reg[], unsigned slot,
	struct err *e)
{
	struct facts *f = &x->facts;
	bool there;
	int r = 0;
	if (f->number[FACT_DATA_VERSION] >= ENTITIES_APART) {
		f->number[FACT_ENTITIES] = 0;
		seen_clear(&f->seen[NAMES_ENTITY], &f->names->of[NAMES_ENTITY]);
		r = decode_other(x, reg, SOURCE_ENTITIES, slot, &there, e);
		if (r == 0 && there) {
			int64_t version = f->number[FACT_DATA_VERSION];
			content_begin(&x->content, f, FACT_BIT(FACT_ENTITIES), true);
			do
				r = content_step(&x->content, buf_span(&x->nbt), true, e);
			while (r == CONTENT_NEWS);
			f->number[FACT_DATA_VERSION] = version;
			r = r == CONTENT_END ? 0 : r;
		}
	}
	f->known |= FACT_BIT(FACT_ENTITIES);
	return r;
}

/* ---- the chunk ---- */

static enum answer decide(const struct examiner *x, const struct examine_options *o)
{
	return o->decide(o->ctx, &x->facts);
}

static bool worth_streaming(struct examiner *x, const struct source_chunk *c)
{
	if (c->plain || (c->type != CHUNK_ZLIB && c->type != CHUNK_GZIP))
		return false;
	if (x->direct) {
		x->direct--;
		return false;
	}
	if (x->streamed < 64)
		return true;
	/* Mostly in vain: not for the next thousand. */
	if (4 * x->in_vain > 3 * x->streamed)
		x->direct = 1000;
	x->streamed = x->in_vain = 0;
	return true;
}

/* Inflate until it is decided. ANSWER_UNKNOWN: it was not, or the stream is odd. */
static int stream(struct examiner *x, const struct examine_options *o, enum answer *ret,
	struct err *e)
{
	const struct source_chunk *c = &x->chunk[SOURCE_REGION];
	bool end = false;
	*ret = ANSWER_UNKNOWN;
	x->streamed++;
	x->nbt.len = 0;
	int r = inflate_steps_begin(x->steps, c->type == CHUNK_ZLIB ? WRAP_ZLIB : WRAP_GZIP,
		c->stream, e);
	while (r == 0 && *ret == ANSWER_UNKNOWN && !end && x->nbt.len < SOURCE_NBT_MAX) {
		r = inflate_steps_more(x->steps, x->nbt.len ? x->nbt.len : FIRST_STEP, &x->nbt,
			&end, e);
		int step = CONTENT_NEWS;
		while (r == 0 && step == CONTENT_NEWS && *ret == ANSWER_UNKNOWN) {
			step = content_step(&x->content, buf_span(&x->nbt), end, e);
			if (step < 0)
				r = step;
			else if (step == CONTENT_NEWS)
				*ret = decide(x, o);
			else if (step == CONTENT_END)
				end = true;
		}
	}
	if (r == E_FORMAT)
		r = 0; /* reading it whole tells what is wrong */
	/* Whole streams inflate some three times as fast as steps do. */
	bool far = 3 * inflate_steps_used(x->steps) > c->stream.n;
	x->in_vain += far || *ret == ANSWER_UNKNOWN || (*ret != ANSWER_NO && o->verify);
	return r;
}

/* Decode it to its end; all that its NBT can tell is known, or that it is damaged. */
static int read_whole(struct examiner *x, unsigned wants, struct err *e)
{
	const struct source_chunk *c = &x->chunk[SOURCE_REGION];
	struct facts *f = &x->facts;
	struct err why = ERR_INIT;
	unsigned keep = f->known & FACT_BIT(FACT_TYPES);
	uint8_t type[SOURCE_KINDS];
	bool external[SOURCE_KINDS];
	memcpy(type, f->type, sizeof type);
	memcpy(external, f->external, sizeof external);
	facts_clear(f);
	memcpy(f->type, type, sizeof type);
	memcpy(f->external, external, sizeof external);
	f->known = keep;
	x->nbt.len = 0;
	int r = source_chunk_decode(c, &x->nbt, &why);
	if (r == 0)
		r = nbt_check(buf_span(&x->nbt), &why);
	if (r < 0)
		return is_damage(x, SOURCE_REGION, r, &why, e);
	content_begin(&x->content, f, wants, false);
	do
		r = content_step(&x->content, buf_span(&x->nbt), true, e);
	while (r == CONTENT_NEWS);
	facts_finish(f);
	if (r == CONTENT_END)
		r = check_place(f, x->content.has_x && x->content.has_z, x->content.x, x->content.z,
			&why);
	return r == E_FORMAT ? is_damage(x, SOURCE_REGION, r, &why, e) : r;
}

/* After the region chunk was read whole and is sound. */
static int finish(struct examiner *x, struct source_region *const reg[], unsigned slot,
	const struct examine_options *o, enum answer *ret, struct err *e)
{
	struct facts *f = &x->facts;
	int r = 0;
	*ret = decide(x, o);
	if (*ret == ANSWER_NO)
		return 0;
	if (o->wants & FACT_BIT(FACT_ENTITIES)) {
		r = know_entities(x, reg, slot, e);
		if (r == 0 && !f->damaged)
			*ret = decide(x, o);
	}
	bool all = o->verify || (o->wants & FACT_BIT(FACT_DAMAGED));
	for (int k = SOURCE_ENTITIES;
		k < SOURCE_KINDS && r == 0 && all && *ret != ANSWER_NO && !f->damaged; k++) {
		bool there;
		r = decode_other(x, reg, (enum source_kind)k, slot, &there, e);
	}
	f->known |= FACT_BIT(FACT_DAMAGED);
	*ret = decide(x, o);
	return r;
}

static int examine(struct examiner *x, struct source_region *const reg[], unsigned slot,
	const struct examine_options *o, enum answer *ret, struct err *e)
{
	struct err why = ERR_INIT;
	facts_clear(&x->facts);
	x->problem[0] = 0;
	*ret = decide(x, o);
	if (*ret == ANSWER_NO || (*ret != ANSWER_UNKNOWN && !o->verify))
		return 0;
	int r = read_record(x, reg[SOURCE_REGION], SOURCE_REGION, slot, &why);
	if (r == E_NOTFOUND) {
		*ret = ANSWER_NO; /* gone since */
		return 0;
	}
	if (r < 0) {
		r = is_damage(x, SOURCE_REGION, r, &why, e);
		*ret = decide(x, o);
		return r;
	}
	x->facts.type[0] = x->chunk[SOURCE_REGION].type;
	x->facts.external[0] = x->chunk[SOURCE_REGION].external;
	if (o->wants & FACT_BIT(FACT_TYPES))
		r = know_types(x, reg, slot, e);
	*ret = decide(x, o);
	if (r < 0 || *ret == ANSWER_NO || (*ret != ANSWER_UNKNOWN && !o->verify))
		return r;
	if (*ret == ANSWER_UNKNOWN && worth_streaming(x, &x->chunk[SOURCE_REGION])) {
		content_begin(&x->content, &x->facts, o->wants, false);
		r = stream(x, o, ret, e);
		if (r < 0 || *ret == ANSWER_NO || (*ret != ANSWER_UNKNOWN && !o->verify))
			return r;
	}
	r = read_whole(x, o->wants, e);
	if (r == 0 && !x->facts.damaged)
		return finish(x, reg, slot, o, ret, e);
	*ret = decide(x, o);
	return r;
}

int examine_chunk(struct examiner *x, struct source_region *const reg[SOURCE_KINDS], unsigned slot,
	const struct examine_options *o, enum answer *ret, struct err *e)
{
	int r = examine(x, reg, slot, o, ret, e);
	if (x->nbt.cap > KEEP_BYTES)
		buf_free(&x->nbt);
	if (r == E_CHANGED) {
		*ret = ANSWER_NO; /* it is being saved all the time */
		r = 0;
	}
	if (*ret == ANSWER_UNKNOWN)
		*ret = ANSWER_NO;
	return r;
}
