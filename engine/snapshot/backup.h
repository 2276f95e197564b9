/* backup.h - make a snapshot: walk the sources, store what is new, commit.
 *
 * Files that are unchanged since the last snapshot of the same source (size, times, inode) are
 * not opened. A failure of one file is a problem that is reported and counted; a failure of the
 * store ends the run, and the store is as before. */
#ifndef MCFS_SNAPSHOT_BACKUP_H
#define MCFS_SNAPSHOT_BACKUP_H

#include <signal.h>

#include "engine/snapshot/filter.h"
#include "engine/snapshot/snapobj.h"
#include "engine/snapshot/stage.h"

struct backup_progress {
	uint64_t files, bytes; /* seen so far */
	uint64_t read_files, read_bytes;
	const char *path; /* where it is now */
};

struct backup_options {
	const char *const *paths;
	size_t n_paths;
	const char *const *tags;
	size_t n_tags;
	const struct filter *filter; /* or NULL */
	const struct stages *stages; /* copies of the sources to read instead of them, taken with the same paths and filter; or NULL */
	bool one_file_system, dry_run;
	int level;	   /* of compression; 0: the default */
	bool set_recompress; /* `recompress` instead of what the store's config says */
	enum recompress_mode recompress;
	int64_t timestamp; /* what to record as the time of begin, in seconds; 0: the clock's */
	unsigned threads;  /* 0: one a processor */
	const char *program; /* name and version, for the record */
	const char *state_dir;
	bool accept_rollback; /* as snapshot_check_rollback() */
	/* Called from the calling thread; either may be NULL. */
	void (*on_progress)(void *ctx, const struct backup_progress *p);
	void (*on_problem)(void *ctx, const char *path, const struct err *e);
	void *ctx;
	const volatile sig_atomic_t *cancel; /* non-zero: stop with E_CANCELLED */
};

struct backup_result {
	struct snapshot sn;    /* without an id after a dry run; free with snapshot_free() */
	uint64_t problems;     /* files (or sources) that were not read whole, changed, or have gone */
	struct store_stats stats;
};

/* E_NOTFOUND when none of the sources exists. */
int backup_run(struct store *s, const struct backup_options *opt, struct backup_result *ret,
	struct err *e) MUST_CHECK;

#endif
