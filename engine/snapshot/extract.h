/* extract.h - the bytes of one file of a snapshot, written to a descriptor by jobs of a pool. */
#ifndef MCFS_SNAPSHOT_EXTRACT_H
#define MCFS_SNAPSHOT_EXTRACT_H

#include "engine/base/pool.h"
#include "engine/snapshot/entry.h"
#include "engine/store/store.h"

struct extract {
	struct store *s;
	struct pool *pool;
	struct coder *coders; /* one a worker; the first is the caller's */
};

/* One file under way; must not move until extract_wait() returned. */
struct extract_file {
	struct extract *x;
	int fd;
	size_t pending;
	int code;
	struct err err;
	void *state;
};

/* Start writing all of the content to `fd`, an empty file, which gets the size first. Jobs may go
 * on after the return; the content may be gone then. */
int extract_start(struct extract *x, struct extract_file *f, int fd, const struct content *content,
	uint64_t size, struct err *e) MUST_CHECK;
bool extract_is_done(struct extract_file *f);
int extract_wait(struct extract_file *f, struct err *e) MUST_CHECK;

/* Read the file back and compare with the names in the snapshot. E_CORRUPT: it differs. */
int extract_verify(struct store *s, struct coder *c, int fd, const struct content *content,
	uint64_t size, struct err *e) MUST_CHECK;

#endif
