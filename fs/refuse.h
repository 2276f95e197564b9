/* refuse.h - how requests that change something are refused. Only for change*.c. */
#ifndef MCFS_FS_REFUSE_H
#define MCFS_FS_REFUSE_H

#include "fs/ops.h"

/* Say once, in the log, what to do instead, and return `sys`. The path is that of the request's node,
 * with the name behind it (NULL: none). */
int refuse(struct op *op, int sys, const char *name, const char *advice);
/* EROFS where nothing can ever be changed, else EPERM with this advice. */
int refuse_at(struct op *op, const char *name, const char *advice);
/* An answer of the engine: adds what to do about it. Returns r. */
int change_failed(struct op *op, int r);

#endif
