/* wire: every number comes back, in one spelling only; no length is believed. */
#include "tests/unit/support.h"

#include "engine/base/wire.h"

static const uint64_t numbers[] = {0, 1, 127, 128, 129, 255, 256, 16383, 16384, 65535, 65536,
	(1ull << 21) - 1, 1ull << 21, UINT32_MAX, 1ull << 32, (1ull << 35) - 1, 1ull << 42,
	1ull << 56, INT64_MAX, 1ull << 63, UINT64_MAX - 1, UINT64_MAX};

static void test_var(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(numbers); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		OK(put_var(&b, numbers[i], e));
		assert_in_range(b.len, 1, 10);
		struct rd r = rd_of(buf_span(&b));
		assert_true(rd_var(&r) == numbers[i]);
		OK(rd_done(&r, "number", e));
		/* Cut short anywhere it is bad. */
		for (size_t n = 0; n < b.len; n++) {
			r = rd_of(span_of(b.p, n));
			assert_int_equal(rd_var(&r), 0);
			assert_true(r.bad);
		}
	}
}

static void test_svar(void **state)
{
	(void)state;
	static const int64_t v[] = {0, -1, 1, -64, 63, -65, 64, INT32_MIN, INT32_MAX, INT64_MIN,
		INT64_MIN + 1, INT64_MAX};
	for (size_t i = 0; i < N_OF(v); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		OK(put_svar(&b, v[i], e));
		struct rd r = rd_of(buf_span(&b));
		assert_true(rd_svar(&r) == v[i]);
		OK(rd_done(&r, "number", e));
		if (v[i] >= -64 && v[i] < 64)
			assert_int_equal(b.len, 1);
	}
}

/* A number has one spelling: longer ones, and those of more than 64 bits, are refused. */
static void test_shortest_form_only(void **state)
{
	(void)state;
	static const struct {
		size_t n;
		uint8_t p[12];
	} bad[] = {{2, {0x80, 0x00}}, {2, {0xff, 0x00}}, {3, {0x81, 0x80, 0x00}},
		{10, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}},
		{10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}},
		{10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
		{11, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x81, 0x00}},
		{11, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}}};
	for (size_t i = 0; i < N_OF(bad); i++) {
		struct rd r = rd_of(span_of(bad[i].p, bad[i].n));
		(void)rd_var(&r);
		if (!r.bad)
			fail_msg("spelling %zu was accepted", i);
		FAILS(E_CORRUPT, rd_done(&r, "number", e));
	}
}

static void test_fixed(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	OK(put_u8(&b, 0xab, e));
	OK(put_u32(&b, 0x01020304, e));
	OK(put_u64(&b, 0x1122334455667788u, e));
	assert_memory_equal(b.p, "\xab\x04\x03\x02\x01\x88\x77\x66\x55\x44\x33\x22\x11", 13);
	struct rd r = rd_of(buf_span(&b));
	assert_int_equal(rd_u8(&r), 0xab);
	assert_int_equal(rd_u32(&r), 0x01020304);
	assert_true(rd_u64(&r) == 0x1122334455667788u);
	OK(rd_done(&r, "numbers", e));
	for (size_t n = 0; n < 13; n++) {
		r = rd_of(span_of(b.p, n));
		rd_u8(&r);
		rd_u32(&r);
		rd_u64(&r);
		assert_true(r.bad);
	}
	assert_int_equal(get_be32((const uint8_t *)"\x80\x01\x02\x03"), 0x80010203);
	assert_true(get_le64((const uint8_t *)"\x01\0\0\0\0\0\0\x80") == 0x8000000000000001u);
}

/* Lengths that reach over the end, by a little and by everything there is. */
static void test_hostile_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(numbers); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		OK(put_var(&b, numbers[i], e));
		OK(buf_add(&b, "12345", 5, e));
		struct rd r = rd_of(buf_span(&b));
		struct span s = rd_bytes(&r);
		if (numbers[i] <= 5) {
			assert_int_equal(s.n, numbers[i]);
			assert_false(r.bad);
		} else {
			assert_int_equal(s.n, 0);
			assert_true(r.bad);
		}
		r = rd_of(buf_span(&b));
		uint64_t n = rd_count(&r, 2);
		assert_int_equal(n, numbers[i] <= 2 ? numbers[i] : 0);
		assert_int_equal(r.bad, numbers[i] > 2);
		r = rd_of(buf_span(&b));
		assert_int_equal(rd_var_max(&r, 5), numbers[i] <= 5 ? numbers[i] : 0);
		assert_int_equal(r.bad, numbers[i] > 5);
	}
	struct rd r = rd_of(text("abc"));
	assert_int_equal(rd_raw(&r, 4).n, 0);
	assert_true(r.bad);
}

/* After the first violation nothing comes out any more. */
static void test_bad_stays_bad(void **state)
{
	(void)state;
	struct rd r = rd_of(text("\x05zz\x01\x02\x03\x04\x05\x06\x07\x08\x09"));
	(void)rd_raw(&r, 100);
	assert_true(r.bad);
	assert_int_equal(rd_u8(&r), 0);
	assert_int_equal(rd_u32(&r), 0);
	assert_true(rd_u64(&r) == 0);
	assert_int_equal(rd_var(&r), 0);
	assert_int_equal(rd_svar(&r), 0);
	assert_int_equal(rd_count(&r, 1), 0);
	assert_int_equal(rd_raw(&r, 1).n, 0);
	assert_int_equal(rd_bytes(&r).n, 0);
	assert_null(rd_strdup(&r));
	FAILS(E_CORRUPT, rd_done(&r, "thing", e));
}

static void test_strings(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	OK(put_str(&b, "name", e));
	OK(put_str(&b, "", e));
	OK(put_bytes(&b, span_of("a\0b", 3), e));
	struct rd r = rd_of(buf_span(&b));
	CLEANUP_FREE char *name = rd_strdup(&r);
	CLEANUP_FREE char *empty = rd_strdup(&r);
	assert_string_equal(name, "name");
	assert_string_equal(empty, "");
	assert_null(rd_strdup(&r));
	assert_true(r.bad);
}

static void test_left_over(void **state)
{
	(void)state;
	struct rd r = rd_of(text("ab"));
	rd_u8(&r);
	assert_int_equal(rd_left(&r), 1);
	struct err err = ERR_INIT;
	assert_int_equal(rd_done(&r, "this very thing", &err), E_CORRUPT);
	assert_non_null(strstr(err.msg, "this very thing"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_var),
		cmocka_unit_test(test_svar),
		cmocka_unit_test(test_shortest_form_only),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_hostile_lengths),
		cmocka_unit_test(test_bad_stays_bad),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_left_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
