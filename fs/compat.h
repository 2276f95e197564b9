/* compat.h - the one place that includes libfuse, and what differs between its versions.
 *
 * API of 3.12 to 3.16; Debian 12 has 3.14. Build against the headers of the library that is linked:
 * bit-fields of struct fuse_file_info moved between minor versions. */
#ifndef MCFS_FS_COMPAT_H
#define MCFS_FS_COMPAT_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <stdbool.h>

#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 12)
#error "mcfs needs libfuse 3.12 or later"
#endif

/* 3.17 takes wishes by number; before, they are bits of `want`. */
static inline void compat_want(struct fuse_conn_info *conn, unsigned cap, bool on)
{
	if (!on)
		conn->want &= ~cap;
	else if (conn->capable & cap)
		conn->want |= cap;
}

#endif
