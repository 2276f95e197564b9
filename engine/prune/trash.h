/* trash.h - where pruned chunks of a world wait, and what is still to be done to the world.
 *
 * One SQLite database a world, STATE/trash/<name>-<16 hex of its path>.db. One a world, not one for
 * all: a damaged file costs one world's trash, worlds do not wait for each other's transactions,
 * a world that is gone is one file to remove, and a snapshot of the state directory stores again
 * only what changed. Each is one ordinary file between transactions (db.h), so `snapshot` can back it up.
 * The design and why no crash loses a chunk: docs/PRUNE.md.
 *
 * This module changes databases only; what touches worlds is prune.h. Threads: any; calls of one
 * `struct trash` wait for each other, callbacks run without its lock. Several processes may have the
 * same trash open. Durability: what returned 0 survives a power cut.
 * Errors: those of db.h, and what is said below. */
#ifndef MCFS_PRUNE_TRASH_H
#define MCFS_PRUNE_TRASH_H

#include <stdbool.h>

#include "engine/anvil/region_edit.h"
#include "engine/anvil/source.h"
#include "engine/base/log.h"

/* A chunk is one unit of up to three parts, in the files of the same name in its dimension's
 * region/, entities/ and poi/ folders (enum source_kind). As they stand in the files: region_edit.h. */
struct chunk_parts {
	struct chunk_part part[SOURCE_KINDS];
};
void chunk_parts_free(struct chunk_parts *p); /* leaves it empty */
#define CLEANUP_PARTS __attribute__((cleanup(chunk_parts_free)))

enum trash_state {
	TRASH_PRUNE_WAITS = 1,	/* to be pruned when the world is free; it is still in the world, and
				 * views are to show it as pruned. No payload here yet */
	TRASH_PRUNING = 2,	/* payload is here; the world is being changed (or a crash came between) */
	TRASH_KEPT = 3,		/* in the trash and not in the world */
	TRASH_RESTORE_WAITS = 4, /* payload is here; to go (back) into the world when it is free; views
				 * are to show it as being in the world */
	TRASH_RESTORING = 5	/* payload is here; the world is being changed (or ..) */
};

struct trash_item {
	int64_t id;	 /* never used again, also after the item is gone */
	enum trash_state state;
	char *dimension; /* as worlds.h names it: "overworld" */
	char *folder;	 /* of the dimension, below the world's folder; "" is the world's folder */
	int32_t x, z;	 /* absolute chunk coordinates */
	int64_t when_s;	 /* when it was put here; seconds since the epoch, UTC */
	uint32_t when_ns;
	char *why;	 /* the rule's name or "by hand", "replaced by .." */
	char *who;	 /* user name */
	uint64_t bytes;	 /* of payload: records and .mcc files of all parts */
	uint32_t timestamp; /* of the region part, else the first part's: the game's last save */
	bool damaged;	 /* pruned as such, on request */
	bool replace;	 /* RESTORE_WAITS, RESTORING: a chunk that is there goes to the trash first */
	bool copy;	 /* RESTORE_WAITS, RESTORING: given to prune_put(), it was never in this world */
};
void trash_item_free(struct trash_item *it);
#define CLEANUP_ITEM __attribute__((cleanup(trash_item_free)))

struct trash;

/* What tells a world from another that takes its place. */
struct world_facts {
	char *path;	/* canonical (realpath) */
	char *level_name; /* of level.dat; NULL when there is none to read */
	int64_t seed;
	bool has_seed;
};
/* Read them: realpath and level.dat. A missing or damaged level.dat is no failure. E_NOTFOUND when
 * there is no such folder. */
int world_facts_read(const char *world, struct world_facts *ret, struct err *e) MUST_CHECK;
void world_facts_free(struct world_facts *f);

/* Open the trash of the world in the folder `world`; it is made when missing, unless `must_exist`
 * (E_NOTFOUND). E_LOCKED while trash_move() moves it. state_dir is made when missing. The world folder may be gone: then `world` must be
 * the path it had. E_EXISTS when the world at that path is not the one the trash was made for (other
 * seed): nothing would fit; the message says what to do. `log` may be NULL, else is copied. */
int trash_open(struct trash **ret, const char *state_dir, const char *world, bool must_exist,
	const struct log *log, struct err *e) MUST_CHECK;
void trash_close(struct trash *t);
/* Of the world, as the trash remembers it. Valid until trash_close(). */
const struct world_facts *trash_world(const struct trash *t);
/* The database's path. */
const char *trash_path(const struct trash *t);

/* The world was moved from `old`, an absolute path where there is no world any more, to `world`: its trash
 * follows. To be called again after a crash. E_LOCKED: somebody has one of the two open; E_NOTFOUND: no
 * such trash, or no world of its seed at `world`; E_EXISTS: a world is at `old`, or `world` has chunks in
 * a trash of its own; E_USAGE: `old` is no absolute path, or is the same. */
int trash_move(const char *state_dir, const char *old, const char *world, struct err *e) MUST_CHECK;

/* Every trash in a state directory: its world's path as remembered. Damaged ones are told to the log
 * and passed over. Non-zero from fn stops and is returned. */
int trash_worlds(const char *state_dir, const struct log *log,
	int (*fn)(void *ctx, const char *world, const char *trash_file, struct err *e), void *ctx,
	struct err *e) MUST_CHECK;

/* Which items. Zeroed: all. */
struct trash_filter {
	unsigned states;       /* bits 1 << enum trash_state; 0: all */
	const char *dimension; /* NULL: all */
	bool has_region;       /* only chunks of this region */
	int32_t rx, rz;
	bool has_chunk; /* only this chunk */
	int32_t x, z;
	int64_t before_s; /* put here before that; 0: whenever */
};

typedef int (*trash_each)(void *ctx, const struct trash_item *it, struct err *e);
/* Each item, by dimension, x, z, then id (oldest first): a chunk may have been pruned more than
 * once. Read in batches: what changes meanwhile may or may not be seen. Non-zero from fn stops, and is
 * returned. */
int trash_list(struct trash *t, const struct trash_filter *f, trash_each fn, void *ctx,
	struct err *e) MUST_CHECK;
/* One item: E_NOTFOUND when there is none. */
int trash_find(struct trash *t, int64_t id, struct trash_item *ret, struct err *e) MUST_CHECK;
/* Its payload. E_NOTFOUND for TRASH_PRUNE_WAITS: it is still in the world. E_CORRUPT: the bytes are not
 * those that came in (their hash is kept beside them). */
int trash_payload(struct trash *t, int64_t id, struct chunk_parts *ret, struct err *e) MUST_CHECK;

/* How views differ from the files, for one region: slots that are pruned but not yet applied
 * (TRASH_PRUNE_WAITS) and slots to be shown from the trash (TRASH_RESTORE_WAITS, the newest id of
 * each). Slot = (x & 31) + (z & 31) * 32. hidden[] is for all three files of the region. One query on
 * an index; cheap when there is nothing. */
struct trash_overlay {
	bool any;
	bool hidden[REGION_SLOTS];
	int64_t shown[REGION_SLOTS]; /* item, or 0 */
};
int trash_region(struct trash *t, const char *dimension, int32_t rx, int32_t rz,
	struct trash_overlay *ret, struct err *e) MUST_CHECK;

/* A number that is another one when anything may have changed since, whoever did it. Cheap enough to
 * ask every second. */
int trash_changes(struct trash *t, uint64_t *ret, struct err *e) MUST_CHECK;

/* ---- emptying: the only way out of the trash besides the world ---- */

struct trash_limits {
	int64_t older_than_s; /* remove what came here before this moment; 0: no such limit */
	uint64_t max_bytes;   /* then remove the oldest until no more than this is left; 0: no limit */
	bool all;	      /* remove everything that is in state KEPT */
	const char *dimension; /* NULL: all */
};
struct trash_emptied {
	uint64_t items, bytes; /* removed; with `dry_run` what would be */
	uint64_t left_items, left_bytes;
};
/* Only items in state KEPT are ever removed. Gives the space back to the file system. */
int trash_empty(struct trash *t, const struct trash_limits *l, bool dry_run,
	struct trash_emptied *ret, struct err *e) MUST_CHECK;
/* Remove one item in state KEPT for good. E_LOCKED for another state, E_NOTFOUND. */
int trash_remove(struct trash *t, int64_t id, struct err *e) MUST_CHECK;

#endif
