#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

void die(const char *fmt, ...)
{
	va_list ap;
	fputs("mcfs-demo-world: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

void *xmalloc(size_t n)
{
	return xrealloc(NULL, n);
}

void *xrealloc(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);
	if (!q)
		die("out of memory");
	return q;
}

static void bytes_reserve(struct bytes *b, size_t more)
{
	if (more > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
		die("out of memory");
	if (b->cap - b->len >= more)
		return;
	size_t cap = b->cap ? b->cap * 2 : 256;
	if (cap < b->len + more)
		cap = b->len + more;
	b->p = xrealloc(b->p, cap);
	b->cap = cap;
}

void bytes_add(struct bytes *b, const void *p, size_t n)
{
	if (!n)
		return;
	bytes_reserve(b, n);
	memcpy(b->p + b->len, p, n);
	b->len += n;
}

void bytes_printf(struct bytes *b, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof line)
		die("a line of text is too long");
	bytes_add(b, line, (size_t)n);
}

void bytes_free(struct bytes *b)
{
	free(b->p);
	*b = (struct bytes){0};
}

uint64_t hash64(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

uint64_t hash_at(uint64_t seed, int32_t x, int32_t y, int32_t z)
{
	uint64_t h = seed * 0x9e3779b97f4a7c15u + (uint32_t)x;
	h = hash64(h) ^ ((uint64_t)(uint32_t)z << 32 | (uint32_t)y);
	return hash64(h + 0x9e3779b97f4a7c15u);
}

uint64_t rng_next(struct rng *r)
{
	r->s += 0x9e3779b97f4a7c15u;
	return hash64(r->s);
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

bool rng_chance(struct rng *r, uint32_t n, uint32_t of)
{
	return rng_below(r, of) < n;
}

double rng_unit(struct rng *r)
{
	return (double)(rng_next(r) >> 11) * 0x1p-53;
}

double rng_coord(struct rng *r, int32_t low, uint32_t n)
{
	int32_t whole = low + (int32_t)rng_below(r, n);
	return whole + rng_unit(r);
}

char *path_in(const char *dir, const char *fmt, ...)
{
	char rest[8192];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(rest, sizeof rest, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof rest)
		die("a path in '%s' is too long", dir);
	size_t len = strlen(dir), size = len + 1 + (size_t)n + 1;
	char *path = xmalloc(size);
	memcpy(path, dir, len);
	path[len] = '/';
	memcpy(path + len + 1, rest, (size_t)n + 1);
	return path;
}

void make_dirs(const char *path)
{
	char *copy = strdup(path);
	if (!copy)
		die("out of memory");
	for (char *s = copy + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = '\0';
		if (mkdir(copy, 0777) && errno != EEXIST)
			die("make directory '%s': %s", copy, strerror(errno));
		*s = '/';
	}
	if (mkdir(copy, 0777) && errno != EEXIST)
		die("make directory '%s': %s", copy, strerror(errno));
	free(copy);
}

void make_parents(const char *path)
{
	char *copy = strdup(path);
	if (!copy)
		die("out of memory");
	char *slash = strrchr(copy, '/');
	if (slash && slash != copy) {
		*slash = '\0';
		make_dirs(copy);
	}
	free(copy);
}

bool file_exists(const char *path)
{
	struct stat st;
	return !lstat(path, &st);
}

bool file_read(const char *path, struct bytes *out)
{
	out->len = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return false;
	if (fd < 0)
		die("open '%s': %s", path, strerror(errno));
	for (;;) {
		bytes_reserve(out, 65536);
		ssize_t n = read(fd, out->p + out->len, out->cap - out->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("read '%s': %s", path, strerror(errno));
		if (!n)
			break;
		out->len += (size_t)n;
	}
	close(fd);
	return true;
}

void write_at(int fd, const char *path, const void *p, size_t n, uint64_t off)
{
	const uint8_t *b = p;
	while (n) {
		ssize_t w = pwrite(fd, b, n, (off_t)off);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			die("write '%s': %s", path, strerror(errno));
		b += w;
		off += (uint64_t)w;
		n -= (size_t)w;
	}
}

static void write_new(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		die("create '%s': %s", path, strerror(errno));
	write_at(fd, path, p, n, 0);
	if (close(fd))
		die("close '%s': %s", path, strerror(errno));
}

void file_write(const char *path, const void *p, size_t n)
{
	make_parents(path);
	write_new(path, p, n);
}

void file_replace(const char *path, const char *old_path, const void *p, size_t n)
{
	make_parents(path);
	size_t len = strlen(path);
	char *tmp = xmalloc(len + sizeof ".tmp");
	memcpy(tmp, path, len);
	memcpy(tmp + len, ".tmp", sizeof ".tmp");
	write_new(tmp, p, n);
	if (rename(path, old_path) && errno != ENOENT)
		die("rename '%s': %s", path, strerror(errno));
	if (rename(tmp, path))
		die("rename '%s': %s", tmp, strerror(errno));
	free(tmp);
}

void file_append(const char *path, const void *p, size_t n)
{
	make_parents(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		die("open '%s': %s", path, strerror(errno));
	const uint8_t *b = p;
	while (n) {
		ssize_t w = write(fd, b, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			die("write '%s': %s", path, strerror(errno));
		b += w;
		n -= (size_t)w;
	}
	if (close(fd))
		die("close '%s': %s", path, strerror(errno));
}

static void deflate_all(struct bytes *out, const void *p, size_t n, int level, int window)
{
	z_stream z = {0};
	if (n > UINT32_MAX ||
		deflateInit2(&z, level, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		die("cannot start zlib");
	size_t bound = deflateBound(&z, n);
	bytes_reserve(out, bound);
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	z.next_out = out->p + out->len;
	z.avail_out = (uInt)bound;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		die("zlib refused to compress");
	out->len += z.total_out;
	deflateEnd(&z);
}

void zlib_pack(struct bytes *out, const void *p, size_t n, int level)
{
	deflate_all(out, p, n, level, 15);
}

void gzip_pack(struct bytes *out, const void *p, size_t n, uint8_t os)
{
	const uint8_t head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, os};
	bytes_add(out, head, sizeof head);
	deflate_all(out, p, n, Z_DEFAULT_COMPRESSION, -15);
	uint32_t crc = (uint32_t)crc32_z(0, p, n);
	uint8_t tail[8];
	for (int i = 0; i < 4; i++) {
		tail[i] = (uint8_t)(crc >> 8 * i);
		tail[4 + i] = (uint8_t)((uint32_t)n >> 8 * i);
	}
	bytes_add(out, tail, sizeof tail);
}

bool zlib_unpack(struct bytes *out, const void *p, size_t n)
{
	z_stream z = {0};
	out->len = 0;
	if (n > UINT32_MAX || inflateInit2(&z, 15 + 32) != Z_OK)
		return false;
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	int r = Z_OK;
	while (r == Z_OK && out->len < (size_t)1 << 30) {
		bytes_reserve(out, 65536);
		size_t room = out->cap - out->len;
		z.next_out = out->p + out->len;
		z.avail_out = (uInt)(room > UINT32_MAX ? UINT32_MAX : room);
		r = inflate(&z, Z_NO_FLUSH);
		out->len = (size_t)(z.next_out - out->p);
	}
	inflateEnd(&z);
	return r == Z_STREAM_END;
}
