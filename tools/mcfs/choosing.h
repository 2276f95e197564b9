/* choosing.h - which chunks `mcfs prune` is to take: named ones, a selection, what rules say. */
#ifndef MCFS_TOOLS_CHOOSING_H
#define MCFS_TOOLS_CHOOSING_H

#include "engine/prune/prune.h"
#include "engine/prune/rules.h"
#include "tools/mcfs/cli.h"
#include "tools/mcfs/pruning.h"

/* What was asked for. */
struct wish {
	const char *world, *dimension; /* NULL: all; named chunks and selections: overworld */
	struct chunk_spec *specs;
	size_t n_specs;
	const char *selection, *rules, *query;
	unsigned radius; /* what is this near to a match of `query` goes, too */
	int keep_radius; /* -1: as the rules say */
	int64_t now;	 /* 0: the clock */
	bool force;
	/* From rules and options. */
	int64_t snapshot_age; /* seconds; -1: none is wanted */
	int64_t trash_keep, trash_size;
};

struct chosen {
	char *dimension;
	struct prune_chunk *v;
	size_t n, cap;
};

struct choice {
	struct chosen *dims;
	size_t n;
	/* When rules chose. */
	struct rules *rules;
	struct judgement *judged;
	bool refused; /* a dimension was left out, and was told */
	bool damaged; /* a query asked for them */
};

/* Load the rules that are asked for; what they say besides goes into the wish. */
int choice_rules(struct wish *w, struct choice *c, struct err *e) MUST_CHECK;
/* Choose. Tells what is refused. */
int choice_run(const struct cli *cli, const struct wish *w, struct choice *c, struct err *e) MUST_CHECK;
/* Per dimension: how many by which rule, how many are protected by what. */
void choice_print(const struct cli *cli, const struct choice *c);
/* Why a chunk would go or stay, in words on standard output. */
int choice_explain(const struct wish *w, const struct choice *c, const struct chunk_spec *spec,
	struct err *e) MUST_CHECK;
void choice_free(struct choice *c);

/* Is there a snapshot of the world that is not older than that? E_NOTFOUND when not. */
int choice_require_snapshot(struct cli *cli, const char *world, int64_t age, struct err *e) MUST_CHECK;

#endif
