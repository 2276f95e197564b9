/* compact.h - reclaim the space of what no snapshot needs, beside writers, readers and other hosts.
 * docs/CRASH-SAFETY.md, "Compact", has the steps and why they are safe. */
#ifndef MCFS_SNAPSHOT_COMPACT_H
#define MCFS_SNAPSHOT_COMPACT_H

#include <signal.h>

#include "engine/snapshot/snapobj.h"
#include "engine/store/lock.h"

#define COMPACT_GRACE_SHARED (24 * 3600)

struct compact_options {
	int64_t grace; /* seconds; below 0: none when only this host has written, else 24 h */
	bool dry_run;
	unsigned wait_seconds; /* for those who are in the way, each time */
	unsigned max_unused;   /* percent of the store that may stay unused; 0: the default, 10 */
	bool recompress; /* inflate kept groups (done anyway where the store's config says so), and compress
			    what else there is at `level`, where that makes it smaller */
	int level;	 /* of zstd: for that, and for what is stored anew; 0: 6 */
	unsigned threads;
	const char *state_dir; /* as in backup.h; may be NULL */
	bool accept_rollback;
	void (*on_progress)(void *ctx, const char *what, uint64_t done, uint64_t bytes);
	void (*on_wait)(void *ctx, const struct lock_info *l);
	void *ctx;
	const volatile sig_atomic_t *cancel;
};

struct compact_result {
	int64_t grace;
	bool shared; /* other hosts have written */
	uint64_t snapshots, forgotten; /* walked; released for good */
	uint64_t blobs, used_blobs;
	uint64_t packs, bytes, used_bytes; /* before */
	uint64_t recompressed;		   /* kept groups that were inflated */
	uint64_t rekeyed; /* blobs that were stored anew, so that versions only they stood on can go */
	uint64_t removed_packs, removed_bytes; /* with --dry-run: what would go */
	uint64_t rewritten_bytes; /* of removed packs, still used: what was copied */
	uint64_t written_bytes;	  /* packs and index objects, and small things */
	uint64_t doomed_packs, doomed_bytes; /* wait for the grace, or for somebody */
	uint64_t index_objects;		     /* afterwards; 0 when untouched */
	char waits_for[LOCK_TEXT_CHARS];     /* who is in the way; "" when nobody */
};

/* E_LOCKED: another exclusive work is under way. E_CORRUPT: the store is damaged, or shows less than
 * this machine has seen (snapshot_check_rollback()); nothing was removed.
 * After any failure the store is valid, and the next run goes on. */
int compact_run(struct store *s, const struct compact_options *opt, struct compact_result *ret,
	struct err *e) MUST_CHECK;

#endif
