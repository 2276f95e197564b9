#include "engine/anvil/nbt_filter.h"

#include "engine/base/wire.h"

enum { END, BYTE, SHORT, INT, LONG, FLOAT, DOUBLE, BYTES, STRING, LIST, COMPOUND, INTS, LONGS };

#define DEPTH_MAX 512 /* the game's own limit */

/* Bytes of a value of fixed size; 0 for the others. */
static const uint8_t fixed[] = {[BYTE] = 1, [SHORT] = 2, [INT] = 4, [LONG] = 8, [FLOAT] = 4,
	[DOUBLE] = 8, [LONGS] = 0};

struct level {
	uint8_t type;  /* of the elements of a list; COMPOUND itself for a compound */
	uint32_t left; /* elements of a list */
};

struct walker {
	uint8_t *p, *end;
	bool undo;
	int depth;
	struct level stack[DEPTH_MAX];
};

static bool skip(struct walker *w, uint64_t n)
{
	if (n > (uint64_t)(w->end - w->p))
		return false;
	w->p += n;
	return true;
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* The list's bounds are checked before one element is changed. */
static bool shorts(struct walker *w, uint32_t n)
{
	uint8_t *p = w->p;
	uint16_t before = 0;
	if (!skip(w, 2 * (uint64_t)n))
		return false;
	for (uint32_t i = 0; i < n; i++, p += 2) {
		uint16_t v = be16(p);
		uint16_t out = (uint16_t)(w->undo ? v + before : v - before);
		before = w->undo ? out : v;
		p[0] = (uint8_t)(out >> 8);
		p[1] = (uint8_t)out;
	}
	return true;
}

static bool push(struct walker *w, uint8_t type, uint32_t left)
{
	if (w->depth == DEPTH_MAX)
		return false;
	w->stack[w->depth++] = (struct level){type, left};
	return true;
}

static bool array(struct walker *w, unsigned width)
{
	if (w->end - w->p < 4)
		return false;
	uint32_t n = get_be32(w->p);
	return n <= INT32_MAX && skip(w, 4 + (uint64_t)n * width);
}

static bool list(struct walker *w)
{
	if (w->end - w->p < 5)
		return false;
	uint8_t type = w->p[0];
	uint32_t n = get_be32(w->p + 1);
	w->p += 5;
	if (n > INT32_MAX)
		n = 0; /* the game takes a negative length for an empty list */
	if (type == SHORT)
		return shorts(w, n);
	if (type > LONGS || (type == END && n))
		return false;
	return fixed[type] ? skip(w, (uint64_t)n * fixed[type]) : push(w, type, n);
}

/* One value whose type is known; containers are only entered. */
static bool value(struct walker *w, uint8_t type)
{
	switch (type) {
	case STRING:
		return w->end - w->p >= 2 && skip(w, 2 + (uint64_t)be16(w->p));
	case BYTES:
		return array(w, 1);
	case INTS:
		return array(w, 4);
	case LONGS:
		return array(w, 8);
	case LIST:
		return list(w);
	case COMPOUND:
		return push(w, COMPOUND, 0);
	default:
		return type <= DOUBLE && type != END && skip(w, fixed[type]);
	}
}

static bool named(struct walker *w, uint8_t type)
{
	return w->end - w->p >= 2 && skip(w, 2 + (uint64_t)be16(w->p)) && value(w, type);
}

/* Lists of compounds are on the stack as the element type with a count; a compound that is open is
 * there with `left` 0 and the marker below. */
static bool walk(uint8_t *p, size_t n, bool undo)
{
	struct walker w = {.p = p, .end = p + n, .undo = undo};
	bool open[DEPTH_MAX + 1]; /* is the level an open compound? */
	if (n < 3 || *w.p++ != COMPOUND || !skip(&w, 2 + (uint64_t)be16(w.p)) ||
		!push(&w, COMPOUND, 0))
		return false;
	open[0] = true;
	while (w.depth) {
		int at = w.depth - 1;
		struct level *top = &w.stack[at];
		uint8_t type = top->type;
		if (open[at]) {
			if (w.p == w.end)
				return false;
			type = *w.p++;
			if (type == END) {
				w.depth--;
				continue;
			}
			if (!named(&w, type))
				return false;
		} else {
			if (top->left == 0) {
				w.depth--;
				continue;
			}
			top->left--;
			if (!value(&w, type))
				return false;
		}
		if (w.depth > at + 1)
			open[at + 1] = type == COMPOUND;
	}
	return true;
}

bool nbt_filter_apply(uint8_t *p, size_t n)
{
	if (walk(p, n, false))
		return true;
	/* The way back stops at the same place, and so undoes exactly what was done. */
	walk(p, n, true);
	return false;
}

bool nbt_filter_undo(uint8_t *p, size_t n)
{
	return walk(p, n, true);
}
