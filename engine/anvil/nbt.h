/* nbt.h - reads NBT, the game's tree of named values, as a sequence of tags; nothing is built.
 *
 * A document: u8 type (10), name, members up to a 0 byte. A member: u8 type, name (u16 BE length,
 * bytes), value. Numbers are big-endian. Values: 1 byte, 2 short, 3 int, 4 long, 5 float, 6 double,
 * 7 byte array (i32 count), 8 string (u16 length), 9 list (u8 type, i32 count, values without names),
 * 10 compound (members), 11 int array, 12 long array. Strings are "modified UTF-8" of Java.
 * Source: the game's own reader, and shared notes 3.3.
 *
 * Nothing is trusted: no length leads past the end, a list never announces more elements than bytes
 * that could hold them, and containers nest at most NBT_DEPTH deep, the game's own limit. No
 * recursion and no memory beyond the struct; time is linear in the bytes passed over. Spans point
 * into what is read. One thread per reader. */
#ifndef MCFS_ANVIL_NBT_H
#define MCFS_ANVIL_NBT_H

#include <stdbool.h>

#include "engine/base/buf.h"

#define NBT_DEPTH 512

enum nbt_type {
	NBT_END,
	NBT_BYTE,
	NBT_SHORT,
	NBT_INT,
	NBT_LONG,
	NBT_FLOAT,
	NBT_DOUBLE,
	NBT_BYTES,
	NBT_STRING,
	NBT_LIST,
	NBT_COMPOUND,
	NBT_INTS,
	NBT_LONGS
};

struct nbt_reader {
	const uint8_t *p, *end;
	bool started, bad;
	unsigned depth; /* containers open */
	struct nbt_level {
		uint32_t left; /* list: elements not read yet */
		uint8_t elem;  /* list: their type */
		bool list;
	} level[NBT_DEPTH];
};

struct nbt_tag {
	enum nbt_type type; /* NBT_END: the container at this depth is over */
	unsigned depth;	    /* 0: the root, 1: its members, ... */
	struct span name;   /* empty for elements of lists */
	struct span raw;    /* the value's bytes; an array's or string's without their length; empty
			     * for containers */
	int64_t number;	    /* of byte, short, int and long */
	uint32_t count;	    /* elements of lists and arrays */
	enum nbt_type elem; /* of lists */
};

/* Start at the root of a document. The bytes must stay until the reader is no longer used; there is
 * nothing to release. */
void nbt_open(struct nbt_reader *r, struct span doc);
/* The next tag, containers before what is in them: 1; 0 when the root is over; E_FORMAT when the
 * document is damaged or cut short, then and ever after. */
int nbt_next(struct nbt_reader *r, struct nbt_tag *ret, struct err *e) MUST_CHECK;
/* Pass over what is in the container that nbt_next() has just given, its NBT_END included. For
 * other tags nothing happens. E_FORMAT as above. */
int nbt_skip(struct nbt_reader *r, const struct nbt_tag *tag, struct err *e) MUST_CHECK;
/* Bytes not read yet; behind the end of the root: those that do not belong to it. */
size_t nbt_left(const struct nbt_reader *r);

bool nbt_is(const struct nbt_tag *tag, enum nbt_type type, const char *name);

/* E_FORMAT unless the bytes are exactly one compound, nothing missing and nothing behind. */
int nbt_check(struct span doc, struct err *e) MUST_CHECK;

#endif
