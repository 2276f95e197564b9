/* duration: three spellings in, one out. */
#include "tests/unit/support.h"

#include "engine/base/duration.h"

#define DAY INT64_C(86400)

struct good {
	const char *s;
	int64_t v;
};

static void test_words(void **state)
{
	(void)state;
	static const struct good good[] = {{"30 days", 30 * DAY}, {"5min", 300}, {"1h30min", 5400},
		{"2 weeks", 14 * DAY}, {"1 week", 7 * DAY}, {"3w", 21 * DAY}, {"1 year", 365 * DAY},
		{"2y 1 month", 760 * DAY}, {"1 day, 2 hours, 3 minutes, 4 seconds", 93784},
		{"10 mins", 600}, {"7 secs", 7}, {"7s", 7}, {"1 min 1h", 3660}, {" 4 d ", 4 * DAY},
		{"0 days", 0}, {"100 years", 36500 * DAY}, {"5 minutes", 300}};
	static const char *const bad[] = {"", " ", "5", "days", "5m", "5 M", "1.5 days", "-1 day",
		"+1 day", "5 Days", "1 day 2 days", "1d 1 day", "5 dayss", "5 ys", "5 ds", "5 fortnights",
		"5 days x", "x 5 days", "201 years", "99999999999999999999999 s", "1 day\n",
		"9223372036854775807 years", "5 mo", "5_days"};
	for (size_t i = 0; i < N_OF(good); i++) {
		int64_t v = -1;
		OK(duration_parse_words(good[i].s, &v, e));
		if (v != good[i].v)
			fail_msg("'%s': %lld", good[i].s, (long long)v);
	}
	for (size_t i = 0; i < N_OF(bad); i++) {
		int64_t v = -1;
		FAILS(E_USAGE, duration_parse_words(bad[i], &v, e));
		assert_int_equal(v, -1);
	}
}

static void test_borg(void **state)
{
	(void)state;
	static const struct good good[] = {{"2H", 7200}, {"7d", 7 * DAY}, {"3m", 93 * DAY},
		{"1y", 365 * DAY}, {"4w", 28 * DAY}, {"5M", 300}, {"1S", 1}, {"0010d", 10 * DAY}};
	static const char *const bad[] = {"", "7", "d", "0d", "7 d", "7D", "7h", "-7d", "1d2H", "7dd",
		"1.5d", "201y", "99999999999999999999y", "2 weeks", " 7d"};
	for (size_t i = 0; i < N_OF(good); i++) {
		int64_t v = -1;
		OK(duration_parse_borg(good[i].s, &v, e));
		assert_int_equal(v, good[i].v);
	}
	for (size_t i = 0; i < N_OF(bad); i++) {
		int64_t v = -1;
		FAILS(E_USAGE, duration_parse_borg(bad[i], &v, e));
		assert_int_equal(v, -1);
	}
}

static void test_go(void **state)
{
	(void)state;
	const int64_t s = 1000000000;
	const struct good good[] = {{"1h30m", 5400 * s}, {"90s", 90 * s}, {"1.5h", 5400 * s},
		{"0", 0}, {"0s", 0}, {"300ms", 300000000}, {"1h0m0.5s", 3600 * s + s / 2},
		{".5s", s / 2}, {"5.s", 5 * s}, {"1m1m", 120 * s}, {"7us", 7000},
		{"7\xc2\xb5s", 7000}, {"9ns", 9}, {"1.9ns", 1}, {"24h", 86400 * s},
		{"1.123456789h", 4044444440400}};
	static const char *const bad[] = {"", "5", "h", ".s", "1d", "1h ", " 1h", "1 h", "-1h", "+1h",
		"1h30", "1..5s", "2000000h", "99999999999999999999h", "1.5.5s", "1H"};
	for (size_t i = 0; i < N_OF(good); i++) {
		int64_t v = -1;
		OK(duration_parse_go(good[i].s, &v, e));
		if (v != good[i].v)
			fail_msg("'%s': %lld", good[i].s, (long long)v);
	}
	for (size_t i = 0; i < N_OF(bad); i++) {
		int64_t v = -1;
		FAILS(E_USAGE, duration_parse_go(bad[i], &v, e));
		assert_int_equal(v, -1);
	}
}

static void test_format(void **state)
{
	(void)state;
	char out[DURATION_CHARS];
	assert_string_equal(duration_format(0, out), "0 seconds");
	assert_string_equal(duration_format(1, out), "1 second");
	assert_string_equal(duration_format(5400, out), "1 hour 30 minutes");
	assert_string_equal(duration_format(366 * DAY + 61, out), "1 year 1 day 1 minute 1 second");
	assert_string_equal(duration_format(-60, out), "-1 minute");
	assert_true(strlen(duration_format(INT64_MIN, out)) < DURATION_CHARS);
	for (int i = 0; i < 2000; i++) {
		int64_t v = (int64_t)(rnd() % (uint64_t)(DURATION_MAX + 1)) >> below(32), back = -1;
		OK(duration_parse_words(duration_format(v, out), &back, e));
		assert_int_equal(back, v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_borg),
		cmocka_unit_test(test_go),
		cmocka_unit_test(test_format),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
