/* pruneview.h - the answers of the mount's rules, as prunable/ shows them. Only for fs/. */
#ifndef MCFS_FS_PRUNEVIEW_H
#define MCFS_FS_PRUNEVIEW_H

#include "fs/fs.h"

struct judges;
int judges_new(struct judges **ret, unsigned worlds, struct err *e) MUST_CHECK;
void judges_free(struct judges *js); /* NULL is fine */

struct judged; /* one answer */
void judged_unref(struct judged *d); /* NULL is fine */

#endif
