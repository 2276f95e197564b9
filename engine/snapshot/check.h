/* check.h - is the store whole, and if not, which snapshots and files are touched?
 *
 * Structure: every index object opens; every pack is there with its size and a footer that says
 * what the index says; every base of a difference is there; every snapshot object opens; every
 * directory, list of pieces and layout is readable and every blob they name is in the index; no
 * snapshot vanished from the chain.
 * Data: every frame is opened, every blob decoded (every chunk deflated again) and its name
 * recomputed. Nothing is changed. */
#ifndef MCFS_SNAPSHOT_CHECK_H
#define MCFS_SNAPSHOT_CHECK_H

#include <signal.h>

#include "engine/snapshot/snapobj.h"

struct check_options {
	unsigned read_percent; /* of the packs whose data are read; 100: all, 0: none */
	unsigned part, parts;  /* instead: the part'th (from 1) of so many parts; 0: not */
	const char *state_dir; /* where it is remembered what was read (scrub.h), else that is by chance, and what
				* was seen of the store; may be NULL */
	bool accept_rollback;  /* as snapshot_check_rollback() */
	unsigned threads;
	/* `where`: an object of the store, or "SNAPSHOT:path" of what is touched. */
	void (*on_damage)(void *ctx, const char *where, const struct err *e);
	void (*on_progress)(void *ctx, const char *what, uint64_t done, uint64_t bytes);
	/* For repair, all may be NULL: a blob that does not decode; a blob that a snapshot names and the
	 * store has not; a snapshot that is gone, though nobody forgot it. */
	int (*on_bad)(void *ctx, const struct name *name, struct err *e);
	int (*on_missing)(void *ctx, const struct name *name, struct err *e);
	int (*on_vanished)(void *ctx, uint64_t generation, const struct name *self, struct err *e);
	bool no_packs; /* only the snapshots */
	void *ctx;
	const volatile sig_atomic_t *cancel;
};

struct check_result {
	uint64_t packs, blobs, snapshots, index_objects;
	uint64_t read_packs, read_blobs, read_bytes;
	uint64_t unused_packs; /* left by an interrupted run; harmless */
	bool stale_config;     /* an interrupted change of the config is still in its second copy; harmless */
	uint64_t damage;       /* things reported */
	uint64_t damaged_files;
	uint64_t lost_files;  /* not counted as damage: a repair had to give up a part of them */
	uint64_t without_parity; /* packs, where the store has parity */
	uint64_t never_read;  /* packs whose data no check with this state_dir has read */
	uint64_t oldest_read; /* epoch seconds: when the longest unread of the others was read; 0: none */
};

int check_run(struct store *s, const struct check_options *opt, struct check_result *ret,
	struct err *e) MUST_CHECK;

#endif
