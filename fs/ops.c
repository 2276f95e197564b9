/* The requests of the kernel that read. Each takes working memory, finds the node, asks its view and
 * answers. In a mount of a store alone nothing is kept per open file or inode: OPEN and OPENDIR are
 * refused for good with ENOSYS, which tells the kernel that no state is needed, and the kernel answers
 * everything that would change something by itself, with EROFS. With live worlds there are handles
 * (handle.h), and change.c takes the requests that write. */
#include "fs/ops.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/xattrs.h"
#include "fs/change.h"
#include "fs/landed.h"
#include "fs/topview.h"

/* Bring index and list up to date. Nobody reads blobs meanwhile. */
static void reload(struct fs *fs)
{
	struct err e = ERR_INIT;
	pthread_rwlock_wrlock(&fs->index_lock);
	if (top_stale(fs->top)) {
		atomic_fetch_add(&fs->n.reloads, 1);
		if (top_reload(fs->top, &e) < 0) {
			(void)err_wrap(&e, "cannot look for new snapshots");
			say_once(fs, LOG_WARN, e.msg);
		}
	}
	pthread_rwlock_unlock(&fs->index_lock);
}

bool op_begin(struct op *op, fuse_req_t req, uint64_t ino)
{
	struct serving *sv = fuse_req_userdata(req);
	*op = (struct op){.req = req, .fs = &sv->fs, .cl = {.fs = &sv->fs}};
	if (!node_of(op->fs, ino, &op->n)) {
		fuse_reply_err(req, ESTALE);
		return false;
	}
	op->cl.c = coder_take(op->fs);
	if (!op->cl.c) {
		nodes_put(op->fs->nodes, op->n.shelf, 1);
		fuse_reply_err(req, ENOMEM);
		return false;
	}
	op->view = view_of(op->n);
	if (op->n.shelf->key.kind == SHELF_TOP && top_stale(op->fs->top))
		reload(op->fs);
	pthread_rwlock_rdlock(&op->fs->index_lock);
	return true;
}

/* Is it worth trying once more? Blobs move when another process compacts the store. */
static bool op_again(struct op *op, int r)
{
	if (r != E_CORRUPT || op->again || !top_stale(op->fs->top))
		return false;
	op->again = true;
	pthread_rwlock_unlock(&op->fs->index_lock);
	reload(op->fs);
	pthread_rwlock_rdlock(&op->fs->index_lock);
	op->cl.e = ERR_INIT;
	return true;
}

void op_end(struct op *op)
{
	coder_give(op->fs, op->cl.c);
	nodes_put(op->fs->nodes, op->n.shelf, 1);
}

int op_close(struct op *op, int r)
{
	if (r < 0 && r != E_NOTFOUND)
		report(&op->cl, op->n);
	pthread_rwlock_unlock(&op->fs->index_lock);
	return errno_of_err(r, &op->cl.e);
}

static struct handle *handle_of(const struct fuse_file_info *fi)
{
	return fi ? (struct handle *)(uintptr_t)fi->fh : NULL;
}

static void op_init(void *user, struct fuse_conn_info *conn)
{
	struct serving *sv = user;
	compat_want(conn, FUSE_CAP_READDIRPLUS, true);
	compat_want(conn, FUSE_CAP_READDIRPLUS_AUTO, false);
	compat_want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	compat_want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
	compat_want(conn, FUSE_CAP_ASYNC_READ, true);
	/* Cached listings of live directories are dropped when their time changes. */
	compat_want(conn, FUSE_CAP_AUTO_INVAL_DATA, true);
	compat_want(conn, FUSE_CAP_SPLICE_READ, false);
	compat_want(conn, FUSE_CAP_SPLICE_WRITE, false);
	compat_want(conn, FUSE_CAP_SPLICE_MOVE, false);
	compat_want(conn, FUSE_CAP_FLOCK_LOCKS, false);
	compat_want(conn, FUSE_CAP_POSIX_LOCKS, false);
	compat_want(conn, FUSE_CAP_POSIX_ACL, sv->acls);
	conn->max_background = 32;
	conn->congestion_threshold = 24;
	conn->time_gran = 1;
	if (sv->opt->ready)
		sv->opt->ready(sv->opt->ready_ctx);
}

/* What rename moves, the kernel moves in its cache as well, under its old number. So these names are
 * to be looked up at each use: then the new place has its own number at once. */
static bool may_move(struct node n)
{
	const struct shelf_key *k = &n.shelf->key;
	return k->kind == SHELF_TRASHED || k->kind == SHELF_PRUNE ||
	       (k->kind == SHELF_REGION && !k->snap);
}

void fill_entry(struct fuse_entry_param *e, const struct found *f)
{
	*e = (struct fuse_entry_param){.attr = f->st, .attr_timeout = f->ttl,
		.entry_timeout = f->ttl};
	if (f->node.shelf) {
		e->ino = id_of(f->node);
		if (may_move(f->node))
			e->entry_timeout = 0;
	}
}

void reply_found(struct op *op, const struct found *f)
{
	struct fuse_entry_param e;
	fill_entry(&e, f);
	if (fuse_reply_entry(op->req, &e) != 0)
		nodes_put(op->fs->nodes, f->node.shelf, 1);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct op op;
	struct found f = {.ttl = 0};
	struct fuse_entry_param e;
	int r;
	if (!op_begin(&op, req, parent))
		return;
	atomic_fetch_add(&op.fs->n.lookups, 1);
	do
		r = op.view->lookup ? op.view->lookup(&op.cl, op.n, span_of(name, strlen(name)), &f)
				    : err_set(&op.cl.e, E_NOTFOUND, 0, "not a directory");
	while (op_again(&op, r));
	if (r == E_NOTFOUND && landed_take(op.fs->landed, parent, name, &f))
		r = 0;
	int sys = op_close(&op, r);
	if (r == E_NOTFOUND && f.ttl > 0) {
		/* The kernel may remember that there is no such name. */
		e = (struct fuse_entry_param){.entry_timeout = f.ttl};
		fuse_reply_entry(req, &e);
	} else if (sys) {
		fuse_reply_err(req, sys);
	} else {
		reply_found(&op, &f);
	}
	op_end(&op);
}

static void forget_one(struct fs *fs, uint64_t ino, uint64_t count)
{
	atomic_fetch_add(&fs->n.forgets, 1);
	struct shelf *s = ino == TOP_ROOT ? NULL : nodes_find(fs->nodes, ino >> SLOT_BITS);
	if (s)
		nodes_put(fs->nodes, s, count + 1);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	struct serving *sv = fuse_req_userdata(req);
	forget_one(&sv->fs, ino, count);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *v)
{
	struct serving *sv = fuse_req_userdata(req);
	for (size_t i = 0; i < n; i++)
		forget_one(&sv->fs, v[i].ino, v[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op op;
	struct stat st;
	double ttl = 0;
	int r;
	if (!op_begin(&op, req, ino))
		return;
	op.cl.h = handle_of(fi);
	atomic_fetch_add(&op.fs->n.getattrs, 1);
	do
		r = op.view->getattr(&op.cl, op.n, &st, &ttl);
	while (op_again(&op, r));
	if (op.fs->live)
		change_attr(&op, &r, &st);
	int sys = op_close(&op, r);
	if (sys)
		fuse_reply_err(req, r == E_NOTFOUND && op.fs->live ? ESTALE : sys);
	else
		fuse_reply_attr(req, &st, ttl);
	op_end(&op);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct op op;
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r;
	if (!op_begin(&op, req, ino))
		return;
	do {
		b.len = 0;
		r = op.view->readlink ? op.view->readlink(&op.cl, op.n, &b)
				      : err_set(&op.cl.e, E_FORMAT, 0, "not a link");
		if (r == 0)
			r = buf_add(&b, "", 1, &op.cl.e);
	} while (op_again(&op, r));
	int sys = op_close(&op, r);
	if (sys)
		fuse_reply_err(req, sys);
	else
		fuse_reply_readlink(req, (char *)b.p);
	op_end(&op);
}

static bool keeps_handles(fuse_req_t req)
{
	struct serving *sv = fuse_req_userdata(req);
	return sv->fs.live != NULL;
}

/* Open for reading, or a directory, in a mount with live worlds. */
static void open_handle(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, bool dir)
{
	struct op op;
	struct handle *h;
	if (!op_begin(&op, req, ino))
		return;
	h = handle_new();
	int r = !h		    ? err_set(&op.cl.e, E_NOMEM, 0, "no memory to open a file")
		: op.view->open ? op.view->open(&op.cl, op.n, h)
				    : 0;
	int sys = op_close(&op, r);
	if (sys) {
		/* A chunk that was moved: the kernel is to look its name up again. */
		fuse_reply_err(req, r == E_NOTFOUND ? ESTALE : sys);
		handle_free(h);
	} else {
		bool stays = !op.view->open || (op.n.shelf->key.snap && !h->piece);
		fi->fh = (uintptr_t)h;
		fi->direct_io = h->direct;
		fi->keep_cache = stays;
		fi->cache_readdir = dir && stays;
		fi->noflush = 1;
		if (fuse_reply_open(req, fi) != 0)
			handle_free(h);
	}
	op_end(&op);
}

/* Without live worlds the kernel remembers the refusal for the whole mount: no OPEN, RELEASE, FLUSH
 * again, and what it has cached stays. */
static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!keeps_handles(req)) {
		fi->keep_cache = 1;
		fi->noflush = 1;
		fuse_reply_err(req, ENOSYS);
	} else if ((fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC) {
		change_open(req, ino, fi);
	} else {
		open_handle(req, ino, fi, false);
	}
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (!keeps_handles(req))
		fuse_reply_err(req, ENOSYS);
	else
		open_handle(req, ino, fi, true);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	change_release(req, handle_of(fi));
	handle_free(handle_of(fi));
	fuse_reply_err(req, 0);
}

/* ---- listing ---- */

struct listing {
	struct op *op;
	char *p;
	size_t size, len;
	bool plus;
	struct shelf **given; /* references the kernel gets with the answer */
	size_t n_given, cap_given;
};

static bool keep_given(struct listing *l, struct shelf *s)
{
	if (l->n_given == l->cap_given) {
		size_t cap = l->cap_given ? 2 * l->cap_given : 64;
		struct shelf **v = realloc(l->given, cap * sizeof *v);
		if (!v)
			return false;
		l->given = v;
		l->cap_given = cap;
	}
	l->given[l->n_given++] = s;
	return true;
}

static bool add_entry(struct listing *l, const char *name, struct found *f, uint64_t next)
{
	struct fuse_entry_param e;
	size_t n;
	fill_entry(&e, f);
	if (l->plus)
		n = fuse_add_direntry_plus(l->op->req, l->p + l->len, l->size - l->len, name, &e,
			(off_t)next);
	else
		n = fuse_add_direntry(l->op->req, l->p + l->len, l->size - l->len, name, &f->st,
			(off_t)next);
	if (n > l->size - l->len)
		return false;
	if (f->node.shelf && !keep_given(l, f->node.shelf))
		return false;
	l->len += n;
	return true;
}

static bool on_entry(void *ctx, struct span name, struct found *f, uint64_t next)
{
	char text[256];
	if (name.n >= sizeof text)
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = 0;
	return add_entry(ctx, text, f, next + 2);
}

/* "." and ".." come without a node: the kernel knows them. */
static bool add_dots(struct listing *l, uint64_t off)
{
	struct found f = {.st = {.st_mode = S_IFDIR | 0555}};
	double ttl;
	if (off == 0) {
		if (l->op->view->getattr(&l->op->cl, l->op->n, &f.st, &ttl) < 0)
			f.st.st_ino = 1;
		if (!add_entry(l, ".", &f, 1))
			return false;
	}
	f.st.st_ino = l->op->n.shelf->dir_ino ? l->op->n.shelf->dir_ino : 1;
	return off > 1 || add_entry(l, "..", &f, 2);
}

static void drop_given(struct listing *l)
{
	for (size_t i = 0; i < l->n_given; i++)
		nodes_put(l->op->fs->nodes, l->given[i], 1);
	l->n_given = 0;
	l->len = 0;
}

static void list_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi, bool plus)
{
	struct op op;
	int r;
	if (!op_begin(&op, req, ino))
		return;
	op.cl.h = handle_of(fi);
	struct listing l = {.op = &op, .p = malloc(size), .size = size, .plus = plus};
	atomic_fetch_add(&op.fs->n.listings, 1);
	do {
		drop_given(&l);
		r = !l.p	    ? err_set(&op.cl.e, E_NOMEM, 0, "no memory to list a directory")
		    : !op.view->list ? err_set(&op.cl.e, E_FORMAT, 0, "not a directory")
				     : 0;
		if (r == 0 && (off > 1 || add_dots(&l, (uint64_t)off)))
			r = op.view->list(&op.cl, op.n, off > 1 ? (uint64_t)off - 2 : 0, on_entry,
				&l);
	} while (op_again(&op, r));
	int sys = op_close(&op, r);
	/* What was listed before a problem is worth more than the problem; it comes again. */
	if (sys && l.len == 0)
		fuse_reply_err(req, sys);
	else if (fuse_reply_buf(req, l.p, l.len) == 0 && plus)
		l.n_given = 0;
	drop_given(&l);
	free(l.given);
	free(l.p);
	op_end(&op);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	list_dir(req, ino, size, off, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	list_dir(req, ino, size, off, fi, true);
}

/* ---- contents ---- */

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct op op;
	struct reading rd = {0};
	int r;
	if (!op_begin(&op, req, ino))
		return;
	op.cl.h = handle_of(fi);
	atomic_fetch_add(&op.fs->n.reads, 1);
	do
		r = op.view->read ? op.view->read(&op.cl, op.n, (uint64_t)off, size, &rd)
				  : err_set(&op.cl.e, E_FORMAT, 0, "not a file");
	while (op_again(&op, r));
	int sys = op_close(&op, r);
	if (sys) {
		fuse_reply_err(req, sys);
	} else {
		atomic_fetch_add(&op.fs->n.bytes, rd.data.n);
		fuse_reply_buf(req, (const char *)rd.data.p, rd.data.n);
	}
	reading_free(&rd);
	op_end(&op);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	struct fuse_file_info *fi)
{
	struct op op;
	struct stat st;
	uint64_t at = 0;
	double ttl;
	int r;
	if (!op_begin(&op, req, ino))
		return;
	op.cl.h = handle_of(fi);
	do {
		r = op.view->getattr(&op.cl, op.n, &st, &ttl);
		at = r == 0 ? (uint64_t)st.st_size : 0;
		if (r == 0 && op.view->seek)
			r = op.view->seek(&op.cl, op.n, (uint64_t)off, whence == SEEK_HOLE, &at);
		else if (r == 0 && whence == SEEK_DATA)
			at = (uint64_t)off;
	} while (op_again(&op, r));
	int sys = op_close(&op, r);
	if (sys)
		fuse_reply_err(req, sys);
	else if (whence != SEEK_HOLE && whence != SEEK_DATA)
		fuse_reply_err(req, EINVAL);
	else if (off >= st.st_size || (whence == SEEK_DATA && at >= (uint64_t)st.st_size))
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, (off_t)at);
	op_end(&op);
}

/* ---- extended attributes ---- */

static int load_xattrs(struct op *op, struct buf *list)
{
	int r = 0;
	atomic_fetch_add(&op->fs->n.xattrs, 1);
	do {
		list->len = 0;
		if (op->view->xattrs)
			r = op->view->xattrs(&op->cl, op->n, list);
	} while (op_again(op, r));
	return op_close(op, r);
}

/* With size 0 the caller asks how much there is. */
static void reply_xattr(fuse_req_t req, struct span s, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, s.n);
	else if (s.n > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, (const char *)s.p, s.n);
}

/* For good: the kernel does not ask again. */
static bool refuse_xattrs(fuse_req_t req)
{
	struct serving *sv = fuse_req_userdata(req);
	if (sv->opt->no_xattrs)
		fuse_reply_err(req, ENOSYS);
	return sv->opt->no_xattrs;
}

/* A node has no attribute of this name. ls asks each file for its ACL, label and capabilities, and the
 * kernel keeps no answer to that. After "not here" it goes on asking; after "no such thing on this file
 * system" it stops, until it ends. So that is said where it is true: by what the snapshots count. Of a label always:
 * who asks a file that has one hears it.
 * Not of ACLs that the kernel asks for itself: it would deny the access that it wants to decide on. */
static int has_none(fuse_req_t req, const char *name)
{
	struct serving *sv = fuse_req_userdata(req);
	if (strncmp(name, "system.posix_acl_", 17) == 0)
		return sv->acls || fs_has_acls(&sv->fs) ? ENODATA : EOPNOTSUPP;
	if (strncmp(name, "security.", 9) == 0)
		return strcmp(name, "security.selinux") != 0 && fs_has_xattrs(&sv->fs) ? ENODATA : EOPNOTSUPP;
	return ENODATA;
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct op op;
	struct span k, v;
	CLEANUP_BUF struct buf list = BUF_INIT;
	if (refuse_xattrs(req) || !op_begin(&op, req, ino))
		return;
	int sys = load_xattrs(&op, &list);
	op_end(&op);
	struct rd rd = rd_of(buf_span(&list));
	while (!sys && xattrs_next(&rd, &k, &v))
		if (k.n == strlen(name) && memcmp(k.p, name, k.n) == 0) {
			reply_xattr(req, v, size);
			return;
		}
	fuse_reply_err(req, sys ? sys : rd.bad ? EIO : has_none(req, name));
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct op op;
	struct span k, v;
	CLEANUP_BUF struct buf list = BUF_INIT;
	CLEANUP_BUF struct buf names = BUF_INIT;
	if (refuse_xattrs(req) || !op_begin(&op, req, ino))
		return;
	int sys = load_xattrs(&op, &list);
	op_end(&op);
	struct rd rd = rd_of(buf_span(&list));
	while (!sys && xattrs_next(&rd, &k, &v))
		if (buf_add(&names, k.p, k.n, NULL) < 0 || buf_add(&names, "", 1, NULL) < 0)
			sys = ENOMEM;
	if (!sys && rd.bad)
		sys = EIO;
	if (sys)
		fuse_reply_err(req, sys);
	else
		reply_xattr(req, buf_span(&names), size);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct serving *sv = fuse_req_userdata(req);
	struct statvfs st;
	(void)ino;
	const char *dir = sv->opt->dir ? sv->opt->dir : sv->opt->n_worlds ? sv->opt->worlds[0] : NULL;
	/* The space of the disk the store is on: what `df` is asked for. */
	if (!dir || statvfs(dir, &st) < 0)
		st = (struct statvfs){.f_bsize = 4096, .f_frsize = 4096};
	st.f_namemax = 255;
	fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops fs_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.open = op_open,
	.release = op_release,
	.opendir = op_opendir,
	.releasedir = op_release,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.read = op_read,
	.lseek = op_lseek,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.statfs = op_statfs,
	.access = change_access,
	.create = change_create,
	.flush = change_flush,
	.fsync = change_fsync,
	.fsyncdir = change_fsyncdir,
	.link = change_link,
	.mkdir = change_mkdir,
	.mknod = change_mknod,
	.removexattr = change_removexattr,
	.rename = change_rename,
	.rmdir = change_rmdir,
	.setattr = change_setattr,
	.setxattr = change_setxattr,
	.symlink = change_symlink,
	.unlink = change_unlink,
	.write = change_write,
};
