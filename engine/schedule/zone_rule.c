/* The POSIX form of a zone: std offset [dst [offset] [,start[/time],end[/time]]]. */
#include <string.h>

#include "engine/schedule/zone_internal.h"

#define DAY 86400

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "CET" or "<+0330>" */
static const char *skip_name(const char *s)
{
	const char *from = s;
	if (*s == '<') {
		while (*s && *s != '>')
			s++;
		return *s && s - from > 1 ? s + 1 : NULL;
	}
	while (is_alpha(*s))
		s++;
	return s - from >= 3 ? s : NULL;
}

static const char *number(const char *s, int max, int *ret)
{
	int n = 0;
	if (!is_digit(*s))
		return NULL;
	for (; is_digit(*s); s++) {
		n = n * 10 + *s - '0';
		if (n > max)
			return NULL;
	}
	*ret = n;
	return s;
}

/* "[+-]h[h][:mm[:ss]]"; RFC 8536 lets hours go to 167. */
static const char *clock_time(const char *s, int32_t *ret)
{
	int h = 0, m = 0, sec = 0, sign = 1;
	if (*s == '+' || *s == '-')
		sign = *s++ == '-' ? -1 : 1;
	s = number(s, 167, &h);
	if (s && *s == ':')
		s = number(s + 1, 59, &m);
	if (s && *s == ':')
		s = number(s + 1, 59, &sec);
	*ret = sign * (h * 3600 + m * 60 + sec);
	return s;
}

static const char *rule_day(const char *s, struct posix_day *d)
{
	if (*s == 'M') {
		d->kind = DAY_OF_WEEK;
		s = number(s + 1, 12, &d->month);
		if (!s || *s != '.' || d->month < 1)
			return NULL;
		s = number(s + 1, 5, &d->week);
		if (!s || *s != '.' || d->week < 1)
			return NULL;
		s = number(s + 1, 6, &d->day);
	} else if (*s == 'J') {
		d->kind = DAY_JULIAN;
		s = number(s + 1, 365, &d->day);
		if (s && d->day < 1)
			return NULL;
	} else {
		d->kind = DAY_COUNT;
		s = number(s, 365, &d->day);
	}
	d->second = 2 * 3600;
	if (s && *s == '/')
		s = clock_time(s + 1, &d->second);
	return s;
}

bool posix_rule_parse(const char *s, struct posix_rule *r)
{
	int32_t west;
	memset(r, 0, sizeof *r);
	s = skip_name(s);
	if (!s || !(s = clock_time(s, &west)) || west < -26 * 3600 || west > 26 * 3600)
		return false;
	r->std = r->dst = -west;
	if (!*s)
		return true;
	s = skip_name(s);
	if (!s)
		return false;
	r->has_dst = true;
	r->dst = r->std + 3600;
	if (*s && *s != ',') {
		if (!(s = clock_time(s, &west)) || west < -26 * 3600 || west > 26 * 3600)
			return false;
		r->dst = -west;
	}
	if (!*s)
		s = ",M3.2.0,M11.1.0"; /* what POSIX leaves open, the C libraries fill in so */
	if (*s != ',' || !(s = rule_day(s + 1, &r->begin)) || *s != ',' ||
		!(s = rule_day(s + 1, &r->end)))
		return false;
	return !*s;
}

/* The wall time of the change in a year. */
static int64_t change_in(const struct posix_day *d, int64_t year)
{
	int64_t day;
	bool leap = civil_month_days(year, 2) == 29;
	if (d->kind == DAY_OF_WEEK) {
		day = civil_days(year, d->month, 1);
		int weekday = (int)(((day + 4) % 7 + 7) % 7);
		int n = (d->day - weekday + 7) % 7 + (d->week - 1) * 7;
		while (n >= civil_month_days(year, d->month))
			n -= 7;
		day += n;
	} else if (d->kind == DAY_JULIAN) {
		day = civil_days(year, 1, 1) + d->day - 1 + (leap && d->day >= 60);
	} else {
		day = civil_days(year, 1, 1) + d->day;
	}
	return day * DAY + d->second;
}

struct zone_span posix_rule_at(const struct posix_rule *r, int64_t t)
{
	struct zone_span s = {INT64_MIN, INT64_MAX, r->std};
	struct civil c;
	if (!r->has_dst)
		return s;
	civil_of(t + r->std, &c);
	/* The changes around t: those of its year and of both neighbours are enough. */
	for (int64_t year = c.year - 1; year <= c.year + 1; year++) {
		int64_t on = change_in(&r->begin, year) - r->std;
		int64_t off = change_in(&r->end, year) - r->dst;
		if (on <= t && on > s.from) {
			s.from = on;
			s.offset = r->dst;
		}
		if (off <= t && off >= s.from) {
			s.from = off;
			s.offset = r->std;
		}
		if (on > t && on < s.until)
			s.until = on;
		if (off > t && off < s.until)
			s.until = off;
	}
	return s;
}
