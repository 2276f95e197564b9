/* retention: hand-made cases, borg's own example, days of 23 and 25 hours, wrong clocks. */
#include "tests/unit/support.h"

#include <time.h>

#include "engine/snapshot/retention.h"

#define MAX 800
static struct snapshot_list l;
static struct retention_reason why[MAX];

static void zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

/* "2015-12-31 12:00" of the zone; `dst` tells the two hours of one name apart. */
static int64_t local(const char *s, int dst)
{
	struct tm tm = {.tm_isdst = dst};
	assert_int_equal(sscanf(s, "%d-%d-%d %d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
				 &tm.tm_min), 5);
	tm.tm_year -= 1900;
	tm.tm_mon--;
	return (int64_t)mktime(&tm);
}

static struct snapshot *add(int64_t t)
{
	if (!l.v)
		l.v = calloc(MAX, sizeof *l.v);
	struct snapshot *sn = &l.v[l.n];
	*sn = (struct snapshot){.begin = {t, 0}};
	sn->id.b[0] = (uint8_t)(l.n >> 8);
	sn->id.b[1] = (uint8_t)l.n;
	l.n++;
	return sn;
}

static struct snapshot *at(const char *s)
{
	return add(local(s, -1));
}

static int reset(void **state)
{
	(void)state;
	snapshot_list_free(&l);
	zone("UTC");
	return 0;
}

static struct retention rules(const char *s)
{
	static char copy[200];
	struct retention rt = {0};
	snprintf(copy, sizeof copy, "%s", s);
	for (char *save, *k = strtok_r(copy, " ", &save); k; k = strtok_r(NULL, " ", &save)) {
		char *v = strchr(k, '=');
		*v = 0;
		OK(retention_set(&rt, k, v + 1, e));
	}
	return rt;
}

static void decide(const char *s, int64_t now)
{
	struct retention rt = rules(s);
	OK(retention_decide(&rt, &l, (struct timestamp){now, 0}, why, e));
}

static unsigned kept(void)
{
	unsigned n = 0;
	for (size_t i = 0; i < l.n; i++)
		n += why[i].rule != RULE_NONE;
	return n;
}

static void is(size_t i, const char *want)
{
	char got[RETENTION_CHARS];
	retention_text(&why[i], got);
	if (strcmp(got, want) != 0)
		fail_msg("snapshot %zu: '%s' instead of '%s'", i, got, want);
}

/* "borg prune visualized": a backup on each day of 2015 but December 19, seen on 2016-01-01. */
static void test_borgs_example(void **state)
{
	(void)state;
	size_t day[13][32] = {{0}};
	zone("Europe/Berlin");
	for (int64_t t = local("2015-01-01 12:00", -1); t < local("2016-01-01 00:00", -1);) {
		struct tm tm;
		time_t tt = (time_t)t;
		localtime_r(&tt, &tm);
		day[tm.tm_mon + 1][tm.tm_mday] = l.n;
		if (tm.tm_mon != 11 || tm.tm_mday != 19)
			add(t);
		tm.tm_mday++;
		tm.tm_isdst = -1;
		t = mktime(&tm);
	}
	assert_int_equal(l.n, 364);
	decide("keep_daily=14 keep_monthly=6 keep_yearly=1", local("2016-01-01 08:00", -1));
	assert_int_equal(kept(), 21);
	is(day[12][31], "daily #1");
	is(day[12][20], "daily #12");
	is(day[12][18], "daily #13");
	is(day[12][17], "daily #14");
	is(day[12][16], "");
	is(day[11][30], "monthly #1");
	is(day[10][31], "monthly #2");
	is(day[9][30], "monthly #3");
	is(day[8][31], "monthly #4");
	is(day[7][31], "monthly #5");
	is(day[6][30], "monthly #6");
	is(day[1][1], "yearly[oldest] #1");
}

/* A period keeps its last snapshot, and what an earlier rule keeps uses its period up. */
static void test_order(void **state)
{
	(void)state;
	at("2026-03-01 09:00");
	at("2026-03-01 10:00");
	at("2026-03-02 09:00");
	at("2026-03-02 23:59");
	at("2026-03-03 00:00");
	at("2026-03-03 00:01");
	decide("keep_last=1 keep_daily=1", local("2026-03-03 01:00", -1));
	is(5, "last #1");
	is(4, "");
	is(3, "daily #1");
	assert_int_equal(kept(), 2);
	decide("keep_daily=2", local("2026-03-03 01:00", -1));
	is(5, "daily #1");
	is(3, "daily #2");
	assert_int_equal(kept(), 2);
	/* Fewer than asked for: the oldest too. */
	decide("keep_daily=9", local("2026-03-03 01:00", -1));
	is(1, "daily #3");
	is(0, "daily[oldest] #4");
	assert_int_equal(kept(), 4);
	decide("keep_daily=-1", local("2026-03-03 01:00", -1));
	assert_int_equal(kept(), 4);
	decide("keep_hourly=-1", local("2026-03-03 01:00", -1));
	assert_int_equal(kept(), 5);
	decide("keep_minutely=-1", local("2026-03-03 01:00", -1));
	assert_int_equal(kept(), 6);
	decide("keep_last=-1", local("2026-03-03 01:00", -1));
	assert_int_equal(kept(), 6);
}

static void test_within(void **state)
{
	(void)state;
	int64_t now = local("2026-03-10 12:00", -1);
	at("2026-03-03 12:00"); /* exactly seven days: no more within */
	at("2026-03-03 12:01");
	at("2026-03-10 12:00");
	decide("keep_within=7d", now);
	is(0, "");
	is(1, "within #2");
	is(2, "within #1");
	decide("keep_within=1H keep_daily=2", now);
	is(2, "within #1");
	is(1, "daily #1");
	is(0, "daily[oldest] #2");
	/* Nothing is young enough: the newest stays all the same. */
	decide("keep_within=7d", now + 90 * 86400);
	is(2, "newest of its group");
	assert_int_equal(kept(), 1);
}

/* ISO weeks across the year: 2026-12-31 and 2027-01-01 are in week 53 of 2026, 2027-01-04 is not. */
static void test_weeks_and_quarters(void **state)
{
	(void)state;
	int64_t now = local("2027-02-01 00:00", -1);
	at("2026-12-27 10:00"); /* Sunday of week 52 */
	at("2026-12-28 10:00"); /* Monday of week 53 */
	at("2026-12-31 10:00");
	at("2027-01-03 10:00"); /* Sunday of week 53 */
	at("2027-01-04 10:00"); /* Monday of week 1 */
	decide("keep_weekly=3", now);
	is(4, "weekly #1");
	is(3, "weekly #2");
	is(2, "");
	is(1, "");
	is(0, "weekly #3");
	decide("keep_13weekly=2", now);
	is(4, "13weekly #1");
	is(3, "13weekly #2");
	assert_int_equal(kept(), 2);
	decide("keep_3monthly=2", now);
	is(4, "3monthly #1");
	is(2, "3monthly #2");
	decide("keep_yearly=2", now);
	is(4, "yearly #1");
	is(2, "yearly #2");
}

/* Berlin, 2026-03-29: 02:00 to 03:00 is left out. 2026-10-25: it is there twice. */
static void test_berlin(void **state)
{
	(void)state;
	zone("Europe/Berlin");
	int64_t spring = local("2026-03-29 00:30", -1);
	for (int h = 0; h < 23; h++) /* 00:30 .. 23:30, 23 hours */
		add(spring + h * 3600);
	add(spring + 23 * 3600); /* 00:30 of the 30th */
	decide("keep_hourly=-1", spring + 90000);
	assert_int_equal(kept(), 24);
	decide("keep_daily=2", spring + 90000);
	is(23, "daily #1");
	is(22, "daily #2");
	assert_int_equal(kept(), 2);
	reset(NULL);
	zone("Europe/Berlin");
	int64_t autumn = local("2026-10-25 00:30", -1);
	for (int h = 0; h < 25; h++) /* 00:30, 01:30, 02:30, 02:30, 03:30 .. 23:30 */
		add(autumn + h * 3600);
	decide("keep_daily=1", autumn + 90000);
	is(24, "daily #1");
	assert_int_equal(kept(), 1);
	decide("keep_hourly=-1", autumn + 90000);
	is(3, "hourly #22"); /* the later 02:30 */
	is(2, "");
	assert_int_equal(kept(), 24);
}

/* New York, 2026-11-01 02:00 to 01:00, and midnight there is not midnight in UTC. */
static void test_new_york(void **state)
{
	(void)state;
	zone("America/New_York");
	add(local("2026-10-31 23:30", -1));
	add(local("2026-11-01 00:30", -1));
	add(local("2026-11-01 01:30", 1));
	add(local("2026-11-01 01:30", 0));
	assert_int_equal(l.v[3].begin.s - l.v[2].begin.s, 3600);
	add(local("2026-11-01 23:30", -1)); /* 04:30 of the 2nd in UTC */
	decide("keep_daily=9", l.v[4].begin.s + 1);
	is(4, "daily #1");
	is(0, "daily #2");
	assert_int_equal(kept(), 2);
	decide("keep_hourly=3", l.v[4].begin.s + 1);
	is(4, "hourly #1");
	is(3, "hourly #2");
	is(2, "");
	is(1, "hourly #3");
	zone("UTC");
	decide("keep_daily=9", l.v[4].begin.s + 1);
	is(4, "daily #1");
	is(3, "daily #2");
	is(0, "daily[oldest] #3");
}

/* A clock far ahead pushes nothing out; one that stands in 1970 makes everything the future. */
static void test_wrong_clocks(void **state)
{
	(void)state;
	int64_t now = local("2026-03-10 12:00", -1);
	at("2026-03-09 12:00");
	at("2026-03-10 12:00");
	for (int i = 0; i < 50; i++)
		add(now + 1 + i * 86400);
	decide("keep_last=2 keep_daily=2 keep_within=2d", now);
	is(0, "within #2");
	is(1, "within #1");
	for (size_t i = 2; i < l.n; i++)
		is(i, "in the future");
	decide("keep_last=1", 0);
	assert_int_equal(kept(), l.n);
}

static void test_groups_and_tags(void **state)
{
	(void)state;
	int64_t now = local("2026-03-10 12:00", -1);
	for (int i = 0; i < 6; i++) {
		struct snapshot *sn = add(now - 3600 * (6 - i));
		sn->host = strdup(i % 2 ? "b" : "a");
		sn->sources = calloc(1, sizeof *sn->sources);
		sn->n_sources = 1;
		sn->sources->path = strdup(i < 2 ? "/x" : "/y");
		sn->sources->name = strdup("n");
	}
	OK(snapshot_tag_add(&l.v[2], "keep", e));
	OK(snapshot_tag_add(&l.v[2], "also", e));
	decide("keep_last=1", now);
	assert_int_equal(kept(), 1);
	decide("keep_last=1 group_by=host", now);
	is(5, "last #1");
	is(4, "last #1");
	assert_int_equal(kept(), 2);
	decide("keep_last=1 group_by=source", now);
	is(5, "last #1");
	is(1, "last #1");
	assert_int_equal(kept(), 2);
	decide("keep_last=1 group_by=host,source", now);
	assert_int_equal(kept(), 4);
	decide("keep_last=1 keep_tag=other keep_tag=keep group_by=none", now);
	is(5, "last #1");
	is(2, "tag keep");
	assert_int_equal(kept(), 2);
}

static void test_settings(void **state)
{
	(void)state;
	struct retention rt = {0};
	assert_true(retention_is_empty(&rt));
	OK(retention_set(&rt, "group_by", "host", e));
	assert_true(retention_is_empty(&rt));
	OK(retention_set(&rt, "keep-within", "2 weeks", e));
	assert_int_equal(rt.within, 14 * 86400);
	OK(retention_set(&rt, "keep_within", "3m", e));
	assert_int_equal(rt.within, 93 * 86400);
	assert_false(retention_is_empty(&rt));
	static const char *const bad[][2] = {{"keep_daily", "x"}, {"keep_daily", "-2"},
		{"keep_daily", ""}, {"keep_daily", "3 "}, {"keep_within", "5"}, {"keep_within", "0d"},
		{"keep_tag", "a b"}, {"keep_tag", ""}, {"group_by", "hosts"}};
	for (size_t i = 0; i < N_OF(bad); i++)
		FAILS(E_USAGE, retention_set(&rt, bad[i][0], bad[i][1], e));
	FAILS(E_NOTFOUND, retention_set(&rt, "keep_fortnightly", "1", e));
	FAILS(E_NOTFOUND, retention_set(&rt, "daily", "1", e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_borgs_example, reset, reset),
		cmocka_unit_test_setup_teardown(test_order, reset, reset),
		cmocka_unit_test_setup_teardown(test_within, reset, reset),
		cmocka_unit_test_setup_teardown(test_weeks_and_quarters, reset, reset),
		cmocka_unit_test_setup_teardown(test_berlin, reset, reset),
		cmocka_unit_test_setup_teardown(test_new_york, reset, reset),
		cmocka_unit_test_setup_teardown(test_wrong_clocks, reset, reset),
		cmocka_unit_test_setup_teardown(test_groups_and_tags, reset, reset),
		cmocka_unit_test_setup_teardown(test_settings, reset, reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
