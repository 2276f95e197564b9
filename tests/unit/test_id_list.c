/* id_list: keeps the order and what comes twice, whatever it grows to. */
#include "tests/unit/support.h"

#include "engine/store/id_list.h"

static struct id id_no(uint32_t i)
{
	struct id id = {{0}};
	memcpy(id.b + ID_BYTES - sizeof i, &i, sizeof i); /* they differ at the end only */
	return id;
}

static void test_order(void **state)
{
	(void)state;
	CLEANUP_ID_LIST struct id_list l = {0};
	const uint32_t n = 1000;
	for (uint32_t i = 0; i < n; i++) {
		struct id id = id_no(i / 2);
		OK(i % 2 ? id_list_add(&l, &id, e) : id_list_collect(&l, &id, 123, e));
	}
	assert_int_equal(l.n, n);
	for (uint32_t i = 0; i < n; i++) {
		struct id id = id_no(i / 2);
		assert_memory_equal(&l.v[i], &id, sizeof id);
	}
	struct id last = id_no(n / 2 - 1), other = id_no(n / 2);
	assert_true(id_list_has(&l, &last));
	assert_false(id_list_has(&l, &other));
}

static void test_lowered(void **state)
{
	(void)state;
	CLEANUP_ID_LIST struct id_list l = {0};
	struct id a = id_no(1), b = id_no(2);
	assert_false(id_list_has(&l, &a));
	OK(id_list_add(&l, &a, e));
	OK(id_list_add(&l, &b, e));
	l.n = 1;
	assert_false(id_list_has(&l, &b));
	OK(id_list_add(&l, &a, e));
	assert_int_equal(l.n, 2);
	assert_memory_equal(&l.v[1], &a, sizeof a);
	id_list_free(&l);
	assert_int_equal(l.n, 0);
	OK(id_list_add(&l, &b, e));
	assert_true(id_list_has(&l, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_lowered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
