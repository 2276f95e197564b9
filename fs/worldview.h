/* worldview.h - the worlds of a snapshot, found when they are first asked for and kept for the
 * snapshots that were looked at last; and the directories above the regions, for live worlds too.
 * Only for fs/. */
#ifndef MCFS_FS_WORLDVIEW_H
#define MCFS_FS_WORLDVIEW_H

#include "engine/anvil/source.h"
#include "fs/fs.h"

/* A directory of the chunk view above the regions: part of a world's path, or of a dimension's. */
struct world_node {
	char *name;
	uint32_t parent, first, count; /* children are neighbours */
	int dim;		       /* -1: none */
	mode_t mode;		       /* permissions */
	uid_t uid;
	gid_t gid;
	struct timestamp mtime;
};

struct live_world;

struct world_place {
	char *edit_name;	     /* what WorldEdit knows the dimension by */
	struct content dir[SOURCE_KINDS]; /* EMPTY: there is none */
	/* Of a live world, instead of `dir`: */
	struct live_world *live;
	const char *name, *folder; /* of the dimension; the folder below that of the world */
};

struct world_tree {
	_Atomic unsigned refs;
	uint64_t age; /* of live worlds: which of the trees that there were; from 1 */
	struct worlds worlds;
	struct world_place *place; /* one for each dimension */
	struct world_node *node;   /* number 0 is the root */
	uint32_t n_nodes;
};

struct world_cache;
int world_cache_new(struct world_cache **ret, struct err *e) MUST_CHECK;
void world_cache_free(struct world_cache *w);
int world_tree_get(struct call *cl, struct snap *sn, struct world_tree **ret) MUST_CHECK;
void world_tree_unref(struct world_tree *t);
struct world_tree *world_tree_ref(struct world_tree *t);

/* The child of that name, or -1. */
int world_tree_child(const struct world_tree *t, uint32_t node, struct span name);

/* Set mode, owner and time of the node that stands for a directory. */
typedef void (*world_stat)(void *ctx, const char *path, struct world_node *n);
/* Make the nodes of a tree whose worlds are known. */
int world_tree_fill(struct world_tree *t, world_stat stat, void *ctx, struct err *e) MUST_CHECK;
static inline void cleanup_world_treep(struct world_tree **t)
{
	world_tree_unref(*t);
}
#define CLEANUP_WORLD_TREE __attribute__((cleanup(cleanup_world_treep)))

#endif
