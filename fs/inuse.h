/* inuse.h - which process keeps a mount from being unmounted. Only for fs/. */
#ifndef MCFS_FS_INUSE_H
#define MCFS_FS_INUSE_H

#include <stddef.h>

/* "process 1234 (bash)": the first that is found to have its working directory, its root or an open file at
 * `point`, an absolute path without links, or below. "" when none can be seen. Sends no request to the mount. */
void inuse_who(const char *point, char *out, size_t size);

#endif
