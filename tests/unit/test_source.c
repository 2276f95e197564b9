/* source, source_dir: what a directory has of worlds and regions, each chunk's record and NBT against
 * the independent reader on every real region file at hand, damage told apart from absence, and
 * chunks read whole while a writer saves them over and over. */
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/anvil/source.h"
#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "tests/unit/region_reader.h"

#ifndef MCFS_SOURCE_ROOT
#define MCFS_SOURCE_ROOT "."
#endif

static char root[64];

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st, (void)flag, (void)f;
	return remove(path);
}

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/mcfs-source.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *name, const void *p, size_t n)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", root, name);
	char *slash = strrchr(path, '/');
	*slash = 0;
	assert_int_equal(io_mkdirs(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(io_write_file(AT_FDCWD, path, span_of(p, n), 0644, false, NULL), 0);
}

/* A region file with one chunk of raw NBT in slot 33, whose only value is `mark`. */
static const uint8_t plain[] = {10, 0, 0, 3, 0, 1, 'm', 0, 0, 0, 7, 0};

static size_t make_file(uint8_t *f, unsigned type)
{
	memset(f, 0, 3 * 4096);
	f[4 * 33 + 2] = 2;
	f[4 * 33 + 3] = 1;
	set_be32(f + 4096 + 4 * 33, 1700000000);
	set_be32(f + 8192, sizeof plain + 1);
	f[8196] = (uint8_t)type;
	memcpy(f + 8197, plain, sizeof plain);
	return 3 * 4096;
}

static struct world_dim dim_of(const char *folder)
{
	static char none[] = "", name[] = "overworld", where[64];
	snprintf(where, sizeof where, "%s", folder);
	return (struct world_dim){none, name, where};
}

/* ---- what there is ---- */

static void dimensions_and_regions(void **state)
{
	uint8_t f[3 * 4096];
	size_t n = make_file(f, 3);
	(void)state;
	put("w/region/r.0.0.mca", f, n);
	put("w/region/r.-1.2.mca", f, n);
	put("w/region/r.01.0.mca", f, n);
	/* Its chunks would be called as those of r.0.0 are. */
	put("w/region/r.134217728.0.mca", f, n);
	put("w/region/r.0.-67108865.mca", f, n);
	put("w/region/r.0.0.mca.bak", f, n);
	put("w/entities/r.0.0.mca", f, n);
	put("w/poi/r.5.5.mca", f, n);
	put("w/DIM-1/region/r.0.0.mca", f, 0);
	CLEANUP_FREE char *path = NULL;
	assert_true(asprintf(&path, "%s/w", root) > 0);
	CLEANUP_SOURCE struct source *s = NULL;
	assert_int_equal(source_dir_open(&s, path, NULL), 0);
	/* A .mcc is read where it stands, not where a link leads. */
	CLEANUP_FREE char *mcc = NULL;
	CLEANUP_BUF struct buf got = BUF_INIT;
	put("w/region/c.0.0.mcc", f, n);
	assert_true(asprintf(&mcc, "%s/w/region/c.1.0.mcc", root) > 0);
	assert_int_equal(symlink("c.0.0.mcc", mcc), 0);
	assert_int_equal(source_read_file(s, "region/c.0.0.mcc", 1 << 20, &got, NULL), 0);
	assert_int_equal(source_read_file(s, "region/c.1.0.mcc", 1 << 20, &got, NULL), E_NOTFOUND);
	struct worlds w;
	assert_int_equal(source_worlds(s, &w, NULL), 0);
	assert_int_equal(w.n, 2);
	assert_string_equal(w.v[0].name, "overworld");
	assert_string_equal(w.v[1].name, "the_nether");
	struct source_regions r;
	assert_int_equal(source_regions(s, &w.v[0], &r, NULL), 0);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.v[0].x, -1);
	assert_int_equal(r.v[0].kinds, 1u << SOURCE_REGION);
	assert_int_equal(r.v[1].kinds, 1u << SOURCE_REGION | 1u << SOURCE_ENTITIES);
	assert_int_equal(r.v[2].kinds, 1u << SOURCE_POI);
	source_regions_free(&r);
	/* A file of no bytes has no chunks, and no file is another thing. */
	CLEANUP_SOURCE_REGION struct source_region *reg = NULL;
	struct err e = ERR_INIT;
	assert_int_equal(source_region_open(s, &w.v[1], SOURCE_REGION, 0, 0, &reg, &e), 0);
	assert_false(reg->has_header);
	assert_false(source_has_chunk(reg, 33));
	source_region_close(TAKE_PTR(reg));
	assert_int_equal(source_region_open(s, &w.v[1], SOURCE_POI, 0, 0, &reg, &e), E_NOTFOUND);
	worlds_free(&w);
}

static void no_world(void **state)
{
	struct source *s;
	struct err e = ERR_INIT;
	(void)state;
	assert_int_equal(source_dir_open(&s, "/nowhere/at/all", &e), E_NOTFOUND);
	assert_non_null(strstr(e.msg, "/nowhere/at/all"));
}

/* ---- damage ---- */

static int read_slot(unsigned slot, struct err *e)
{
	CLEANUP_SOURCE struct source *s = NULL;
	CLEANUP_SOURCE_REGION struct source_region *reg = NULL;
	CLEANUP_SOURCE_CHUNK struct source_chunk c = {0};
	CLEANUP_BUF struct buf nbt = BUF_INIT;
	const struct world_dim dim = dim_of("d");
	assert_int_equal(source_dir_open(&s, root, NULL), 0);
	assert_int_equal(source_region_open(s, &dim, SOURCE_REGION, 0, 0, &reg, NULL), 0);
	int r = source_chunk_nbt(reg, slot, &c, &nbt, e);
	if (r == 0) {
		assert_int_equal(nbt.len, sizeof plain);
		assert_int_equal(c.entry.timestamp, 1700000000);
	} else {
		assert_int_equal(nbt.len, 0);
	}
	return r;
}

static void damage_is_not_absence(void **state)
{
	uint8_t f[3 * 4096];
	struct err e = ERR_INIT;
	(void)state;
	size_t n = make_file(f, 3);
	put("d/region/r.0.0.mca", f, n);
	assert_int_equal(read_slot(33, &e), 0);
	assert_int_equal(read_slot(34, &e), E_NOTFOUND);
	put("d/region/r.0.0.mca", f, 8197 + sizeof plain); /* not padded: whole all the same */
	assert_int_equal(read_slot(33, &e), 0);
	put("d/region/r.0.0.mca", f, 8197 + sizeof plain - 1);
	assert_int_equal(read_slot(33, &e), E_FORMAT);
	put("d/region/r.0.0.mca", f, 8192);
	assert_int_equal(read_slot(33, &e), E_FORMAT);
	assert_non_null(strstr(e.msg, "past the file's end"));
	f[4 * 33 + 3] = 0; /* no sectors */
	put("d/region/r.0.0.mca", f, n);
	assert_int_equal(read_slot(33, &e), E_FORMAT);
	f[4 * 33 + 3] = 1;
	f[4 * 33 + 2] = 1; /* in the header */
	put("d/region/r.0.0.mca", f, n);
	assert_int_equal(read_slot(33, &e), E_FORMAT);
	make_file(f, 9); /* no such compression */
	put("d/region/r.0.0.mca", f, n);
	assert_int_equal(read_slot(33, &e), E_FORMAT);
	make_file(f, 3);
	f[8197 + 5] = 99; /* damaged NBT */
	f[8200] = 77;
	put("d/region/r.0.0.mca", f, n);
	assert_int_equal(read_slot(33, &e), E_FORMAT);
	make_file(f, 3 | 128);
	set_be32(f + 8192, 1);
	put("d/region/r.0.0.mca", f, n);
	assert_int_equal(read_slot(33, &e), E_FORMAT);
	assert_non_null(strstr(e.msg, "c.1.1.mcc"));
	put("d/region/c.1.1.mcc", plain, sizeof plain);
	assert_int_equal(read_slot(33, &e), 0);
}

/* ---- beside a writer ---- */

#define SAVES 3000
#define PLACES 128 /* the same one again only after so many saves: not within one read */

/* Saves the chunk as a server does: other sectors first, then the header. Each version is one byte
 * over and over, so that a mixture shows. */
static void *writer(void *arg)
{
	int fd = *(int *)arg;
	uint8_t rec[2 * 4096], loc[4];
	for (unsigned i = 0; i < SAVES; i++) {
		memset(rec, (int)(i & 0xff), sizeof rec);
		set_be32(rec, sizeof rec - 4);
		rec[4] = 3;
		unsigned sector = 2 + 2 * ((i + 1) % PLACES);
		set_be32(loc, sector << 8 | 2);
		if (pwrite(fd, rec, sizeof rec, sector * 4096) < 0 || pwrite(fd, loc, 4, 0) < 0)
			return arg;
	}
	return NULL;
}

static void whole_beside_a_writer(void **state)
{
	static uint8_t f[(2 + 2 * PLACES) * 4096];
	char path[128];
	pthread_t t;
	void *bad;
	(void)state;
	f[2] = 2;
	f[3] = 2;
	set_be32(f + 8192, 2 * 4096 - 4);
	f[8196] = 3;
	put("d/region/r.0.0.mca", f, sizeof f);
	snprintf(path, sizeof path, "%s/d/region/r.0.0.mca", root);
	CLEANUP_FD int fd = open(path, O_RDWR);
	CLEANUP_SOURCE struct source *s = NULL;
	CLEANUP_SOURCE_REGION struct source_region *reg = NULL;
	CLEANUP_SOURCE_CHUNK struct source_chunk c = {0};
	const struct world_dim dim = dim_of("d");
	assert_int_equal(source_dir_open(&s, root, NULL), 0);
	assert_int_equal(source_region_open(s, &dim, SOURCE_REGION, 0, 0, &reg, NULL), 0);
	assert_int_equal(pthread_create(&t, NULL, writer, &fd), 0);
	for (unsigned i = 0; i < SAVES; i++) {
		struct err e = ERR_INIT;
		assert_int_equal(source_chunk_read(reg, 0, &c, &e), 0);
		assert_int_equal(c.record.len, 2 * 4096);
		assert_int_equal(c.type, 3);
		for (size_t k = 6; k < c.record.len; k++)
			assert_int_equal(c.record.p[k], c.record.p[5]);
	}
	assert_int_equal(pthread_join(t, &bad), 0);
	assert_null(bad);
}

/* ---- real files ---- */

static unsigned files, chunks;

static void compare_slot(const struct region_reader *rr, struct source_region *reg, int slot)
{
	CLEANUP_SOURCE_CHUNK struct source_chunk c = {0};
	CLEANUP_BUF struct buf nbt = BUF_INIT;
	struct region_slot rs = {0};
	struct region_nbt rn = {0};
	bool there = region_reader_slot(rr, slot, &rs);
	assert_int_equal(there, source_has_chunk(reg, (unsigned)slot));
	int r = source_chunk_nbt(reg, (unsigned)slot, &c, &nbt, NULL);
	if (there && !rs.problem)
		region_slot_decode(rr, &rs, &rn);
	if (!there) {
		assert_int_equal(r, E_NOTFOUND);
	} else if (r < 0) {
		assert_int_equal(r, E_FORMAT);
		assert_true(rs.problem || rn.problem);
	} else if (!rs.problem) {
		assert_int_equal(c.type, rs.type & 127);
		assert_int_equal(c.entry.timestamp, rs.timestamp);
		assert_int_equal(c.stream.n, rs.len);
		assert_memory_equal(c.stream.p, rs.payload, rs.len);
		assert_int_equal(nbt.len, rn.n);
		assert_memory_equal(nbt.p, rn.p, rn.n);
		chunks++;
	}
	region_nbt_free(&rn);
	region_slot_free(&rs);
}

static int each_file(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	int32_t x, z;
	(void)st;
	if (flag != FTW_F || !region_parse_name(path + f->base, &x, &z))
		return 0;
	/* Any folder may be called region. */
	CLEANUP_FREE char *dir = strndup(path, (size_t)f->base - 1);
	char link[128], target[160];
	snprintf(link, sizeof link, "%s/real", root);
	assert_int_equal(io_mkdirs(link, 0755, NULL), 0);
	snprintf(target, sizeof target, "%s/real/region", root);
	unlink(target);
	assert_int_equal(symlink(dir, target), 0);
	CLEANUP_SOURCE struct source *s = NULL;
	CLEANUP_SOURCE_REGION struct source_region *reg = NULL;
	const struct world_dim dim = dim_of("real");
	struct region_reader rr;
	assert_int_equal(source_dir_open(&s, root, NULL), 0);
	assert_int_equal(source_region_open(s, &dim, SOURCE_REGION, x, z, &reg, NULL), 0);
	assert_int_equal(region_reader_open(&rr, path), 0);
	for (int slot = 0; slot < RR_CHUNKS; slot++)
		compare_slot(&rr, reg, slot);
	region_reader_close(&rr);
	files++;
	return 0;
}

static void real_files(void **state)
{
	const char *worlds = getenv("MCFS_WORLDS");
	char single[4096];
	(void)state;
	snprintf(single, sizeof single, "%s/single",
		worlds ? worlds : MCFS_SOURCE_ROOT "/../shared/worlds");
	if (access(single, R_OK) < 0)
		skip();
	files = chunks = 0;
	assert_int_equal(nftw(single, each_file, 16, FTW_PHYS), 0);
	print_message("%u files, %u chunks\n", files, chunks);
	assert_true(files > 10 && chunks > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(dimensions_and_regions, make_root, drop_root),
		cmocka_unit_test_setup_teardown(no_world, make_root, drop_root),
		cmocka_unit_test_setup_teardown(damage_is_not_absence, make_root, drop_root),
		cmocka_unit_test_setup_teardown(whole_beside_a_writer, make_root, drop_root),
		cmocka_unit_test_setup_teardown(real_files, make_root, drop_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
