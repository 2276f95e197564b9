#include "tests/fault/disk_log.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/support.h"

enum { MAX_OPS = 20000, MAX_NODES = 8000, MAX_NAME = 120, SECTOR = 512, PAGE = 4096 };

enum op_kind { OP_NAME, OP_UNNAME, OP_RENAME, OP_WRITE, OP_SIZE, OP_PUNCH, OP_SYNC };

struct op {
	enum op_kind kind;
	unsigned node;	   /* what gets the name, is written, is synced */
	unsigned dir, dir2; /* where a name is; dir2: where a rename takes it */
	char name[MAX_NAME], name2[MAX_NAME];
	uint64_t off, len; /* len: OP_PUNCH */
	struct buf data;
};

/* Nodes are files and directories as they were made; the file system may use an inode number again. */
static struct {
	pthread_mutex_t m;
	bool on;
	dev_t dev;
	ino_t inode[MAX_NODES]; /* by node; 0 is none, 1 the directory itself */
	bool is_dir[MAX_NODES];
	unsigned n_nodes;
	struct op v[MAX_OPS];
	size_t n, first; /* those before `first` are what was there */
} rec = {.m = PTHREAD_MUTEX_INITIALIZER};

/* ---- recording ---- */

static unsigned node_of(const struct stat *st)
{
	for (unsigned i = rec.n_nodes; st->st_dev == rec.dev && i > 1; i--)
		if (rec.inode[i - 1] == st->st_ino)
			return i - 1;
	return 0;
}

static unsigned add_node(const struct stat *st)
{
	if (rec.n_nodes == MAX_NODES)
		abort();
	rec.inode[rec.n_nodes] = st->st_ino;
	rec.is_dir[rec.n_nodes] = S_ISDIR(st->st_mode);
	return rec.n_nodes++;
}

static struct op *add_op(enum op_kind kind, unsigned node)
{
	if (rec.n == MAX_OPS)
		abort();
	struct op *op = &rec.v[rec.n++];
	*op = (struct op){.kind = kind, .node = node};
	return op;
}

static void set_name(char to[MAX_NAME], const char *name)
{
	if (snprintf(to, MAX_NAME, "%s", name) >= MAX_NAME)
		abort();
}

/* The directory that `path` is in, or 0 when that is none of ours; its last part. */
static unsigned parent_of(int dirfd, const char *path, char name[MAX_NAME])
{
	char dir[4096], base[4096];
	struct stat st;
	snprintf(dir, sizeof dir, "%s", path);
	snprintf(base, sizeof base, "%s", path);
	if (fstatat(dirfd, dirname(dir), &st, 0) < 0)
		return 0;
	unsigned node = node_of(&st);
	if (node)
		set_name(name, basename(base));
	return node;
}

static unsigned fd_node(int fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 ? node_of(&st) : 0;
}

static void log_name(int dirfd, const char *path, bool fresh)
{
	char name[MAX_NAME];
	struct stat st;
	unsigned dir = parent_of(dirfd, path, name);
	if (!dir || fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	struct op *op = add_op(OP_NAME, fresh ? add_node(&st) : node_of(&st));
	op->dir = dir;
	set_name(op->name, name);
}

static void log_write(int fd, const void *p, size_t n, uint64_t off)
{
	unsigned node = fd_node(fd);
	if (!node)
		return;
	struct op *op = add_op(OP_WRITE, node);
	op->off = off;
	if (buf_add(&op->data, p, n, NULL) < 0)
		abort();
}

static void log_tree(const char *path, int fd, unsigned dir)
{
	CLEANUP_DIR DIR *d = fdopendir(fd);
	for (struct dirent *de; d && (de = readdir(d));) {
		CLEANUP_FREE char *below_it = NULL;
		struct stat st;
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (asprintf(&below_it, "%s/%s", path, de->d_name) < 0 || lstat(below_it, &st) < 0)
			abort();
		struct op *op = add_op(OP_NAME, add_node(&st));
		unsigned node = op->node;
		op->dir = dir;
		set_name(op->name, de->d_name);
		if (S_ISDIR(st.st_mode))
			log_tree(below_it, open(below_it, O_RDONLY | O_DIRECTORY | O_CLOEXEC), node);
		else
			read_file(below_it, &add_op(OP_WRITE, node)->data);
	}
}

void disk_log_begin(const char *dir)
{
	struct stat st;
	if (stat(dir, &st) < 0)
		abort();
	for (size_t i = 0; i < rec.n; i++)
		buf_free(&rec.v[i].data);
	rec.n = 0;
	rec.n_nodes = 1;
	rec.dev = st.st_dev;
	log_tree(dir, open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), add_node(&st));
	rec.first = rec.n;
	rec.on = true;
}

void disk_log_end(void)
{
	rec.on = false;
}

size_t disk_log_count(void)
{
	return rec.n - rec.first;
}

bool disk_log_is_sync(size_t n)
{
	return rec.v[rec.first + n].kind == OP_SYNC;
}

/* ---- the calls ---- */

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
/* Do the call; when it succeeded on behalf of the log, note it. One at a time, so that the log has their order. */
#define RECORDED(call, note)                                                                       \
	do {                                                                                       \
		if (!rec.on)                                                                       \
			return call;                                                               \
		pthread_mutex_lock(&rec.m);                                                        \
		__typeof__(call) r_ = call;                                                        \
		int errno_ = errno;                                                                \
		if (r_ >= 0) {                                                                     \
			note;                                                                      \
		}                                                                                  \
		pthread_mutex_unlock(&rec.m);                                                      \
		errno = errno_;                                                                    \
		return r_;                                                                         \
	} while (0)

int openat(int dirfd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	struct stat st;
	if (flags & (O_CREAT | O_TMPFILE)) {
		va_list ap;
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (!(flags & O_CREAT))
		return REAL(openat)(dirfd, path, flags, mode);
	bool fresh = fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0;
	RECORDED(REAL(openat)(dirfd, path, flags, mode), if (fresh) log_name(dirfd, path, true));
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	if (flags & (O_CREAT | O_TMPFILE)) {
		va_list ap;
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return openat(AT_FDCWD, path, flags, mode);
}

int mkdirat(int dirfd, const char *path, mode_t mode)
{
	RECORDED(REAL(mkdirat)(dirfd, path, mode), log_name(dirfd, path, true));
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	RECORDED(REAL(pwrite)(fd, p, n, off), log_write(fd, p, (size_t)r_, (uint64_t)off));
}

ssize_t write(int fd, const void *p, size_t n)
{
	RECORDED(REAL(write)(fd, p, n),
		log_write(fd, p, (size_t)r_, (uint64_t)lseek(fd, 0, SEEK_CUR) - (uint64_t)r_));
}

static void log_size(int fd, off_t n)
{
	unsigned node = fd_node(fd);
	if (node)
		add_op(OP_SIZE, node)->off = (uint64_t)n;
}

int ftruncate(int fd, off_t n)
{
	RECORDED(REAL(ftruncate)(fd, n), log_size(fd, n));
}

static void log_punch(int fd, int mode, off_t off, off_t len)
{
	unsigned node = fd_node(fd);
	if (!node)
		return;
	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		abort();
	struct op *op = add_op(OP_PUNCH, node);
	op->off = (uint64_t)off;
	op->len = (uint64_t)len;
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	RECORDED(REAL(fallocate)(fd, mode, off, len), log_punch(fd, mode, off, len));
}

static void log_sync(int fd)
{
	unsigned node = fd_node(fd);
	if (node)
		add_op(OP_SYNC, node);
}

int fsync(int fd)
{
	RECORDED(REAL(fsync)(fd), log_sync(fd));
}

int fdatasync(int fd)
{
	RECORDED(REAL(fdatasync)(fd), log_sync(fd));
}

int linkat(int from, const char *a, int to, const char *b, int flags)
{
	RECORDED(REAL(linkat)(from, a, to, b, flags), log_name(to, b, false));
}

static void log_unname(int dirfd, const char *path)
{
	char name[MAX_NAME];
	unsigned dir = parent_of(dirfd, path, name);
	if (!dir)
		return;
	struct op *op = add_op(OP_UNNAME, 0);
	op->dir = dir;
	set_name(op->name, name);
}

int unlinkat(int dirfd, const char *path, int flags)
{
	RECORDED(REAL(unlinkat)(dirfd, path, flags), log_unname(dirfd, path));
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

static void log_rename(int from, const char *a, int to, const char *b)
{
	char name[MAX_NAME], name2[MAX_NAME];
	struct stat st;
	unsigned dir = parent_of(from, a, name), dir2 = parent_of(to, b, name2);
	if (!dir || !dir2 || fstatat(to, b, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	struct op *op = add_op(OP_RENAME, node_of(&st));
	op->dir = dir;
	op->dir2 = dir2;
	set_name(op->name, name);
	set_name(op->name2, name2);
}

int renameat2(int from, const char *a, int to, const char *b, unsigned flags)
{
	RECORDED(REAL(renameat2)(from, a, to, b, flags), log_rename(from, a, to, b));
}

int renameat(int from, const char *a, int to, const char *b)
{
	return renameat2(from, a, to, b, 0);
}

/* ---- what is left ---- */

struct entry {
	unsigned dir, node; /* dir 0: none */
	const char *name;
};

struct image {
	struct entry v[MAX_OPS];
	size_t n;
	struct buf data[MAX_NODES];
};

static void put_entry(struct image *im, unsigned dir, const char *name, unsigned node)
{
	for (size_t i = 0; i < im->n; i++)
		if (im->v[i].dir == dir && strcmp(im->v[i].name, name) == 0)
			im->v[i].dir = 0;
	if (node)
		im->v[im->n++] = (struct entry){dir, node, name};
}

static void put_data(struct image *im, const struct op *op, size_t from, size_t to)
{
	struct buf *b = &im->data[op->node];
	if (from == to)
		return;
	if (op->off + to > b->len)
		OK(buf_add_zero(b, op->off + to - b->len, e));
	memcpy(b->p + op->off + from, op->data.p + from, to - from);
}

/* Some sectors of a write, as they lie in the file. */
static void put_torn(struct image *im, const struct op *op)
{
	for (size_t from = 0, to; from < op->data.len; from = to) {
		to = from + SECTOR - (op->off + from) % SECTOR;
		if (to > op->data.len)
			to = op->data.len;
		if (below(2))
			put_data(im, op, from, to);
	}
}

/* Of a hole some pages. */
static void put_hole(struct image *im, const struct op *op, bool torn)
{
	struct buf *b = &im->data[op->node];
	for (uint64_t at = op->off; at < op->off + op->len && at < b->len; at += PAGE) {
		size_t n = op->off + op->len - at < PAGE ? (size_t)(op->off + op->len - at) : PAGE;
		if (n > b->len - at)
			n = b->len - (size_t)at;
		if (!torn || below(2))
			memset(b->p + at, 0, n);
	}
}

static void apply(struct image *im, const struct op *op, bool torn)
{
	struct buf *b = &im->data[op->node];
	switch (op->kind) {
	case OP_NAME:
		put_entry(im, op->dir, op->name, op->node);
		break;
	case OP_UNNAME:
		put_entry(im, op->dir, op->name, 0);
		break;
	case OP_RENAME:
		put_entry(im, op->dir, op->name, 0);
		put_entry(im, op->dir2, op->name2, op->node);
		break;
	case OP_WRITE:
		if (torn)
			put_torn(im, op);
		else
			put_data(im, op, 0, op->data.len);
		break;
	case OP_PUNCH:
		put_hole(im, op, torn);
		break;
	case OP_SIZE:
		if (op->off > b->len)
			OK(buf_add_zero(b, op->off - b->len, e));
		b->len = op->off;
		break;
	case OP_SYNC:
		break;
	}
}

/* Where an image goes: objects of a place, or files below a directory. */
struct sink {
	struct object_place *place;
	const char *root;
};

static void put_node(const struct sink *to, const char *key, const struct buf *data)
{
	CLEANUP_FREE char *path = NULL;
	if (to->place) {
		OK(object_put(to->place, key, buf_span(data), true, e));
		return;
	}
	if (asprintf(&path, "%s/%s", to->root, key) < 0)
		abort();
	write_file(path, buf_span(data));
}

static void put_dir(const struct sink *to, const char *key)
{
	CLEANUP_FREE char *path = NULL;
	if (to->place)
		return;
	if (asprintf(&path, "%s/%s", to->root, key) < 0 || mkdir(path, 0700) < 0)
		abort();
}

static void collect(const struct image *im, unsigned dir, const char *path, const struct sink *to)
{
	for (size_t i = 0; i < im->n; i++) {
		const struct entry *x = &im->v[i];
		CLEANUP_FREE char *key = NULL;
		size_t len = x->dir == dir ? strlen(x->name) : 0;
		if (x->dir != dir || (to->place && len > 4 && strcmp(x->name + len - 4, ".tmp") == 0))
			continue;
		if (asprintf(&key, "%s%s%s", path, *path ? "/" : "", x->name) < 0)
			abort();
		if (rec.is_dir[x->node]) {
			put_dir(to, key);
			collect(im, x->node, key, to);
		} else {
			put_node(to, key, &im->data[x->node]);
		}
	}
}

static void make_image(size_t n, enum disk_fate fate, const struct sink *to)
{
	size_t *synced = calloc(rec.n_nodes, sizeof *synced); /* by node: one after its last sync */
	struct image *im = calloc(1, sizeof *im);
	assert_true(synced && im && n <= disk_log_count());
	n += rec.first;
	for (size_t i = 0; i < n; i++)
		if (rec.v[i].kind == OP_SYNC)
			synced[rec.v[i].node] = i + 1;
	for (size_t i = 0; i < n; i++) {
		const struct op *op = &rec.v[i];
		bool is_data = op->kind == OP_WRITE || op->kind == OP_SIZE || op->kind == OP_PUNCH;
		bool sure = i < rec.first || synced[is_data ? op->node : op->dir] > i ||
			    (op->kind == OP_RENAME && synced[op->dir2] > i);
		bool kept = fate == DISK_CHANCE ? below(2) : fate == (is_data ? DISK_DATA : DISK_NAMES);
		if (sure || kept)
			apply(im, op, !sure && fate == DISK_CHANCE && below(4) == 0);
	}
	collect(im, 1, "", to);
	for (unsigned i = 0; i < rec.n_nodes; i++)
		buf_free(&im->data[i]);
	free(im);
	free(synced);
}

void disk_log_image(size_t n, enum disk_fate fate, struct object_place *place)
{
	make_image(n, fate, &(struct sink){.place = place});
}

void disk_log_image_in(size_t n, enum disk_fate fate, const char *dir)
{
	make_image(n, fate, &(struct sink){.root = dir});
}
