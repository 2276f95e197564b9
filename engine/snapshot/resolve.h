/* resolve.h - from a path in a snapshot to the entry it names. */
#ifndef MCFS_SNAPSHOT_RESOLVE_H
#define MCFS_SNAPSHOT_RESOLVE_H

#include "engine/snapshot/snapobj.h"
#include "engine/snapshot/tree.h"

/* Look up "a/b/c" below the snapshot's root; empty or "/" is the root itself, which comes back as
 * a directory without a name. The entry points into *ret_hold (may be NULL for the root), which the
 * caller unrefs. E_NOTFOUND says which part of the path is missing. */
int resolve_path(struct store *s, struct coder *c, const struct snapshot *sn, const char *path,
	struct entry *ret, struct plain **ret_hold, struct err *e) MUST_CHECK;

#endif
