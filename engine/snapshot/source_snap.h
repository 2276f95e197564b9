/* source_snap.h - a directory of a snapshot as a source of chunks (engine/anvil/source.h).
 *
 * Nothing is loaded up front. Any number of threads may use it; each file that is open holds a
 * coder and up to 8 MiB of decoded blobs. The store and the snapshot must stay until it is closed. */
#ifndef MCFS_SNAPSHOT_SOURCE_SNAP_H
#define MCFS_SNAPSHOT_SOURCE_SNAP_H

#include "engine/anvil/source.h"
#include "engine/snapshot/snapobj.h"

/* `path` is a directory of the snapshot: "world", "srv/world"; "" is all of it. E_NOTFOUND names the
 * part that is missing. */
int source_snapshot_open(struct source **ret, struct store *s, const struct snapshot *sn,
	const char *path, struct err *e) MUST_CHECK;

#endif
