/* fs_tool - helper of the mount's tests; shares no code with the engine.
 *
 *   fs_tool chunks WORLD-DIR CHUNKS-DIR   every chunk of the region files of a dimension's folder
 *                                         (read by the tests' own reader) is in the chunk view,
 *                                         byte for byte, with its size and time, and no other is
 *   fs_tool readonly DIR                  every call that would change something gives EROFS
 *   fs_tool random DIR REFERENCE SECONDS THREADS SEED
 *                                         threads read random ranges, whole files, holes and
 *                                         listings of DIR and compare them with REFERENCE
 *   fs_tool opens DIR COUNT SEED          open, read a little, close, so often
 *   fs_tool refuses DIR ERRNO             what cannot be done in a directory of a mount with live
 *                                         worlds, and to a file in it, is refused with that error
 *                                         (EROFS or EPERM), or a more exact one
 *   fs_tool rename FROM TO FLAGS          renameat2; prints the error's name or "done"
 *   fs_tool hold FILE SECONDS             hold the lock that a server holds on session.lock
 *   fs_tool locked FILE                   exit code 0 when somebody holds it
 *   fs_tool resave REGION-FILE X Z        save a chunk again as a server does: the same bytes in new
 *                                         sectors at the end, a new time stamp, then the header
 *
 * Exit code 0, or 1 with a line for each difference. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/region_reader.h"

static _Atomic unsigned problems;

__attribute__((format(printf, 1, 2))) static void problem(const char *fmt, ...)
{
	va_list ap;
	if (atomic_fetch_add(&problems, 1) > 30)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static uint64_t rnd(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s * 0x9e3779b97f4a7c15u >> 16;
}

/* ---- chunks ---- */

static uint64_t seen_fine, seen_damaged;

static char *read_whole(const char *path, size_t *n, struct stat *st)
{
	int fd = open(path, O_RDONLY);
	char *p = NULL;
	*n = 0;
	if (fd >= 0 && fstat(fd, st) == 0) {
		/* One byte more than it says: the size must be exact. */
		p = malloc((size_t)st->st_size + 1);
		for (ssize_t r = 1; p && r > 0 && *n <= (size_t)st->st_size; *n += (size_t)r)
			if ((r = read(fd, p + *n, (size_t)st->st_size + 1 - *n)) < 0) {
				free(p);
				p = NULL;
				break;
			}
	}
	if (fd >= 0)
		close(fd);
	return p;
}

static void check_fine(const char *path, const struct region_slot *s, const struct region_nbt *nbt)
{
	struct stat st;
	size_t n;
	char *p = read_whole(path, &n, &st);
	seen_fine++;
	if (!p)
		problem("%s: %s", path, strerror(errno));
	else if (n != nbt->n || memcmp(p, nbt->p, n) != 0)
		problem("%s: %zu bytes, not the chunk's %zu", path, n, nbt->n);
	else if ((size_t)st.st_size != n)
		problem("%s: the size %lld is not exact", path, (long long)st.st_size);
	else if (st.st_mtim.tv_sec != (time_t)s->timestamp)
		problem("%s: time %lld instead of %u", path, (long long)st.st_mtim.tv_sec,
			s->timestamp);
	free(p);
}

/* Chunks whose stream has no end or whose NBT is odd are either; but never nothing. */
static void check_damaged(const char *path, const char *damaged, const struct region_slot *s,
	const struct region_nbt *nbt)
{
	struct stat st;
	seen_damaged++;
	if (stat(damaged, &st) == 0) {
		size_t n;
		char *p = read_whole(damaged, &n, &st);
		if (!p || n != (size_t)st.st_size)
			problem("%s: cannot be read", damaged);
		free(p);
		if (!s->problem && !nbt->problem)
			problem("%s: the chunk is fine", damaged);
	} else if (stat(path, &st) != 0) {
		problem("%s: a chunk that cannot be read is absent (%s)", path,
			s->problem ? s->problem : nbt->problem);
	}
}

static unsigned count_chunks(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned n = 0;
	for (struct dirent *de; d && (de = readdir(d));)
		n += strncmp(de->d_name, "c.", 2) == 0;
	if (d)
		closedir(d);
	return n;
}

static void check_region(const char *file, const char *dir)
{
	struct region_reader rr;
	unsigned want = 0;
	if (region_reader_open(&rr, file) != 0) {
		problem("%s: cannot be opened", file);
		return;
	}
	for (int i = 0; i < RR_CHUNKS; i++) {
		struct region_slot s = {0};
		struct region_nbt nbt = {0};
		char path[8300], damaged[8300];
		if (!region_reader_slot(&rr, i, &s)) {
			region_slot_free(&s);
			continue;
		}
		want++;
		snprintf(path, sizeof path, "%s/c.%d.%d.nbt", dir, s.x, s.z);
		snprintf(damaged, sizeof damaged, "%s/c.%d.%d.damaged", dir, s.x, s.z);
		if (!s.problem)
			region_slot_decode(&rr, &s, &nbt);
		if (s.problem || nbt.problem)
			check_damaged(path, damaged, &s, &nbt);
		else
			check_fine(path, &s, &nbt);
		region_nbt_free(&nbt);
		region_slot_free(&s);
	}
	unsigned got = count_chunks(dir);
	if (got != want)
		problem("%s: %u chunks listed, the region file has %u", dir, got, want);
	region_reader_close(&rr);
}

static int chunks(const char *world, const char *view)
{
	static const char *const kinds[] = {"region", "entities", "poi"};
	for (int k = 0; k < 3; k++) {
		char folder[4096];
		snprintf(folder, sizeof folder, "%s/%s", world, kinds[k]);
		DIR *d = opendir(folder);
		for (struct dirent *de; d && (de = readdir(d));) {
			char file[8192], dir[8192];
			int32_t x, z, end = 0;
			if (sscanf(de->d_name, "r.%d.%d.mca%n", &x, &z, &end) != 2 || !end ||
				de->d_name[end])
				continue;
			snprintf(file, sizeof file, "%s/%s", folder, de->d_name);
			snprintf(dir, sizeof dir, "%s/r.%d.%d%s%s", view, x, z, k ? "/" : "",
				k ? kinds[k] : "");
			check_region(file, dir);
		}
		if (d)
			closedir(d);
	}
	printf("%" PRIu64 " chunks are the same, %" PRIu64 " damaged\n", seen_fine, seen_damaged);
	return 0;
}

/* ---- read-only ---- */

static void want_rofs(const char *what, int r)
{
	if (r >= 0)
		problem("%s: was allowed", what);
	else if (errno != EROFS)
		problem("%s: %s instead of EROFS", what, strerror(errno));
}

static const char *find_file(const char *dir, char out[8192], mode_t type, int depth)
{
	DIR *d = opendir(dir);
	const char *ret = NULL;
	for (struct dirent *de; d && !ret && (de = readdir(d));) {
		struct stat st;
		char path[8192];
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, de->d_name);
		if (lstat(path, &st) < 0)
			continue;
		if ((st.st_mode & S_IFMT) == type) {
			snprintf(out, 8192, "%s", path);
			ret = out;
		} else if (S_ISDIR(st.st_mode) && depth) {
			ret = find_file(path, out, type, depth - 1);
		}
	}
	if (d)
		closedir(d);
	return ret;
}

static void readonly_in(const char *dir)
{
	char file[8192], other[8192], fresh[8192];
	struct timeval tv[2] = {{1, 0}, {1, 0}};
	snprintf(fresh, sizeof fresh, "%s/fresh", dir);
	snprintf(other, sizeof other, "%s/other", dir);
	want_rofs("create", open(fresh, O_CREAT | O_WRONLY, 0644));
	want_rofs("create exclusively", open(fresh, O_CREAT | O_EXCL | O_RDWR, 0644));
	want_rofs("temporary file", open(dir, O_TMPFILE | O_RDWR, 0600));
	want_rofs("mkdir", mkdir(fresh, 0755));
	want_rofs("mknod", mknod(fresh, S_IFREG | 0644, 0));
	want_rofs("mkfifo", mkfifo(fresh, 0644));
	want_rofs("symlink", symlink("x", fresh));
	want_rofs("chmod of a directory", chmod(dir, 0700));
	want_rofs("chown of a directory", chown(dir, 1, 1));
	want_rofs("utimes of a directory", utimes(dir, tv));
	want_rofs("setxattr of a directory", setxattr(dir, "user.x", "1", 1, 0));
	/* The mount point itself is busy before it is read-only. */
	if (rmdir(dir) == 0 || (errno != EROFS && errno != EBUSY))
		problem("rmdir: %s", strerror(errno));
	if (!find_file(dir, file, S_IFREG, 6))
		return;
	want_rofs("open to write", open(file, O_WRONLY));
	want_rofs("open to read and write", open(file, O_RDWR));
	want_rofs("open and cut", open(file, O_WRONLY | O_TRUNC));
	want_rofs("append", open(file, O_WRONLY | O_APPEND));
	want_rofs("truncate", truncate(file, 0));
	want_rofs("unlink", unlink(file));
	want_rofs("chmod", chmod(file, 0600));
	want_rofs("chown", chown(file, 1, 1));
	want_rofs("lchown", lchown(file, 1, 1));
	want_rofs("utimes", utimes(file, tv));
	want_rofs("setxattr", setxattr(file, "user.x", "1", 1, 0));
	want_rofs("removexattr", removexattr(file, "user.x"));
	want_rofs("rename", rename(file, other));
	want_rofs("link", link(file, other));
	if (access(file, W_OK) == 0 || errno != EROFS)
		problem("access(W_OK) is not EROFS");
	int fd = open(file, O_RDONLY);
	if (fd < 0) {
		problem("%s: %s", file, strerror(errno));
		return;
	}
	want_rofs("fchmod", fchmod(fd, 0600));
	want_rofs("fchown", fchown(fd, 1, 1));
	want_rofs("futimens", futimens(fd, NULL));
	if (write(fd, "x", 1) >= 0 || errno != EBADF)
		problem("write to a file opened to read");
	if (ftruncate(fd, 0) >= 0)
		problem("ftruncate of a file opened to read");
	if (fallocate(fd, 0, 0, 4096) >= 0)
		problem("fallocate of a file opened to read");
	close(fd);
}

/* ---- random reads ---- */

struct file {
	char *path; /* below the two trees */
	off_t size;
};
static struct file *files;
static size_t n_files, base_len;

static int add_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	if (type != FTW_F || !S_ISREG(st->st_mode) || st->st_size == 0)
		return 0;
	if (!(n_files & (n_files - 1)))
		files = realloc(files, (n_files ? 2 * n_files : 1) * sizeof *files);
	files[n_files++] = (struct file){strdup(path + base_len), st->st_size};
	return 0;
}

struct reader {
	pthread_t tid;
	const char *dir, *reference;
	uint64_t seed;
	time_t end;
	uint64_t reads;
};

static void compare_range(struct reader *r, const struct file *f, int a, int b)
{
	static const size_t most[] = {100, 4096, 70000, 1 << 20};
	size_t max = most[rnd(&r->seed) % 4], n = 1 + rnd(&r->seed) % max;
	off_t off = (off_t)(rnd(&r->seed) % (uint64_t)(f->size + 10));
	char *x = malloc(n), *y = malloc(n);
	/* Straight on for a while, as programs that read whole files do. */
	for (unsigned i = 0, more = rnd(&r->seed) % 8; i <= more && x && y; i++, off += (off_t)n) {
		ssize_t p = pread(a, x, n, off), q = pread(b, y, n, off);
		r->reads++;
		if (p != q || (p > 0 && memcmp(x, y, (size_t)p) != 0)) {
			problem("%s: %zu bytes at %lld: %zd, %zd (%s)", f->path, n, (long long)off,
				p, q, p < 0 ? strerror(errno) : "the bytes differ");
			break;
		}
	}
	/* Data must never lie where the mount says that there is a hole. */
	off_t hole = lseek(a, off < f->size ? off : 0, SEEK_HOLE);
	if (hole < 0 || hole > f->size)
		problem("%s: SEEK_HOLE gives %lld", f->path, (long long)hole);
	free(x);
	free(y);
}

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	while (time(NULL) < r->end && atomic_load(&problems) == 0) {
		const struct file *f = &files[rnd(&r->seed) % n_files];
		char a[8192], b[8192];
		struct stat st;
		snprintf(a, sizeof a, "%s%s", r->dir, f->path);
		snprintf(b, sizeof b, "%s%s", r->reference, f->path);
		int fa = open(a, O_RDONLY), fb = open(b, O_RDONLY);
		if (fa < 0 || fb < 0 || fstat(fa, &st) < 0 || st.st_size != f->size)
			problem("%s: cannot be opened, or has another size", f->path);
		else
			compare_range(r, f, fa, fb);
		if (fa >= 0)
			close(fa);
		if (fb >= 0)
			close(fb);
		if (rnd(&r->seed) % 64 == 0) {
			char *slash = strrchr(a, '/');
			*slash = 0;
			if (count_chunks(a) == ~0u)
				problem("%s: cannot be listed", a);
		}
	}
	return NULL;
}

static int random_reads(const char *dir, const char *reference, long seconds, long threads,
	uint64_t seed)
{
	struct reader r[64];
	uint64_t reads = 0;
	base_len = strlen(reference);
	if (nftw(reference, add_file, 32, FTW_PHYS) < 0 || !n_files || threads > 64) {
		problem("%s: no files", reference);
		return 0;
	}
	for (long i = 0; i < threads; i++) {
		r[i] = (struct reader){.dir = dir, .reference = reference, .end = time(NULL) + seconds,
			.seed = seed * 2654435761u + (uint64_t)i + 1};
		pthread_create(&r[i].tid, NULL, reader_main, &r[i]);
	}
	for (long i = 0; i < threads; i++) {
		pthread_join(r[i].tid, NULL);
		reads += r[i].reads;
	}
	printf("%" PRIu64 " reads by %ld threads are the same, seed %" PRIu64 "\n", reads, threads,
		seed);
	return 0;
}

static int opens(const char *dir, long count, uint64_t seed)
{
	char p[4096];
	base_len = 0;
	if (nftw(dir, add_file, 32, FTW_PHYS) < 0 || !n_files) {
		problem("%s: no files", dir);
		return 0;
	}
	for (long i = 0; i < count; i++) {
		const struct file *f = &files[rnd(&seed) % n_files];
		int fd = open(f->path, O_RDONLY);
		if (fd < 0 || pread(fd, p, sizeof p, (off_t)(rnd(&seed) % (uint64_t)f->size)) < 0)
			problem("%s: %s", f->path, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	printf("%ld opens over %zu files\n", count, n_files);
	return 0;
}

/* ---- refusals of a mount that can be written to in part ---- */

static int wanted_errno;

static void want_refused(const char *dir, const char *what, int r, int other)
{
	if (r >= 0)
		problem("%s: %s was allowed", dir, what);
	else if (errno != wanted_errno && errno != other)
		problem("%s: %s: %s instead of %s", dir, what, strerrorname_np(errno),
			strerrorname_np(wanted_errno));
}

static void refuses_file(const char *dir, const char *file)
{
	char other[8192];
	struct timeval tv[2] = {{1, 0}, {1, 0}};
	snprintf(other, sizeof other, "%s/other", dir);
	if (wanted_errno == EROFS) {
		want_refused(file, "open to write", open(file, O_WRONLY), 0);
		want_refused(file, "open and cut", open(file, O_WRONLY | O_TRUNC), 0);
	}
	want_refused(file, "truncate", truncate(file, 0), 0);
	want_refused(file, "unlink", unlink(file), 0);
	want_refused(file, "chmod", chmod(file, 0111), 0);
	want_refused(file, "chown", chown(file, 12345, 12345), 0);
	want_refused(file, "utimes", utimes(file, tv), 0);
	want_refused(file, "setxattr", setxattr(file, "user.x", "1", 1, 0), 0);
	want_refused(file, "removexattr", removexattr(file, "user.x"), 0);
	want_refused(file, "rename", rename(file, other), 0);
	want_refused(file, "link", link(file, other), 0);
	int fd = open(file, O_RDONLY);
	if (fd < 0) {
		problem("%s: %s", file, strerror(errno));
		return;
	}
	if (fsync(fd) != 0)
		problem("%s: fsync of what was only read: %s", file, strerror(errno));
	if (write(fd, "x", 1) >= 0 || errno != EBADF)
		problem("%s: write to a file opened to read", file);
	want_refused(file, "fchmod", fchmod(fd, 0111), 0);
	want_refused(file, "futimens", futimens(fd, (struct timespec[2]){{1, 0}, {1, 0}}), 0);
	close(fd);
}

static void refuses(const char *dir, int want)
{
	char file[8192], fresh[8192];
	wanted_errno = want;
	snprintf(fresh, sizeof fresh, "%s/fresh", dir);
	want_refused(dir, "create", open(fresh, O_CREAT | O_WRONLY, 0644), 0);
	want_refused(dir, "create exclusively", open(fresh, O_CREAT | O_EXCL | O_RDWR, 0644), 0);
	want_refused(dir, "temporary file", open(dir, O_TMPFILE | O_RDWR, 0600), EOPNOTSUPP);
	want_refused(dir, "mkdir", mkdir(fresh, 0755), 0);
	want_refused(dir, "mknod", mknod(fresh, S_IFREG | 0644, 0), 0);
	want_refused(dir, "mkfifo", mkfifo(fresh, 0644), 0);
	want_refused(dir, "symlink", symlink("x", fresh), 0);
	/* The mount point itself is busy. */
	if (rmdir(dir) == 0 || (errno != want && errno != ENOTEMPTY && errno != EBUSY))
		problem("%s: rmdir: %s", dir, strerrorname_np(errno));
	want_refused(dir, "setxattr", setxattr(dir, "user.x", "1", 1, 0), 0);
	want_refused(dir, "chown", chown(dir, 12345, 12345), 0);
	int fd = open(dir, O_RDONLY | O_DIRECTORY);
	if (fd < 0 || fsync(fd) != 0)
		problem("%s: fsync of a directory: %s", dir, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (find_file(dir, file, S_IFREG, 0))
		refuses_file(dir, file);
}

static int rename_with(const char *from, const char *to, const char *flags)
{
	int r = renameat2(AT_FDCWD, from, AT_FDCWD, to, (unsigned)strtoul(flags, NULL, 0));
	puts(r == 0 ? "done" : strerrorname_np(errno));
	return 0;
}

/* ---- a server's part ---- */

static int take_lock(const char *path, bool test)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CREAT, 0644);
	if (fd < 0 || fcntl(fd, test ? F_GETLK : F_SETLKW, &l) < 0)
		return -1;
	return test ? l.l_type != F_UNLCK : 0;
}

static void resave(const char *file, unsigned slot)
{
	uint8_t entry[4], stamp[4];
	struct stat st;
	int fd = open(file, O_RDWR);
	if (fd < 0 || fstat(fd, &st) < 0 || pread(fd, entry, 4, 4 * slot) != 4) {
		problem("%s: %s", file, strerror(errno));
		return;
	}
	off_t from = (off_t)(entry[0] << 16 | entry[1] << 8 | entry[2]) * 4096;
	off_t to = (st.st_size + 4095) / 4096 * 4096;
	size_t n = entry[3] * 4096u;
	char *p = calloc(1, n);
	time_t now = time(NULL);
	for (int i = 0; i < 4; i++)
		stamp[i] = (uint8_t)(now >> (24 - 8 * i));
	entry[0] = (uint8_t)(to / 4096 >> 16);
	entry[1] = (uint8_t)(to / 4096 >> 8);
	entry[2] = (uint8_t)(to / 4096);
	if (!p || pread(fd, p, n, from) <= 0 || pwrite(fd, p, n, to) != (ssize_t)n ||
		pwrite(fd, entry, 4, 4 * slot) != 4 || pwrite(fd, stamp, 4, 4096 + 4 * slot) != 4)
		problem("%s: %s", file, strerror(errno));
	free(p);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "chunks") == 0)
		chunks(argv[2], argv[3]);
	else if (argc == 3 && strcmp(argv[1], "readonly") == 0)
		readonly_in(argv[2]);
	else if (argc == 7 && strcmp(argv[1], "random") == 0)
		random_reads(argv[2], argv[3], atol(argv[4]), atol(argv[5]),
			strtoull(argv[6], NULL, 10));
	else if (argc == 5 && strcmp(argv[1], "opens") == 0)
		opens(argv[2], atol(argv[3]), strtoull(argv[4], NULL, 10) + 1);
	else if (argc == 4 && strcmp(argv[1], "refuses") == 0)
		refuses(argv[2], strcmp(argv[3], "EROFS") == 0 ? EROFS : EPERM);
	else if (argc == 4 && strcmp(argv[1], "hold") == 0) {
		if (take_lock(argv[2], false) < 0)
			problem("%s: %s", argv[2], strerror(errno));
		else
			sleep((unsigned)atoi(argv[3]));
	} else if (argc == 3 && strcmp(argv[1], "locked") == 0)
		return take_lock(argv[2], true) == 1 ? 0 : 1;
	else if (argc == 5 && strcmp(argv[1], "resave") == 0)
		resave(argv[2], (unsigned)(atoi(argv[3]) % 32 + atoi(argv[4]) % 32 * 32));
	else if (argc == 5 && strcmp(argv[1], "rename") == 0)
		rename_with(argv[2], argv[3], argv[4]);
	else {
		fprintf(stderr, "usage: see the top of the source\n");
		return 2;
	}
	if (problems)
		fprintf(stderr, "%u problems\n", problems);
	return problems ? 1 : 0;
}
