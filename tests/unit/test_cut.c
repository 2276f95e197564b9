/* cut: pieces within bounds, the same again after an insertion, different under another key. */
#include "tests/unit/support.h"

#include "engine/snapshot/cut.h"

#define SIZE ((size_t)24 << 20)
#define PIECES_MAX 400

static size_t cut_all(const struct keys *k, struct span s, uint64_t ends[PIECES_MAX])
{
	struct cutter c;
	size_t n = 0, at = 0;
	cutter_init(&c, k);
	while (at < s.n) {
		size_t len = cutter_next(&c, span_sub(s, at, CUT_MAX));
		assert_in_range(len, 1, CUT_MAX);
		if (at + len < s.n)
			assert_true(len >= CUT_MIN);
		at += len;
		assert_true(n < PIECES_MAX);
		ends[n++] = at;
	}
	return n;
}

static void test_stable(void **state)
{
	(void)state;
	static uint64_t a[PIECES_MAX], b[PIECES_MAX];
	struct keys *k = test_keys();
	uint8_t *p = malloc(SIZE + 100);
	fill(p, SIZE, 1);
	size_t n = cut_all(k, span_of(p, SIZE), a);
	/* On average 310 KiB, give or take. */
	assert_in_range(n, SIZE / (512 << 10), SIZE / (192 << 10));
	assert_int_equal(cut_all(k, span_of(p, SIZE), b), n);
	assert_memory_equal(a, b, n * sizeof *a);
	/* A hundred bytes come in at a third: only the pieces there change. */
	size_t at = SIZE / 3;
	memmove(p + at + 100, p + at, SIZE - at);
	fill(p + at, 100, 1);
	size_t m = cut_all(k, span_of(p, SIZE + 100), b), kept = 0;
	for (size_t i = 0, j = 0; i < n; i++) {
		uint64_t end = a[i] <= at ? a[i] : a[i] + 100;
		while (j < m && b[j] < end)
			j++;
		kept += j < m && b[j] == end;
	}
	if (kept + 4 < n)
		fail_msg("%zu of %zu cuts were kept", kept, n);
	free(p);
	keys_free(k);
}

static void test_bounds(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, CUT_MIN - 1, CUT_MIN, CUT_MIN + 1, CUT_MAX - 1, CUT_MAX,
		CUT_MAX + 1};
	struct keys *k = test_keys();
	struct cutter c;
	cutter_init(&c, k);
	for (int kind = 0; kind < 4; kind++)
		for (size_t i = 0; i < N_OF(sizes); i++) {
			uint8_t *p = malloc(sizes[i] ? sizes[i] : 1);
			fill(p, sizes[i], kind);
			size_t n = cutter_next(&c, span_of(p, sizes[i]));
			assert_true(n <= sizes[i] && n <= CUT_MAX);
			if (sizes[i] <= CUT_MIN)
				assert_int_equal(n, sizes[i]);
			else
				assert_true(n >= CUT_MIN);
			free(p);
		}
	keys_free(k);
}

/* Where it cuts depends on the key: sizes of pieces tell nobody without it what the file is. */
static void test_keyed(void **state)
{
	(void)state;
	static uint64_t a[PIECES_MAX], b[PIECES_MAX];
	static const uint8_t master[KEY_BYTES] = "another master key";
	struct keys *k = test_keys(), *other;
	struct id id = {{1}};
	OK(keys_new(&other, master, &id, e));
	uint8_t *p = malloc(SIZE);
	fill(p, SIZE, 1);
	size_t n = cut_all(k, span_of(p, SIZE), a), m = cut_all(other, span_of(p, SIZE), b), same = 0;
	for (size_t i = 0, j = 0; i < n && j < m; a[i] < b[j] ? i++ : j++)
		same += a[i] == b[j];
	assert_true(same < n / 4);
	free(p);
	keys_free(k);
	keys_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stable),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_keyed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
