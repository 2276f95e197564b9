/* worlds.h - which worlds and dimensions are in a directory tree, told by what is in it.
 *
 * A dimension is a folder with a directory region/, entities/ or poi/ that holds r.X.Z.mca files.
 * Layouts that are known:
 *   WORLD/{region,entities,poi}                   overworld (also a split Bukkit world's own folder)
 *   WORLD/DIM-1, WORLD/DIM1                       the_nether, the_end
 *   WORLD/DIM<other>                              DIM<other> (old mods)
 *   WORLD/dimensions/minecraft/overworld ...      the same names, since 26.1
 *   WORLD/dimensions/NAMESPACE/PATH...            NAMESPACE/PATH...
 * An upgraded world may have a dimension in both layouts: the newer one has the name, the older one
 * gets ".old" behind it. A split world (world_nether/DIM-1) is a world of its own, as it is for the
 * server. Source: shared notes 3.2.
 *
 * Pure: the tree is asked through a small interface, so a snapshot and a live directory are alike.
 * Costs a listing of each directory down to WORLDS_DEPTH, except those that hold chunks or are known
 * parts of a world. */
#ifndef MCFS_ANVIL_WORLDS_H
#define MCFS_ANVIL_WORLDS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

#define WORLDS_DEPTH 8 /* how deep a world's own folder may lie */

/* Called for each name in a directory; non-zero stops, and is what listing returns. */
typedef int (*world_each)(void *ctx, const char *name, bool is_dir, struct err *e);

struct world_source {
	/* List a directory: a path below the root without slashes at its ends, "" for the root. */
	int (*list)(void *ctx, const char *dir, world_each fn, void *fn_ctx, struct err *e);
	void *ctx;
};

struct world_dim {
	char *world;  /* path of the world's folder; "" when it is the root */
	char *name;   /* "overworld", "the_nether", "mod/place" */
	char *folder; /* path of the folder that has region/ and so on */
};

struct worlds {
	struct world_dim *v; /* sorted by world, then name; pairs are unique */
	size_t n;
};

int worlds_find(const struct world_source *src, struct worlds *ret, struct err *e) MUST_CHECK;
void worlds_free(struct worlds *w);

#endif
