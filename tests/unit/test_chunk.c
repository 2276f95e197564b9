/* chunk, lz4block: all ways a chunk is compressed, whole and damaged; what its NBT says, in the old
 * layout and the new; and every chunk of the real worlds that are at hand, against the independent
 * reader (environment MCFS_WORLDS, else ../shared/worlds beside the source tree). */
#include <ftw.h>
#include <lz4.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>
#include <zlib.h>

#include <cmocka.h>

#include "engine/anvil/chunk.h"
#include "engine/anvil/region.h"
#include "engine/base/cleanup.h"
#include "engine/base/wire.h"
#include "engine/codec/lz4block.h"
#include "tests/unit/region_reader.h"

#ifndef MCFS_SOURCE_ROOT
#define MCFS_SOURCE_ROOT "."
#endif
#define MAX ((size_t)1 << 20)

/* ---- making NBT and streams ---- */

static void add(struct buf *b, const void *p, size_t n)
{
	assert_int_equal(buf_add(b, p, n, NULL), 0);
}

static void add_head(struct buf *b, uint8_t type, const char *name)
{
	const uint8_t h[] = {type, 0, (uint8_t)strlen(name)};
	add(b, h, 3);
	add(b, name, strlen(name));
}

static void add_number(struct buf *b, uint8_t type, const char *name, int64_t v)
{
	static const uint8_t width[] = {0, 1, 2, 4, 8};
	add_head(b, type, name);
	for (int i = width[type] - 1; i >= 0; i--) {
		uint8_t c = (uint8_t)((uint64_t)v >> 8 * i);
		add(b, &c, 1);
	}
}

static void add_status(struct buf *b, const char *v)
{
	const uint8_t n[] = {0, (uint8_t)strlen(v)};
	add_head(b, 8, "Status");
	add(b, n, 2);
	add(b, v, strlen(v));
}

/* A chunk; `filler` bytes of noise make it long. */
static struct buf make_chunk(bool old, int64_t last, int64_t inhabited, int block, size_t filler)
{
	struct buf b = BUF_INIT;
	add_head(&b, 10, "");
	add_number(&b, 3, "DataVersion", old ? 2586 : 3465);
	if (old)
		add_head(&b, 10, "Level");
	add_number(&b, 3, "xPos", -7);
	add_number(&b, 3, "zPos", 12);
	add_number(&b, 4, "LastUpdate", last);
	add_status(&b, old ? "full" : "minecraft:full");
	add_number(&b, 4, "InhabitedTime", inhabited);
	add_number(&b, 1, "block", block);
	if (filler) {
		uint8_t n[4];
		set_be32(n, (uint32_t)filler);
		add_head(&b, 7, "filler");
		add(&b, n, 4);
		for (uint32_t i = 0, x = 1; i < filler; i++) {
			x = x * 1664525 + 1013904223;
			uint8_t c = (uint8_t)(x >> 30);
			add(&b, &c, 1);
		}
	}
	assert_int_equal(buf_add_zero(&b, old ? 2 : 1, NULL), 0);
	return b;
}

static struct buf deflated(struct span in, int bits)
{
	z_stream z = {0};
	struct buf b = BUF_INIT;
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(buf_reserve(&b, deflateBound(&z, in.n), NULL), 0);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = b.p;
	z.avail_out = (uInt)b.cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	b.len = z.total_out;
	deflateEnd(&z);
	return b;
}

static void add_lz4_block(struct buf *b, struct span in, bool raw)
{
	uint8_t head[21] = "LZ4Block";
	int room = LZ4_compressBound((int)in.n);
	char *packed = malloc((size_t)room + 1);
	assert_non_null(packed);
	int n = raw ? (int)in.n
		    : LZ4_compress_default((const char *)in.p, packed, (int)in.n, room);
	head[8] = raw ? 0x16 : 0x26;
	set_le32(head + 9, (uint32_t)n);
	set_le32(head + 13, (uint32_t)in.n);
	set_le32(head + 17, in.n ? XXH32(in.p, in.n, 0x9747b28c) & 0x0fffffff : 0);
	if (!in.n)
		set_le32(head + 9, 0);
	add(b, head, 21);
	if (in.n)
		add(b, raw ? (const char *)in.p : packed, (size_t)n);
	free(packed);
}

static struct buf lz4_blocks(struct span in)
{
	struct buf b = BUF_INIT;
	for (size_t at = 0, i = 0; at < in.n; at += 65536, i++)
		add_lz4_block(&b, span_sub(in, at, 65536), i % 2);
	add_lz4_block(&b, span_of("", 0), true);
	return b;
}

static struct buf encode(unsigned type, struct span nbt)
{
	struct buf b = BUF_INIT;
	switch (type) {
	case CHUNK_GZIP:
		return deflated(nbt, 31);
	case CHUNK_ZLIB:
		return deflated(nbt, 15);
	case CHUNK_LZ4:
		return lz4_blocks(nbt);
	default:
		add(&b, nbt.p, nbt.n);
		return b;
	}
}

/* Decode from memory of exactly that size, behind something that must stay. */
static int decode(unsigned type, struct span in, size_t max, struct buf *out)
{
	struct err e = ERR_INIT;
	uint8_t *copy = malloc(in.n ? in.n : 1);
	assert_non_null(copy);
	if (in.n)
		memcpy(copy, in.p, in.n);
	out->len = 0;
	add(out, "kept", 4);
	int r = chunk_decode(type, span_of(copy, in.n), max, out, &e);
	free(copy);
	assert_memory_equal(out->p, "kept", 4);
	assert_true(r == 0 || (r == E_FORMAT && out->len == 4 && e.msg[0]));
	return r;
}

static void assert_decodes(unsigned type, struct span in, struct span want)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	assert_int_equal(decode(type, in, MAX, &out), 0);
	assert_int_equal(out.len, want.n + 4);
	assert_memory_equal(out.p + 4, want.p, want.n);
}

/* ---- tests ---- */

static void test_every_type_decodes(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf nbt = make_chunk(false, 1, 2, 3, 200000);
	for (unsigned type = 1; type <= 4; type++) {
		CLEANUP_BUF struct buf s = encode(type, buf_span(&nbt));
		assert_decodes(type, buf_span(&s), buf_span(&nbt));
	}
}

static void test_bytes_behind_the_stream_are_ignored(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf nbt = make_chunk(true, 1, 2, 3, 500);
	const unsigned types[] = {CHUNK_GZIP, CHUNK_ZLIB, CHUNK_LZ4};
	for (int i = 0; i < 3; i++) {
		CLEANUP_BUF struct buf s = encode(types[i], buf_span(&nbt));
		add(&s, "stale bytes", 11);
		assert_decodes(types[i], buf_span(&s), buf_span(&nbt));
	}
}

static void test_a_missing_end_is_forgiven_when_the_nbt_is_whole(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf nbt = make_chunk(false, 1, 2, 3, 70000);
	const struct {
		unsigned type, end;
	} cuts[] = {{CHUNK_GZIP, 8}, {CHUNK_ZLIB, 4}, {CHUNK_ZLIB, 1}, {CHUNK_LZ4, 21}};
	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		CLEANUP_BUF struct buf s = encode(cuts[i].type, buf_span(&nbt));
		assert_decodes(cuts[i].type, span_of(s.p, s.len - cuts[i].end), buf_span(&nbt));
	}
}

static void test_every_cut_decodes_whole_or_not_at_all(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf nbt = make_chunk(true, 1, 2, 3, 300);
	CLEANUP_BUF struct buf out = BUF_INIT;
	const unsigned types[] = {CHUNK_GZIP, CHUNK_ZLIB, CHUNK_LZ4};
	for (int i = 0; i < 3; i++) {
		CLEANUP_BUF struct buf s = encode(types[i], buf_span(&nbt));
		for (size_t n = 0; n < s.len; n++)
			if (decode(types[i], span_of(s.p, n), MAX, &out) == 0) {
				assert_int_equal(out.len, nbt.len + 4);
				assert_memory_equal(out.p + 4, nbt.p, nbt.len);
			}
		assert_int_equal(decode(types[i], span_of(s.p, s.len / 2), MAX, &out), E_FORMAT);
	}
}

static void test_changed_bytes_never_lead_astray(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf nbt = make_chunk(true, 1, 2, 3, 300);
	CLEANUP_BUF struct buf out = BUF_INIT;
	for (unsigned type = 1; type <= 4; type++) {
		CLEANUP_BUF struct buf s = encode(type, buf_span(&nbt));
		for (size_t i = 0; i < s.len; i++)
			for (unsigned bit = 0; bit < 8; bit++) {
				struct chunk_info info;
				s.p[i] ^= (uint8_t)(1u << bit);
				if (decode(type, buf_span(&s), MAX, &out) == 0)
					(void)!chunk_info_read(span_of(out.p + 4, out.len - 4),
						&info, NULL);
				s.p[i] ^= (uint8_t)(1u << bit);
			}
	}
}

static void test_output_is_bounded(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf bomb = BUF_INIT;
	CLEANUP_BUF struct buf out = BUF_INIT;
	assert_int_equal(buf_add_zero(&bomb, (size_t)64 << 20, NULL), 0);
	for (unsigned type = 1; type <= 4; type++) {
		CLEANUP_BUF struct buf s = encode(type, buf_span(&bomb));
		assert_int_equal(decode(type, buf_span(&s), MAX, &out), E_FORMAT);
		assert_in_range(out.cap, 0, 3 * MAX);
	}
	CLEANUP_BUF struct buf nbt = make_chunk(false, 1, 2, 3, 5000);
	for (unsigned type = 1; type <= 4; type++) {
		CLEANUP_BUF struct buf s = encode(type, buf_span(&nbt));
		assert_int_equal(decode(type, buf_span(&s), nbt.len, &out), 0);
		assert_int_equal(decode(type, buf_span(&s), nbt.len - 1, &out), E_FORMAT);
		assert_int_equal(decode(type, buf_span(&s), 0, &out), E_FORMAT);
	}
}

static void test_other_types_are_refused(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf out = BUF_INIT;
	for (unsigned type = 0; type < 256; type++)
		if (type < 1 || type > 4)
			assert_int_equal(decode(type, span_of("abc", 3), MAX, &out), E_FORMAT);
	for (unsigned type = 0; type < 5; type++)
		assert_int_equal(decode(type, span_of("", 0), MAX, &out), E_FORMAT);
}

static void test_lz4_claims_are_checked(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf good = BUF_INIT;
	CLEANUP_BUF struct buf out = BUF_INIT;
	bool whole;
	add_lz4_block(&good, span_of("some data to compress, data to compress", 39), false);
	static const struct {
		unsigned at;
		uint32_t v;
	} lies[] = {{0, 0x344b345a}, {9, 0xffffffff}, {9, 0}, {13, 0xffffffff}, {13, 0x02000000},
		{13, 40}, {13, 38}, {13, 0}, {17, 1}};
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		CLEANUP_BUF struct buf bad = BUF_INIT;
		add(&bad, good.p, good.len);
		set_le32(bad.p + lies[i].at, lies[i].v);
		assert_int_equal(lz4block_decode(buf_span(&bad), MAX, &out, &whole, NULL), E_FORMAT);
		assert_true(out.len == 0 && out.cap <= 65536);
	}
	assert_int_equal(lz4block_decode(buf_span(&good), MAX, &out, &whole, NULL), 0);
	assert_true(!whole && out.len == 39);
}

static void test_info_of_both_layouts(void **state)
{
	(void)state;
	for (int old = 0; old < 2; old++) {
		CLEANUP_BUF struct buf nbt = make_chunk(old, 111, -222, 3, 50);
		struct chunk_info i;
		assert_int_equal(chunk_info_read(buf_span(&nbt), &i, NULL), 0);
		assert_true(i.has_pos && i.x == -7 && i.z == 12);
		assert_true(!i.is_entities && !i.is_poi);
		assert_int_equal(i.data_version, old ? 2586 : 3465);
		assert_true(i.has_last_update && i.last_update == 111);
		assert_true(i.has_inhabited && i.inhabited_time == -222);
		assert_string_equal(i.status, old ? "full" : "minecraft:full");
		assert_int_equal(chunk_info_read(span_of(nbt.p, nbt.len - 1), &i, NULL), E_FORMAT);
	}
}

static void test_info_of_entities_and_of_odd_values(void **state)
{
	(void)state;
	static const uint8_t position[] = {0, 0, 0, 2, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 5};
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct chunk_info i;
	char longer[101];
	memset(longer, 'x', 100);
	longer[100] = 0;
	add_head(&b, 10, "");
	add_head(&b, 11, "Position");
	add(&b, position, sizeof position);
	add_status(&b, longer);
	add_number(&b, 3, "InhabitedTime", 5); /* of another type: not it */
	add_head(&b, 10, "Other");
	add_number(&b, 4, "LastUpdate", 5); /* elsewhere: not it */
	assert_int_equal(buf_add_zero(&b, 2, NULL), 0);
	assert_int_equal(chunk_info_read(buf_span(&b), &i, NULL), 0);
	assert_true(i.has_pos && i.x == -2 && i.z == 5);
	assert_true(i.is_entities && !i.is_poi);
	assert_false(i.has_inhabited || i.has_last_update);
	assert_int_equal(strlen(i.status), sizeof i.status - 1);
}

static void test_equal_but_times(void **state)
{
	(void)state;
	for (int old = 0; old < 2; old++) {
		CLEANUP_BUF struct buf a = make_chunk(old, 1, 2, 3, 50);
		CLEANUP_BUF struct buf times = make_chunk(old, 0x1234567, 99, 3, 50);
		CLEANUP_BUF struct buf block = make_chunk(old, 1, 2, 4, 50);
		CLEANUP_BUF struct buf both = make_chunk(old, 9, 9, 4, 50);
		assert_true(chunk_equal_but_times(buf_span(&a), buf_span(&a)));
		assert_true(chunk_equal_but_times(buf_span(&a), buf_span(&times)));
		assert_false(chunk_equal_but_times(buf_span(&a), buf_span(&block)));
		assert_false(chunk_equal_but_times(buf_span(&a), buf_span(&both)));
		assert_false(chunk_equal_but_times(buf_span(&a), span_of(a.p, a.len - 1)));
	}
	CLEANUP_BUF struct buf a = make_chunk(false, 1, 2, 3, 50);
	CLEANUP_BUF struct buf b = make_chunk(true, 1, 2, 3, 50);
	assert_false(chunk_equal_but_times(buf_span(&a), buf_span(&b)));
}

/* ---- real worlds ---- */

static unsigned long n_chunks, n_types[5], n_broken;

static void compare_slot(const struct region_reader *r, int index)
{
	struct region_slot s;
	struct region_nbt want;
	struct chunk_info info;
	CLEANUP_BUF struct buf got = BUF_INIT;
	if (!region_reader_slot(r, index, &s))
		return;
	region_slot_decode(r, &s, &want);
	int rc = s.problem ? E_FORMAT
			   : chunk_decode(s.type & 127, span_of(s.payload, s.len),
				     (size_t)256 << 20, &got, NULL);
	if (want.problem) {
		n_broken++;
	} else {
		assert_int_equal(rc, 0);
		assert_int_equal(got.len, want.n);
		assert_memory_equal(got.p, want.p, want.n);
		assert_int_equal(chunk_info_read(buf_span(&got), &info, NULL), 0);
		assert_int_equal(info.data_version, want.data_version);
		assert_int_equal(info.has_pos, want.has_pos);
		assert_true(!want.has_pos || (info.x == want.x && info.z == want.z));
		n_chunks++;
		n_types[s.type & 127]++;
	}
	region_nbt_free(&want);
	region_slot_free(&s);
}

static int on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct region_reader r;
	size_t n = strlen(path);
	(void)st, (void)ftw;
	if (type != FTW_F || n < 4 || strcmp(path + n - 4, ".mca") != 0)
		return 0;
	assert_int_equal(region_reader_open(&r, path), 0);
	for (int i = 0; i < RR_CHUNKS; i++)
		compare_slot(&r, i);
	region_reader_close(&r);
	return 0;
}

static void test_real_worlds(void **state)
{
	(void)state;
	char path[4096];
	const char *env = getenv("MCFS_WORLDS");
	snprintf(path, sizeof path, "%s/single", env ? env : MCFS_SOURCE_ROOT "/../shared/worlds");
	if (nftw(path, on_file, 16, FTW_PHYS) != 0) {
		print_message("no worlds at %s\n", path);
		skip();
	}
	print_message("%lu chunks (gzip %lu, zlib %lu, none %lu, lz4 %lu), %lu broken ones\n", n_chunks,
		n_types[1], n_types[2], n_types[3], n_types[4], n_broken);
	assert_true(n_chunks > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_type_decodes),
		cmocka_unit_test(test_bytes_behind_the_stream_are_ignored),
		cmocka_unit_test(test_a_missing_end_is_forgiven_when_the_nbt_is_whole),
		cmocka_unit_test(test_every_cut_decodes_whole_or_not_at_all),
		cmocka_unit_test(test_changed_bytes_never_lead_astray),
		cmocka_unit_test(test_output_is_bounded),
		cmocka_unit_test(test_other_types_are_refused),
		cmocka_unit_test(test_lz4_claims_are_checked),
		cmocka_unit_test(test_info_of_both_layouts),
		cmocka_unit_test(test_info_of_entities_and_of_odd_values),
		cmocka_unit_test(test_equal_but_times), cmocka_unit_test(test_real_worlds)};
	return cmocka_run_group_tests_name("chunk", tests, NULL, NULL);
}
