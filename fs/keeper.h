/* keeper.h - what a mount changes in its live worlds: one struct prune each, how views differ from
 * the files meanwhile, and a thread that does what waits as soon as a world is free, and empties the
 * trash by the rules' retention. Only for fs/.
 *
 * Threads: all calls may come from any. */
#ifndef MCFS_FS_KEEPER_H
#define MCFS_FS_KEEPER_H

#include "engine/prune/prune.h"
#include "fs/live.h"

struct keeper;
/* Opens the worlds' trashes, and settles what a crash left behind where the world is free. */
int keeper_new(struct keeper **ret, struct fs *fs, const struct mount_options *opt,
	struct err *e) MUST_CHECK;
/* The thread; for after the mount is made. Without it nothing that waits is done. */
int keeper_start(struct keeper *k, struct err *e) MUST_CHECK;
void keeper_free(struct keeper *k); /* NULL is fine; ends the thread */

struct trash *keeper_trash(struct keeper *k, const struct live_world *w);

/* How what is shown of a region differs from its files. Cheap when nothing waits. ret->any tells
 * whether the rest was filled in at all. */
int keeper_overlay(struct keeper *k, const struct live_world *w, const char *dimension, int32_t rx,
	int32_t rz, struct trash_overlay *ret, struct err *e) MUST_CHECK;
/* Moves on with every change to the trash; looked at a few times a second. */
uint64_t keeper_age(struct keeper *k, const struct live_world *w);

/* What a request wants done, for a user. Outcomes are judged by the caller. */
struct keeper_job {
	struct live_world *world;
	const char *dimension;
	uid_t uid;
	bool damaged, replace;
};
int keeper_prune(struct keeper *k, const struct keeper_job *j, const struct prune_chunk *v,
	size_t n, struct prune_result *ret, struct err *e) MUST_CHECK;
int keeper_restore(struct keeper *k, const struct keeper_job *j, int64_t id,
	struct prune_result *ret, struct err *e) MUST_CHECK;
int keeper_put(struct keeper *k, const struct keeper_job *j, int32_t x, int32_t z,
	const struct chunk_parts *parts, const char *why, struct prune_result *ret,
	struct err *e) MUST_CHECK;
int keeper_remove(struct keeper *k, const struct live_world *w, int64_t id,
	struct err *e) MUST_CHECK;

#endif
