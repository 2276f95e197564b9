/* io.h - reading and writing files whole, and making them durable.
 *
 * All calls retry EINTR. Paths in messages are the caller's, as given. */
#ifndef MCFS_BASE_IO_H
#define MCFS_BASE_IO_H

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "engine/base/buf.h"

/* Read up to n bytes at `off`; *ret_n < n only at the end of the file. */
int io_pread(int fd, void *p, size_t n, uint64_t off, size_t *ret_n, const char *path,
	struct err *e) MUST_CHECK;
int io_pwrite(int fd, const void *p, size_t n, uint64_t off, const char *path,
	struct err *e) MUST_CHECK;
int io_write(int fd, const void *p, size_t n, const char *path, struct err *e) MUST_CHECK;
/* Append what is left of the descriptor to the buffer; E_FORMAT when more than `max`. */
int io_read_all(int fd, struct buf *b, size_t max, const char *path, struct err *e) MUST_CHECK;
int io_read_file(int dirfd, const char *path, struct buf *b, size_t max, struct err *e) MUST_CHECK;
/* fsync the directory `path` below dirfd ("." for dirfd itself). A file system that cannot do that is
 * taken as it is. */
int io_fsync_dir(int dirfd, const char *path, struct err *e) MUST_CHECK;
/* Replace or make a file: temp file beside it, write, fsync, rename, fsync of the directory. After
 * success it is durable; after failure the old file is there, or the new one if only its directory
 * could not be synced. `excl`: E_EXISTS when there. */
int io_write_file(int dirfd, const char *path, struct span data, mode_t mode, bool excl,
	struct err *e) MUST_CHECK;
/* Give the file `tmp` the name `path`, by which it is not to replace another: E_EXISTS when that is
 * taken. Where there are neither hard links nor a rename that refuses, who comes at the very same
 * time can still be replaced. Not durable by itself. */
int io_publish(int dirfd, const char *tmp, const char *path, struct err *e) MUST_CHECK;
/* fsync the directories that lead to `path`, itself included, up to "/" or, when it is relative, to the
 * one we are in: what io_mkdirs() made survives. */
int io_sync_parents(const char *path, struct err *e) MUST_CHECK;
/* To the path of the directory above, in place; not of "". "/" and "." stay. */
void io_go_up(char *path);
/* Is this how a file system says that it has no such thing: owners, modes, links, attributes? */
static inline bool io_unknown_here(int sys)
{
	return sys == EPERM || sys == ENOTSUP;
}
/* Give a new file of ours owner and mode of another. Without root it belongs to us; where modes cannot
 * be set, the file system gives them to all files. */
int io_own(int fd, const struct stat *like, const char *path, struct err *e) MUST_CHECK;
/* mkdir -p; existing directories are fine, other things are not. Not durable by itself. */
int io_mkdirs(const char *path, mode_t mode, struct err *e) MUST_CHECK;
/* fsync + close, both checked; *fd becomes -1 in any case. */
int io_sync_close(int *fd, const char *path, struct err *e) MUST_CHECK;

#endif
