/* ops.h - the requests of the kernel, mapped to views. Only for fs/. */
#ifndef MCFS_FS_OPS_H
#define MCFS_FS_OPS_H

#include "fs/compat.h"
#include "fs/fs.h"

/* What ops find as their session's user data. */
struct serving {
	struct fs fs;
	const struct mount_options *opt;
	bool root; /* enforce ACLs in the kernel, and let it cache them */
};

extern const struct fuse_lowlevel_ops fs_ops;

#endif
