/* seen_links.h - the first name of each file that has several, by its inode. */
#ifndef MCFS_SNAPSHOT_SEEN_LINKS_H
#define MCFS_SNAPSHOT_SEEN_LINKS_H

#include "engine/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Zeroed: empty. One thread at a time. */
struct seen_links {
	struct seen_link *v;
	size_t n, cap;
};

/* The name it was added with, or NULL; good until the next call of seen_links_free(). */
const char *seen_links_find(const struct seen_links *l, uint64_t ino, uint64_t dev);
/* The path is copied. It must not be there yet. E_NOMEM leaves all as it was. */
int seen_links_add(struct seen_links *l, uint64_t ino, uint64_t dev, const char *path,
	struct err *e) MUST_CHECK;
void seen_links_free(struct seen_links *l);

#endif
