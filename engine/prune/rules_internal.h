/* rules_internal.h - a compiled set of rules. Only for engine/prune/{rules,judge,explain,guards}.c. */
#ifndef MCFS_PRUNE_RULES_INTERNAL_H
#define MCFS_PRUNE_RULES_INTERNAL_H

#include "engine/prune/query.h"
#include "engine/prune/rules.h"
#include "engine/prune/selection.h"

struct rule {
	char *name, *text;
	struct query *query;
};

struct rules {
	struct query_names names;
	struct rule v[RULES_MAX];
	size_t n;
	struct query *keep; /* what `structures` and `blocks` protect; NULL */
	struct protect_spec protect;
	struct selection **files; /* of protect.selections */
	unsigned max_percent;
	unsigned wants;
};

int protect_copy(struct protect_spec *to, const struct protect_spec *from, struct err *e) MUST_CHECK;
void protect_free(struct protect_spec *p);

/* The first rule that says something but no: its number, and what it says. ANSWER_NO: none. */
enum answer rules_ask(const struct rules *r, const struct facts *f, size_t *ret_i);

/* What protects places of one dimension, whatever is in the chunks there. */
struct guards {
	const struct rules *rules;
	const char *dimension;
	struct selection *forced, *spawn, *players; /* NULL: none */
};
/* What a world's files say, for all of its dimensions: read once. */
struct world_guards;
int world_guards_read(struct world_guards **ret, const struct rules *r, struct source *s,
	const struct worlds *all, const struct log *log, struct err *e) MUST_CHECK;
void world_guards_free(struct world_guards *w);
int guards_make(struct guards *g, const struct rules *r, const struct world_guards *w,
	struct source *s, const struct world_dim *dim, struct err *e) MUST_CHECK;
void guards_free(struct guards *g);
/* VERDICT_FORCED .. VERDICT_AREA, or VERDICT_ABSENT when nothing does. */
enum verdict guards_ask(const struct guards *g, int32_t x, int32_t z);

#endif
