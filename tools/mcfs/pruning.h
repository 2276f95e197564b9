/* pruning.h - what `mcfs prune` and `mcfs trash` share. */
#ifndef MCFS_TOOLS_PRUNING_H
#define MCFS_TOOLS_PRUNING_H

#include "engine/prune/prune.h"
#include "tools/mcfs/cli.h"

struct pruning {
	struct cli *cli;
	const char *world;
	struct prune *p;
	bool list; /* print each chunk that is settled */
};

/* Open the world for changing, with messages and --json lines for what happens to chunks. */
int pruning_open(struct pruning *w, struct err *e) MUST_CHECK;
void pruning_close(struct pruning *w);

/* --when-running. False for another word. */
bool pruning_parse_when(const char *s, enum when_running *ret);
/* "c.3.-4" or "r.0.1". */
struct chunk_spec {
	bool is_region;
	int32_t x, z;
};
bool pruning_parse_spec(const char *s, struct chunk_spec *ret);
/* "500M", "2GiB". */
bool pruning_parse_size(const char *s, uint64_t *ret);

/* The counts of a result behind what is there, as members of a JSON object. */
void pruning_json(json_t *o, const struct prune_result *r);
/* What was not done, a line each, in words; the exit code: EXIT_PARTLY when chunks were left. */
int pruning_tell_rest(const struct cli *cli, const struct prune_result *r);

#endif
