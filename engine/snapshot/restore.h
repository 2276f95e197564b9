/* restore.h - from a snapshot back to files, byte for byte.
 *
 * A file is written under a temporary name beside its place and renamed when it is whole and
 * checked, so an interrupted restore leaves old or new files, never half ones. Nothing is written
 * outside the target: names are checked, links on the way are never followed. */
#ifndef MCFS_SNAPSHOT_RESTORE_H
#define MCFS_SNAPSHOT_RESTORE_H

#include <signal.h>

#include "engine/snapshot/snapobj.h"

enum overwrite { OVERWRITE_ALWAYS, OVERWRITE_IF_CHANGED, OVERWRITE_NEVER };

enum restore_verb {
	RESTORE_WRITE,	/* a file or directory is made or replaced */
	RESTORE_KEEP,	/* what is there stays */
	RESTORE_DELETE	/* what is not in the snapshot goes */
};

struct restore_options {
	const char *path; /* in the snapshot; "" for all. With a '/' at its end, or empty: what is
			   * in the directory goes into `to`; else the thing itself, by its name */
	const char *to;
	enum overwrite overwrite;
	bool dry_run, delete_extra, verify;
	bool into_running; /* do not care whether a server uses the world that is written into */
	unsigned threads;
	void (*on_item)(void *ctx, enum restore_verb verb, const char *path);
	void (*on_problem)(void *ctx, const char *path, const struct err *e);
	void (*on_progress)(void *ctx, uint64_t files, uint64_t bytes);
	void *ctx;
	const volatile sig_atomic_t *cancel;
};

struct restore_result {
	uint64_t files, dirs, others, bytes; /* written */
	uint64_t kept, deleted, verified;
	uint64_t problems; /* not restored, or not fully (each was reported) */
	uint64_t damaged;  /* of these: because the store is damaged */
};

/* E_LOCKED when `to`, a folder above it, or one in it that the restore comes to is a world that a
 * server uses: what was restored before that stays. */
int restore_run(struct store *s, const struct snapshot *sn, const struct restore_options *opt,
	struct restore_result *ret, struct err *e) MUST_CHECK;

#endif
