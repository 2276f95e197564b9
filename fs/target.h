/* target.h - what a node is for somebody who wants to change it. Only for fs/. */
#ifndef MCFS_FS_TARGET_H
#define MCFS_FS_TARGET_H

#include "fs/live.h"

enum place {
	PLACE_FIXED,	    /* nothing here can be changed: EROFS */
	PLACE_ABOVE,	    /* directories of worlds, and above, in chunks/live */
	PLACE_TRASH_ABOVE,  /* the same in trash/ */
	PLACE_DIM,	    /* chunks/live/W/D */
	PLACE_REGION,	    /* chunks/live/W/D/r.X.Z; its entities and poi by `kind` */
	PLACE_CHUNK,	    /* a file in it */
	PLACE_TRASH_DIM,    /* trash/W/D */
	PLACE_TRASH_ITEM,   /* a file in it */
	PLACE_PRUNABLE	    /* a chunk in prunable/W/RULE/D */
};

struct target {
	enum place place;
	struct world_tree *tree; /* what the others point into */
	struct live_world *world;
	const char *dimension;
	int kind;
	int32_t rx, rz; /* REGION, CHUNK, PRUNABLE */
	int slot;	/* CHUNK, PRUNABLE */
	int64_t item;	/* TRASH_ITEM */
	int rule;	/* PRUNABLE */
	uint32_t above; /* TRASH_ABOVE: its number in the tree */
};

/* Never fails for nodes that are not live: they are PLACE_FIXED. */
int target_of(struct call *cl, struct node n, struct target *ret) MUST_CHECK;
void target_free(struct target *t);
#define CLEANUP_TARGET __attribute__((cleanup(target_free)))

/* Parts of target_of(), each for the nodes of its view. */
int chunk_target(struct call *cl, struct node n, struct target *ret) MUST_CHECK;
int prune_target(struct call *cl, struct node n, struct target *ret) MUST_CHECK;
/* The header entry that a chunk of prunable/ was judged by. */
bool prunable_entry(struct call *cl, const struct target *t, struct region_entry *ret);
int trash_target(struct call *cl, struct node n, struct target *ret) MUST_CHECK;

/* In SHELF_REGION and SHELF_PRUNE: the slot of a chunk of SOURCE_REGION. */
uint32_t chunk_slot_number(unsigned slot);
/* Which of a region are shown in chunks/live (as chunks of SOURCE_REGION)? */
void chunks_live(struct call *cl, const struct world_place *p, int32_t x, int32_t z,
	bool ret[REGION_SLOTS]);
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
