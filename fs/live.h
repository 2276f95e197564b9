/* live.h - the live worlds that a mount shows: their folders and dimensions, and reaching the files
 * in them. Only for fs/.
 *
 * Nothing below a world is followed out of it by the view of its files: paths are walked part by
 * part without following links. Dimensions are looked for again every two seconds; one that was
 * there once stays for as long as the mount lives, so that what was pruned from it can come back. */
#ifndef MCFS_FS_LIVE_H
#define MCFS_FS_LIVE_H

#include "engine/anvil/source.h"
#include "fs/worldview.h"

struct live_world {
	unsigned number;
	char *name; /* the folder's own name: what it is called in the mount */
	char *path; /* absolute */
	int dirfd;
	struct source *source;
};

int live_new(struct live **ret, struct fs *fs, const struct mount_options *opt,
	struct err *e) MUST_CHECK;
void live_free(struct live *l); /* NULL is fine */
unsigned live_count(const struct live *l);
struct live_world *live_at(struct live *l, unsigned number); /* NULL: there is none */
struct live_world *live_named(struct live *l, struct span name);

/* Worlds and their dimensions; age 0: as they are now, else the tree of that age. E_NOTFOUND when
 * that is gone. */
int live_tree(struct call *cl, uint64_t age, struct world_tree **ret) MUST_CHECK;
/* Set mode, owner, time of what is at a path that begins with a world's name. */
void live_stat(void *live, const char *path, struct world_node *n);

/* A directory of a tree of live worlds, as trash/ and prunable/ show it too. */
struct live_node {
	struct world_tree *tree;
	uint32_t number;
	const struct world_place *place; /* NULL: not a dimension */
};
/* E_NOTFOUND as live_tree(), and when it has no such number. */
int live_node_get(struct call *cl, uint64_t age, uint32_t number, struct live_node *ret) MUST_CHECK;
void live_node_free(struct live_node *n);
#define CLEANUP_LIVE_NODE __attribute__((cleanup(live_node_free)))
/* A directory with the world's or dimension's owner, mode and time. */
void live_node_stat(struct call *cl, const struct live_node *n, uint64_t ino, struct stat *st);

/* A directory of a world, for *at calls (O_PATH). E_NOTFOUND when any part of it is no directory. */
int live_dir(const struct live_world *w, const char *path, int *ret, struct err *e) MUST_CHECK;

/* Regions that have no chunks are not shown, but for those that somebody made (mkdir) or emptied
 * here. False without memory. */
struct live_spot {
	unsigned world;
	const char *dimension;
	int32_t x, z;
	int kind;
};
bool live_keep_spot(struct live *l, const struct live_spot *s);
bool live_keeps_spot(struct live *l, const struct live_spot *s);
/* Append the regions of a dimension that are kept (struct region_name). */
int live_spots(struct live *l, const struct world_place *p, struct buf *out,
	struct err *e) MUST_CHECK;
/* With all kinds when it is SOURCE_REGION. */
void live_drop_spot(struct live *l, const struct live_spot *s);

#endif
