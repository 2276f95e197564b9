/* The requests that change a file: open to write, write, close, and attributes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/xattrs.h"
#include "fs/change.h"
#include "fs/chunkinfo.h"
#include "fs/refuse.h"
#include "fs/target.h"
#include "fs/writing.h"

/* ---- writing ---- */

static int no_memory(struct err *e)
{
	return err_set(e, E_NOMEM, 0, "no memory to open a file");
}

/* Load what is there: somebody opens it to change it in place. */
static int load_current(struct op *op, struct writing *w)
{
	CLEANUP_PIECE struct piece *hold = NULL;
	struct handle h = {.fd = -1};
	int r = op->view->open(&op->cl, op->n, &h);
	hold = h.piece;
	if (r < 0)
		return r;
	if (!hold)
		return err_set(&op->cl.e, E_USAGE, 0, "a damaged chunk cannot be written to");
	w->data.len = 0;
	return buf_add(&w->data, hold->data.p, hold->data.n, &op->cl.e);
}

/* A handle to write with. Nothing has it yet when this fails. */
static int open_writing(struct op *op, bool is_new, bool truncate, struct handle **ret)
{
	struct handle *h = handle_new();
	struct writing *w = h ? writing_open(op->fs->writings, id_of(op->n)) : NULL;
	if (!w) {
		handle_free(h);
		return no_memory(&op->cl.e);
	}
	pthread_mutex_lock(&w->m);
	int r = 0;
	if (is_new && w->users == 1)
		w->is_new = true;
	if (truncate) {
		w->data.len = 0;
		w->dirty = false;
	} else if (!w->dirty && !w->is_new) {
		r = load_current(op, w);
	}
	pthread_mutex_unlock(&w->m);
	if (r < 0) {
		writing_close(op->fs->writings, w);
		handle_free(h);
		return r;
	}
	h->writing = w;
	h->direct = true;
	*ret = h;
	return 0;
}

static void set_open(struct fuse_file_info *fi, struct handle *h)
{
	fi->fh = (uintptr_t)h;
	fi->direct_io = 1;
	fi->keep_cache = 0;
	fi->noflush = 0;
}

static void drop_handle(struct fs *fs, struct handle *h)
{
	if (h)
		writing_close(fs->writings, h->writing);
	handle_free(h);
}

void change_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op op;
	struct handle *h = NULL;
	CLEANUP_TARGET struct target t = {0};
	int sys = 0;
	if (!op_begin(&op, req, ino))
		return;
	int r = target_of(&op.cl, op.n, &t);
	if (r == 0 && t.place != PLACE_CHUNK)
		sys = refuse_at(&op, NULL, "what is in the trash does not change");
	else if (r == 0)
		r = open_writing(&op, false, fi->flags & O_TRUNC, &h);
	int told = op_close(&op, r);
	if (sys || told) {
		fuse_reply_err(req, sys ? sys : r == E_NOTFOUND ? ESTALE : told);
	} else {
		set_open(fi, h);
		if (fuse_reply_open(req, fi) != 0)
			drop_handle(op.fs, h);
	}
	op_end(&op);
}

/* Attributes of a chunk that is not there yet: those of its folder. */
static int stat_new(struct call *cl, struct node n, struct stat *st)
{
	struct node dir = {n.shelf, chunk_folder_slot(n.slot)};
	double ttl;
	int r = view_of(n)->getattr(cl, dir, st, &ttl);
	if (r < 0)
		return r;
	st->st_mode = S_IFREG | (st->st_mode & 0666);
	st->st_ino = chunk_ino(cl, n);
	st->st_size = st->st_blocks = 0;
	st->st_nlink = 1;
	clock_gettime(CLOCK_REALTIME, &st->st_mtim);
	st->st_mtim.tv_nsec = 0;
	st->st_ctim = st->st_atim = st->st_mtim;
	return 0;
}

static int create_chunk(struct op *op, const char *name, struct fuse_file_info *fi,
	struct found *ret, struct handle **h)
{
	CLEANUP_TARGET struct target t = {0};
	struct found there = {0};
	struct span text = span_of(name, strlen(name));
	bool fine;
	int r = target_of(&op->cl, op->n, &t);
	if (r < 0)
		return r;
	int slot = t.place == PLACE_REGION ? chunk_slot_of(t.rx, t.rz, text, &fine) : -1;
	if (slot < 0 || !fine)
		return 0;
	bool is_new = op->view->lookup(&op->cl, op->n, text, &there) < 0;
	if (!is_new)
		nodes_put(op->fs->nodes, there.node.shelf, 1);
	op->cl.e = ERR_INIT;
	/* From here on it is about the file, not the folder. */
	op->n.slot += 1 + (uint32_t)slot;
	*ret = (struct found){.node = op->n, .ttl = TTL_LIVE};
	r = is_new ? stat_new(&op->cl, op->n, &ret->st)
		   : op->view->getattr(&op->cl, op->n, &ret->st, &ret->ttl);
	if (r == 0)
		r = open_writing(op, is_new, fi->flags & O_TRUNC, h);
	if (r == 0)
		nodes_ref(op->fs->nodes, op->n.shelf);
	return r;
}

void change_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi)
{
	struct op op;
	struct found f = {0};
	struct handle *h = NULL;
	struct fuse_entry_param e;
	int sys = 0;
	(void)mode;
	if (!op_begin(&op, req, parent))
		return;
	int r = create_chunk(&op, name, fi, &f, &h);
	if (r == 0 && !h)
		sys = refuse_at(&op, name,
			"only chunks of this region can be put here, as c.X.Z.nbt (with rsync: "
			"--inplace)");
	int told = op_close(&op, r);
	if (sys || told) {
		fuse_reply_err(req, sys ? sys : told);
	} else {
		set_open(fi, h);
		fill_entry(&e, &f);
		if (fuse_reply_create(req, &e, fi) != 0) {
			nodes_put(op.fs->nodes, f.node.shelf, 1);
			drop_handle(op.fs, h);
		}
	}
	op_end(&op);
}

static struct writing *writing_of(const struct fuse_file_info *fi)
{
	struct handle *h = fi ? (struct handle *)(uintptr_t)fi->fh : NULL;
	return h ? h->writing : NULL;
}

void change_write(fuse_req_t req, fuse_ino_t ino, const char *p, size_t n, off_t off,
	struct fuse_file_info *fi)
{
	struct writing *w = writing_of(fi);
	struct err e = ERR_INIT;
	int r = 0;
	(void)ino;
	if (!w) {
		fuse_reply_err(req, EBADF);
		return;
	}
	if ((uint64_t)off + n > WRITING_MAX) {
		fuse_reply_err(req, EFBIG);
		return;
	}
	pthread_mutex_lock(&w->m);
	size_t end = (size_t)off + n;
	if (end > w->data.len)
		r = buf_add_zero(&w->data, end - w->data.len, &e);
	if (r == 0 && n) {
		memcpy(w->data.p + off, p, n);
		w->dirty = true;
	}
	pthread_mutex_unlock(&w->m);
	if (r < 0)
		fuse_reply_err(req, ENOMEM);
	else
		fuse_reply_write(req, n);
}

static int settle(struct op *op, struct writing *w)
{
	if (!w)
		return 0;
	pthread_mutex_lock(&w->m);
	int r = writing_settle(&op->cl, op->n, w, fuse_req_ctx(op->req)->uid);
	pthread_mutex_unlock(&w->m);
	return change_failed(op, r);
}

static void settle_request(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct op op;
	if (!op_begin(&op, req, ino))
		return;
	int sys = op_close(&op, settle(&op, writing_of(fi)));
	fuse_reply_err(req, sys);
	op_end(&op);
}

void change_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct serving *sv = fuse_req_userdata(req);
	if (!sv->fs.live)
		fuse_reply_err(req, ENOSYS); /* for good: nothing is ever written */
	else
		settle_request(req, ino, fi);
}

void change_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	change_flush(req, ino, fi);
}

/* All that was answered is durable already: what prune.h returned 0 for. */
void change_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, 0);
}

void change_release(fuse_req_t req, struct handle *h)
{
	struct serving *sv = fuse_req_userdata(req);
	if (h && h->writing)
		writing_close(sv->fs.writings, TAKE_PTR(h->writing));
}

void change_attr(struct op *op, int *r, struct stat *st)
{
	struct writing *w = writing_find(op->fs->writings, id_of(op->n));
	if (!w)
		return;
	pthread_mutex_lock(&w->m);
	if (*r == E_NOTFOUND && w->is_new) {
		op->cl.e = ERR_INIT;
		*r = stat_new(&op->cl, op->n, st);
	}
	if (*r == 0 && (w->dirty || w->is_new)) {
		st->st_size = (off_t)w->data.len;
		st->st_blocks = (st->st_size + 511) / 512;
	}
	pthread_mutex_unlock(&w->m);
	writing_close(op->fs->writings, w);
}

/* ---- attributes: they say what is so, and cannot be set to anything else ---- */

static const char attributes[] =
	"owner, permissions and times are those of the region file and its header";

static bool is_so(const struct stat *st, const struct stat *want, int set, bool folder)
{
	/* cp -p of what is read-only in a snapshot; cp -r gives its folders their mode afterwards. */
	if (set & FUSE_SET_ATTR_MODE && !folder && (st->st_mode & 0555) != (want->st_mode & 0555))
		return false;
	if (set & FUSE_SET_ATTR_UID && st->st_uid != want->st_uid)
		return false;
	if (set & FUSE_SET_ATTR_GID && st->st_gid != want->st_gid)
		return false;
	if (set & FUSE_SET_ATTR_MTIME_NOW && !folder)
		return false;
	return !(set & FUSE_SET_ATTR_MTIME) || folder || st->st_mtim.tv_sec == want->st_mtim.tv_sec;
}

/* Cut or lengthen what is being written. */
static int resize(struct op *op, struct writing *w, off_t size, int *r)
{
	if (!w)
		return refuse(op, EPERM, NULL,
			"a chunk cannot be cut: move it to trash/<world>/<dimension> to prune it");
	if ((uint64_t)size > WRITING_MAX)
		return EFBIG;
	pthread_mutex_lock(&w->m);
	if ((size_t)size > w->data.len)
		*r = buf_add_zero(&w->data, (size_t)size - w->data.len, &op->cl.e);
	else
		w->data.len = (size_t)size;
	if (*r == 0)
		w->dirty = size > 0;
	pthread_mutex_unlock(&w->m);
	return 0;
}

static int set_attributes(struct op *op, const struct target *t, struct writing *w,
	const struct stat *want, int set, struct stat *st, int *r)
{
	bool folder = t->place == PLACE_REGION;
	double ttl;
	int sys = 0;
	if (t->place != PLACE_CHUNK && !folder)
		return refuse_at(op, NULL, attributes);
	if (set & FUSE_SET_ATTR_SIZE)
		sys = folder ? EISDIR : resize(op, w, want->st_size, r);
	if (sys || *r < 0)
		return sys;
	/* The times of what was written are known when it is in the world. */
	if (set & ~FUSE_SET_ATTR_SIZE)
		*r = settle(op, w);
	if (*r < 0)
		return 0;
	*r = op->view->getattr(&op->cl, op->n, st, &ttl);
	change_attr(op, r, st);
	if (*r == 0 && !is_so(st, want, set, folder))
		return refuse(op, EPERM, NULL, attributes);
	return 0;
}

void change_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *want, int set,
	struct fuse_file_info *fi)
{
	struct op op;
	struct stat st;
	CLEANUP_TARGET struct target t = {0};
	int sys = 0;
	(void)fi;
	if (!op_begin(&op, req, ino))
		return;
	struct writing *w = writing_find(op.fs->writings, ino);
	int r = target_of(&op.cl, op.n, &t);
	if (r == 0)
		sys = set_attributes(&op, &t, w, want, set, &st, &r);
	int told = op_close(&op, r);
	writing_close(op.fs->writings, w);
	if (sys || told)
		fuse_reply_err(req, sys ? sys : r == E_NOTFOUND ? ESTALE : told);
	else
		fuse_reply_attr(req, &st, TTL_LIVE);
	op_end(&op);
}

static bool has_xattr(struct op *op, const char *name, struct span value)
{
	CLEANUP_BUF struct buf list = BUF_INIT;
	struct span k, v;
	if (!op->view->xattrs || op->view->xattrs(&op->cl, op->n, &list) < 0)
		return false;
	struct rd rd = rd_of(buf_span(&list));
	while (xattrs_next(&rd, &k, &v))
		if (k.n == strlen(name) && memcmp(k.p, name, k.n) == 0)
			return v.n == value.n && (!v.n || memcmp(v.p, value.p, v.n) == 0);
	return false;
}

void change_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags)
{
	struct op op;
	CLEANUP_TARGET struct target t = {0};
	int sys = 0;
	(void)flags;
	if (!op_begin(&op, req, ino))
		return;
	struct writing *w = writing_find(op.fs->writings, ino);
	int r = target_of(&op.cl, op.n, &t);
	if (r == 0 && t.place == PLACE_CHUNK)
		r = settle(&op, w);
	bool here = t.place == PLACE_CHUNK || t.place == PLACE_REGION;
	/* No ACLs here: cp -p then goes on to set the mode. */
	if (r == 0 && here && strncmp(name, "system.posix_acl_", 17) == 0)
		sys = EOPNOTSUPP;
	else if (r == 0 && !(here && has_xattr(&op, name, span_of(value, size))))
		sys = refuse_at(&op, NULL, "a chunk's attributes are what its NBT says");
	int told = op_close(&op, r);
	writing_close(op.fs->writings, w);
	fuse_reply_err(req, sys ? sys : told);
	op_end(&op);
}
