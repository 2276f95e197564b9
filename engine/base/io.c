#include "engine/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/cleanup.h"

int io_pread(int fd, void *p, size_t n, uint64_t off, size_t *ret_n, const char *path,
	struct err *e)
{
	size_t got = 0;
	while (got < n) {
		ssize_t r = pread(fd, (uint8_t *)p + got, n - got, (off_t)(off + got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_set(e, E_IO, errno, "read '%s'", path);
		if (r == 0)
			break;
		got += (size_t)r;
	}
	*ret_n = got;
	return 0;
}

int io_pwrite(int fd, const void *p, size_t n, uint64_t off, const char *path, struct err *e)
{
	size_t put = 0;
	while (put < n) {
		ssize_t r = pwrite(fd, (const uint8_t *)p + put, n - put, (off_t)(off + put));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_set(e, E_IO, errno, "write '%s'", path);
		put += (size_t)r;
	}
	return 0;
}

int io_write(int fd, const void *p, size_t n, const char *path, struct err *e)
{
	size_t put = 0;
	while (put < n) {
		ssize_t r = write(fd, (const uint8_t *)p + put, n - put);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_set(e, E_IO, errno, "write '%s'", path);
		put += (size_t)r;
	}
	return 0;
}

int io_read_all(int fd, struct buf *b, size_t max, const char *path, struct err *e)
{
	for (size_t total = 0;;) {
		int r = buf_reserve(b, 4096, e);
		if (r < 0)
			return r;
		ssize_t n = read(fd, b->p + b->len, b->cap - b->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, E_IO, errno, "read '%s'", path);
		if (n == 0)
			return 0;
		b->len += (size_t)n;
		total += (size_t)n;
		if (total > max)
			return err_set(e, E_FORMAT, 0, "'%s' is larger than %zu bytes", path, max);
	}
}

int io_read_file(int dirfd, const char *path, struct buf *b, size_t max, struct err *e)
{
	CLEANUP_FD int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, E_IO, errno, "open '%s'", path);
	return io_read_all(fd, b, max, path, e);
}

int io_fsync_dir(int dirfd, const char *path, struct err *e)
{
	CLEANUP_FD int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, E_IO, errno, "open directory '%s'", path);
	/* Shared folders and some network file systems cannot. They are asked to hold stores all the
	 * same; what a power cut leaves there is up to them. */
	if (fsync(fd) < 0 && errno != EINVAL && errno != ENOTSUP)
		return err_set(e, E_IO, errno, "fsync directory '%s'", path);
	return 0;
}

int io_sync_close(int *fd, const char *path, struct err *e)
{
	int f = take_fd(fd);
	if (fsync(f) < 0) {
		int sys = errno;
		close(f);
		return err_set(e, E_IO, sys, "fsync '%s'", path);
	}
	if (close(f) < 0)
		return err_set(e, E_IO, errno, "close '%s'", path);
	return 0;
}

int io_publish(int dirfd, const char *tmp, const char *path, struct err *e)
{
	if (linkat(dirfd, tmp, dirfd, path, 0) == 0) {
		unlinkat(dirfd, tmp, 0);
		return 0;
	}
	if (errno != EEXIST && renameat2(dirfd, tmp, dirfd, path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EINVAL) {
		if (faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			errno = EEXIST;
		else if (renameat(dirfd, tmp, dirfd, path) == 0)
			return 0;
	}
	return err_set(e, errno == EEXIST ? E_EXISTS : E_IO, errno, "create '%s'", path);
}

static int publish(int dirfd, const char *tmp, const char *path, bool excl, struct err *e)
{
	int r = excl ? io_publish(dirfd, tmp, path, e) : 0;
	if (r < 0)
		return r;
	if (!excl && renameat(dirfd, tmp, dirfd, path) < 0)
		return err_set(e, E_IO, errno, "rename to '%s'", path);
	CLEANUP_FREE char *copy = strdup(path);
	if (!copy)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	return io_fsync_dir(dirfd, dirname(copy), e);
}

int io_write_file(int dirfd, const char *path, struct span data, mode_t mode, bool excl,
	struct err *e)
{
	uint64_t salt;
	if (getrandom(&salt, sizeof salt, 0) != sizeof salt)
		return err_set(e, E_IO, errno, "no random bytes");
	CLEANUP_FREE char *tmp = NULL;
	if (asprintf(&tmp, "%s.%016llx.tmp", path, (unsigned long long)salt) < 0) {
		tmp = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	CLEANUP_FD int fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
		mode);
	if (fd < 0)
		return err_set(e, E_IO, errno, "create '%s'", tmp);
	int r = io_write(fd, data.p, data.n, tmp, e);
	if (r == 0)
		r = io_sync_close(&fd, tmp, e);
	if (r == 0)
		r = publish(dirfd, tmp, path, excl, e);
	if (r < 0)
		unlinkat(dirfd, tmp, 0);
	return r;
}

static bool is_dir(const char *path)
{
	int saved = errno;
	struct stat st;
	bool yes = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	errno = saved;
	return yes;
}

int io_mkdirs(const char *path, mode_t mode, struct err *e)
{
	CLEANUP_FREE char *copy = strdup(path);
	if (!copy)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	if (!*path)
		return err_set(e, E_IO, ENOENT, "make directory ''");
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != 0)
			continue;
		char c = *p;
		*p = 0;
		if (mkdir(copy, mode) < 0 && !(errno == EEXIST && (c || is_dir(copy))))
			return err_set(e, E_IO, errno, "make directory '%s'", copy);
		*p = c;
		if (c == 0)
			return 0;
	}
}

void io_go_up(char *path)
{
	const char *up = dirname(path);
	memmove(path, up, strlen(up) + 1); /* in place already, but for "." */
}

int io_own(int fd, const struct stat *like, const char *path, struct err *e)
{
	if (fchown(fd, like->st_uid, like->st_gid) < 0 && errno != EPERM)
		return err_set(e, E_IO, errno, "set the owner of '%s'", path);
	if (fchmod(fd, like->st_mode & 07777) < 0 && !io_unknown_here(errno))
		return err_set(e, E_IO, errno, "set the mode of '%s'", path);
	return 0;
}

int io_sync_parents(const char *path, struct err *e)
{
	CLEANUP_FREE char *copy = strdup(path);
	if (!copy)
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	for (;;) {
		struct err own = ERR_INIT;
		int r = io_fsync_dir(AT_FDCWD, copy, &own);
		/* A directory above that is not ours to open, or of a file system that is only read, was not
		 * made by us either. */
		if (r < 0 && own.sys != EACCES && own.sys != EPERM && own.sys != EROFS)
			return err_pass(e, &own);
		if (strcmp(copy, "/") == 0 || strcmp(copy, ".") == 0)
			return 0;
		io_go_up(copy);
	}
}
