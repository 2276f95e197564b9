/* stage.h - a copy of the sources that is taken in a moment, for a snapshot to be made from.
 *
 * On file systems with reflinks (XFS, btrfs, ..) a file is copied by FICLONE without moving a byte. So a server
 * that holds still may go on as soon as the copy is there, and not only when all of it was read.
 *
 * The copy has the contents and names only. What else an entry is (owner, mode, times, inode, attributes, links,
 * what kind of special file) is kept in memory, some 100 bytes each, as it was in the source, and the walk puts it in place of
 * the copy's: the snapshot is the one that would have been made in place, a file that is unchanged since the last one is
 * known as such, and nobody needs to be root. docs/SERVER.md says what a crash leaves.
 *
 * A copy is a directory PLACE/.mcfs-staging.<name>-<hash of the source's path>, mode 0700, locked (flock) while it is
 * in use. One thread. */
#ifndef MCFS_SNAPSHOT_STAGE_H
#define MCFS_SNAPSHOT_STAGE_H

#include <signal.h>
#include <sys/stat.h>

#include "engine/base/buf.h"
#include "engine/snapshot/filter.h"

#define STAGE_ROOT "root" /* the source, in its stage's directory */

struct stage_options {
	const char *const *paths; /* as backup_options */
	size_t n_paths;
	const struct filter *filter; /* or NULL; what it leaves out is not copied */
	const char *place;	     /* a directory on the sources' file system; NULL: beside each source */
	const volatile sig_atomic_t *cancel;
};

struct stage;  /* of one source */
struct stages; /* of all */

/* Copy all sources (those that do not exist are left out). On failure nothing is left behind, and the caller reads the sources in
 * place: E_UNSUPPORTED: not with these file systems; E_LOCKED: another run has a copy there; E_CHANGED, E_IO, E_USAGE (place lies
 * in a source), E_CANCELLED, E_NOMEM. */
int stages_take(struct stages **ret, const struct stage_options *opt, struct err *e) MUST_CHECK;
/* Remove the copies. Takes them in any case; NULL is fine. What cannot be removed the next sweep will. */
int stages_drop(struct stages *s, struct err *e) MUST_CHECK;
/* Remove copies of these sources that a run which was killed has left; those in use stay. */
int stages_sweep(const struct stage_options *opt, struct err *e) MUST_CHECK;

uint64_t stages_files(const struct stages *s);
uint64_t stages_bytes(const struct stages *s);
/* The stage of a source by its absolute path (as sources_resolve() gives it), or NULL. */
const struct stage *stages_find(const struct stages *s, const char *path);
/* Its directory, which holds STAGE_ROOT. The stage's. */
int stage_fd(const struct stage *st);
/* When the copy was begun: what changed later may be in it or not. */
struct timespec stage_time(const struct stage *st);

/* What the copy's entry `at` stands for. */
struct staged {
	struct stat st;	    /* the source's; st_blocks and st_blksize are not kept */
	struct span xattrs; /* encoded; the stage's */
	bool skipped;	    /* a directory whose contents the filter leaves out */
};
/* False when the inode is none of the copy's. */
bool stage_look(const struct stage *st, const struct stat *at, struct staged *ret);

#endif
