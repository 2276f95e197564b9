/* putback.h - finding the chunk that somebody copies back into a world. Only for fs/.
 *
 * What a program writes is plain NBT; what the world is to get is the snapshot's own record, byte for
 * byte, with its entities and poi. So the chunk of that place is looked for in the snapshots: in
 * those whose chunk of this place was read through the mount lately (cp has just done so), the last
 * one first; then in all others, newest first, in the worlds of this name and then in others. The
 * first whose NBT is what was written is it. */
#ifndef MCFS_FS_PUTBACK_H
#define MCFS_FS_PUTBACK_H

#include "engine/prune/trash.h"
#include "fs/target.h"

struct putback; /* what was read lately */
int putback_new(struct putback **ret, struct err *e) MUST_CHECK;
void putback_free(struct putback *p); /* NULL is fine */
/* A chunk of a snapshot was read. Cheap. */
void putback_saw(struct putback *p, struct node n);

/* The parts in the snapshot that has the chunk; `why` says which. *ret_found false: none has. */
int putback_find(struct call *cl, const struct target *t, struct span nbt, struct chunk_parts *ret,
	char why[100], bool *ret_found) MUST_CHECK;
/* The parts that are in the world, as it is shown. */
int putback_live_parts(struct call *cl, const struct target *t,
	struct chunk_parts *ret) MUST_CHECK;

#endif
