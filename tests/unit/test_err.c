/* err: codes, messages, wrapping. */
#include "tests/unit/support.h"

#include <errno.h>

static void test_set(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	assert_int_equal(err_set(&e, E_FORMAT, 0, "chunk %d", 7), E_FORMAT);
	assert_int_equal(e.code, E_FORMAT);
	assert_string_equal(e.msg, "chunk 7");
	assert_int_equal(err_set(&e, E_IO, EIO, "read '%s'", "x"), E_IO);
	assert_int_equal(e.sys, EIO);
	assert_string_equal(e.msg, "read 'x': Input/output error");
}

static void test_errno_makes_the_code(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	assert_int_equal(err_set(&e, E_IO, ENOSPC, "w"), E_NOSPACE);
	assert_int_equal(err_set(&e, E_IO, EDQUOT, "w"), E_NOSPACE);
	assert_int_equal(err_set(&e, E_IO, ENOMEM, "w"), E_NOMEM);
	assert_int_equal(err_set(&e, E_IO, ENOENT, "w"), E_NOTFOUND);
	assert_int_equal(err_set(&e, E_IO, EACCES, "w"), E_IO);
	assert_int_equal(err_set(&e, E_EXISTS, EEXIST, "w"), E_EXISTS);
}

static void test_wrap(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	err_set(&e, E_CORRUPT, 0, "frame 3 is damaged");
	assert_int_equal(err_wrap(&e, "pack %s", "ab"), E_CORRUPT);
	assert_int_equal(err_wrap(&e, "snapshot x"), E_CORRUPT);
	assert_string_equal(e.msg, "snapshot x: pack ab: frame 3 is damaged");
}

static void test_null_is_fine(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, E_LOCKED, 0, "x"), E_LOCKED);
	(void)err_wrap(NULL, "x");
	struct err own = ERR_INIT;
	err_set(&own, E_LOST, 0, "x");
	assert_int_equal(err_pass(NULL, &own), E_LOST);
}

static void test_pass(void **state)
{
	(void)state;
	struct err e = ERR_INIT, own = ERR_INIT;
	err_set(&own, E_IO, EIO, "read 'x'");
	assert_int_equal(err_pass(&e, &own), E_IO);
	assert_int_equal(e.code, E_IO);
	assert_int_equal(e.sys, EIO);
	assert_string_equal(e.msg, own.msg);
}

/* However long: cut off, terminated, and the beginning is kept. */
static void test_long_messages(void **state)
{
	(void)state;
	struct err e = ERR_INIT;
	char longer[2000];
	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	err_set(&e, E_IO, EIO, "%s", longer);
	assert_true(strlen(e.msg) < sizeof e.msg);
	for (int i = 0; i < 20; i++)
		err_wrap(&e, "wrapped %d %.100s", i, longer);
	assert_true(strlen(e.msg) < sizeof e.msg);
	assert_memory_equal(e.msg, "wrapped 19", 10);
}

static void test_names(void **state)
{
	(void)state;
	for (int a = E_LOST; a <= E_IO; a++) {
		const char *n = err_name(a);
		assert_non_null(n);
		assert_true(n[0] >= 'a' && n[0] <= 'z');
		for (int b = E_LOST; b < a; b++)
			assert_string_not_equal(n, err_name(b));
	}
	assert_string_equal(err_name(E_LOST - 1), err_name(-999)); /* there are no more */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_errno_makes_the_code),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_null_is_fine),
		cmocka_unit_test(test_long_messages),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
