/* snapview.h - what the other views need of a snapshot's tree. Only for fs/. */
#ifndef MCFS_FS_SNAPVIEW_H
#define MCFS_FS_SNAPVIEW_H

#include "fs/fs.h"

/* Attributes of an entry. */
void snap_stat(const struct entry *en, uint64_t ino, struct stat *st);
/* Attributes of a snapshot's root (or of any node of a snapshot's tree). */
int snap_root_stat(struct call *cl, struct node n, struct stat *st, double *ttl) MUST_CHECK;

#endif
