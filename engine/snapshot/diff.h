/* diff.h - what differs between two snapshots, or between two places in snapshots of one store.
 *
 * Both trees are walked side by side in name order. Directories with equal content names are equal
 * all the way down and are not opened, files with equal content names are not read: the cost is that
 * of what changed. With `chunks`, changed region files are taken apart as well, down to single
 * chunks; groups of 32 chunks with equal names are equal and not read either. */
#ifndef MCFS_SNAPSHOT_DIFF_H
#define MCFS_SNAPSHOT_DIFF_H

#include <signal.h>

#include "engine/snapshot/diff_region.h"
#include "engine/snapshot/snapobj.h"

enum diff_change {
	DIFF_ADDED,
	DIFF_REMOVED,
	DIFF_CHANGED, /* other bytes, another target, another kind of thing */
	DIFF_METADATA /* only what stands around the contents; for directories always this */
};

/* What it is that changed; may be several. Change times, inode numbers and counts of links, which
 * no restore could bring back, are not compared. */
enum diff_detail {
	DIFF_TYPE = 1,
	DIFF_TARGET = 2, /* of a symbolic link */
	DIFF_DEVICE = 4,
	DIFF_CONTENT = 8,
	DIFF_MODE = 16,
	DIFF_OWNER = 32,
	DIFF_TIMES = 64,
	DIFF_XATTRS = 128,
	DIFF_UNREADABLE = 256 /* on one side or both it could not be read for its snapshot */
};

/* One finding; valid during the call that hands it over. */
struct diff_item {
	const char *path;	 /* from the two places; "." is the places themselves */
	const struct entry *a, *b; /* NULL: not there */
	enum diff_change change;
	unsigned details;	   /* of DIFF_CHANGED and DIFF_METADATA */
	const struct diff_chunk *chunks;
	size_t n_chunks;
};

struct diff_options {
	bool chunks; /* look into region files: also into those that came or went */
	bool same;   /* tell of chunks, too, that were only moved or written again */
	int (*on_item)(void *ctx, const struct diff_item *item, struct err *e);
	void *ctx;
	const volatile sig_atomic_t *cancel; /* or NULL */
};

struct diff_result {
	uint64_t added, removed, changed, metadata; /* things of all kinds */
	uint64_t chunk[DIFF_CHUNK_CHANGES];	    /* by enum diff_chunk_change */
};

struct diff_place {
	const struct snapshot *sn;
	const char *path; /* in the snapshot; "" for all of it */
};

/* Compare place `a` (before) with place `b` (after). Two files can be compared as well as two
 * directories. Stops at the first failure, which may be on_item()'s: E_NOTFOUND for a path,
 * E_CORRUPT for a damaged store, E_CANCELLED. One thread; memory does not grow with the trees. */
int diff_run(struct store *s, struct coder *c, const struct diff_place *a,
	const struct diff_place *b, const struct diff_options *opt, struct diff_result *ret,
	struct err *e) MUST_CHECK;

#endif
