/* check.h - is the store whole, and if not, which snapshots and files are touched?
 *
 * Structure: every index object opens; every pack is there with its size and a footer that says
 * what the index says; every base of a difference is there; every snapshot object opens; every
 * directory, list of pieces and layout is readable and every blob they name is in the index.
 * Data: every frame is opened, every blob decoded (every chunk deflated again) and its name
 * recomputed. Nothing is changed. */
#ifndef MCFS_SNAPSHOT_CHECK_H
#define MCFS_SNAPSHOT_CHECK_H

#include <signal.h>

#include "engine/snapshot/snapobj.h"

struct check_options {
	unsigned read_percent; /* of the packs whose data are read; 100: all, 0: none */
	unsigned threads;
	/* `where`: an object of the store, or "SNAPSHOT:path" of what is touched. */
	void (*on_damage)(void *ctx, const char *where, const struct err *e);
	void (*on_progress)(void *ctx, const char *what, uint64_t done, uint64_t bytes);
	void *ctx;
	const volatile sig_atomic_t *cancel;
};

struct check_result {
	uint64_t packs, blobs, snapshots, index_objects;
	uint64_t read_packs, read_blobs, read_bytes;
	uint64_t unused_packs; /* left by an interrupted run; harmless */
	uint64_t damage;       /* things reported */
	uint64_t damaged_files;
};

int check_run(struct store *s, const struct check_options *opt, struct check_result *ret,
	struct err *e) MUST_CHECK;

#endif
