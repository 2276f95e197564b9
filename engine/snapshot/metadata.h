/* metadata.h - give what was restored the owner, mode, times and attributes it had. */
#ifndef MCFS_SNAPSHOT_METADATA_H
#define MCFS_SNAPSHOT_METADATA_H

#include "engine/snapshot/entry.h"

/* Set all that the entry says of `name` in dirfd ("." for dirfd itself); links are not followed.
 *
 * Whatever cannot be set, the rest is. E_UNSUPPORTED names what is missing because nobody may set it
 * here, as on file systems without owners or modes; other failures are E_IO. That a user who is not
 * root cannot give files away is no failure. A file whose owner could not be set gets no set-user-ID
 * and set-group-ID bits. */
int metadata_apply(int dirfd, const char *name, const struct entry *en, struct err *e) MUST_CHECK;

#endif
