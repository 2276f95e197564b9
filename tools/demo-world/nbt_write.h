/* nbt_write.h - NBT as a tree that remembers the order of its keys, to be built, edited and
 * written.
 *
 * The game writes the keys of a compound in the order of a Java HashMap: odd, but always the same
 * for the same set of keys. A tree read from a file and written again therefore yields the same
 * bytes where nothing was changed, as the game does.
 *
 * Every node lives in an arena and dies with it. Names and array contents are not copied: they are
 * literals, arena memory, or point into the buffer that was parsed. */
#ifndef DEMO_NBT_WRITE_H
#define DEMO_NBT_WRITE_H

#include "util.h"

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

struct arena {
	struct arena_block *blocks;
};

void *arena_alloc(struct arena *a, size_t n);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *a, const char *fmt, ...);
void arena_free(struct arena *a);

struct nbt {
	uint8_t type;
	uint8_t elem; /* list: type of the elements */
	uint16_t name_len;
	uint32_t count; /* list, compound: children */
	const char *name;
	union {
		int64_t i; /* byte, short, int, long */
		float f;
		double d;
		struct {
			uint8_t *p; /* string, arrays: the bytes as they are in the file */
			size_t n;   /* in bytes */
		} raw;
		struct {
			struct nbt *first, *last;
		} kids;
	} u;
	struct nbt *next;
};

/* A compound without a name, the root of every file. */
struct nbt *nbt_root(struct arena *a);
/* Add a child to a compound, or to a list with name NULL. An empty list made with elem 0 takes the
 * type of its first element. */
struct nbt *nbt_int(struct arena *a, struct nbt *in, const char *name, enum nbt_type t, int64_t v);
struct nbt *nbt_float(struct arena *a, struct nbt *in, const char *name, float v);
struct nbt *nbt_double(struct arena *a, struct nbt *in, const char *name, double v);
/* The string is not copied. */
struct nbt *nbt_str(struct arena *a, struct nbt *in, const char *name, const char *v);
struct nbt *nbt_list(struct arena *a, struct nbt *in, const char *name);
struct nbt *nbt_compound(struct arena *a, struct nbt *in, const char *name);
/* An array of `count` zeros: NBT_BYTES, NBT_INTS or NBT_LONGS. */
struct nbt *nbt_array(
	struct arena *a, struct nbt *in, const char *name, enum nbt_type t, size_t count);
struct nbt *nbt_ints(struct arena *a, struct nbt *in, const char *name, size_t n, const int32_t *v);
/* A list of doubles or floats. */
void nbt_doubles(struct arena *a, struct nbt *in, const char *name, size_t n, const double *v);
void nbt_floats(struct arena *a, struct nbt *in, const char *name, size_t n, const float *v);

/* The child of a compound with this name, or NULL (also when `in` is NULL or no compound). */
struct nbt *nbt_get(const struct nbt *in, const char *name);
/* The same, but only if it has this type. */
struct nbt *nbt_get_type(const struct nbt *in, const char *name, enum nbt_type t);
/* The n-th child, or NULL. */
struct nbt *nbt_at(const struct nbt *in, uint32_t n);
bool nbt_str_is(const struct nbt *n, const char *s);
void nbt_remove(struct nbt *in, struct nbt *child);

/* Put the keys of this compound and of all below it in the order Java's HashMap has. For trees that
 * were built here; one that was read keeps its own order. */
void nbt_java_order(struct arena *a, struct nbt *n);

/* Parse a whole file. The tree points into `p`, which must outlive it. NULL when malformed. */
struct nbt *nbt_parse(struct arena *a, uint8_t *p, size_t n);
void nbt_serialize(struct bytes *out, const struct nbt *root);

#endif
