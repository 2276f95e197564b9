/* file.h - the bytes of a snapshot's file, by offset; knows readers that go straight on.
 *
 * What is needed to find a byte (a region file's layout, how far a reader has got) is kept for the
 * files that were read last; there is no state per inode or open file. */
#ifndef MCFS_FS_FILE_H
#define MCFS_FS_FILE_H

#include "engine/snapshot/layout.h"
#include "fs/fs.h"

struct files;
int files_new(struct files **ret, struct err *e) MUST_CHECK;
void files_free(struct files *f);

/* Fewer bytes only at the end of the file. */
int file_read(struct call *cl, const struct content *content, uint64_t size, uint64_t off,
	size_t n, struct reading *ret) MUST_CHECK;
/* The next byte at or after `off` in a hole, or not in one; the size when there is none. */
int file_seek(struct call *cl, const struct content *content, uint64_t size, uint64_t off,
	bool hole, uint64_t *ret) MUST_CHECK;
/* Copy; E_CORRUPT unless there are n bytes. */
int file_copy(struct call *cl, const struct content *content, uint64_t size, uint64_t off,
	void *p, size_t n) MUST_CHECK;

/* A region file's layout, for the chunk view (content is CONTENT_REGION). */
struct file;
int file_open(struct call *cl, const struct content *content, uint64_t size,
	struct file **ret) MUST_CHECK;
void file_close(struct files *fs, struct file *f); /* NULL is fine */
const struct layout *file_layout(const struct file *f);

#endif
