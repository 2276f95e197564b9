/* source_dir.c - a directory of the file system as a source of chunks. */
#include "engine/anvil/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"

struct dir_source {
	struct source base;
	int fd;
	char *path; /* as given, for messages */
};

struct dir_file {
	struct source_file base;
	int fd;
	char *path;
};

static struct dir_source *of(struct source *s)
{
	return (struct dir_source *)(void *)s;
}

static const char *below(const char *path)
{
	return *path ? path : ".";
}

/* Links are followed where people put parts of a world on another disk. Others may lead anywhere:
 * up, around in circles, or into a mount that waits for us. */
static bool may_be_elsewhere(const char *name)
{
	return strcmp(name, "region") == 0 || strcmp(name, "entities") == 0 ||
	       strcmp(name, "poi") == 0 || strcmp(name, "dimensions") == 0 ||
	       strncmp(name, "DIM", 3) == 0;
}

static bool is_directory(int fd, const struct dirent *d)
{
	struct stat st;
	if (d->d_type == DT_LNK && !may_be_elsewhere(d->d_name))
		return false;
	if (d->d_type != DT_UNKNOWN && d->d_type != DT_LNK)
		return d->d_type == DT_DIR;
	return fstatat(fd, d->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static int dir_list(struct source *s, const char *path, world_each fn, void *ctx, struct err *e)
{
	struct dir_source *ds = of(s);
	int fd = openat(ds->fd, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOTDIR)
		return err_set(e, E_NOTFOUND, 0, "'%s/%s' is not a directory", ds->path, path);
	if (fd < 0)
		return err_set(e, E_IO, errno, "open '%s/%s'", ds->path, path);
	CLEANUP_DIR DIR *d = fdopendir(fd);
	if (!d) {
		int r = err_set(e, E_IO, errno, "open '%s/%s'", ds->path, path);
		close(fd);
		return r;
	}
	for (;;) {
		errno = 0;
		struct dirent *de = readdir(d);
		if (!de)
			break;
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		int r = fn(ctx, de->d_name, is_directory(fd, de), e);
		if (r)
			return r;
	}
	return errno ? err_set(e, E_IO, errno, "read the directory '%s/%s'", ds->path, path) : 0;
}

static int dir_open(struct source *s, const char *path, struct source_file **ret,
	struct source_stat *st, struct err *e)
{
	struct dir_source *ds = of(s);
	struct stat sb;
	/* A folder or region file elsewhere is somebody's choice; a chunk is not, and its attributes are not
	 * those of what the link leads to. region_edit.h sees it the same way. */
	size_t n = strlen(path);
	int more = n > 4 && strcmp(path + n - 4, ".mcc") == 0 ? O_NOFOLLOW : 0;
	/* Not to be held up by a FIFO of that name. */
	CLEANUP_FD int fd = openat(ds->fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | more);
	if (fd < 0 && (errno == ENOTDIR || errno == ENXIO || (more && errno == ELOOP)))
		return err_set(e, E_NOTFOUND, 0, "'%s/%s' is no file", ds->path, path);
	if (fd < 0)
		return err_set(e, E_IO, errno, "open '%s/%s'", ds->path, path);
	if (fstat(fd, &sb) < 0)
		return err_set(e, E_IO, errno, "stat '%s/%s'", ds->path, path);
	if (!S_ISREG(sb.st_mode))
		return err_set(e, E_NOTFOUND, 0, "'%s/%s' is no file", ds->path, path);
	struct dir_file *f = calloc(1, sizeof *f);
	if (!f || !(f->path = strdup(path))) {
		free(f);
		return err_set(e, E_NOMEM, 0, "no memory to open a file");
	}
	f->base.source = s;
	f->fd = take_fd(&fd);
	*st = (struct source_stat){(uint64_t)sb.st_size, (uint64_t)sb.st_blocks * 512,
		sb.st_mtim.tv_sec, (uint32_t)sb.st_mtim.tv_nsec};
	*ret = &f->base;
	return 0;
}

static int dir_pread(struct source_file *file, uint64_t off, void *p, size_t n, size_t *ret_n,
	struct err *e)
{
	struct dir_file *f = (struct dir_file *)(void *)file;
	return io_pread(f->fd, p, n, off, ret_n, f->path, e);
}

static void dir_close_file(struct source_file *file)
{
	struct dir_file *f = (struct dir_file *)(void *)file;
	close(f->fd); /* only read */
	free(f->path);
	free(f);
}

static void dir_close(struct source *s)
{
	struct dir_source *ds = of(s);
	if (ds->fd >= 0)
		close(ds->fd);
	free(ds->path);
	free(ds);
}

static const struct source_ops dir_ops = {dir_list, dir_open, dir_pread, dir_close_file, dir_close,
	NULL};

int source_dir_open(struct source **ret, const char *path, struct err *e)
{
	struct dir_source *ds = calloc(1, sizeof *ds);
	if (!ds)
		return err_set(e, E_NOMEM, 0, "no memory to open a world");
	ds->base = (struct source){&dir_ops, true};
	ds->path = strdup(path);
	ds->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!ds->path || ds->fd < 0) {
		int r = !ds->path ? err_set(e, E_NOMEM, 0, "no memory to open a world")
				  : err_set(e, E_IO, errno, "open the world '%s'", path);
		dir_close(&ds->base);
		return r;
	}
	*ret = &ds->base;
	return 0;
}
