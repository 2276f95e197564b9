/* live/<world>/...: the files of the live worlds as they are, read-only, but with chunks that are
 * pruned and not applied yet gone from the region files.
 *
 * A node is one name in one directory: a shelf of its own that keeps the name. Its path is found by
 * going up, and walked part by part without following links, so nothing outside of the world is
 * reached, whatever a server or plugin puts there meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/snapshot/xattrs.h"
#include "fs/handle.h"
#include "fs/keeper.h"
#include "fs/topview.h"

#define DIRS_MAX 256

static struct live_world *world_of(struct call *cl, struct node n)
{
	return live_at(cl->fs->live, n.shelf->key.dim);
}

/* The path below the world's folder; "" is that itself. */
static int path_of(struct call *cl, struct node n, struct buf *out)
{
	const struct shelf *s[DIRS_MAX];
	size_t depth = 0;
	int r = 0;
	for (const struct shelf *at = n.shelf; at->parent; at = at->parent) {
		if (depth == DIRS_MAX)
			return err_set(&cl->e, E_UNSUPPORTED, 0, "too many directories deep");
		s[depth++] = at;
	}
	while (depth-- && r == 0) {
		if (out->len)
			r = buf_add(out, "/", 1, &cl->e);
		if (r == 0)
			r = buf_add(out, s[depth]->name, strlen(s[depth]->name), &cl->e);
	}
	return r < 0 ? r : buf_add(out, "", 1, &cl->e);
}

/* The directory that a node is in (O_PATH) and its name there; "." for a world's folder. */
static int open_parent(struct call *cl, struct node n, int *ret, const char **ret_name)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	*ret_name = n.shelf->parent ? n.shelf->name : ".";
	int r = path_of(cl, n, &path);
	if (r < 0)
		return r;
	char *slash = strrchr((char *)path.p, '/');
	*(slash ? slash : (char *)path.p) = 0;
	return live_dir(world_of(cl, n), (char *)path.p, ret, &cl->e);
}

static int open_self(struct call *cl, struct node n, int *ret)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	int r = path_of(cl, n, &path);
	return r < 0 ? r : live_dir(world_of(cl, n), (char *)path.p, ret, &cl->e);
}

static int fail(struct call *cl, struct node n)
{
	return err_set(&cl->e, E_IO, errno, "'%s'", n.shelf->name);
}

/* ---- attributes ---- */

/* The kernel wants inode numbers that are unique in the mount: those of several disks are mixed. */
static void fix_stat(struct call *cl, struct stat *st)
{
	uint64_t dev = (uint64_t)st->st_dev, ino = (uint64_t)st->st_ino;
	st->st_ino = ino_of(cl->fs, NULL, 'L', dev, ino, span_of("", 0));
}

static int stat_at(struct call *cl, int dir, const char *name, struct stat *st)
{
	if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(&cl->e, E_IO, errno, "'%s'", name);
	fix_stat(cl, st);
	return 0;
}

static int getattr(struct call *cl, struct node n, struct stat *st, double *ttl)
{
	CLEANUP_FD int dir = -1;
	const char *name;
	*ttl = TTL_LIVE;
	if (is_top(n))
		return top_view.getattr(cl, n, st, ttl);
	if (cl->h && cl->h->fd >= 0) {
		if (fstat(cl->h->fd, st) < 0)
			return fail(cl, n);
		fix_stat(cl, st);
		return 0;
	}
	int r = open_parent(cl, n, &dir, &name);
	return r < 0 ? r : stat_at(cl, dir, name, st);
}

/* ---- children ---- */

static int give(struct call *cl, struct node dir, uint32_t world, int fd, struct span name,
	struct found *ret)
{
	struct shelf_key key = {.kind = SHELF_LIVE, .dim = world, .dir = id_of(dir)};
	bool top = is_top(dir);
	char text[256];
	*ret = (struct found){.ttl = TTL_LIVE};
	if (name.n >= sizeof text)
		return err_set(&cl->e, E_NOTFOUND, 0, "no such file");
	memcpy(text, name.p, name.n);
	text[name.n] = 0;
	int r = stat_at(cl, fd, top ? "." : text, &ret->st);
	if (r < 0)
		return r;
	name_of(cl->fs->keys, 0xf4, name, &key.leaf);
	ret->node.shelf = nodes_get_named(cl->fs->nodes, &key, 0, top ? NULL : dir.shelf, name);
	return ret->node.shelf ? 0 : err_set(&cl->e, E_NOMEM, 0, "no memory for inode numbers");
}

static int lookup(struct call *cl, struct node n, struct span name, struct found *ret)
{
	CLEANUP_FD int fd = -1;
	ret->ttl = 0;
	if (is_top(n)) {
		struct live_world *w = live_named(cl->fs->live, name);
		return w ? give(cl, n, w->number, w->dirfd, name, ret)
			 : err_set(&cl->e, E_NOTFOUND, 0, "no such world");
	}
	int r = open_self(cl, n, &fd);
	return r < 0 ? r : give(cl, n, n.shelf->key.dim, fd, name, ret);
}

/* ---- listing: the names as they were when the directory was opened ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sort names that stand one behind the other. */
static int sort_names(struct call *cl, struct buf *b)
{
	size_t n = 0, i = 0;
	for (size_t at = 0; at < b->len; at += strlen((char *)b->p + at) + 1)
		n++;
	const char **v = calloc(n + 1, sizeof *v);
	CLEANUP_BUF struct buf sorted = BUF_INIT;
	int r = v ? 0 : err_set(&cl->e, E_NOMEM, 0, "no memory to list a directory");
	for (size_t at = 0; v && at < b->len; at += strlen((char *)b->p + at) + 1)
		v[i++] = (char *)b->p + at;
	if (n && v)
		qsort(v, n, sizeof *v, by_name);
	for (i = 0; i < n && r == 0; i++)
		r = buf_add(&sorted, v[i], strlen(v[i]) + 1, &cl->e);
	free(v);
	if (r == 0) {
		buf_free(b);
		*b = take_buf(&sorted);
	}
	return r;
}

static int read_names(struct call *cl, struct node n, struct piece **ret)
{
	CLEANUP_FD int at = -1;
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = open_self(cl, n, &at);
	if (r < 0)
		return r;
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		r = fail(cl, n);
		if (fd >= 0)
			close(fd);
		return r;
	}
	errno = 0;
	for (struct dirent *de; (de = readdir(d)) && r == 0; errno = 0)
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			r = buf_add(&b, de->d_name, strlen(de->d_name) + 1, &cl->e);
	if (r == 0 && errno)
		r = fail(cl, n);
	if (r == 0)
		r = sort_names(cl, &b);
	if (r == 0 && !(*ret = piece_of(&b)))
		r = err_set(&cl->e, E_NOMEM, 0, "no memory to list a directory");
	return r;
}

static int list_worlds(struct call *cl, struct node n, uint64_t off, list_fn fn, void *ctx)
{
	for (uint64_t i = off; i < live_count(cl->fs->live); i++) {
		struct live_world *w = live_at(cl->fs->live, (unsigned)i);
		struct span name = span_of(w->name, strlen(w->name));
		struct found f;
		int r = give(cl, n, w->number, w->dirfd, name, &f);
		if (r < 0)
			return r;
		if (!fn(ctx, name, &f, i + 1)) {
			nodes_put(cl->fs->nodes, f.node.shelf, 1);
			break;
		}
	}
	return 0;
}

static int list(struct call *cl, struct node n, uint64_t off, list_fn fn, void *ctx)
{
	CLEANUP_PIECE struct piece *names = NULL;
	CLEANUP_FD int fd = -1;
	if (is_top(n))
		return list_worlds(cl, n, off, fn, ctx);
	int r = 0;
	if (cl->h && cl->h->names)
		names = piece_ref(cl->h->names);
	else
		r = read_names(cl, n, &names);
	if (r == 0)
		r = open_self(cl, n, &fd);
	/* Offsets are those of the names in what was read. */
	for (size_t at = (size_t)off; r == 0 && at < names->data.n;) {
		const char *text = (const char *)names->data.p + at;
		struct span name = span_of(text, strlen(text));
		struct found f;
		at += name.n + 1;
		r = give(cl, n, n.shelf->key.dim, fd, name, &f);
		if (r == E_NOTFOUND) { /* gone meanwhile */
			r = 0;
			continue;
		}
		if (r == 0 && !fn(ctx, name, &f, at)) {
			nodes_put(cl->fs->nodes, f.node.shelf, 1);
			break;
		}
	}
	return r;
}

/* ---- contents ---- */

static int readlink_(struct call *cl, struct node n, struct buf *out)
{
	CLEANUP_FD int dir = -1;
	const char *name;
	char text[4096];
	int r = open_parent(cl, n, &dir, &name);
	if (r < 0)
		return r;
	ssize_t len = readlinkat(dir, name, text, sizeof text);
	return len < 0 ? fail(cl, n) : buf_add(out, text, (size_t)len, &cl->e);
}

/* Of the world's own files only regular ones are ever opened: a FIFO would keep us waiting. */
static int open_file(struct call *cl, struct node n, int *ret)
{
	CLEANUP_FD int dir = -1;
	const char *name;
	struct stat st;
	int r = open_parent(cl, n, &dir, &name);
	if (r < 0)
		return r;
	CLEANUP_FD int fd = openat(dir, name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(cl, n);
	if (!S_ISREG(st.st_mode))
		return err_set(&cl->e, E_UNSUPPORTED, 0, "'%s' is no regular file", name);
	*ret = take_fd(&fd);
	return 0;
}

static int open_(struct call *cl, struct node n, struct handle *h)
{
	struct stat st;
	double ttl;
	if (is_top(n))
		return 0;
	int r = getattr(cl, n, &st, &ttl);
	if (r < 0)
		return r;
	return S_ISDIR(st.st_mode) ? read_names(cl, n, &h->names) : open_file(cl, n, &h->fd);
}

/* Is the file a region file of a dimension? */
static bool find_region(struct call *cl, struct node n, const struct world_tree *t,
	const struct world_place **ret, int32_t *x, int32_t *z)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct live_world *w = world_of(cl, n);
	if (!n.shelf->name || !region_parse_name(n.shelf->name, x, z) || path_of(cl, n, &path) < 0)
		return false;
	const char *text = (const char *)path.p, *slash = strrchr(text, '/');
	for (size_t i = 0; slash && i < t->worlds.n; i++) {
		const struct world_place *p = &t->place[i];
		size_t len = strlen(p->folder), at = len ? len + 1 : 0;
		for (int k = 0; p->live == w && k < SOURCE_KINDS; k++)
			if ((size_t)(slash - text) == at + strlen(source_kind_name[k]) &&
				strncmp(text, p->folder, len) == 0 && (!len || text[len] == '/') &&
				strncmp(text + at, source_kind_name[k], strlen(source_kind_name[k])) == 0) {
				*ret = p;
				return true;
			}
	}
	return false;
}

/* Chunks that are pruned and only wait for the world to be free are gone from what is read of a
 * region file's header: its first 4096 bytes. */
static int hide_chunks(struct call *cl, struct node n, uint64_t off, struct buf *b)
{
	CLEANUP_WORLD_TREE struct world_tree *t = NULL;
	const struct world_place *p;
	struct trash_overlay over;
	int32_t x, z;
	int r = live_tree(cl, 0, &t);
	if (r < 0 || !find_region(cl, n, t, &p, &x, &z))
		return r;
	r = keeper_overlay(cl->fs->keeper, p->live, p->name, x, z, &over, &cl->e);
	for (uint64_t i = off; r == 0 && over.any && i < off + b->len && i < 4096; i++)
		if (over.hidden[i / 4])
			b->p[i - off] = 0;
	return r;
}

static int read_(struct call *cl, struct node n, uint64_t off, size_t size, struct reading *ret)
{
	CLEANUP_FD int own = -1;
	int fd = cl->h ? cl->h->fd : -1;
	size_t got;
	*ret = (struct reading){0};
	int r = fd < 0 ? open_file(cl, n, &own) : 0;
	if (r == 0)
		r = buf_resize(&ret->own, size, &cl->e);
	if (r == 0)
		r = io_pread(fd < 0 ? own : fd, ret->own.p, size, off, &got, n.shelf->name, &cl->e);
	if (r < 0)
		return r;
	ret->own.len = got;
	ret->data = buf_span(&ret->own);
	return off < 4096 ? hide_chunks(cl, n, off, &ret->own) : 0;
}

static int seek(struct call *cl, struct node n, uint64_t off, bool hole, uint64_t *ret)
{
	CLEANUP_FD int own = -1;
	int fd = cl->h ? cl->h->fd : -1;
	int r = fd < 0 ? open_file(cl, n, &own) : 0;
	if (r < 0)
		return r;
	off_t at = lseek(fd < 0 ? own : fd, (off_t)off, hole ? SEEK_HOLE : SEEK_DATA);
	if (at >= 0) {
		*ret = (uint64_t)at;
		return 0;
	}
	return errno == ENXIO ? 0 : fail(cl, n); /* behind the end: the caller knows the size */
}

/* There are no *at calls for attributes: the path is walked first, so only who changes it at that
 * very moment could lead elsewhere. */
static int xattrs(struct call *cl, struct node n, struct buf *out)
{
	CLEANUP_FD int dir = -1;
	CLEANUP_BUF struct buf path = BUF_INIT;
	CLEANUP_FREE char *whole = NULL;
	const char *name;
	if (is_top(n))
		return 0;
	int r = open_parent(cl, n, &dir, &name);
	if (r == 0)
		r = path_of(cl, n, &path);
	if (r < 0)
		return r;
	if (asprintf(&whole, "%s/%s", world_of(cl, n)->path, (char *)path.p) < 0) {
		whole = NULL;
		return err_set(&cl->e, E_NOMEM, 0, "no memory for a path");
	}
	return xattrs_read(whole, out, &cl->e);
}

static int name(struct call *cl, struct node n, struct buf *out, struct node *ret_parent)
{
	const struct shelf *s = n.shelf;
	if (is_top(n))
		return top_view.name(cl, n, out, ret_parent);
	*ret_parent = s->parent ? (struct node){s->parent, 0} : (struct node){0};
	int r = s->parent ? 0 : buf_add(out, "live/", 5, &cl->e);
	return r < 0 ? r : buf_add(out, s->name, strlen(s->name), &cl->e);
}

const struct view live_view = {
	.getattr = getattr,
	.lookup = lookup,
	.list = list,
	.readlink = readlink_,
	.open = open_,
	.read = read_,
	.seek = seek,
	.xattrs = xattrs,
	.name = name,
};
