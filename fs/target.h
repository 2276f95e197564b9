/* target.h - what a node is for somebody who wants to change it. Only for fs/. */
#ifndef MCFS_FS_TARGET_H
#define MCFS_FS_TARGET_H

#include "fs/live.h"

enum place {
	PLACE_FIXED,	    /* nothing here can be changed: EROFS */
	PLACE_ABOVE,	    /* directories of worlds, and above, in chunks/live and trash */
	PLACE_DIM,	    /* chunks/live/W/D */
	PLACE_REGION,	    /* chunks/live/W/D/r.X.Z; its entities and poi by `kind` */
	PLACE_CHUNK,	    /* a file in it */
	PLACE_TRASH_DIM,    /* trash/W/D */
	PLACE_TRASH_ITEM    /* a file in it */
};

struct target {
	enum place place;
	struct world_tree *tree; /* what the others point into */
	struct live_world *world;
	const char *dimension;
	int kind;
	int32_t rx, rz; /* REGION, CHUNK */
	int slot;	/* CHUNK */
	int64_t item;	/* TRASH_ITEM */
};

/* Never fails for nodes that are not live: they are PLACE_FIXED. */
int target_of(struct call *cl, struct node n, struct target *ret) MUST_CHECK;
void target_free(struct target *t);
#define CLEANUP_TARGET __attribute__((cleanup(target_free)))

/* Parts of target_of(), each for the nodes of its view. */
int chunk_target(struct call *cl, struct node n, struct target *ret) MUST_CHECK;
int trash_target(struct call *cl, struct node n, struct target *ret) MUST_CHECK;

/* Of a chunk in chunks/live: the slot of the folder it is in, and its st_ino. */
uint32_t chunk_folder_slot(uint32_t slot);
uint64_t chunk_ino(struct call *cl, struct node n);

static inline int32_t target_x(const struct target *t)
{
	return t->rx * 32 + t->slot % 32;
}
static inline int32_t target_z(const struct target *t)
{
	return t->rz * 32 + t->slot / 32;
}

#endif
