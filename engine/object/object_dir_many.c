/* A local directory: what is synced, and not more often than it has to be. docs/CRASH-SAFETY.md, section 1. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/object/object_dir_internal.h"

#define FILES_AT_ONCE 64 /* open ones */

/* ---- names of directories ---- */

bool dir_names_has(const struct dir_names *d, const char *path)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->v[i], path) == 0)
			return true;
	return false;
}

int dir_names_add(struct dir_names *d, const char *path, struct err *e)
{
	if (dir_names_has(d, path))
		return 0;
	char **v = (d->n & (d->n - 1)) ? d->v : realloc(d->v, (d->n ? 2 * d->n : 1) * sizeof *v);
	if (v)
		d->v = v;
	char *copy = v ? strdup(path) : NULL;
	if (!copy)
		return err_set(e, E_NOMEM, 0, "no memory for a list of directories");
	d->v[d->n++] = copy;
	return 0;
}

void dir_names_free(struct dir_names *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->v[i]);
	free(d->v);
	*d = (struct dir_names){0};
}

static int add_parent(struct dir_names *d, const char *key, struct err *e)
{
	const char *slash = strrchr(key, '/');
	CLEANUP_FREE char *path = slash ? strndup(key, (size_t)(slash - key)) : strdup(".");
	return path ? dir_names_add(d, path, e) : err_set(e, E_NOMEM, 0, "no memory for a path");
}

static int sync_all(struct dir_place *d, const struct dir_names *dirs, struct err *e)
{
	int r = 0;
	for (size_t i = 0; i < dirs->n && r == 0; i++)
		r = io_fsync_dir(d->fd, dirs->v[i], e);
	return r;
}

/* ---- directories ---- */

/* The directories that lie in `above` now, as paths. Those of which the file system does not tell with the name that
 * they are directories are left out. */
static int list_below(struct dir_place *d, const char *above, struct dir_names *ret, struct err *e)
{
	CLEANUP_FD int fd = openat(d->fd, above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return err_set(e, E_IO, errno, "open '%s/%s'", d->path, above);
	(void)take_fd(&fd);
	for (struct dirent *de; (de = readdir(dir));) {
		CLEANUP_FREE char *path = NULL;
		if (de->d_type != DT_DIR || de->d_name[0] == '.')
			continue;
		if (asprintf(&path, "%s%s%s", *above == '.' ? "" : above, *above == '.' ? "" : "/",
			    de->d_name) < 0) {
			path = NULL;
			return err_set(e, E_NOMEM, 0, "no memory for a path");
		}
		int r = dir_names_add(ret, path, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Make the name of the directory `path` durable, and with it those of the others in the one above. */
static int sync_name(struct dir_place *d, const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *above = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
	struct dir_names there = {0};
	if (!above)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	int r = dir_names_add(&there, path, e);
	if (r == 0)
		r = list_below(d, above, &there, e);
	if (r == 0)
		r = io_fsync_dir(d->fd, above, e);
	LOCK_SCOPE(&d->m);
	for (size_t i = 0; i < there.n && r == 0; i++)
		r = dir_names_add(&d->synced, there.v[i], e);
	dir_names_free(&there);
	return r;
}

static bool is_synced(struct dir_place *d, const char *path)
{
	LOCK_SCOPE(&d->m);
	return dir_names_has(&d->synced, path);
}

int dir_make_parent(struct dir_place *d, const char *key, bool durable, struct err *e)
{
	CLEANUP_FREE char *path = strdup(key);
	int r = path ? 0 : err_set(e, E_NOMEM, 0, "no memory for a path");
	for (char *slash = r == 0 ? strchr(path, '/') : NULL; slash && r == 0;
		slash = strchr(slash + 1, '/')) {
		*slash = 0;
		bool made = mkdirat(d->fd, path, 0700) == 0;
		if (!made && errno != EEXIST)
			return err_set(e, E_IO, errno, "make '%s/%s'", d->path, path);
		/* Its name must be on disk before what is below counts. A crash between the two, of another
		 * process too, leaves it unsynced, so this is not left out when the directory was there. */
		if (durable && (made || !is_synced(d, path)))
			r = sync_name(d, path, e);
		*slash = '/';
	}
	return r;
}

/* ---- many objects ---- */

static int write_one(struct object_place *p, const struct object_content *c, struct object_writer **ret,
	struct err *e)
{
	int r = dir_make_parent(place_of(p), c->key, true, e);
	if (r == 0)
		r = dir_begin(p, ret, e);
	if (r == 0)
		r = dir_append(*ret, c->content, e);
	/* Only a hint: the disk begins, so that the first sync finds most of it done for the others. */
	if (r == 0)
		(void)sync_file_range(((struct dir_writer *)*ret)->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return r;
}

static int put_some(struct object_place *p, const struct object_content *v, size_t n, struct dir_names *dirs,
	struct err *e)
{
	struct object_writer *w[FILES_AT_ONCE] = {NULL};
	int fd = place_of(p)->fd, r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		r = add_parent(dirs, v[i].key, e);
		if (r == 0)
			r = write_one(p, &v[i], &w[i], e);
	}
	for (size_t i = 0; i < n && r == 0; i++)
		r = io_sync_close(&((struct dir_writer *)w[i])->fd, v[i].key, e);
	for (size_t i = 0; i < n && r == 0; i++)
		if (renameat(fd, ((struct dir_writer *)w[i])->tmp, fd, v[i].key) < 0)
			r = err_set(e, E_IO, errno, "replace object '%s'", v[i].key);
	for (size_t i = 0; i < n; i++)
		if (w[i])
			dir_abort(w[i]);
	return r;
}

int dir_put_all(struct object_place *p, const struct object_content *v, size_t n, struct err *e)
{
	struct dir_names dirs = {0};
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i += FILES_AT_ONCE)
		r = put_some(p, v + i, n - i < FILES_AT_ONCE ? n - i : FILES_AT_ONCE, &dirs, e);
	if (r == 0)
		r = sync_all(place_of(p), &dirs, e);
	dir_names_free(&dirs);
	return r;
}

int dir_remove_all(struct object_place *p, const char *const *keys, size_t n, struct err *e)
{
	struct dir_place *d = place_of(p);
	struct dir_names dirs = {0};
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		if (unlinkat(d->fd, keys[i], 0) == 0)
			r = add_parent(&dirs, keys[i], e);
		else if (errno != ENOENT)
			r = err_set(e, E_IO, errno, "remove object '%s'", keys[i]);
	}
	if (r == 0)
		r = sync_all(d, &dirs, e);
	dir_names_free(&dirs);
	return r;
}
