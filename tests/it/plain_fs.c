/* plain_fs.c - to be preloaded: makes every file system look like one that can hold files and little
 * else, as USB disks (exFAT, NTFS), network shares and shared folders of virtual machines are: no hard
 * or symbolic links, no owners, modes and extended attributes, no rename that refuses to replace, no
 * fsync of a directory, no devices, no holes. PLAIN_FS_MODES=1: but modes. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define CANNOT(name, why, ...)                                                                     \
	int name(__VA_ARGS__)                                                                      \
	{                                                                                          \
		errno = why;                                                                       \
		return -1;                                                                         \
	}

#pragma GCC diagnostic ignored "-Wunused-parameter"

CANNOT(link, EPERM, const char *a, const char *b)
CANNOT(linkat, EPERM, int f, const char *a, int t, const char *b, int flags)
CANNOT(symlink, EPERM, const char *a, const char *b)
CANNOT(symlinkat, EPERM, const char *a, int t, const char *b)
CANNOT(chown, EPERM, const char *p, uid_t u, gid_t g)
CANNOT(lchown, EPERM, const char *p, uid_t u, gid_t g)
CANNOT(fchown, EPERM, int fd, uid_t u, gid_t g)
CANNOT(fchownat, EPERM, int d, const char *p, uid_t u, gid_t g, int flags)
CANNOT(mknodat, EPERM, int d, const char *p, mode_t m, dev_t dev)
CANNOT(mkfifoat, EPERM, int d, const char *p, mode_t m)
CANNOT(setxattr, ENOTSUP, const char *p, const char *n, const void *v, size_t z, int f)
CANNOT(lsetxattr, ENOTSUP, const char *p, const char *n, const void *v, size_t z, int f)
CANNOT(fsetxattr, ENOTSUP, int fd, const char *n, const void *v, size_t z, int f)
CANNOT(fallocate, EOPNOTSUPP, int fd, int mode, off_t off, off_t len)
CANNOT(fallocate64, EOPNOTSUPP, int fd, int mode, off_t off, off_t len)

int fchmod(int fd, mode_t m)
{
	if (getenv("PLAIN_FS_MODES"))
		return ((int (*)(int, mode_t))dlsym(RTLD_NEXT, "fchmod"))(fd, m);
	errno = EPERM;
	return -1;
}

int fchmodat(int dir, const char *path, mode_t m, int flags)
{
	typedef int call(int, const char *, mode_t, int);
	if (getenv("PLAIN_FS_MODES"))
		return ((call *)dlsym(RTLD_NEXT, "fchmodat"))(dir, path, m, flags);
	errno = EPERM;
	return -1;
}

int renameat2(int from, const char *a, int to, const char *b, unsigned flags)
{
	if (flags == 0)
		return renameat(from, a, to, b);
	errno = EINVAL;
	return -1;
}

int fsync(int fd)
{
	struct stat st;
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	return real(fd);
}
