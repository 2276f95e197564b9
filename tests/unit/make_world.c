#include "tests/unit/make_world.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "engine/base/io.h"
#include "engine/base/wire.h"

static void add(struct buf *b, const void *p, size_t n)
{
	assert_int_equal(buf_add(b, p, n, NULL), 0);
}

static void add_be(struct buf *b, uint64_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--) {
		uint8_t c = (uint8_t)(v >> 8 * i);
		add(b, &c, 1);
	}
}

static void head(struct buf *b, unsigned type, const char *name)
{
	add_be(b, type, 1);
	add_be(b, strlen(name), 2);
	add(b, name, strlen(name));
}

void nbt_begin(struct buf *b)
{
	b->len = 0;
	head(b, 10, "");
}

void nbt_compound(struct buf *b, const char *name)
{
	head(b, 10, name);
}

void nbt_end(struct buf *b)
{
	add_be(b, 0, 1);
}

void nbt_byte(struct buf *b, const char *name, int8_t v)
{
	head(b, 1, name);
	add_be(b, (uint8_t)v, 1);
}

void nbt_int(struct buf *b, const char *name, int32_t v)
{
	head(b, 3, name);
	add_be(b, (uint32_t)v, 4);
}

void nbt_long(struct buf *b, const char *name, int64_t v)
{
	head(b, 4, name);
	add_be(b, (uint64_t)v, 8);
}

void nbt_string(struct buf *b, const char *name, const char *v)
{
	head(b, 8, name);
	add_be(b, strlen(v), 2);
	add(b, v, strlen(v));
}

void nbt_ints(struct buf *b, const char *name, const int32_t *v, uint32_t n)
{
	head(b, 11, name);
	add_be(b, n, 4);
	for (uint32_t i = 0; i < n; i++)
		add_be(b, (uint32_t)v[i], 4);
}

void nbt_longs(struct buf *b, const char *name, const int64_t *v, uint32_t n)
{
	head(b, 12, name);
	add_be(b, n, 4);
	for (uint32_t i = 0; i < n; i++)
		add_be(b, (uint64_t)v[i], 8);
}

void nbt_bytes(struct buf *b, const char *name, const void *p, uint32_t n)
{
	head(b, 7, name);
	add_be(b, n, 4);
	add(b, p, n);
}

void nbt_doubles(struct buf *b, const char *name, const double *v, uint32_t n)
{
	head(b, 9, name);
	add_be(b, 6, 1);
	add_be(b, n, 4);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t bits;
		memcpy(&bits, &v[i], sizeof bits);
		add_be(b, bits, 8);
	}
}

void nbt_list(struct buf *b, const char *name, uint32_t n)
{
	head(b, 9, name);
	add_be(b, 10, 1);
	add_be(b, n, 4);
}

void nbt_strings(struct buf *b, const char *name, const char *const *v, uint32_t n)
{
	head(b, 9, name);
	add_be(b, 8, 1);
	add_be(b, n, 4);
	for (uint32_t i = 0; i < n; i++) {
		add_be(b, strlen(v[i]), 2);
		add(b, v[i], strlen(v[i]));
	}
}

/* ---- worlds ---- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st, (void)flag, (void)f;
	return remove(path);
}

void world_make(char path[64])
{
	strcpy(path, "/tmp/mcfs-world.XXXXXX");
	assert_non_null(mkdtemp(path));
}

void world_drop(const char *path)
{
	assert_int_equal(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void world_file(const char *world, const char *path, const void *p, size_t n)
{
	char full[256];
	assert_true(snprintf(full, sizeof full, "%s/%s", world, path) < (int)sizeof full);
	char *slash = strrchr(full, '/');
	*slash = 0;
	assert_int_equal(io_mkdirs(full, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(io_write_file(AT_FDCWD, full, span_of(p, n), 0644, false, NULL), 0);
}

static size_t deflated(const struct buf *nbt, int bits, uint8_t *out, size_t cap)
{
	z_stream z = {.next_in = nbt->p, .avail_in = (uInt)nbt->len, .next_out = out,
		.avail_out = (uInt)cap};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, 0), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	size_t n = z.total_out;
	deflateEnd(&z);
	return n;
}

void world_dat(const char *world, const char *path, const struct buf *nbt)
{
	static uint8_t out[1 << 20];
	world_file(world, path, out, deflated(nbt, 31, out, sizeof out));
}

void world_raw_chunk(const char *world, const char *folder, const char *kind, int32_t x, int32_t z,
	uint32_t timestamp, unsigned type, const void *p, size_t n)
{
	char name[128], full[256];
	struct buf f = BUF_INIT;
	unsigned slot = (unsigned)((z & 31) * 32 + (x & 31));
	snprintf(name, sizeof name, "%s%s%s/r.%d.%d.mca", folder, *folder ? "/" : "", kind, x >> 5,
		z >> 5);
	snprintf(full, sizeof full, "%s/%s", world, name);
	if (access(full, F_OK) == 0)
		assert_int_equal(io_read_file(AT_FDCWD, full, &f, 1 << 28, NULL), 0);
	else
		assert_int_equal(buf_add_zero(&f, 8192, NULL), 0);
	size_t at = f.len, sectors = (n + 5 + 4095) / 4096;
	assert_int_equal(buf_add_zero(&f, sectors * 4096, NULL), 0);
	set_be32(f.p + 4 * slot, (uint32_t)(at / 4096) << 8 | (uint32_t)sectors);
	set_be32(f.p + 4096 + 4 * slot, timestamp);
	set_be32(f.p + at, (uint32_t)n + 1);
	f.p[at + 4] = (uint8_t)type;
	memcpy(f.p + at + 5, p, n);
	world_file(world, name, f.p, f.len);
	buf_free(&f);
}

void world_chunk(const char *world, const char *folder, const char *kind, int32_t x, int32_t z,
	uint32_t timestamp, const struct buf *nbt)
{
	static uint8_t out[1 << 20];
	size_t n = deflated(nbt, 15, out, sizeof out);
	world_raw_chunk(world, folder, kind, x, z, timestamp, 2, out, n);
}
