/* backup_walk.h - the walk of a backup, directory by directory. Private to backup*.c. */
#ifndef MCFS_SNAPSHOT_BACKUP_WALK_H
#define MCFS_SNAPSHOT_BACKUP_WALK_H

#include "engine/snapshot/backup.h"
#include "engine/snapshot/ingest.h"
#include "engine/snapshot/tree.h"

struct walk_counts {
	uint64_t files, dirs, others, bytes;
	uint64_t files_new, files_changed;
	uint64_t unreadable, restless, missing, emptied;
	uint64_t with_xattrs, with_acls;
};

struct walk {
	struct store *s;
	const struct backup_options *opt;
	struct ingest in;
	struct walk_counts counts;
	struct backup_progress progress;
	struct buf path; /* of what is looked at, for messages and patterns; NUL-terminated */
	dev_t dev;	 /* of the source */
	const struct stage *stage; /* the copy that is read in place of the source, or NULL */
	unsigned depth;
};

int walk_init(struct walk *w, struct store *s, const struct backup_options *opt, size_t budget,
	struct err *e) MUST_CHECK;
void walk_end(struct walk *w);
void walk_problem(struct walk *w, const char *path, const struct err *e);

/* Take in one source and add it to the directory under `name`. `old` is its entry in an older
 * snapshot, or NULL. A source that is missing is a problem, not a failure. */
int walk_source(struct walk *w, const char *path, const char *name, struct tree_builder *up,
	const struct entry *old, struct err *e) MUST_CHECK;

#endif
