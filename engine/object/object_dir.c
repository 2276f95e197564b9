/* Objects as files below a local directory. A writer is a temporary file in "tmp/": commit is
 * fsync, link to the key, unlink of the temporary name, fsync of the directory; what replaces an
 * object is renamed over it instead. What a crash leaves in tmp/ is removed when it is older than a
 * day. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/object/object_dir_internal.h"

#define STALE_SECONDS (24 * 3600)

static bool is_object_name(const char *n)
{
	size_t len = strlen(n);
	return n[0] != '.' && !(len > 4 && strcmp(n + len - 4, ".tmp") == 0);
}

/* Is it a file, and of what size? Most file systems tell the first with the name. 1, 0 or -1 with errno:
 * one that cannot be looked at must not be taken for none. */
static int look(int dirfd, const struct dirent *de, bool sizes, uint64_t *ret)
{
	struct stat st;
	*ret = 0;
	if (!sizes && de->d_type != DT_UNKNOWN)
		return de->d_type == DT_REG;
	if (fstatat(dirfd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -1; /* removed while we listed */
	*ret = (uint64_t)st.st_size;
	return S_ISREG(st.st_mode);
}

static int dir_list(struct object_place *p, const char *dir, bool sizes, object_each fn, void *ctx,
	struct err *e)
{
	int fd = openat(place_of(p)->fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_set(e, E_IO, errno, "open '%s/%s'", place_of(p)->path, dir);
	CLEANUP_DIR DIR *d = fdopendir(fd);
	if (!d) {
		int sys = errno;
		close(fd);
		return err_set(e, E_IO, sys, "open '%s/%s'", place_of(p)->path, dir);
	}
	for (;;) {
		errno = 0;
		struct dirent *de = readdir(d);
		if (!de && errno)
			return err_set(e, E_IO, errno, "list '%s/%s'", place_of(p)->path, dir);
		if (!de)
			return 0;
		uint64_t size;
		int r = is_object_name(de->d_name) ? look(dirfd(d), de, sizes, &size) : 0;
		if (r < 0)
			return err_set(e, E_IO, errno, "look at '%s/%s/%s'", place_of(p)->path, dir,
				de->d_name);
		r = r ? fn(ctx, de->d_name, size, e) : 0;
		if (r)
			return r;
	}
}

static int not_a_file(const char *key, struct err *e)
{
	return err_set(e, E_CORRUPT, 0, "object '%s' is not a regular file", key);
}

static int dir_size(struct object_place *p, const char *key, uint64_t *ret, struct err *e)
{
	struct stat st;
	if (fstatat(place_of(p)->fd, key, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, E_IO, errno, "object '%s'", key);
	if (!S_ISREG(st.st_mode))
		return not_a_file(key, e);
	*ret = (uint64_t)st.st_size;
	return 0;
}

static int dir_read(struct object_place *p, const char *key, uint64_t off, size_t n,
	struct buf *out, struct err *e)
{
	struct stat st;
	/* Not blocking: whoever holds the store may have put a FIFO there. */
	CLEANUP_FD int fd = openat(place_of(p)->fd, key,
		O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_set(e, E_IO, errno, "open object '%s'", key);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return not_a_file(key, e);
	int r = buf_reserve(out, n, e);
	size_t got = 0;
	if (r == 0)
		r = io_pread(fd, out->p + out->len, n, off, &got, key, e);
	out->len += got;
	return r;
}

static int dir_remove_brief(struct object_place *p, const char *key, struct err *e)
{
	if (unlinkat(place_of(p)->fd, key, 0) < 0)
		return err_set(e, E_IO, errno, "remove object '%s'", key);
	return 0;
}

static int dir_remove(struct object_place *p, const char *key, struct err *e)
{
	int r = dir_remove_brief(p, key, e);
	if (r < 0)
		return r;
	/* What is removed stays removed: others count on the order of removals. */
	CLEANUP_FREE char *copy = strdup(key);
	return copy ? io_fsync_dir(place_of(p)->fd, dirname(copy), e)
		    : err_set(e, E_NOMEM, 0, "no memory for a path");
}

int dir_begin(struct object_place *p, struct object_writer **ret, struct err *e)
{
	struct dir_place *d = place_of(p);
	struct dir_writer *w = calloc(1, sizeof *w);
	if (!w)
		return err_set(e, E_NOMEM, 0, "no memory for a writer");
	uint64_t salt;
	if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
		salt = (uint64_t)getpid() << 32 ^ (uint64_t)time(NULL);
	snprintf(w->tmp, sizeof w->tmp, "tmp/%016llx.tmp", (unsigned long long)salt);
	w->base.place = p;
	/* A store that was copied without its empty folders gets this one back. */
	mkdirat(d->fd, "tmp", 0700);
	w->fd = openat(d->fd, w->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (w->fd < 0) {
		int sys = errno;
		free(w);
		return err_set(e, E_IO, sys, "create a file in '%s/tmp'", d->path);
	}
	*ret = &w->base;
	return 0;
}

int dir_append(struct object_writer *ow, struct span s, struct err *e)
{
	struct dir_writer *w = (struct dir_writer *)ow;
	/* By position: after a failure half way nothing is in the wrong place. */
	int r = io_pwrite(w->fd, s.p, s.n, w->size, place_of(ow->place)->path, e);
	if (r == 0)
		w->size += s.n;
	return r;
}

static int dir_read_back(struct object_writer *ow, uint64_t off, size_t n, struct buf *out,
	struct err *e)
{
	struct dir_writer *w = (struct dir_writer *)ow;
	int r = buf_reserve(out, n, e);
	size_t got = 0;
	if (r == 0)
		r = io_pread(w->fd, out->p + out->len, n, off, &got, w->tmp, e);
	out->len += got;
	return r;
}

void dir_abort(struct object_writer *ow)
{
	struct dir_writer *w = (struct dir_writer *)ow;
	if (w->fd >= 0)
		close(w->fd);
	unlinkat(place_of(ow->place)->fd, w->tmp, 0);
	free(w);
}

enum how {
	NEW,
	REPLACE,
	BRIEF /* new, and not durable */
};

/* What is written gets its name. */
static int finish(struct object_writer *ow, const char *key, enum how how, struct err *e)
{
	struct dir_writer *w = (struct dir_writer *)ow;
	struct dir_place *d = place_of(ow->place);
	int r = dir_make_parent(d, key, how != BRIEF, e);
	if (r == 0 && how != BRIEF)
		r = io_sync_close(&w->fd, d->path, e);
	else if (r == 0 && close(take_fd(&w->fd)) < 0) /* others on a network file system see it from here on */
		r = err_set(e, E_IO, errno, "close '%s/%s'", d->path, w->tmp);
	if (r == 0 && how != REPLACE)
		r = io_publish(d->fd, w->tmp, key, e); /* ids are random: they meet nobody */
	else if (r == 0 && renameat(d->fd, w->tmp, d->fd, key) < 0)
		r = err_set(e, E_IO, errno, "replace object '%s'", key);
	if (r == 0 && how != BRIEF) {
		CLEANUP_FREE char *copy = strdup(key);
		r = copy ? io_fsync_dir(d->fd, dirname(copy), e)
			 : err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	dir_abort(ow);
	return r;
}

static int dir_commit(struct object_writer *w, const char *key, struct err *e)
{
	return finish(w, key, NEW, e);
}

static int put(struct object_place *p, const char *key, struct span s, enum how how, struct err *e)
{
	struct object_writer *w;
	int r = dir_begin(p, &w, e);
	if (r < 0)
		return r;
	r = dir_append(w, s, e);
	if (r < 0) {
		dir_abort(w);
		return r;
	}
	return finish(w, key, how, e);
}

static int dir_put(struct object_place *p, const char *key, struct span s, bool replace,
	struct err *e)
{
	return put(p, key, s, replace ? REPLACE : NEW, e);
}

static int dir_put_brief(struct object_place *p, const char *key, struct span s, struct err *e)
{
	return put(p, key, s, BRIEF, e);
}

static void dir_free(struct object_place *p)
{
	struct dir_place *d = place_of(p);
	if (d->fd >= 0)
		close(d->fd);
	dir_names_free(&d->synced);
	pthread_mutex_destroy(&d->m);
	free(d->path);
	free(d);
}

static int dir_space(struct object_place *p, uint64_t *ret, struct err *e)
{
	struct statvfs v;
	if (fstatvfs(place_of(p)->fd, &v) < 0)
		return err_set(e, E_IO, errno, "ask for the free space of '%s'", place_of(p)->path);
	*ret = (uint64_t)v.f_bavail * v.f_frsize;
	return 0;
}

static bool dir_is_at(struct object_place *p, const struct stat *dir)
{
	return place_of(p)->dev == dir->st_dev && place_of(p)->ino == dir->st_ino;
}

static const struct object_ops dir_ops = {
	.list = dir_list,
	.size = dir_size,
	.read = dir_read,
	.put = dir_put,
	.remove = dir_remove,
	.begin = dir_begin,
	.append = dir_append,
	.read_back = dir_read_back,
	.commit = dir_commit,
	.abort = dir_abort,
	.free = dir_free,
	.put_all = dir_put_all,
	.remove_all = dir_remove_all,
	.put_brief = dir_put_brief,
	.remove_brief = dir_remove_brief,
	.space = dir_space,
	.is_at = dir_is_at,
};

static void remove_stale(int fd)
{
	int t = openat(fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *d = t < 0 ? NULL : fdopendir(t);
	for (struct dirent *de; d && (de = readdir(d));) {
		struct stat st;
		if (de->d_name[0] != '.' && !is_object_name(de->d_name) &&
			fstatat(dirfd(d), de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode) && st.st_mtime < time(NULL) - STALE_SECONDS)
			unlinkat(dirfd(d), de->d_name, 0);
	}
}

static int must_be_empty(struct dir_place *d, struct err *e)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return err_set(e, E_IO, errno, "open '%s'", d->path);
	for (;;) {
		errno = 0;
		struct dirent *de = readdir(dir);
		if (!de)
			return errno ? err_set(e, E_IO, errno, "list '%s'", d->path) : 0;
		if (strcmp(de->d_name, "config") == 0 || strcmp(de->d_name, "config.copy") == 0)
			return err_set(e, E_EXISTS, 0, "'%s' holds a store already", d->path);
		if (strcmp(de->d_name, ".") && strcmp(de->d_name, "..") &&
			strcmp(de->d_name, "lost+found") && strcmp(de->d_name, "tmp") &&
			is_object_name(de->d_name))
			return err_set(e, E_EXISTS, 0,
				"'%s' is not empty (it holds '%s'); give a new or empty directory",
				d->path, de->d_name);
	}
}

int object_dir_open(struct object_place **ret, const char *path, bool create, struct err *e)
{
	struct stat st;
	int r;
	if (create && (r = io_mkdirs(path, 0700, e)) < 0)
		return r;
	struct dir_place *d = calloc(1, sizeof *d);
	if (!d)
		return err_set(e, E_NOMEM, 0, "no memory for a store");
	d->base.ops = &dir_ops;
	pthread_mutex_init(&d->m, NULL);
	d->path = strdup(path);
	d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = !d->path   ? err_set(e, E_NOMEM, 0, "no memory for a store")
	    : d->fd < 0 && errno == ENOENT
		    ? err_set(e, E_IO, ENOENT, "there is no store in '%s' (is its disk mounted? 'mcfs "
			"init' makes a new one)", path)
	    : d->fd < 0 || fstat(d->fd, &st) < 0 ? err_set(e, E_IO, errno, "open store '%s'", path)
						  : 0;
	if (r == 0) {
		d->dev = st.st_dev;
		d->ino = st.st_ino;
	}
	if (r == 0 && create)
		r = must_be_empty(d, e);
	if (r == 0 && create && mkdirat(d->fd, "tmp", 0700) < 0 && errno != EEXIST)
		r = err_set(e, E_IO, errno, "make '%s/tmp'", path);
	if (r < 0) {
		dir_free(&d->base);
		return r;
	}
	remove_stale(d->fd);
	if (create && (r = io_sync_parents(path, e)) < 0) {
		dir_free(&d->base);
		return r;
	}
	*ret = &d->base;
	return 0;
}
