/* util.h - what every part of mcfs-demo-world needs: memory, dice, files, one way to give up.
 *
 * This is a one-shot test tool, so failure means one line on standard error and exit 1: nothing
 * here returns an error for lack of memory or a refused write. None of the engine's code is used,
 * so that a bug of the engine cannot hide itself. */
#ifndef DEMO_UTIL_H
#define DEMO_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

__attribute__((format(printf, 1, 2), noreturn)) void die(const char *fmt, ...);

void *xmalloc(size_t n);
void *xrealloc(void *p, size_t n);

/* Bytes that grow. A zeroed one is empty. */
struct bytes {
	uint8_t *p;
	size_t len, cap;
};

void bytes_add(struct bytes *b, const void *p, size_t n);
__attribute__((format(printf, 2, 3))) void bytes_printf(struct bytes *b, const char *fmt, ...);
void bytes_free(struct bytes *b);

/* Dice (splitmix64). The same state gives the same numbers on every machine; no floating point is
 * rounded on the way, so that the same seed gives the same world everywhere. For the same reason no
 * expression throws twice: C leaves the order to the compiler. */
struct rng {
	uint64_t s;
};

uint64_t hash64(uint64_t x);
/* A hash of a place, the start of everything that is made there. */
uint64_t hash_at(uint64_t seed, int32_t x, int32_t y, int32_t z);
uint64_t rng_next(struct rng *r);
/* 0 <= result < n; n > 0. */
uint32_t rng_below(struct rng *r, uint32_t n);
/* True in `n` of `of` cases. */
bool rng_chance(struct rng *r, uint32_t n, uint32_t of);
/* 0 <= result < 1, all mantissa bits random. */
double rng_unit(struct rng *r);
/* low <= result < low + n, as the coordinates of things that move. */
double rng_coord(struct rng *r, int32_t low, uint32_t n);

static inline uint32_t be32_get(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void be32_put(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

static inline uint64_t be64_get(const uint8_t *p)
{
	return (uint64_t)be32_get(p) << 32 | be32_get(p + 4);
}

static inline void be64_put(uint8_t *p, uint64_t v)
{
	be32_put(p, (uint32_t)(v >> 32));
	be32_put(p + 4, (uint32_t)v);
}

/* dir + "/" + rest, in malloc'd memory. */
__attribute__((format(printf, 2, 3))) char *path_in(const char *dir, const char *fmt, ...);
/* Make the directory and its missing parents. */
void make_dirs(const char *path);
/* Make the missing parents of a file. */
void make_parents(const char *path);
bool file_exists(const char *path);
/* False when there is no such file. */
bool file_read(const char *path, struct bytes *out);
/* In place, as the game writes most small files. */
void file_write(const char *path, const void *p, size_t n);
/* As the game saves level.dat and players: a temporary file beside it, the old one renamed to
 * `path`_old, then the new one renamed to `path`. */
void file_replace(const char *path, const char *old_path, const void *p, size_t n);
void file_append(const char *path, const void *p, size_t n);
void write_at(int fd, const char *path, const void *p, size_t n, uint64_t off);

/* zlib stream of any level, as java.util.zip.Deflater makes it. */
void zlib_pack(struct bytes *out, const void *p, size_t n, int level);
/* gzip as Java's GZIPOutputStream writes it; the byte for the operating system is 0 up to JDK 15
 * and 0xff from JDK 16 on. */
void gzip_pack(struct bytes *out, const void *p, size_t n, uint8_t os);
/* False when the bytes are no whole gzip or zlib stream. */
bool zlib_unpack(struct bytes *out, const void *p, size_t n);

#endif
