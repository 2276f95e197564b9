/* content_names.h - which blobs a file's content is made of. */
#ifndef MCFS_SNAPSHOT_CONTENT_NAMES_H
#define MCFS_SNAPSHOT_CONTENT_NAMES_H

#include "engine/snapshot/entry.h"
#include "engine/store/store.h"

/* Call `fn` with the name of each blob of data and of each layout, in no order (a name may come more than once; nodes of
 * maps and directories are not told, but read). Non-zero from `fn` stops and is the result. A layout is
 * told before it is read. */
typedef int (*content_name_fn)(void *ctx, const struct name *name, struct err *e);
int content_each_name(struct store *s, struct coder *c, const struct content *content,
	content_name_fn fn, void *ctx, struct err *e) MUST_CHECK;

#endif
