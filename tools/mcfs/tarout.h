/* tarout.h - writes entries of snapshots as a tar of the pax kind (POSIX.1-2001), through libarchive;
 * the only includer of its headers.
 *
 * Times to the nanosecond; owners by number; extended attributes as SCHILY.xattr.*, POSIX ACLs as
 * SCHILY.acl.*, holes as GNU.sparse 1.0: what GNU tar and bsdtar read. Names are the very bytes: an
 * entry with a name that is not UTF-8 says hdrcharset=BINARY, others do not, since GNU tar remarks
 * on that keyword every time. Bytes are buffered, never all of a file. One thread. */
#ifndef MCFS_TOOLS_TAROUT_H
#define MCFS_TOOLS_TAROUT_H

#include "engine/snapshot/entry.h"

struct tarout;

/* A part of a sparse file that is data; ascending, not touching. */
struct tar_segment {
	uint64_t off, len;
};

/* Write to `fd`, which stays the caller's. Sets the program's LC_CTYPE, if it can, to one where
 * libarchive leaves UTF-8 as it is. E_NOMEM. */
int tarout_open(struct tarout **ret, int fd, struct err *e) MUST_CHECK;
/* Begin an entry. `link`: the path of an earlier one that this is a hard link to, or NULL.
 * `segments` (or NULL: no holes) are what a sparse file has; n 0: all of it is a hole. For a file
 * that is no link, exactly en->size bytes follow by tarout_data(), holes as zeros. E_UNSUPPORTED:
 * tar cannot hold it, nothing was written and the tar can go on. E_IO, E_NOSPACE: it cannot. */
int tarout_entry(struct tarout *t, const struct entry *en, const char *path, const char *link,
	const struct tar_segment *segments, size_t n, struct err *e) MUST_CHECK;
int tarout_data(struct tarout *t, const void *p, size_t n, struct err *e) MUST_CHECK;
/* The end marks, and all that is buffered. */
int tarout_finish(struct tarout *t, struct err *e) MUST_CHECK;
/* Has writing failed, so that the tar cannot go on? */
bool tarout_failed(const struct tarout *t);
/* NULL is fine. What is buffered is dropped. */
void tarout_free(struct tarout *t);

#endif
