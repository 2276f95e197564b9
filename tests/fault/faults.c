/* faults.c - to be preloaded: counts the calls that change files, and fails or kills at the Nth.
 *
 *   MCFS_FAULT_AT=N      the Nth such call of the process, from 1
 *   MCFS_FAULT_HOW=kill  SIGKILL instead of the call; eio, enospc: the call fails with that;
 *                        torn: half of a write is done, then SIGKILL
 *   MCFS_FAULT_COUNT=F   at the end, write how many calls there were into the file F
 *
 * SQLite's calls are counted as well: it goes through the same functions. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;

static long wanted(void)
{
	const char *v = getenv("MCFS_FAULT_AT");
	return v ? atol(v) : 0;
}

static const char *how(void)
{
	const char *v = getenv("MCFS_FAULT_HOW");
	return v ? v : "kill";
}

/* True: the call is to fail with errno. `half` (may be NULL) does half of it before a kill. */
static int strike(void (*half)(void *), void *ctx)
{
	if (atomic_fetch_add(&calls, 1) + 1 != wanted())
		return 0;
	if (strcmp(how(), "eio") == 0) {
		errno = EIO;
		return 1;
	}
	if (strcmp(how(), "enospc") == 0) {
		errno = ENOSPC;
		return 1;
	}
	if (strcmp(how(), "torn") == 0 && half)
		half(ctx);
	kill(getpid(), SIGKILL);
	return 1;
}

__attribute__((destructor)) static void report(void)
{
	const char *path = getenv("MCFS_FAULT_COUNT");
	FILE *f = path ? fopen(path, "w") : NULL;
	if (f) {
		fprintf(f, "%ld\n", atomic_load(&calls));
		fclose(f);
	}
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct io {
	int fd;
	const void *p;
	size_t n;
	off64_t off;
};

static void half_pwrite(void *ctx)
{
	struct io *io = ctx;
	/* Disks write sectors: a multiple of 512 bytes is what can be there of it. */
	size_t n = io->n / 2 / 512 * 512;
	if (n && REAL(pwrite64)(io->fd, io->p, n, io->off) < 0)
		return;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t off)
{
	struct io io = {fd, p, n, off};
	return strike(half_pwrite, &io) ? -1 : REAL(pwrite64)(fd, p, n, off);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t off)
{
	return pwrite64(fd, p, n, off);
}

ssize_t write(int fd, const void *p, size_t n)
{
	/* What is said is not what is kept. */
	if (fd <= 2)
		return REAL(write)(fd, p, n);
	return strike(NULL, NULL) ? -1 : REAL(write)(fd, p, n);
}

int fsync(int fd)
{
	return strike(NULL, NULL) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
	return strike(NULL, NULL) ? -1 : REAL(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t n)
{
	return strike(NULL, NULL) ? -1 : REAL(ftruncate64)(fd, n);
}

int ftruncate(int fd, off_t n)
{
	return ftruncate64(fd, n);
}

int fallocate64(int fd, int mode, off64_t at, off64_t n)
{
	return strike(NULL, NULL) ? -1 : REAL(fallocate64)(fd, mode, at, n);
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
	return fallocate64(fd, mode, at, n);
}

int unlink(const char *path)
{
	return strike(NULL, NULL) ? -1 : REAL(unlink)(path);
}

int unlinkat(int fd, const char *path, int flags)
{
	return strike(NULL, NULL) ? -1 : REAL(unlinkat)(fd, path, flags);
}

int renameat(int from, const char *a, int to, const char *b)
{
	return strike(NULL, NULL) ? -1 : REAL(renameat)(from, a, to, b);
}

int mkdir(const char *path, mode_t mode)
{
	return strike(NULL, NULL) ? -1 : REAL(mkdir)(path, mode);
}

int fchmod(int fd, mode_t mode)
{
	return strike(NULL, NULL) ? -1 : REAL(fchmod)(fd, mode);
}
