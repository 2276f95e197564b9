/* prune.h - everything that changes a world: prune chunks, put them back, put one chunk in from
 * elsewhere, and do later what could not be done while a server held the world.
 *
 * What holds, at every instant and after any kill or power cut (argued in docs/PRUNE.md):
 *   - each region file is valid for the game;
 *   - each chunk is in the world or in the trash, or in both until recovery settles it;
 *   - nothing is written while another program holds the world (session_lock.h).
 * Every call that may change the world takes the session lock, settles what a crash left behind,
 * does its work a region at a time (one database transaction and a few fsyncs a region file) and
 * releases the lock. What it returned 0 for is durable.
 *
 * Threads: any; calls of one `struct prune` wait for each other. Two processes: the second waits
 * up to PRUNE_WAIT_MS for the first, then sees the world as in use. */
#ifndef MCFS_PRUNE_PRUNE_H
#define MCFS_PRUNE_PRUNE_H

#include <signal.h>

#include "engine/prune/trash.h"

#define PRUNE_WAIT_MS 20000

struct prune;

enum when_running {
	WHEN_RUNNING_REFUSE, /* E_LOCKED; nothing is changed or noted */
	WHEN_RUNNING_DEFER   /* note it in the trash; prune_apply() does it later */
};

/* What became of one chunk. */
enum prune_outcome {
	PRUNE_DONE,	/* pruned, restored, put */
	PRUNE_DEFERRED, /* noted */
	PRUNE_CANCELLED, /* it only waited, and no longer does; the world was not touched */
	PRUNE_ABSENT,	/* prune: there is no such chunk (any more) */
	PRUNE_SAVED_SINCE, /* it changed since it was chosen or noted: left as it is in the world */
	PRUNE_DAMAGED,	/* prune: it cannot be read and was not asked for as damaged: left */
	PRUNE_OCCUPIED, /* restore: there is a chunk in its place: left in the trash */
	PRUNE_FAILED	/* see the call's error */
};
const char *prune_outcome_name(enum prune_outcome o); /* "done", "saved-since", .. */

struct prune_options {
	const char *state_dir; /* copied */
	const char *world;     /* the world's folder; copied */
	const struct log *log; /* copied; NULL: silence. Told: what recovery settled, what was kept */
	/* Called for each chunk as it is settled, from the calling thread, with locks held: no calls back
	 * into this struct prune or its trash. May be NULL. detail: a reason in words, or "". */
	void (*on_chunk)(void *ctx, const char *dimension, int32_t x, int32_t z,
		enum prune_outcome o, const char *detail);
	void *ctx;
	volatile sig_atomic_t *cancel; /* looked at between regions; E_CANCELLED. NULL: never */
};

struct prune_result {
	uint64_t done, deferred, cancelled, absent, saved_since, damaged, occupied;
	uint64_t payload_bytes; /* moved into or out of the trash */
	uint64_t freed_bytes;	/* on the disk: whole sectors that became free, removed files */
	uint64_t used_bytes;	/* of sectors that were taken */
	uint64_t files_removed, files_made;
};

/* Open a world for changing. Opens (makes) its trash; takes no lock and changes nothing. E_NOTFOUND
 * when there is no world there: a folder without level.dat, region files and such. E_USAGE when it
 * holds several worlds instead of being one: the message names them. */
int prune_open(struct prune **ret, const struct prune_options *opt, struct err *e) MUST_CHECK;
void prune_close(struct prune *p);
struct trash *prune_trash(struct prune *p); /* valid until prune_close() */

struct prune_chunk {
	int32_t x, z;	 /* absolute chunk coordinates */
	const char *why; /* rule's name; NULL: "by hand" */
	/* Known when it was chosen; the region entry must still be the same, else SAVED_SINCE.
	 * has_entry false: as it is now. */
	bool has_entry;
	struct region_entry entry;
	/* When choosing began (epoch seconds; 0: no matter): saved at that moment or later is SAVED_SINCE.
	 * For who does not keep the entries. */
	int64_t chosen_s;
};

struct prune_how {
	enum when_running when_running;
	const char *who;     /* user name; NULL: that of this process */
	bool damaged;	     /* prune: also chunks that cannot be read */
	bool replace;	     /* restore: what is in its place goes to the trash first (why: "replaced") */
	bool no_hole_punch;  /* leave freed sectors as they are */
};

/* Prune chunks of one dimension (its name as worlds.h gives it). Chunks may come in any order, twice
 * as well; they are pruned region by region. A chunk that waits to be restored (TRASH_RESTORE_WAITS) and
 * is not in the world just stays in the trash: CANCELLED. E_LOCKED, E_NOTFOUND no such dimension; on
 * E_IO, E_NOSPACE and E_CANCELLED the regions done so far stay pruned and *ret counts them. */
int prune_chunks(struct prune *p, const char *dimension, const struct prune_chunk *v, size_t n,
	const struct prune_how *how, struct prune_result *ret, struct err *e) MUST_CHECK;

/* Put items back where they came from; then they are no longer in the trash. By state: PRUNE_WAITS
 * is cancelled, KEPT goes back (or waits for that), RESTORE_WAITS and the others go on. A chunk in the
 * place: OCCUPIED, unless `replace`. Payloads are byte-identical and keep their time stamp; in the same
 * sectors where these are free, else in others. A file that had been removed comes back with its
 * owner and mode. E_NOTFOUND when an id is not there, E_CORRUPT when the payload of one is damaged (told as
 * FAILED; it stays in the trash): the others are done. */
int prune_restore(struct prune *p, const int64_t *ids, size_t n, const struct prune_how *how,
	struct prune_result *ret, struct err *e) MUST_CHECK;

/* Put one chunk in, from a snapshot or another trash. What is in its place goes to the trash first
 * (why: "replaced by <why>"). Parts that are not present in `parts` are absent afterwards. Payloads are
 * written as they are; at least the region part must be present, unless there is none in the world
 * either. E_FORMAT when a part is no whole record, or its stream is for a .mcc that is not given.
 * With DEFER and a world in use it waits as TRASH_RESTORE_WAITS with `replace`. */
int prune_put(struct prune *p, const char *dimension, int32_t x, int32_t z,
	const struct chunk_parts *parts, const char *why, const struct prune_how *how,
	struct prune_result *ret, struct err *e) MUST_CHECK;

/* Do what waits, and settle what a crash left, if the world is free: E_LOCKED when it is not. Each
 * intent is looked at again: a chunk whose header entry or bytes differ from when the intent was
 * noted was saved since; it stays in the world, the intent goes, and that is told (on_chunk and log).
 * A region whose files cannot be read or written keeps what waits for it; the others are done, and the failure
 * is returned. Returns 0 and does nothing, without taking the lock, when nothing is to be done. */
int prune_apply(struct prune *p, const struct prune_how *how, struct prune_result *ret,
	struct err *e) MUST_CHECK;
/* Is there anything for prune_apply() to do? *ret: items in the states WAITS, PRUNING, RESTORING. */
int prune_pending(struct prune *p, uint64_t *ret, struct err *e) MUST_CHECK;

/* Rewrite the region files of a dimension (NULL: of all) without dead sectors: a temporary file in the
 * same folder, fsync, rename, fsync of the folder; owner, mode and extended attributes are kept. Files
 * with chunks that cannot be read are left alone and told to the log. Files without dead sectors are
 * not touched. Never deferred: E_LOCKED. freed_bytes: by how much files became smaller. */
int prune_repack(struct prune *p, const char *dimension, struct prune_result *ret,
	struct err *e) MUST_CHECK;

/* What pruning these would give, without changing anything or taking the lock: freed_bytes is what
 * prune_chunks() would free now, payload_bytes what would go to the trash. Damaged ones are counted as
 * such. Does not decode payloads. */
int prune_estimate(struct prune *p, const char *dimension, const struct prune_chunk *v, size_t n,
	struct prune_result *ret, struct err *e) MUST_CHECK;

#endif
