#include "engine/anvil/nbt.h"

#include <string.h>

#include "engine/base/wire.h"

/* The least that one value takes; exact for types 1 to 6. */
static const uint8_t least_bytes[] = {[NBT_BYTE] = 1, [NBT_SHORT] = 2, [NBT_INT] = 4, [NBT_LONG] = 8,
	[NBT_FLOAT] = 4, [NBT_DOUBLE] = 8, [NBT_BYTES] = 4, [NBT_STRING] = 2, [NBT_LIST] = 5,
	[NBT_COMPOUND] = 1, [NBT_INTS] = 4, [NBT_LONGS] = 4};

void nbt_open(struct nbt_reader *r, struct span doc)
{
	r->p = doc.p;
	r->end = span_end(doc);
	r->started = r->bad = false;
	r->depth = 0;
}

size_t nbt_left(const struct nbt_reader *r)
{
	return (size_t)(r->end - r->p);
}

bool nbt_is(const struct nbt_tag *t, enum nbt_type type, const char *name)
{
	return t->type == type && t->name.n == strlen(name) &&
	       memcmp(t->name.p, name, t->name.n) == 0;
}

/* ---- bytes ---- */

static struct span take(struct nbt_reader *r, uint64_t n)
{
	static const uint8_t nothing[1];
	if (r->bad || n > nbt_left(r)) {
		r->bad = true;
		return (struct span){nothing, 0};
	}
	struct span s = {r->p, (size_t)n};
	r->p += n;
	return s;
}

static unsigned take_u8(struct nbt_reader *r)
{
	struct span s = take(r, 1);
	return s.n ? s.p[0] : 0;
}

static struct span take_string(struct nbt_reader *r)
{
	struct span s = take(r, 2);
	return take(r, s.n ? (unsigned)s.p[0] << 8 | s.p[1] : 0);
}

/* The count of an array; a negative one is damage. */
static uint32_t take_count(struct nbt_reader *r)
{
	struct span s = take(r, 4);
	uint32_t n = s.n ? get_be32(s.p) : 0;
	if (n > INT32_MAX) {
		r->bad = true;
		return 0;
	}
	return n;
}

static int64_t big_endian(struct span s)
{
	uint64_t v = s.n && s.p[0] & 0x80 ? UINT64_MAX : 0;
	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | s.p[i];
	return (int64_t)v;
}

/* ---- values ---- */

static void push(struct nbt_reader *r, bool list, enum nbt_type elem, uint32_t left)
{
	if (r->depth == NBT_DEPTH)
		r->bad = true;
	else
		r->level[r->depth++] = (struct nbt_level){left, (uint8_t)elem, list};
}

static void read_list(struct nbt_reader *r, struct nbt_tag *t)
{
	unsigned elem = take_u8(r);
	struct span s = take(r, 4);
	uint32_t n = s.n ? get_be32(s.p) : 0;
	if (n > INT32_MAX)
		n = 0; /* the game takes a negative count for an empty list */
	if (elem > NBT_LONGS || (n && elem == NBT_END)) {
		r->bad = true;
		return;
	}
	if (n && n > nbt_left(r) / least_bytes[elem])
		r->bad = true;
	t->elem = (enum nbt_type)elem;
	t->count = n;
	push(r, true, t->elem, n);
}

static void read_value(struct nbt_reader *r, struct nbt_tag *t)
{
	static const uint8_t width[] = {[NBT_BYTES] = 1, [NBT_INTS] = 4, [NBT_LONGS] = 8};
	switch (t->type) {
	case NBT_BYTE:
	case NBT_SHORT:
	case NBT_INT:
	case NBT_LONG:
		t->raw = take(r, least_bytes[t->type]);
		t->number = big_endian(t->raw);
		break;
	case NBT_FLOAT:
	case NBT_DOUBLE:
		t->raw = take(r, least_bytes[t->type]);
		break;
	case NBT_BYTES:
	case NBT_INTS:
	case NBT_LONGS:
		t->count = take_count(r);
		t->raw = take(r, (uint64_t)t->count * width[t->type]);
		break;
	case NBT_STRING:
		t->raw = take_string(r);
		break;
	case NBT_LIST:
		read_list(r, t);
		break;
	case NBT_COMPOUND:
		push(r, false, NBT_END, 0);
		break;
	default:
		r->bad = true;
	}
}

static int damaged(struct nbt_reader *r, struct err *e)
{
	r->bad = true;
	return err_set(e, E_FORMAT, 0, "the NBT is damaged or cut short");
}

int nbt_next(struct nbt_reader *r, struct nbt_tag *t, struct err *e)
{
	static const uint8_t nothing[1];
	struct nbt_level *in = r->depth ? &r->level[r->depth - 1] : NULL;
	if (r->bad)
		return damaged(r, e);
	if (!in && r->started)
		return 0;
	*t = (struct nbt_tag){.depth = r->depth, .name = {nothing, 0}, .raw = {nothing, 0}};
	if (in && in->list) {
		if (in->left) {
			in->left--;
			t->type = (enum nbt_type)in->elem;
		}
	} else {
		t->type = (enum nbt_type)take_u8(r);
		if (!r->started && t->type != NBT_COMPOUND)
			return damaged(r, e);
		r->started = true;
		if (t->type != NBT_END)
			t->name = take_string(r);
	}
	if (t->type == NBT_END && !r->bad)
		t->depth = --r->depth;
	else
		read_value(r, t);
	return r->bad ? damaged(r, e) : 1;
}

/* Pass over the rest of a list at once where its elements' size is known. */
static void skip_fixed(struct nbt_reader *r)
{
	struct nbt_level *in = &r->level[r->depth - 1];
	if (!in->list || in->elem < NBT_BYTE || in->elem > NBT_DOUBLE)
		return;
	take(r, (uint64_t)in->left * least_bytes[in->elem]);
	in->left = 0;
}

int nbt_skip(struct nbt_reader *r, const struct nbt_tag *tag, struct err *e)
{
	struct nbt_tag t;
	if (tag->type != NBT_LIST && tag->type != NBT_COMPOUND)
		return r->bad ? damaged(r, e) : 0;
	while (!r->bad && r->depth > tag->depth) {
		skip_fixed(r);
		int rc = nbt_next(r, &t, e);
		if (rc < 0)
			return rc;
	}
	return r->bad ? damaged(r, e) : 0;
}

int nbt_check(struct span doc, struct err *e)
{
	struct nbt_reader r;
	struct nbt_tag root;
	nbt_open(&r, doc);
	int rc = nbt_next(&r, &root, e);
	if (rc == 1)
		rc = nbt_skip(&r, &root, e);
	if (rc == 0 && nbt_left(&r))
		rc = err_set(e, E_FORMAT, 0, "there are %zu bytes behind the NBT", nbt_left(&r));
	return rc;
}
