#include "engine/store/form.h"

#include <string.h>

#include "engine/anvil/nbt_filter.h"
#include "engine/base/cleanup.h"
#include "engine/base/wire.h"

/* Together the inflated payloads of a group stay below this; the rest are kept verbatim. */
#define GROUP_PLAIN_MAX ((size_t)16 << 20)
#define STREAM_PLAIN_MAX ((size_t)24 << 20)
#define RECORD_HEAD 5 /* u32 BE length and the type byte */
#define TYPE_GZIP 1
#define TYPE_ZLIB 2
#define GZIP_HEADER 10
/* What was done to a body after inflating it. */
enum { FILTER_NONE = 0, FILTER_SHORTS = 1 };

static unsigned type_of_recipe(unsigned recipe)
{
	return (recipe & ~0xfu) == 0x20 || recipe == 0x32 ? TYPE_GZIP : TYPE_ZLIB;
}

int group_parse(struct span plain, struct group_slot slots[GROUP_SLOTS], struct err *e)
{
	struct rd r = rd_of(plain);
	uint32_t mask = rd_u32(&r);
	uint64_t canon = 4, bodies = 0;
	memset(slots, 0, GROUP_SLOTS * sizeof *slots);
	for (int i = 0; i < GROUP_SLOTS; i++) {
		if (!(mask >> i & 1))
			continue;
		struct group_slot *s = &slots[i];
		s->recipe = rd_u8(&r);
		uint8_t filter = rd_u8(&r);
		s->filtered = filter == FILTER_SHORTS;
		s->canon_len = (uint32_t)rd_var_max(&r, CANON_MAX);
		s->plain_len = (uint32_t)rd_var_max(&r, PLAIN_MAX);
		s->check = rd_u32(&r);
		if (restream_has_side(s->recipe))
			s->side_len = (uint32_t)rd_var_max(&r, PLAIN_MAX);
		s->canon_off = (uint32_t)canon;
		s->plain_off = (uint32_t)bodies;
		s->side_off = s->plain_off + s->plain_len;
		canon += s->canon_len;
		bodies += (uint64_t)s->plain_len + s->side_len;
		if (s->canon_len < RECORD_HEAD || canon > CANON_MAX || bodies > PLAIN_MAX ||
			filter > FILTER_SHORTS ||
			(s->recipe == RECIPE_NONE &&
				(s->plain_len != s->canon_len - 4 || s->filtered)))
			r.bad = true;
	}
	if (r.bad || rd_left(&r) != bodies)
		return err_set(e, E_CORRUPT, 0, "table of a chunk group is not well formed");
	for (int i = 0; i < GROUP_SLOTS; i++) {
		slots[i].plain_off += (uint32_t)(plain.n - bodies);
		slots[i].side_off += (uint32_t)(plain.n - bodies);
	}
	return 0;
}

int group_nbt(struct span plain, const struct group_slot *slot, struct buf *out, struct err *e)
{
	size_t start = out->len;
	if (slot->recipe == RECIPE_NONE)
		return err_set(e, E_FORMAT, 0, "the chunk is kept as it was");
	struct span body = span_sub(plain, slot->plain_off, slot->plain_len);
	if (type_of_recipe(slot->recipe) == TYPE_GZIP)
		body = span_sub(body, GZIP_HEADER, body.n); /* kept in front of the NBT */
	int r = buf_add(out, body.p, body.n, e);
	if (r == 0 && slot->filtered && !nbt_filter_undo(out->p + start, slot->plain_len)) {
		out->len = start;
		r = err_set(e, E_CORRUPT, 0, "a chunk's filter cannot be undone");
	}
	return r;
}

uint8_t group_type(const struct group_slot *slot)
{
	return (uint8_t)type_of_recipe(slot->recipe);
}

int group_record(struct restreamer *rs, struct span plain, const struct group_slot *slot,
	struct buf *out, struct err *e)
{
	struct span body = span_sub(plain, slot->plain_off, slot->plain_len);
	uint8_t head[RECORD_HEAD];
	size_t start = out->len;
	set_be32(head, slot->canon_len - 4);
	if (slot->recipe == RECIPE_NONE) {
		int r = buf_add(out, head, 4, e);
		return r < 0 ? r : buf_add(out, body.p, body.n, e);
	}
	head[4] = group_type(slot);
	CLEANUP_BUF struct buf nbt = BUF_INIT;
	int r = buf_add(out, head, sizeof head, e);
	if (r == 0 && slot->filtered) {
		r = group_nbt(plain, slot, &nbt, e);
		body = buf_span(&nbt);
	}
	if (r == 0)
		r = restream_make(rs, slot->recipe, span_sub(plain, slot->side_off, slot->side_len),
			body, slot->canon_len, out, e);
	if (r == 0 && out->len - start != slot->canon_len)
		r = err_set(e, E_CORRUPT, 0, "a chunk's stream came out as %zu bytes instead of %u",
			out->len - start, slot->canon_len);
	if (r < 0)
		out->len = start;
	return r;
}

static int record_by(struct restreamer *rs, enum restream_by by, const struct keys *k,
	struct span plain, const struct group_slot *slot, struct buf *out, struct err *e)
{
	size_t start = out->len;
	enum restream_by old = restreamer_by(rs, by);
	int r = group_record(rs, plain, slot, out, e);
	restreamer_by(rs, old);
	if (r < 0)
		return r;
	struct span rec = span_of(out->p + start, out->len - start);
	if ((uint32_t)keyed_check(k, rec) == slot->check)
		return 0;
	out->len = start;
	return err_set(e, E_CORRUPT, 0, "a chunk did not come out as it went in");
}

int group_record_checked(struct restreamer *rs, const struct keys *k, struct span plain,
	const struct group_slot *slot, struct buf *out, struct err *e)
{
	int r = record_by(rs, restreamer_by_now(rs), k, plain, slot, out, e);
	return r == E_CORRUPT && slot->recipe != RECIPE_NONE
		       ? record_by(rs, RESTREAM_ZLIB, k, plain, slot, out, e)
		       : r;
}

/* The recipe of a payload that stands unchanged in the older version, or RECIPE_NONE. Equal plain
 * bytes, equal length and an equal keyed check of the stream mean the same stream. */
static unsigned known_recipe(struct span known, const struct group_slot *old, size_t canon_len,
	uint32_t check, struct span body, bool filtered)
{
	if (old->canon_len != canon_len || old->check != check || old->recipe == RECIPE_NONE ||
		old->plain_len != body.n || old->filtered != filtered ||
		memcmp(known.p + old->plain_off, body.p, body.n) != 0)
		return RECIPE_NONE;
	return old->recipe;
}

/* Inflate, prove and filter one stream behind bodies->len; its side goes to *side. RECIPE_NONE leaves
 * *bodies as it was. */
static int open_body(struct restreamer *rs, struct span rec, uint32_t check, struct span known,
	const struct group_slot *old, struct buf *bodies, struct buf *side, unsigned *ret_recipe,
	bool *ret_filtered, struct err *e)
{
	size_t start = bodies->len;
	size_t room = start < GROUP_PLAIN_MAX ? GROUP_PLAIN_MAX - start : 0;
	struct span stream = span_sub(rec, RECORD_HEAD, rec.n);
	unsigned guess = RECIPE_NONE;
	*ret_recipe = RECIPE_NONE;
	*ret_filtered = false;
	if (!rs || (rec.p[4] != TYPE_ZLIB && rec.p[4] != TYPE_GZIP))
		return 0;
	enum stream_wrap wrap = rec.p[4] == TYPE_GZIP ? WRAP_GZIP : WRAP_ZLIB;
	int r = restream_open(rs, wrap, stream, room, bodies, &guess, e);
	if (r < 0 || guess == RECIPE_NONE)
		return r;
	uint8_t *p = bodies->p + start;
	size_t n = bodies->len - start;
	/* A gzip stream's plain form starts with its header, which is no NBT. */
	*ret_filtered = wrap == WRAP_ZLIB && nbt_filter_apply(p, n);
	*ret_recipe = known_recipe(known, old, rec.n, check, span_of(p, n), *ret_filtered);
	if (*ret_recipe != RECIPE_NONE)
		return buf_add(side, known.p + old->side_off, old->side_len, e);
	if (*ret_filtered)
		nbt_filter_undo(p, n);
	r = restream_prove(rs, guess, stream, span_of(p, n), ret_recipe, side, e);
	if (r < 0 || *ret_recipe == RECIPE_NONE)
		bodies->len = start;
	else if (*ret_filtered)
		nbt_filter_apply(p, n);
	return r;
}

/* One payload's body into *bodies, its line into *table. */
static int encode_slot(struct restreamer *rs, const struct keys *k, struct span rec,
	struct span known, const struct group_slot *old, struct buf *table, struct buf *bodies,
	struct err *e)
{
	unsigned recipe;
	bool filtered;
	uint32_t check = (uint32_t)keyed_check(k, rec);
	size_t start = bodies->len;
	CLEANUP_BUF struct buf side = BUF_INIT;
	int r = open_body(rs, rec, check, known, old, bodies, &side, &recipe, &filtered, e);
	if (r == 0 && recipe == RECIPE_NONE) {
		filtered = false;
		r = buf_add(bodies, rec.p + 4, rec.n - 4, e);
	}
	if (r == 0)
		r = put_u8(table, (uint8_t)recipe, e);
	if (r == 0)
		r = put_u8(table, filtered ? FILTER_SHORTS : FILTER_NONE, e);
	if (r == 0)
		r = put_var(table, rec.n, e);
	if (r == 0)
		r = put_var(table, bodies->len - start, e);
	if (r == 0)
		r = put_u32(table, check, e);
	if (r == 0 && restream_has_side(recipe))
		r = put_var(table, side.len, e);
	return r < 0 ? r : buf_add(bodies, side.p, side.len, e);
}

/* `rs` NULL: keep every payload as it is. */
static int encode_group(struct restreamer *rs, const struct keys *k, struct span canon,
	struct span known, struct buf *plain, struct err *e)
{
	struct group_slot old[GROUP_SLOTS];
	CLEANUP_BUF struct buf bodies = BUF_INIT;
	struct rd r = rd_of(canon);
	if (known.n == 0 || group_parse(known, old, NULL) < 0) {
		memset(old, 0, sizeof old);
		known.n = 0;
	}
	uint32_t mask = rd_u32(&r);
	int rc = put_u32(plain, mask, e);
	for (int i = 0; i < GROUP_SLOTS && rc == 0; i++) {
		if (!(mask >> i & 1))
			continue;
		if (rd_left(&r) < RECORD_HEAD)
			return err_set(e, E_FORMAT, 0, "a chunk group is cut short");
		struct span rec = rd_raw(&r, (size_t)get_be32(r.p) + 4);
		if (r.bad || rec.n < RECORD_HEAD)
			return err_set(e, E_FORMAT, 0, "a chunk group is cut short");
		rc = encode_slot(rs, k, rec, known, &old[i], plain, &bodies, e);
	}
	if (rc == 0 && (r.bad || rd_left(&r)))
		return err_set(e, E_FORMAT, 0, "a chunk group has no mask, or bytes behind its end");
	return rc < 0 ? rc : buf_add(plain, bodies.p, bodies.len, e);
}

int form_wrap(const struct keys *k, enum form form, struct span canon, struct buf *plain,
	struct err *e)
{
	int r = buf_reserve(plain, canon.n + GROUP_SLOTS * 16, e);
	if (r < 0)
		return r;
	if (form_named(form) == FORM_GROUP)
		return encode_group(NULL, k, canon, (struct span){NULL, 0}, plain, e);
	r = put_u8(plain, RECIPE_NONE, e);
	return r < 0 ? r : buf_add(plain, canon.p, canon.n, e);
}

/* u8 recipe; with a side: var length and the side; then the inflated bytes. */
static int encode_stream(struct restreamer *rs, struct span canon, struct buf *plain,
	struct err *e)
{
	CLEANUP_BUF struct buf inner = BUF_INIT;
	CLEANUP_BUF struct buf side = BUF_INIT;
	unsigned guess = RECIPE_NONE, recipe = RECIPE_NONE;
	enum stream_wrap wrap = canon.n && canon.p[0] == 0x1f ? WRAP_GZIP : WRAP_ZLIB;
	int r = restream_open(rs, wrap, canon, STREAM_PLAIN_MAX, &inner, &guess, e);
	if (r == 0 && guess != RECIPE_NONE)
		r = restream_prove(rs, guess, canon, buf_span(&inner), &recipe, &side, e);
	if (r == 0)
		r = put_u8(plain, (uint8_t)recipe, e);
	if (r == 0 && restream_has_side(recipe))
		r = put_bytes(plain, buf_span(&side), e);
	if (r < 0)
		return r;
	return recipe == RECIPE_NONE ? buf_add(plain, canon.p, canon.n, e)
				     : buf_add(plain, inner.p, inner.len, e);
}

static int decode_stream(struct restreamer *rs, struct span plain, size_t canon_len,
	struct buf *canon, struct err *e)
{
	struct rd rd = rd_of(plain);
	unsigned recipe = rd_u8(&rd);
	struct span side = {NULL, 0};
	if (restream_has_side(recipe))
		side = rd_bytes(&rd);
	if (rd.bad)
		return err_set(e, E_CORRUPT, 0, "a stream without a recipe");
	struct span inner = rd_raw(&rd, rd_left(&rd));
	return recipe == RECIPE_NONE
		       ? buf_add(canon, inner.p, inner.n, e)
		       : restream_make(rs, recipe, side, inner, canon_len, canon, e);
}

int form_encode(struct restreamer *rs, const struct keys *k, enum form form, struct span canon,
	struct span known, struct buf *plain, struct err *e)
{
	switch (form) {
	case FORM_GROUP:
		return encode_group(rs, k, canon, known, plain, e);
	case FORM_STREAM:
		return encode_stream(rs, canon, plain, e);
	default:
		return buf_add(plain, canon.p, canon.n, e);
	}
}

static int decode_group(struct restreamer *rs, struct span plain, struct buf *canon,
	struct err *e)
{
	struct group_slot slots[GROUP_SLOTS];
	int r = group_parse(plain, slots, e);
	if (r == 0)
		r = buf_add(canon, plain.p, 4, e); /* the mask is the same */
	for (int i = 0; i < GROUP_SLOTS && r == 0; i++)
		if (slots[i].canon_len)
			r = group_record(rs, plain, &slots[i], canon, e);
	return r;
}

int form_decode(struct restreamer *rs, enum form form, struct span plain, size_t canon_len,
	struct buf *canon, struct err *e)
{
	size_t start = canon->len;
	int r = canon_len > CANON_MAX ? err_set(e, E_CORRUPT, 0, "a blob is too large")
				      : buf_reserve(canon, canon_len, e);
	if (r < 0)
		return r;
	switch (form) {
	case FORM_RAW:
	case FORM_GROUP_KEPT:
	case FORM_STREAM_KEPT:
		r = buf_add(canon, plain.p, plain.n, e);
		break;
	case FORM_STREAM:
		r = decode_stream(rs, plain, canon_len, canon, e);
		break;
	case FORM_GROUP:
		r = decode_group(rs, plain, canon, e);
		break;
	default:
		r = err_set(e, E_CORRUPT, 0, "unknown form %d of a blob", (int)form);
	}
	if (r == 0 && canon->len - start != canon_len)
		r = err_set(e, E_CORRUPT, 0, "a blob decodes to %zu bytes instead of %zu",
			canon->len - start, canon_len);
	return r;
}
