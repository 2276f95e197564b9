/* cron: a month of schedules in three zones against a minute-by-minute walk with the C library's
 * clock; summer time by hand; what is refused. */
#include "tests/unit/support.h"

#include <time.h>

#include "engine/schedule/cron.h"

static struct zone *utc;

static struct cron *parse(const char *text)
{
	struct cron *c = NULL;
	OK(cron_parse(text, utc, &c, e));
	return c;
}

static int64_t next(const struct cron *c, int64_t t)
{
	int64_t r = 0;
	OK(cron_next(c, t, &r, e));
	assert_true(r > t);
	return r;
}

/* ---- the independent calculation ----
 * A crontab line of numbers, written down as the set of its values by hand; the clock is the C
 * library's. Walks every minute. */

struct sample {
	const char *fields;
	const char *minutes, *hours, *days, *months, *weekdays; /* "1 5", "" for all */
	bool either;						/* day or weekday is enough */
};

static const struct sample samples[] = {
	{"0 2 * * *", "0", "2", "", "", "", false},
	{"30 2 * * *", "30", "2", "", "", "", false},
	{"*/15 1-3 * * *", "0 15 30 45", "1 2 3", "", "", "", false},
	{"0 3 * * 0", "0", "3", "", "", "0", false},
	{"0 3 */14 * *", "0", "3", "1 15 29", "", "", false},
	{"30 1 29 * fri", "30", "1", "29", "", "5", true},
	{"5/20 * * * *", "5 25 45", "", "", "", "", false},
	{"*/10 0,12-13,23 * mar-nov sat-sun", "0 10 20 30 40 50", "0 12 13 23", "",
		"3 4 5 6 7 8 9 10 11", "0 6", false},
	{"@daily", "0", "0", "", "", "", false},
	{"@hourly", "0", "", "", "", "", false},
	{"@weekly", "0", "0", "", "", "0", false},
	{"@monthly", "0", "0", "1", "", "", false},
	{"0 0 31 12 ?", "0", "0", "31", "12", "", false},
};

static bool has(const char *list, int n)
{
	char want[16], in[80];
	if (!*list)
		return true;
	snprintf(want, sizeof want, " %d ", n);
	snprintf(in, sizeof in, " %s ", list);
	return strstr(in, want) != NULL;
}

static bool shows(const struct sample *s, const struct tm *tm)
{
	bool day = has(s->days, tm->tm_mday), weekday = has(s->weekdays, tm->tm_wday);
	return has(s->minutes, tm->tm_min) && has(s->hours, tm->tm_hour) &&
	       has(s->months, tm->tm_mon + 1) && (s->either ? day || weekday : day && weekday);
}

/* Every due time of a sample in [from, until), by walking. Summer time by looking at what the clock
 * skips or repeats at each minute. */
static size_t walk(const struct sample *s, time_t from, time_t until, int64_t *due, size_t max)
{
	size_t n = 0;
	bool interval = !*s->hours;
	struct tm before, now;
	time_t warm = from - 3 * 86400;
	int64_t shown = 0; /* the latest wall minute seen so far */
	localtime_r(&warm, &before);
	for (time_t t = warm; t < until; t += 60) {
		localtime_r(&t, &now);
		int64_t wall = timegm(&(struct tm){.tm_year = now.tm_year, .tm_mon = now.tm_mon,
			.tm_mday = now.tm_mday, .tm_hour = now.tm_hour, .tm_min = now.tm_min});
		bool hit = shows(s, &now);
		if (!interval && shown && wall <= shown)
			hit = false; /* the clock shows it again */
		if (!interval && shown && wall > shown + 60)
			for (int64_t w = shown + 60; w < wall; w += 60) {
				struct tm skipped;
				time_t tw = w;
				gmtime_r(&tw, &skipped);
				hit = hit || shows(s, &skipped);
			}
		if (hit && t >= from && n < max)
			due[n++] = t;
		if (wall > shown)
			shown = wall;
		before = now;
	}
	return n;
}

static void against_walk(const char *zone, time_t from, time_t until)
{
	static int64_t due[60000];
	setenv("TZ", zone, 1);
	tzset();
	for (size_t i = 0; i < N_OF(samples); i++) {
		char text[128];
		snprintf(text, sizeof text, "CRON_TZ=%s %s", zone, samples[i].fields);
		struct cron *c = parse(text);
		size_t n = walk(&samples[i], from, until, due, N_OF(due));
		int64_t t = from - 1;
		for (size_t k = 0; k < n; k++) {
			t = next(c, t);
			if (t != due[k])
				fail_msg("%s: due %zu is %lld, walked to %lld", text, k,
					(long long)t, (long long)due[k]);
		}
		if (next(c, t) < until)
			fail_msg("%s: one more than %zu", text, n);
		cron_free(c);
	}
	setenv("TZ", "UTC", 1);
	tzset();
}

#define MONTH ((time_t)31 * 86400)
static void test_months(void **state)
{
	(void)state;
	const struct {
		const char *zone;
		time_t from; /* a month in which the clock changes */
	} months[] = {
		{"Europe/Berlin", 1772323200},	      /* March 2026 */
		{"Europe/Berlin", 1790812800},	      /* October */
		{"America/New_York", 1772323200},
		{"America/New_York", 1793491200},     /* November */
		{"Australia/Lord_Howe", 1774915200},  /* April: half an hour */
		{"Australia/Lord_Howe", 1790812800},
		{"Asia/Kolkata", 1790812800},
		{"CET-1CEST,M3.5.0,M10.5.0/3", 1790812800},
	};
	for (size_t i = 0; i < N_OF(months); i++) {
		struct zone *z;
		if (zone_load(months[i].zone, &z, NULL) < 0)
			continue;
		zone_free(z);
		against_walk(months[i].zone, months[i].from, months[i].from + MONTH);
	}
}

/* ---- by hand ---- */

static void expect_next(const char *schedule, const char *zone, int64_t after, const char *want)
{
	char text[200], got[ZONE_TIME_CHARS];
	snprintf(text, sizeof text, "TZ=%s %s", zone, schedule);
	struct cron *c = parse(text);
	zone_format(cron_zone(c), next(c, after), got);
	if (strcmp(got, want) != 0)
		fail_msg("%s after %lld: %s instead of %s", text, (long long)after, got, want);
	cron_free(c);
}

#define CET "CET-1CEST,M3.5.0,M10.5.0/3"
#define SPRING 1774742400 /* 2026-03-29 01:00 there; the clock goes from 2 to 3 */
#define AUTUMN 1792879200 /* 2026-10-25 00:00 there; from 3 to 2 */

static void test_summer_time(void **state)
{
	(void)state;
	expect_next("30 2 * * *", CET, SPRING, "2026-03-29T03:00:00+02:00");
	expect_next("*/20 2 * * *", CET, SPRING, "2026-03-29T03:00:00+02:00");
	expect_next("*/20 2 * * *", CET, SPRING + 3599, "2026-03-29T03:00:00+02:00");
	expect_next("*/20 2 * * *", CET, SPRING + 3600, "2026-03-30T02:00:00+02:00");
	expect_next("30 2,3 * * *", CET, SPRING + 3600, "2026-03-29T03:30:00+02:00");
	expect_next("30 * * * *", CET, SPRING + 1800, "2026-03-29T03:30:00+02:00");
	expect_next("30 2 * * *", CET, AUTUMN, "2026-10-25T02:30:00+02:00");
	expect_next("30 2 * * *", CET, AUTUMN + 9000, "2026-10-26T02:30:00+01:00");
	expect_next("30 * * * *", CET, AUTUMN + 9000, "2026-10-25T02:30:00+01:00");
	expect_next("0 3 * * *", CET, AUTUMN, "2026-10-25T03:00:00+01:00");
	expect_next("15 30 2 * * *", CET, AUTUMN + 9000, "2026-10-25T02:30:15+02:00");
}

static void test_seconds_and_far(void **state)
{
	(void)state;
	struct cron *c = parse("*/20 59 23 31 12 *");
	int64_t t = next(c, 1767225600);
	assert_int_equal(t, 1798761540);
	assert_int_equal(next(c, t), t + 20);
	assert_int_equal(next(c, t + 20), t + 40);
	assert_int_equal(next(c, t + 40), t + 365 * 86400);
	cron_free(c);
	c = parse("0 0 29 2 *");
	assert_int_equal(next(c, 1772323200), 1835395200); /* 2028 */
	assert_int_equal(next(c, 3990556800), 4233686400); /* 2096 to 2104: 2100 is no leap year */
	cron_free(c);
	c = parse("@every 1h30m");
	assert_int_equal(cron_every(c), 5400);
	assert_int_equal(next(c, 1000), 6400);
	cron_free(c);
	c = parse("0 12 * * 7");
	assert_int_equal(next(c, 1772323200), 1772366400); /* 1 March 2026 is a Sunday */
	cron_free(c);
	c = parse("  0\t12 * jan SUN-7  ");
	assert_int_equal(cron_every(c), 0);
	cron_free(c);
}

static void test_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", " ", "* * * *", "* * * * * * *", "60 * * * *",
		"* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * 0 *", "* * * * 8",
		"a * * * *", "*/0 * * * *", "5- * * * *", "9-3 * * * *", "1,,2 * * * *", ", * * * *",
		"* * L * *", "* * * * 5#2", "* * 15W * *", "*5 * * * *", "1-5-7 * * * *",
		"* * * foo *", "* * * janu *", "@noon", "@reboot", "@every", "@every 0s",
		"@every 500ms", "@every 1x", "@every -5m", "@daily x", "CRON_TZ=", "TZ=UTC",
		"TZ= 0 0 * * *", "CRON_TZ=Mars/X 0 0 * * *", "CRON_TZ=../x 0 0 * * *", "0 0 31 2 *",
		"0 0 31 feb,apr ?", "99999999999999999999 * * * *", "~ * * * *", "-1 * * * *"};
	for (size_t i = 0; i < N_OF(bad); i++) {
		struct cron *c = NULL;
		struct err e = ERR_INIT;
		if (cron_parse(bad[i], utc, &c, &e) != E_USAGE || !strstr(e.msg, "schedule '"))
			fail_msg("'%s' is taken (%s)", bad[i], e.msg);
	}
	char text[600];
	memset(text, '1', sizeof text - 1);
	text[sizeof text - 1] = 0;
	struct cron *c = NULL;
	FAILS(E_USAGE, cron_parse(text, utc, &c, e));
}

static int begin(void **state)
{
	(void)state;
	return zone_load("UTC", &utc, NULL);
}

static int end(void **state)
{
	(void)state;
	zone_free(utc);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_months),
		cmocka_unit_test(test_summer_time),
		cmocka_unit_test(test_seconds_and_far),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
