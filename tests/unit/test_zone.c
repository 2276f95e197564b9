/* zone: offsets at given moments against what the C library makes of them, and hostile files. */
#include "tests/unit/support.h"

#include <time.h>
#include <unistd.h>

#include "engine/schedule/zone.h"

#define DAY 86400

/* Of all that the system's tzdata can hold: rules, no rules, both hemispheres, odd offsets, a day
 * that was left out (Apia), summer time that is the standard (Dublin), changes at odd times. */
static const char *const names[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
	"Pacific/Apia", "Europe/Dublin", "Asia/Kathmandu", "America/Sao_Paulo", "Asia/Kolkata",
	"Pacific/Chatham", "Africa/Casablanca", "America/Scoresbysund", "Asia/Gaza", "UTC",
	"CET-1CEST,M3.5.0,M10.5.0/3", "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", "EST5EDT"};

static void test_offsets(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(names); i++) {
		struct zone *z = NULL;
		struct err e = ERR_INIT;
		int rc = zone_load(names[i], &z, &e);
		if (rc == E_NOTFOUND)
			continue; /* a machine with less tzdata */
		assert_int_equal(rc, 0);
		setenv("TZ", names[i], 1);
		tzset();
		/* 1970 to 2100, and the hours around each change. */
		for (int64_t t = 0; t < (int64_t)130 * 365 * DAY; t += DAY * 5 + 3607) {
			time_t now = t;
			struct tm tm;
			localtime_r(&now, &tm);
			struct zone_span s = zone_at(z, t);
			if (s.offset != tm.tm_gmtoff || t < s.from || t >= s.until)
				fail_msg("%s at %lld: %d instead of %ld", names[i], (long long)t,
					(int)s.offset, tm.tm_gmtoff);
			for (int k = -1; k <= 1 && s.until != INT64_MAX && s.until < (int64_t)1 << 32; k++) {
				now = s.until + k;
				localtime_r(&now, &tm);
				if (zone_at(z, now).offset != tm.tm_gmtoff)
					fail_msg("%s at the change %lld", names[i], (long long)now);
			}
		}
		zone_free(z);
	}
	setenv("TZ", "UTC", 1);
	tzset();
}

static void test_calendar(void **state)
{
	(void)state;
	for (int64_t t = -(int64_t)300 * 366 * DAY; t < (int64_t)600 * 366 * DAY; t += 7 * DAY + 12345) {
		struct civil c;
		struct tm tm;
		time_t when = t;
		civil_of(t, &c);
		gmtime_r(&when, &tm);
		assert_int_equal(c.year, tm.tm_year + 1900);
		assert_int_equal(c.month, tm.tm_mon + 1);
		assert_int_equal(c.day, tm.tm_mday);
		assert_int_equal(c.hour * 3600 + c.minute * 60 + c.second,
			tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec);
		assert_int_equal(c.weekday, tm.tm_wday);
		assert_int_equal(civil_days(c.year, c.month, c.day) * DAY + c.hour * 3600 +
					 c.minute * 60 + c.second,
			t);
	}
	char text[ZONE_TIME_CHARS];
	struct zone *z = NULL;
	OK(zone_load("CET-1CEST,M3.5.0,M10.5.0/3", &z, e));
	assert_string_equal(zone_format(z, 1774746000, text), "2026-03-29T03:00:00+02:00");
	assert_string_equal(zone_format(z, 1774745999, text), "2026-03-29T01:59:59+01:00");
	zone_free(z);
}

static void test_refused(void **state)
{
	(void)state;
	struct zone *z = NULL;
	static const char *const bad[] = {"../etc/passwd", "/etc/passwd", "Europe/../Europe/Berlin",
		"Europe/", "a//b", "Europe/.hidden", "\xff", "CET-1CEST,M13.5.0,M10.5.0",
		"0123456789012345678901234567890123456789012345678901234567890123456789"};
	for (size_t i = 0; i < N_OF(bad); i++)
		FAILS(E_USAGE, zone_load(bad[i], &z, e));
	FAILS(E_NOTFOUND, zone_load("Mars/Olympus", &z, e));
	FAILS(E_NOTFOUND, zone_load("Europe", &z, e));
	FAILS(E_FORMAT, zone_load("zone.tab", &z, e));
	assert_null(z);
}

/* Every length of a real file, and every byte changed, is read or refused. */
static void test_damaged(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0)
		skip();
	read_file("/usr/share/zoneinfo/Europe/Berlin", &b);
	for (size_t n = 0; n < b.len; n++) {
		struct zone *z = NULL;
		uint8_t *cut = malloc(n ? n : 1); /* so that the sanitizer sees a step too far */
		assert_non_null(cut);
		memcpy(cut, b.p, n);
		if (zone_parse(span_of(cut, n), "cut", &z, NULL) == 0 && n + 40 < b.len)
			fail_msg("%zu bytes are no zone", n);
		zone_free(z);
		free(cut);
	}
	for (size_t i = 0; i < b.len; i++) {
		struct zone *z = NULL;
		b.p[i] ^= 0x81;
		if (zone_parse(buf_span(&b), "changed", &z, NULL) == 0)
			for (int64_t t = 0; t < (int64_t)1 << 33; t += (int64_t)1 << 27)
				(void)zone_at(z, t);
		zone_free(z);
		b.p[i] ^= 0x81;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_damaged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
