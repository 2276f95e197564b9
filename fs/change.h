/* change.h - the requests that would change something, in mounts with live worlds. What may be
 * changed and what that means: docs/MOUNT.md, "Changing the world". Only for fs/.
 *
 * Where nothing can ever be changed the answer is EROFS; in chunks/live and trash/ what cannot be
 * done is EPERM. Each refusal says once, in the log, what to do instead. */
#ifndef MCFS_FS_CHANGE_H
#define MCFS_FS_CHANGE_H

#include "fs/handle.h"
#include "fs/ops.h"

void change_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi); /* to write */
void change_release(fuse_req_t req, struct handle *h);
/* What is being written is told instead of, or besides, what is there. */
void change_attr(struct op *op, int *r, struct stat *st);

void change_access(fuse_req_t req, fuse_ino_t ino, int mask);
void change_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);
void change_write(fuse_req_t req, fuse_ino_t ino, const char *p, size_t n, off_t off,
	struct fuse_file_info *fi);
void change_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void change_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void change_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void change_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
	const char *new_name, unsigned flags);
void change_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void change_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void change_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void change_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want, int set,
	struct fuse_file_info *fi);
void change_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags);
void change_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void change_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void change_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);
void change_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);

#endif
