/* xattrs.h - extended attributes (ACLs are two of them) as one encoded list, sorted by name. */
#ifndef MCFS_SNAPSHOT_XATTRS_H
#define MCFS_SNAPSHOT_XATTRS_H

#include "engine/base/wire.h"

/* Append the encoded list of what `path` has (not following a link); nothing when it has none or
 * the file system knows none. */
int xattrs_read(const char *path, struct buf *out, struct err *e) MUST_CHECK;
/* Read the next pair of an encoded list; false at the end. Sets r->bad when it is not well formed. */
bool xattrs_next(struct rd *r, struct span *name, struct span *value);
/* Is one of an encoded list an ACL? */
bool xattrs_have_acl(struct span list);
/* Make `path` have exactly these. *ret_failed counts those that could not be set (E_OK: the list
 * was fine). */
int xattrs_apply(const char *path, struct span list, unsigned *ret_failed, struct err *e) MUST_CHECK;

#endif
