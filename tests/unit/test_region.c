/* region: names and records of region files, whatever stands in them; against the second reader. */
#include "tests/unit/support.h"

#include "engine/anvil/region.h"
#include "engine/base/wire.h"
#include "tests/unit/make_region.h"
#include "tests/unit/region_reader.h"

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		bool ok;
		int32_t x, z;
	} v[] = {{"r.0.0.mca", true, 0, 0}, {"r.-1.12.mca", true, -1, 12},
		{"r.2147483647.-2147483647.mca", true, INT32_MAX, -INT32_MAX},
		{"r.2147483648.0.mca", false, 0, 0}, {"r.99999999999999999999.0.mca", false, 0, 0},
		{"r.0.mca", false, 0, 0}, {"r.0.0.mcr", false, 0, 0}, {"r.0.0.mca.bak", false, 0, 0},
		{"r.a.0.mca", false, 0, 0}, {"r..0.mca", false, 0, 0}, {"r.-.0.mca", false, 0, 0},
		{"R.0.0.mca", false, 0, 0}, {"r.0.0.mca~", false, 0, 0}, {"", false, 0, 0}, {"r", false, 0, 0},
		{"r.+1.0.mca", false, 0, 0}, {"r. 1.0.mca", false, 0, 0}, {"c.0.0.mca", false, 0, 0},
		{"r.0.0.", false, 0, 0}, {"r.0", false, 0, 0}, {"xr.0.0.mca", false, 0, 0}};
	for (size_t i = 0; i < N_OF(v); i++) {
		int32_t x = 0, z = 0;
		if (region_parse_name(v[i].name, &x, &z) != v[i].ok)
			fail_msg("'%s'", v[i].name);
		if (v[i].ok)
			assert_true(x == v[i].x && z == v[i].z);
	}
	int32_t x, z;
	assert_true(region_parse_external_name("c.5.-3.mcc", &x, &z));
	assert_true(x == 5 && z == -3);
	assert_false(region_parse_external_name("c.5.-3.mca", &x, &z));
	assert_false(region_parse_external_name("r.5.-3.mcc", &x, &z));
}

static int read_span(void *ctx, uint64_t off, void *p, size_t n, size_t *ret_n, struct err *e)
{
	struct span s = span_sub(*(struct span *)ctx, (size_t)off, n);
	(void)e;
	if (s.n)
		memcpy(p, s.p, s.n);
	*ret_n = s.n;
	return 0;
}

static void check_map(struct span file)
{
	struct region_extent ext[REGION_SLOTS];
	static uint8_t owner[1 << 22];
	unsigned whole = 0;
	OK(region_map(file.p, file.n, read_span, &file, ext, e));
	assert_true(file.n <= sizeof owner);
	memset(owner, 0, sizeof owner);
	for (unsigned i = 0; i < REGION_SLOTS; i++) {
		struct region_entry en = region_entry_at(file.p, i);
		if (!en.sector && !en.count) {
			assert_true(ext[i].len == 0 && !ext[i].broken);
			continue;
		}
		assert_true((ext[i].len == 0) == ext[i].broken);
		assert_true(ext[i].off == (uint64_t)en.sector * REGION_SECTOR);
		if (!ext[i].len)
			continue;
		whole++;
		assert_true(ext[i].off >= REGION_HEADER && ext[i].off + ext[i].len <= file.n);
		assert_int_equal(get_be32(file.p + ext[i].off) + 4, ext[i].len);
		assert_true(ext[i].len <= en.count * REGION_SECTOR);
		/* No byte has two owners. */
		for (uint64_t at = ext[i].off; at < ext[i].off + ext[i].len; at++)
			assert_int_equal(owner[at]++, 0);
	}
	assert_true(whole > 0);
}

static void test_maps(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 60; round++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		make_region(&b, 1 + below(60), round < 10 ? 0 : (unsigned)rnd() & FLAW_ALL);
		check_map(buf_span(&b));
		play_region(&b, 5);
		check_map(buf_span(&b));
	}
}

/* On well-formed files the second reader, which shares no code, finds the same chunks. */
static void test_against_the_other_reader(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		CLEANUP_FREE char *path = temp_path("r.3.-2.mca");
		struct region_extent ext[REGION_SLOTS];
		struct region_reader r;
		make_region(&b, 50, FLAW_STALE | FLAW_UNPADDED | FLAW_LATE_STAMP);
		write_file(path, buf_span(&b));
		struct span s = buf_span(&b);
		OK(region_map(b.p, b.len, read_span, &s, ext, e));
		assert_int_equal(region_reader_open(&r, path), 0);
		for (int i = 0; i < RR_CHUNKS; i++) {
			struct region_slot slot;
			bool there = region_reader_slot(&r, i, &slot);
			assert_int_equal(there, ext[i].len > 0);
			if (there) {
				assert_null(slot.problem);
				assert_int_equal(slot.len + 5, ext[i].len);
				assert_memory_equal(slot.payload, b.p + ext[i].off + 5, slot.len);
				region_slot_free(&slot);
			}
			assert_int_equal(slot.timestamp, region_entry_at(b.p, (unsigned)i).timestamp);
		}
		region_reader_close(&r);
	}
}

static int read_fails(void *ctx, uint64_t off, void *p, size_t n, size_t *ret_n, struct err *e)
{
	(void)ctx;
	(void)off;
	(void)p;
	(void)n;
	(void)ret_n;
	return err_set(e, E_IO, 0, "no");
}

static void test_failing_read(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct region_extent ext[REGION_SLOTS];
	make_region(&b, 5, 0);
	FAILS(E_IO, region_map(b.p, b.len, read_fails, NULL, ext, e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_against_the_other_reader),
		cmocka_unit_test(test_failing_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
