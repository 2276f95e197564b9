/* region_read.h - reading a region file that a server may be writing to. */
#ifndef MCFS_SNAPSHOT_REGION_READ_H
#define MCFS_SNAPSHOT_REGION_READ_H

#include <stdbool.h>
#include <sys/stat.h>

#include "engine/base/buf.h"

/* Read the whole file so that every chunk's record in it is one that the server wrote whole.
 *
 * The server never writes a chunk in place: new sectors, then the header, and only then may the
 * old sectors be used again. So a record is good when two reads of it gave the same bytes while
 * its header entry stayed the same. When the file was quiet (its times are old and did not move)
 * one read is enough. *ret_settled false: it kept changing for too long; the bytes are those of
 * the last read. What lies between records may be of any moment. */
int region_read_settled(int fd, const char *name, const struct stat *before, struct buf *file,
	bool *ret_settled, struct err *e) MUST_CHECK;

#endif
