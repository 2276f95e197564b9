/* world.h - the world that a command looks at: a directory, or one in a snapshot. */
#ifndef MCFS_TOOLS_WORLD_H
#define MCFS_TOOLS_WORLD_H

#include "engine/anvil/source.h"
#include "tools/mcfs/session.h"

struct cli_world {
	struct source *source;
	struct session session; /* of a snapshot */
	bool has_session;
	const struct snapshot *sn; /* NULL: live */
};

/* `world`: a directory; with `snapshot`: a directory in it, by its name there or by the path it had on
 * the host, NULL for all of it. */
int cli_world_open(struct cli_world *w, struct cli *cli, const char *world, const char *snapshot,
	struct err *e) MUST_CHECK;
void cli_world_close(struct cli_world *w);

/* A count with its noun: "1 chunk", "12 chunks". Returns `out`. */
char *cli_count(uint64_t n, const char *noun, char out[48]);

#endif
