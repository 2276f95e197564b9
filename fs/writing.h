/* writing.h - chunks that are being written through the mount: what was written so far, by inode
 * number, until it is put into the world. Only for fs/.
 *
 * The kernel tells when somebody closes a file, not whether somebody else has it open still; so what
 * was written is put in at every close after a write, and when a program sets times or permissions
 * of what it wrote (cp -p does before it closes). Bytes that are no whole chunk stay here, and the
 * close says that they are refused. */
#ifndef MCFS_FS_WRITING_H
#define MCFS_FS_WRITING_H

#include "fs/target.h"

#define WRITING_MAX ((size_t)64 << 20) /* of one chunk: more than any game reads */

struct writings;
int writings_new(struct writings **ret, struct err *e) MUST_CHECK;
void writings_free(struct writings *w); /* NULL is fine */

struct writing {
	uint64_t id; /* inode number in the mount */
	unsigned users;
	bool is_new; /* there was no such chunk, and is none yet */
	bool dirty;
	pthread_mutex_t m; /* of all that follows */
	struct buf data;
	struct writing *next;
};
/* The writing of a node, made when there is none; a use for the caller. NULL without memory. */
struct writing *writing_open(struct writings *all, uint64_t id);
/* That there is; NULL. */
struct writing *writing_find(struct writings *all, uint64_t id);
void writing_close(struct writings *all, struct writing *w); /* NULL is fine */

/* Put what was written into the world. E_USAGE when it is no whole chunk, or one of another place:
 * then what was written stays. Called with w->m. */
int writing_settle(struct call *cl, struct node n, struct writing *w, uid_t uid) MUST_CHECK;

#endif
