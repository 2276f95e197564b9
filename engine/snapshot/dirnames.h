/* dirnames.h - the names of a directory in byte order, in batches of bounded memory.
 *
 * A directory whose names do not fit is read once more for each further batch. */
#ifndef MCFS_SNAPSHOT_DIRNAMES_H
#define MCFS_SNAPSHOT_DIRNAMES_H

#include <stdbool.h>

#include "engine/base/buf.h"

struct dirnames {
	struct buf arena; /* names with their NULs */
	uint32_t *at;	  /* of each name in the arena, in order */
	size_t n, cap;
	bool more;
	char last[256]; /* where the next batch starts */
};

/* The next batch of the directory behind `fd` (its position is moved); n == 0 at the end. Start
 * with a zeroed struct; "." and ".." are left out. */
int dirnames_next(struct dirnames *d, int fd, const char *path, struct err *e) MUST_CHECK;
static inline const char *dirnames_at(const struct dirnames *d, size_t i)
{
	return (const char *)d->arena.p + d->at[i];
}
void dirnames_free(struct dirnames *d);

#endif
