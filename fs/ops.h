/* ops.h - the requests of the kernel, mapped to views. Only for fs/. */
#ifndef MCFS_FS_OPS_H
#define MCFS_FS_OPS_H

#include "fs/compat.h"
#include "fs/fs.h"

/* What ops find as their session's user data. */
struct serving {
	struct fs fs;
	const struct mount_options *opt;
	bool acls; /* enforce ACLs in the kernel, and let it cache them */
};

/* A request about one node: working memory, the node with a reference, its view. */
struct op {
	fuse_req_t req;
	struct fs *fs;
	struct call cl;
	struct node n;
	const struct view *view;
	bool again;
};
/* False when the request has been answered already. Until op_close() the index stays as it is. */
bool op_begin(struct op *op, fuse_req_t req, uint64_t ino);
/* The engine's part is over: tell of a problem, let the index be changed. An errno. */
int op_close(struct op *op, int r);
void op_end(struct op *op);
/* Answer with an entry whose node's reference the kernel gets. */
void reply_found(struct op *op, const struct found *f);
void fill_entry(struct fuse_entry_param *e, const struct found *f);

extern const struct fuse_lowlevel_ops fs_ops;

#endif
