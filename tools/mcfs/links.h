/* links.h - hard links met so far: from device and inode to the first name.
 *
 * Memory grows with the files of which not all names have been met. One thread. */
#ifndef MCFS_TOOLS_LINKS_H
#define MCFS_TOOLS_LINKS_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct links {
	void *tree;
};

/* The first name, valid until links_use(); NULL when none is known. */
const char *links_find(const struct links *l, uint64_t dev, uint64_t ino);
/* Remember the first of `n` names (2 or more). E_NOMEM. */
int links_add(struct links *l, uint64_t dev, uint64_t ino, uint32_t n, const char *name,
	struct err *e) MUST_CHECK;
/* One more name was met; with the last one the file is forgotten. */
void links_use(struct links *l, uint64_t dev, uint64_t ino);
void links_free(struct links *l);

#endif
