/* sources.h - what a snapshot is made of, and under which names it appears.
 *
 * "/srv/mc/world" appears as "world"; of two with the same base name each gets as much of its path
 * in front as it takes to tell them apart: "a/world", "b/world". A link given as a source is
 * followed. */
#ifndef MCFS_SNAPSHOT_SOURCES_H
#define MCFS_SNAPSHOT_SOURCES_H

#include "engine/snapshot/snapobj.h"

/* Absolute paths and names for what the user gave, sorted by name, in the order of tree entries.
 * The same path given twice is one source. */
int sources_resolve(const char *const *paths, size_t n, struct snapshot_source **ret,
	size_t *ret_n, struct err *e) MUST_CHECK;

#endif
