/* fuse_floor - the least that a file system in FUSE can cost, for tools/bench/mount.
 *
 *   fuse_floor DIR MNT       (in the foreground, until it is unmounted)
 *
 * Shows the names and attributes of DIR, read into memory at the start, and contents that are one
 * block over and over. No store, no decoding, no cache, no locks: what is left is the way through
 * the kernel. Asks the kernel for the same as mcfs does (fs/ops.c): nothing is opened, all that is
 * known is kept, listings carry attributes, ACLs are asked for. */
#define FUSE_USE_VERSION 312
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOREVER 3.15e7
#define BLOCK (1 << 20)

/* A node's number is its place in here, counted from 1. Children of a directory stand one behind
 * the other, by name. */
struct node {
	char *name;
	struct stat st;
	size_t parent, first, n;
};
static struct node *node;
static size_t n_nodes;
static char block[BLOCK];

static void die(const char *what)
{
	fprintf(stderr, "fuse_floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct node *)a)->name, ((const struct node *)b)->name);
}

static void add(const char *name, int dir, size_t parent)
{
	struct node n = {.name = strdup(name), .parent = parent};
	if (fstatat(dir, name, &n.st, AT_SYMLINK_NOFOLLOW) < 0)
		die(name);
	if ((n_nodes & (n_nodes - 1)) == 0)
		node = realloc(node, (n_nodes ? 2 * n_nodes : 1) * sizeof *node);
	if (!node || !n.name)
		die("memory");
	node[n_nodes++] = n;
}

static void path_of(size_t i, char *p, size_t size)
{
	size_t len = 0;
	if (i)
		path_of(node[i].parent, p, size);
	else
		*p = 0;
	len = strlen(p);
	snprintf(p + len, size - len, "%s%s", len ? "/" : "", node[i].name);
}

static void load(const char *top)
{
	char path[PATH_MAX];
	add(top, AT_FDCWD, 0);
	for (size_t i = 0; i < n_nodes; i++) {
		if (!S_ISDIR(node[i].st.st_mode))
			continue;
		path_of(i, path, sizeof path);
		DIR *d = opendir(path);
		if (!d)
			die(path);
		size_t first = n_nodes;
		for (struct dirent *de; (de = readdir(d));)
			if (strcmp(de->d_name, ".") && strcmp(de->d_name, ".."))
				add(de->d_name, dirfd(d), i);
		closedir(d);
		node[i].first = first;
		node[i].n = n_nodes - first;
		qsort(node + first, node[i].n, sizeof *node, by_name);
	}
}

static struct fuse_entry_param entry_of(size_t i)
{
	struct fuse_entry_param e = {.ino = i + 1, .attr = node[i].st, .attr_timeout = FOREVER,
		.entry_timeout = FOREVER};
	e.attr.st_ino = i + 1;
	return e;
}

static void on_init(void *user, struct fuse_conn_info *conn)
{
	(void)user;
	conn->want |= conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS |
					      FUSE_CAP_CACHE_SYMLINKS | FUSE_CAP_ASYNC_READ |
					      FUSE_CAP_POSIX_ACL);
	conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
	conn->max_background = 32;
	conn->congestion_threshold = 24;
	conn->time_gran = 1;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct node *p = &node[parent - 1];
	struct node key = {.name = (char *)(size_t)name};
	const struct node *found = bsearch(&key, node + p->first, p->n, sizeof key, by_name);
	struct fuse_entry_param e = {.entry_timeout = FOREVER};
	if (found)
		e = entry_of((size_t)(found - node));
	fuse_reply_entry(req, &e);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_entry_param e = entry_of(ino - 1);
	(void)fi;
	fuse_reply_attr(req, &e.attr, FOREVER);
}

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

static void on_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	const struct node *d = &node[ino - 1];
	char *p = malloc(size);
	size_t len = 0;
	(void)fi;
	if (!p) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (size_t i = (size_t)off; i < d->n + 2; i++) {
		struct fuse_entry_param e = i > 1 ? entry_of(d->first + i - 2) : (struct fuse_entry_param){
			.attr = {.st_ino = i ? d->parent + 1 : ino, .st_mode = S_IFDIR}};
		const char *name = i > 1 ? node[d->first + i - 2].name : i ? ".." : ".";
		size_t k = fuse_add_direntry_plus(req, p + len, size - len, name, &e,
			(off_t)(i + 1));
		if (k > size - len)
			break;
		len += k;
	}
	fuse_reply_buf(req, p, len);
	free(p);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	off_t left = node[ino - 1].st.st_size - off;
	(void)fi;
	if (left < 0)
		left = 0;
	if ((off_t)size > left)
		size = (size_t)left;
	fuse_reply_buf(req, block, size < BLOCK ? size : BLOCK);
}

static void on_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	(void)ino;
	(void)size;
	fuse_reply_err(req, strcmp(name, "security.selinux") == 0 ? EOPNOTSUPP : ENODATA);
}

static void on_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	(void)ino;
	if (size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_xattr(req, 0);
}

static const struct fuse_lowlevel_ops ops = {
	.init = on_init,
	.lookup = on_lookup,
	.getattr = on_getattr,
	.open = on_open,
	.opendir = on_open,
	.readdirplus = on_readdirplus,
	.read = on_read,
	.getxattr = on_getxattr,
	.listxattr = on_listxattr,
};

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	load(argv[1]);
	for (size_t i = 0; i < BLOCK; i++)
		block[i] = (char)(i * 2654435761u >> 13);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	if (fuse_opt_add_arg(&args, "fuse_floor") || fuse_opt_add_arg(&args, "-oro,nosuid,nodev,noatime"))
		die("memory");
	struct fuse_session *se = fuse_session_new(&args, &ops, sizeof ops, NULL);
	if (!se || fuse_set_signal_handlers(se) || fuse_session_mount(se, argv[2]))
		die("mount");
	struct fuse_loop_config *cfg = fuse_loop_cfg_create();
	fuse_loop_cfg_set_max_threads(cfg, (unsigned)sysconf(_SC_NPROCESSORS_ONLN) + 2);
	fuse_loop_cfg_set_clone_fd(cfg, 0);
	int r = fuse_session_loop_mt(se, cfg);
	fuse_loop_cfg_destroy(cfg);
	fuse_session_unmount(se);
	fuse_remove_signal_handlers(se);
	fuse_session_destroy(se);
	fuse_opt_free_args(&args);
	return r < 0;
}
