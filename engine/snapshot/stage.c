#include "engine/snapshot/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "engine/anvil/region.h"
#include "engine/base/cleanup.h"
#include "engine/snapshot/dirnames.h"
#include "engine/snapshot/sources.h"
#include "engine/snapshot/tree.h"
#include "engine/snapshot/xattrs.h"

struct node {
	uint64_t at; /* inode in the copy */
	uint64_t ino, dev, rdev, size;
	int64_t mtime, ctime;
	uint32_t mtime_ns, ctime_ns, mode, uid, gid, nlink;
	uint32_t xattrs, n_xattrs; /* in the stage's buffer */
	bool skipped;
};

struct stage {
	char *path; /* of the source */
	char *name; /* of its directory in the place */
	int place, fd;
	dev_t dev; /* of the source */
	struct timespec begin;
	struct node *nodes; /* by `at`, when all are there */
	size_t n;
	struct buf xattrs;
};

struct stages {
	struct stage *v;
	size_t n;
	uint64_t files, bytes;
};

/* What is under way. */
struct taking {
	const struct stage_options *opt;
	struct stages *all;
	struct stage *s;
	struct buf path; /* of the source's entry, NUL-terminated */
	unsigned depth;
};

/* ---- removal ---- */

/* Everything in a directory of ours. */
static int empty_dir(int fd, struct err *e)
{
	struct dirnames names = {0};
	int r;
	do {
		r = dirnames_next(&names, fd, "a copy", e);
		for (size_t i = 0; i < names.n && r == 0; i++) {
			const char *name = dirnames_at(&names, i);
			if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
				continue;
			if (errno != EISDIR && errno != EPERM) {
				r = err_set(e, E_IO, errno, "remove '%s' from a copy", name);
				continue;
			}
			CLEANUP_FD int sub = openat(fd, name,
				O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (sub < 0)
				r = err_set(e, E_IO, errno, "open '%s' in a copy", name);
			else
				r = empty_dir(sub, e);
			if (r == 0 && unlinkat(fd, name, AT_REMOVEDIR) < 0)
				r = err_set(e, E_IO, errno, "remove '%s' from a copy", name);
		}
	} while (r == 0 && names.n);
	dirnames_free(&names);
	return r;
}

static int remove_stage(int place, const char *name, int fd, struct err *e)
{
	int r = empty_dir(fd, e);
	if (r == 0 && unlinkat(place, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = err_set(e, E_IO, errno, "remove '%s'", name);
	return r;
}

int stages_drop(struct stages *s, struct err *e)
{
	int r = 0;
	for (size_t i = 0; s && i < s->n; i++) {
		struct stage *st = &s->v[i];
		struct err own = ERR_INIT;
		if (st->fd >= 0 && remove_stage(st->place, st->name, st->fd, &own) < 0 && r == 0) {
			r = own.code;
			err_pass(e, &own);
		}
		if (st->fd >= 0)
			close(st->fd);
		if (st->place >= 0)
			close(st->place);
		free(st->path);
		free(st->name);
		free(st->nodes);
		buf_free(&st->xattrs);
	}
	if (s)
		free(s->v);
	free(s);
	return r;
}

/* ---- where ---- */

static char *stage_name(const char *path)
{
	uint64_t h = 0xcbf29ce484222325u;
	char *name = NULL;
	for (const char *p = path; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3u;
	const char *slash = strrchr(path, '/');
	if (asprintf(&name, ".mcfs-staging.%.80s-%016llx", slash ? slash + 1 : path,
		    (unsigned long long)h) < 0)
		return NULL;
	return name;
}

/* The directory that the copy of a source goes into; "" for the root of the file system, which is beside
 * nothing. */
static char *place_of(const struct stage_options *opt, const char *real)
{
	if (opt->place)
		return realpath(opt->place, NULL);
	char *place = strdup(real);
	char *slash = place ? strrchr(place, '/') : NULL;
	if (slash)
		slash[slash == place && real[1] ? 1 : 0] = 0;
	return place;
}

/* Another's directory of that name, or a link, is left alone. */
static int open_ours(int place, const char *name, int *ret, struct err *e)
{
	struct stat st;
	CLEANUP_FD int fd = openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno == ENOENT ? E_NOTFOUND : E_IO, errno, "open '%s'", name);
	if (fstat(fd, &st) < 0)
		return err_set(e, E_IO, errno, "stat '%s'", name);
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		return err_set(e, E_IO, 0, "'%s' is somebody else's", name);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, errno == EWOULDBLOCK ? E_LOCKED : E_IO, errno, "lock '%s'", name);
	*ret = take_fd(&fd);
	return 0;
}

/* A place within a source would be copied into itself, and be part of what is backed up. */
static int check_apart(const struct stage_options *opt, const char *place, struct err *e)
{
	for (size_t i = 0; i < opt->n_paths; i++) {
		CLEANUP_FREE char *real = realpath(opt->paths[i], NULL);
		size_t n = real ? strlen(real) : 0;
		if (n && (n == 1 || (strncmp(place, real, n) == 0 && (place[n] == '/' || !place[n]))))
			return err_set(e, E_USAGE, 0, "the copy would lie within the source '%s'", real);
	}
	return 0;
}

static int open_place(struct stage *s, const char *place, struct err *e)
{
	s->place = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->place < 0)
		return err_set(e, E_IO, errno, "open '%s'", place);
	bool made = mkdirat(s->place, s->name, 0700) == 0;
	if (!made && errno != EEXIST)
		return err_set(e, E_IO, errno, "make '%s/%s'", place, s->name);
	int r = open_ours(s->place, s->name, &s->fd, e);
	return r < 0 || made ? r : empty_dir(s->fd, e);
}

int stages_sweep(const struct stage_options *opt, struct err *e)
{
	struct snapshot_source *v;
	size_t n;
	int r = sources_resolve(opt->paths, opt->n_paths, &v, &n, e);
	for (size_t i = 0; i < n; i++) {
		CLEANUP_FREE char *real = realpath(v[i].path, NULL);
		CLEANUP_FREE char *place = real ? place_of(opt, real) : NULL;
		CLEANUP_FREE char *name = stage_name(v[i].path);
		CLEANUP_FD int dir = place && name ? open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
		CLEANUP_FD int fd = -1;
		if (r == 0 && dir >= 0 && open_ours(dir, name, &fd, NULL) == 0)
			r = remove_stage(dir, name, fd, e);
	}
	for (size_t i = 0; i < n; i++) {
		free(v[i].path);
		free(v[i].name);
	}
	free(v);
	return r;
}

/* ---- copying ---- */

static const char *path_of(const struct taking *t)
{
	return (const char *)t->path.p;
}

static int node_add(struct taking *t, int from, const char *name, const struct stat *st, uint64_t at,
	bool skipped, struct err *e)
{
	struct stage *s = t->s;
	char proc[300];
	if ((s->n & (s->n - 1)) == 0) {
		struct node *v = realloc(s->nodes, (s->n ? 2 * s->n : 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a copy's list");
		s->nodes = v;
	}
	size_t mark = s->xattrs.len;
	snprintf(proc, sizeof proc, "/proc/self/fd/%d/%s", from, name);
	int r = xattrs_read(proc, &s->xattrs, e);
	if (r < 0)
		return r;
	if (s->xattrs.len > UINT32_MAX)
		return err_set(e, E_UNSUPPORTED, 0, "there are too many attributes");
	s->nodes[s->n++] = (struct node){.at = at, .ino = st->st_ino, .dev = st->st_dev,
		.rdev = st->st_rdev, .size = (uint64_t)st->st_size, .mtime = st->st_mtim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec, .ctime = st->st_ctim.tv_sec,
		.ctime_ns = (uint32_t)st->st_ctim.tv_nsec, .mode = st->st_mode, .uid = st->st_uid,
		.gid = st->st_gid, .nlink = (uint32_t)st->st_nlink, .xattrs = (uint32_t)mark,
		.n_xattrs = (uint32_t)(s->xattrs.len - mark), .skipped = skipped};
	return 0;
}

static bool cannot_clone(int code)
{
	return code == EOPNOTSUPP || code == EXDEV || code == ENOTTY || code == EINVAL ||
	       code == ENOSYS || code == ETXTBSY;
}

/* The times are those from before, the bytes those of one moment after: a change in between shows as a change to
 * the next run. */
static int copy_file(struct taking *t, int from, const char *name, int to, const char *as,
	struct stat *st, struct stat *at, struct err *e)
{
	CLEANUP_FD int in = openat(from, name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME);
	if (in < 0 && errno == EPERM)
		in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (in < 0)
		return err_set(e, errno == ENOENT ? E_NOTFOUND : E_IO, errno, "open '%s'", path_of(t));
	if (fstat(in, st) < 0)
		return err_set(e, E_IO, errno, "stat '%s'", path_of(t));
	if (!S_ISREG(st->st_mode))
		return err_set(e, E_CHANGED, 0, "'%s' was replaced while it was looked at", path_of(t));
	CLEANUP_FD int out = openat(to, as, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return err_set(e, E_IO, errno, "make the copy of '%s'", path_of(t));
	if (ioctl(out, FICLONE, in) < 0)
		return err_set(e, cannot_clone(errno) ? E_UNSUPPORTED : E_IO, errno, "clone '%s'",
			path_of(t));
	if (fstat(out, at) < 0)
		return err_set(e, E_IO, errno, "stat the copy of '%s'", path_of(t));
	st->st_size = at->st_size;
	t->all->files++;
	t->all->bytes += (uint64_t)at->st_size;
	return 0;
}

/* An empty file: it stands for a special file, or for a name that the filter leaves out. */
static int put_placeholder(int to, const char *as, struct err *e)
{
	CLEANUP_FD int fd = openat(to, as, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd < 0 ? err_set(e, E_IO, errno, "make '%s' in the copy", as) : 0;
}

static int copy_link(struct taking *t, int from, const char *name, int to, const char *as, struct err *e)
{
	char target[4097];
	ssize_t n = readlinkat(from, name, target, sizeof target - 1);
	if (n < 0)
		return err_set(e, errno == ENOENT ? E_NOTFOUND : E_IO, errno, "read the link '%s'",
			path_of(t));
	target[n] = 0;
	return symlinkat(target, to, as) < 0
		       ? err_set(e, E_IO, errno, "make the copy of '%s'", path_of(t)) : 0;
}

static int copy_dir(struct taking *t, int from, const char *name, int to, const char *as, bool *skipped,
	struct err *e);

/* The path is pushed. A name that went meanwhile is none. */
static int copy_entry(struct taking *t, int from, const char *name, int to, const char *as, struct err *e)
{
	struct stat st, at;
	bool skipped = false;
	struct err own = ERR_INIT;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_set(e, E_IO, errno, "stat '%s'", path_of(t));
	if (st.st_dev != t->s->dev)
		return err_set(e, E_UNSUPPORTED, EXDEV, "'%s' is on another file system", path_of(t));
	int r;
	if (S_ISREG(st.st_mode))
		r = copy_file(t, from, name, to, as, &st, &at, &own);
	else if (S_ISDIR(st.st_mode))
		r = copy_dir(t, from, name, to, as, &skipped, &own);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(t, from, name, to, as, &own);
	else
		r = put_placeholder(to, as, &own);
	if (r == E_NOTFOUND)
		return 0;
	if (r == 0 && fstatat(to, as, &at, AT_SYMLINK_NOFOLLOW) < 0)
		r = err_set(&own, E_IO, errno, "stat the copy of '%s'", path_of(t));
	if (r == 0)
		r = node_add(t, from, name, &st, at.st_ino, skipped, &own);
	return r < 0 ? err_pass(e, &own) : r;
}

static int path_push(struct taking *t, const char *name, size_t *ret_mark, struct err *e)
{
	*ret_mark = t->path.len;
	int r = buf_reserve(&t->path, strlen(name) + 2, e);
	if (r < 0)
		return r;
	if (t->path.len && t->path.p[t->path.len - 1] != '/')
		t->path.p[t->path.len++] = '/';
	memcpy(t->path.p + t->path.len, name, strlen(name) + 1);
	t->path.len += strlen(name);
	return 0;
}

static void path_pop(struct taking *t, size_t mark)
{
	t->path.len = mark;
	t->path.p[mark] = 0;
}

static int copy_name(struct taking *t, int from, const char *name, int to, struct err *e)
{
	size_t mark;
	if (t->opt->cancel && *t->opt->cancel)
		return err_set(e, E_CANCELLED, 0, "interrupted");
	int r = path_push(t, name, &mark, e);
	if (r < 0)
		return r;
	r = filter_excludes(t->opt->filter, path_of(t)) ? put_placeholder(to, name, e)
							: copy_entry(t, from, name, to, name, e);
	path_pop(t, mark);
	return r;
}

/* The .mcc files come before the region files, by name. One that was written anew after its copy was taken may be
 * another than the one that the copied region file means. The nodes are in the order of the names. */
static int check_external(struct taking *t, int from, const char *name, size_t *k, struct err *e)
{
	struct stat st;
	size_t mark;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* what took its place is in the region file */
	int r = path_push(t, name, &mark, e);
	if (r < 0)
		return r;
	if (!filter_excludes(t->opt->filter, path_of(t))) {
		const struct node *n = t->s->nodes;
		while (*k < t->s->n && (n[*k].ino != st.st_ino || n[*k].ctime != st.st_ctim.tv_sec ||
					       n[*k].ctime_ns != (uint32_t)st.st_ctim.tv_nsec))
			++*k;
		if (*k == t->s->n)
			r = err_set(e, E_CHANGED, 0, "'%s' changed while it was copied", path_of(t));
	}
	path_pop(t, mark);
	return r;
}

static int check_externals(struct taking *t, int from, size_t first, const struct dirnames *names,
	struct err *e)
{
	int32_t x, z;
	int r = 0;
	for (size_t i = 0; i < names->n && r == 0; i++)
		if (region_parse_external_name(dirnames_at(names, i), &x, &z))
			r = check_external(t, from, dirnames_at(names, i), &first, e);
	return r;
}

static int copy_names(struct taking *t, int in, int out, struct err *e)
{
	struct dirnames names = {0};
	int r;
	do {
		size_t first = t->s->n;
		r = dirnames_next(&names, in, path_of(t), e);
		for (size_t i = 0; i < names.n && r == 0; i++)
			r = copy_name(t, in, dirnames_at(&names, i), out, e);
		if (r == 0)
			r = check_externals(t, in, first, &names, e);
	} while (r == 0 && names.n);
	dirnames_free(&names);
	return r;
}

static int copy_dir(struct taking *t, int from, const char *name, int to, const char *as, bool *skipped,
	struct err *e)
{
	CLEANUP_FD int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		return err_set(e, errno == ENOENT ? E_NOTFOUND : E_IO, errno, "open '%s'", path_of(t));
	if (t->depth == TREE_DEPTH_MAX)
		return err_set(e, E_UNSUPPORTED, 0, "'%s' is nested too deep", path_of(t));
	if (mkdirat(to, as, 0700) < 0)
		return err_set(e, E_IO, errno, "make the copy of '%s'", path_of(t));
	*skipped = filter_skips_contents(t->opt->filter, in);
	if (*skipped)
		return 0;
	CLEANUP_FD int out = openat(to, as, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0)
		return err_set(e, E_IO, errno, "open the copy of '%s'", path_of(t));
	t->depth++;
	int r = copy_names(t, in, out, e);
	t->depth--;
	return r;
}

static int by_at(const void *a, const void *b)
{
	uint64_t x = ((const struct node *)a)->at, y = ((const struct node *)b)->at;
	return (x > y) - (x < y);
}

static int copy_source(struct taking *t, const char *real, struct err *e)
{
	struct stat st;
	struct stage *s = t->s;
	CLEANUP_FREE char *place = place_of(t->opt, real), *parent = strdup(real);
	if (!parent)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	if (!place || !*place)
		return err_set(e, E_UNSUPPORTED, place ? 0 : errno, "no place for the copy of '%s'", real);
	int r = check_apart(t->opt, place, e);
	if (r < 0)
		return r;
	if (lstat(real, &st) < 0)
		return err_set(e, E_IO, errno, "stat '%s'", real);
	s->dev = st.st_dev;
	r = open_place(s, place, e);
	if (r < 0)
		return r;
	char *slash = strrchr(parent, '/');
	*slash = 0;
	CLEANUP_FD int from = open(slash == parent ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return err_set(e, E_IO, errno, "open '%s'", parent);
	clock_gettime(CLOCK_REALTIME, &s->begin);
	t->path.len = 0;
	r = buf_add(&t->path, s->path, strlen(s->path) + 1, e);
	if (r < 0)
		return r;
	t->path.len--;
	r = copy_entry(t, from, slash + 1, s->fd, STAGE_ROOT, e);
	if (r == 0 && s->n)
		qsort(s->nodes, s->n, sizeof *s->nodes, by_at);
	return r;
}

int stages_take(struct stages **ret, const struct stage_options *opt, struct err *e)
{
	struct snapshot_source *v;
	struct taking t = {.opt = opt, .path = BUF_INIT};
	size_t n;
	struct stages *all = t.all = calloc(1, sizeof *all);
	int r = sources_resolve(opt->paths, opt->n_paths, &v, &n, e);
	if (r == 0 && (!all || !(all->v = calloc(n + 1, sizeof *all->v))))
		r = err_set(e, E_NOMEM, 0, "no memory for a copy");
	for (size_t i = 0; i < n && r == 0; i++) {
		CLEANUP_FREE char *real = realpath(v[i].path, NULL);
		if (!real)
			continue;
		t.s = &all->v[all->n++];
		*t.s = (struct stage){.path = strdup(v[i].path), .name = stage_name(v[i].path),
			.place = -1, .fd = -1, .xattrs = BUF_INIT};
		r = t.s->path && t.s->name ? copy_source(&t, real, e)
					   : err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	for (size_t i = 0; i < n; i++) {
		free(v[i].path);
		free(v[i].name);
	}
	free(v);
	buf_free(&t.path);
	if (r < 0)
		(void)!stages_drop(all, NULL); /* what stays the next sweep takes */
	else
		*ret = all;
	return r;
}

/* ---- looking ---- */

uint64_t stages_files(const struct stages *s)
{
	return s->files;
}

uint64_t stages_bytes(const struct stages *s)
{
	return s->bytes;
}

const struct stage *stages_find(const struct stages *s, const char *path)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (strcmp(s->v[i].path, path) == 0)
			return &s->v[i];
	return NULL;
}

int stage_fd(const struct stage *st)
{
	return st->fd;
}

struct timespec stage_time(const struct stage *st)
{
	return st->begin;
}

bool stage_look(const struct stage *st, const struct stat *at, struct staged *ret)
{
	struct node key = {.at = at->st_ino};
	const struct node *n = st->n ? bsearch(&key, st->nodes, st->n, sizeof key, by_at) : NULL;
	if (!n)
		return false;
	*ret = (struct staged){.st = {.st_ino = n->ino, .st_dev = n->dev, .st_rdev = n->rdev,
		.st_size = (off_t)n->size, .st_mode = n->mode, .st_uid = n->uid, .st_gid = n->gid,
		.st_nlink = n->nlink, .st_mtim = {n->mtime, n->mtime_ns}, .st_ctim = {n->ctime, n->ctime_ns}},
		.xattrs = span_of(st->xattrs.p + n->xattrs, n->n_xattrs), .skipped = n->skipped};
	return true;
}
