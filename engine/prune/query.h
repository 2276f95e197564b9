/* query.h - MCA Selector's query language: text to a tree, and whether the tree holds for what is known
 * of a chunk. The language, and where it differs on purpose: docs/QUERY.md. Source: shared notes on MCA
 * Selector 2.8, sections 1 to 3.
 *
 * A query is judged while a chunk is being read, so there are three answers, and one more: what is
 * true only because the chunk is damaged. Damaged chunks match nothing else.
 *
 * A query is read-only once parsed; any thread. */
#ifndef MCFS_PRUNE_QUERY_H
#define MCFS_PRUNE_QUERY_H

#include <stdbool.h>

#include "engine/base/buf.h"
#include "engine/prune/names.h"

/* ---- what is known of a chunk ---- */

/* What must be read from the chunk's NBT, and so may not be known yet. */
enum fact {
	FACT_DATA_VERSION,
	FACT_INHABITED,
	FACT_LAST_UPDATE,
	FACT_Y_POS,
	FACT_STATUS,
	FACT_LIGHT,
	FACT_PALETTE,
	FACT_BIOME,
	FACT_ENTITIES, /* from the entities file since DataVersion 2681 */
	FACT_PROTO_ENTITIES,
	FACT_TILES,
	FACT_STRUCTURES,
	FACT_TYPES,   /* of compression, of all kinds */
	FACT_DAMAGED, /* read to the end, of all kinds */
	FACTS
};
#define FACT_BIT(f) (1u << (f))
#define STATUS_CHARS 64

struct facts {
	const struct query_names *names;
	/* From the headers and the world around; always known. */
	int32_t x, z;		/* of the slot */
	uint32_t timestamp;	/* 0: none */
	int64_t now;		/* epoch seconds */
	uint64_t size;		/* bytes of its sectors in all kinds */
	unsigned missing;	/* neighbours of the 8 that no header has */
	bool forced;
	const char *dimension;

	unsigned known; /* FACT_BITs */
	unsigned none;	/* of those known: there is no value, comparisons are false */
	bool damaged;
	int64_t number[FACTS]; /* counts of the lists */
	char status[STATUS_CHARS];
	uint8_t type[3]; /* 0: the kind has no such chunk */
	bool external[3];
	struct seen seen[NAMES_CLASSES];
};

int facts_init(struct facts *f, const struct query_names *names, struct err *e) MUST_CHECK;
void facts_free(struct facts *f);
/* Nothing of a chunk is known. */
void facts_clear(struct facts *f);
/* There will be no more: what was not seen has its default, or none. */
void facts_finish(struct facts *f);

/* ---- queries ---- */

struct query;

#define QUERY_TEXT_MAX 100000

/* Parse. The names it asks about are added to `names`, which must outlive it; files it names are
 * read. E_USAGE: not understood, the message says where and why; E_NOTFOUND, E_IO of a file. */
int query_parse(struct query **ret, const char *text, struct query_names *names,
	struct err *e) MUST_CHECK;
void query_free(struct query *q); /* NULL is fine */

/* Which facts can matter, as FACT_BITs; plus these: */
#define QUERY_WANTS_NEIGHBOURS (1u << 30)
#define QUERY_WANTS_FORCED (1u << 31)
unsigned query_wants(const struct query *q);

enum answer {
	ANSWER_NO,
	ANSWER_UNKNOWN,
	ANSWER_YES,
	ANSWER_YES_DAMAGED /* it asks for Damaged, and the chunk is */
};
/* What can be said already. With FACT_DAMAGED known never more than facts allow: a damaged chunk is
 * NO or YES_DAMAGED, another one NO or YES once all facts are known. */
enum answer query_judge(const struct query *q, const struct facts *f);

/* ---- a query made of two ages ---- */

/* As "Age >= last_updated AND InhabitedTime < inhabited"; -1 leaves one out (not both). */
int query_of_pair(struct query **ret, int64_t last_updated, int64_t inhabited,
	struct err *e) MUST_CHECK;

#endif
