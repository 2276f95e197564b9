/* selection: sets of chunks, MCA Selector's text in and out, discs as its --radius makes them. */
#include "tests/unit/support.h"

#include "engine/prune/selection.h"

static struct selection *parse(const char *t)
{
	struct selection *s;
	OK(selection_parse(&s, text(t), e));
	return s;
}

static void gives(struct selection *s, const char *want)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	OK(selection_format(s, &b, e));
	OK(buf_add(&b, "", 1, e));
	assert_string_equal((const char *)b.p, want);
}

static void text_in_and_out(void **state)
{
	(void)state;
	CLEANUP_SELECTION struct selection *s = parse("1;-1;32;-1\n0;0;31;31\r\n-1;-1\n\n1;-1;63;-32");
	assert_true(selection_has(s, 32, -1));
	assert_true(selection_has(s, 31, 31));
	assert_true(selection_has(s, -32, -32));
	assert_true(selection_has(s, -1, -1));
	assert_false(selection_has(s, 0, 0));
	assert_false(selection_has(s, -33, -1));
	assert_int_equal(selection_count(s), 3 + 1024);
	gives(s, "-1;-1\n0;0;31;31\n1;-1;63;-32\n1;-1;32;-1\n");
	CLEANUP_SELECTION struct selection *none = parse("");
	assert_false(selection_has(none, 0, 0));
	gives(none, "");
	CLEANUP_SELECTION struct selection *inv = parse("inverted\n0;0;1;1\n");
	assert_true(selection_inverted(inv));
	assert_false(selection_has(inv, 1, 1));
	assert_true(selection_has(inv, 1000000, -5));
	gives(inv, "inverted\n0;0;1;1\n");
}

static void refused(void **state)
{
	static const char *const bad[] = {"x", "1", "1;2;3", "1;2;3;4;5", "0;0;32;0", "0;0;0;-1",
		"99999999999;0", "67108864;0", "1;2;", ";1;2", "0;0\ninverted", "1.5;2", "+1;2", "0; 0"};
	struct selection *s;
	(void)state;
	for (size_t i = 0; i < N_OF(bad); i++)
		FAILS(E_USAGE, selection_parse(&s, text(bad[i]), e));
	struct err e = ERR_INIT;
	assert_int_equal(selection_parse(&s, text("0;0\n0;1\nbad\n"), &e), E_USAGE);
	assert_non_null(strstr(e.msg, "line 3"));
}

/* Measured: 5, 21, 37 chunks for 1, 2, 3. */
static void discs(void **state)
{
	static const unsigned want[] = {1, 5, 21, 37};
	(void)state;
	for (unsigned r = 0; r < 4; r++) {
		CLEANUP_SELECTION struct selection *s = NULL;
		OK(selection_new(&s, e));
		OK(selection_add_disc(s, 31, 0, r, e)); /* across regions */
		assert_int_equal(selection_count(s), want[r]);
	}
	CLEANUP_SELECTION struct selection *edge = NULL;
	OK(selection_new(&edge, e));
	OK(selection_add_disc(edge, INT32_MAX, INT32_MIN, 2, e));
	assert_int_equal(selection_count(edge), 8);
}

/* Against a plain array. */
static void at_random(void **state)
{
	static bool have[200][200];
	CLEANUP_SELECTION struct selection *s = NULL;
	size_t n = 0;
	(void)state;
	memset(have, 0, sizeof have);
	rnd_seed(7);
	OK(selection_new(&s, e));
	for (int i = 0; i < 3000; i++) {
		int x = (int)below(200), z = (int)below(200);
		n += !have[x][z];
		have[x][z] = true;
		OK(selection_add(s, x - 100, z - 100, e));
	}
	assert_int_equal(selection_count(s), n);
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_SELECTION struct selection *again = NULL;
	OK(selection_format(s, &b, e));
	OK(selection_parse(&again, buf_span(&b), e));
	for (int x = 0; x < 200; x++)
		for (int z = 0; z < 200; z++) {
			assert_int_equal(selection_has(s, x - 100, z - 100), have[x][z]);
			assert_int_equal(selection_has(again, x - 100, z - 100), have[x][z]);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(text_in_and_out),
		cmocka_unit_test(refused), cmocka_unit_test(discs), cmocka_unit_test(at_random)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
