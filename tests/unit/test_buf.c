/* buf: growing, failing without harm, spans. */
#include "tests/unit/support.h"

static void test_grows_and_keeps(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	for (unsigned i = 0; i < 100000; i++) {
		uint8_t c = (uint8_t)(i * 7);
		OK(buf_add(&b, &c, 1, e));
	}
	assert_int_equal(b.len, 100000);
	assert_true(b.cap >= b.len);
	for (unsigned i = 0; i < 100000; i++)
		if (b.p[i] != (uint8_t)(i * 7))
			fail_msg("byte %u", i);
}

static void test_zeros_and_resize(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	OK(buf_add(&b, "ab", 2, e));
	OK(buf_add_zero(&b, 3, e));
	assert_memory_equal(b.p, "ab\0\0\0", 5);
	OK(buf_resize(&b, 1, e));
	assert_int_equal(b.len, 1);
	OK(buf_resize(&b, 70000, e));
	assert_int_equal(b.len, 70000);
	assert_int_equal(b.p[0], 'a');
	OK(buf_add(&b, NULL, 0, e));
	OK(buf_add_zero(&b, 0, e));
	assert_int_equal(b.len, 70000);
	buf_free(&b);
	assert_null(b.p);
	OK(buf_add(&b, "again", 5, e));
	assert_spans(buf_span(&b), text("again"));
}

static void test_exact(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	OK(buf_reserve_exact(&b, 1000, e));
	assert_int_equal(b.len, 0);
	assert_true(b.cap >= 1000);
	const uint8_t *p = b.p;
	OK(buf_add_zero(&b, 1000, e));
	assert_ptr_equal(b.p, p);
}

/* Sizes that no memory has: E_NOMEM, and the buffer is as it was. */
static void test_too_large(void **state)
{
	(void)state;
	static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1, SIZE_MAX - 4};
	CLEANUP_BUF struct buf b = BUF_INIT;
	OK(buf_add(&b, "keep", 4, e));
	for (size_t i = 0; i < N_OF(sizes); i++) {
		FAILS(E_NOMEM, buf_reserve(&b, sizes[i], e));
		FAILS(E_NOMEM, buf_add_zero(&b, sizes[i], e));
		assert_spans(buf_span(&b), text("keep"));
	}
}

static void test_span_sub(void **state)
{
	(void)state;
	struct span s = text("0123456789");
	assert_spans(span_sub(s, 2, 3), text("234"));
	assert_spans(span_sub(s, 8, 100), text("89"));
	assert_int_equal(span_sub(s, 10, 1).n, 0);
	assert_int_equal(span_sub(s, 11, 1).n, 0);
	assert_int_equal(span_sub(s, SIZE_MAX, SIZE_MAX).n, 0);
	assert_int_equal(span_sub(s, 3, SIZE_MAX).n, 7);
}

static void test_take(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	OK(buf_add(&b, "x", 1, e));
	CLEANUP_BUF struct buf c = take_buf(&b);
	assert_null(b.p);
	assert_int_equal(b.len + b.cap, 0);
	assert_int_equal(c.len, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_and_keeps),
		cmocka_unit_test(test_zeros_and_resize),
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_span_sub),
		cmocka_unit_test(test_take),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
