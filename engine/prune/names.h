/* names.h - the block, biome, entity and structure names that queries ask about, numbered, so that a
 * chunk's names become bits. Private to engine/prune. */
#ifndef MCFS_PRUNE_NAMES_H
#define MCFS_PRUNE_NAMES_H

#include <stdbool.h>

#include "engine/base/buf.h"

enum name_class { NAMES_BLOCK, NAMES_BIOME, NAMES_ENTITY, NAMES_TILE, NAMES_STRUCTURE, NAMES_CLASSES };

/* All names of one class, in the order they were first asked about. */
struct names {
	char **v;
	size_t n;
};
/* What all queries of a set ask about. */
struct query_names {
	struct names of[NAMES_CLASSES];
};
void query_names_free(struct query_names *q);

#define NAME_MAX_CHARS 200

/* The number of a name, which is added when it is new. It is put into its full form first: without
 * quotes, with "minecraft:" when it has no namespace. E_USAGE when it cannot be an id. */
int names_add(struct query_names *q, enum name_class c, const char *name, uint32_t *ret,
	struct err *e) MUST_CHECK;
/* The number of a name as a chunk spells it; -1: nobody asked about it. Old spellings of entities and
 * block entities ("EnchantTable") are known. */
long names_find(const struct query_names *q, enum name_class c, struct span name);

/* Which of the names were seen in a chunk, and whether others were. */
struct seen {
	uint64_t *bits;
	bool other;
};
int seen_init(struct seen *s, const struct names *n, struct err *e) MUST_CHECK;
void seen_free(struct seen *s);
void seen_clear(struct seen *s, const struct names *n);
void seen_mark(struct seen *s, long number); /* -1: another */
static inline bool seen_has(const struct seen *s, uint32_t number)
{
	return s->bits[number / 64] >> (number % 64) & 1;
}

#endif
