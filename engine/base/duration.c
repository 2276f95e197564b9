#include "engine/base/duration.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MINUTE 60
#define HOUR 3600
#define DAY 86400
#define NANO 1000000000

struct unit {
	const char *name;
	int64_t seconds;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Decimal digits; more than `max` gives max + 1. */
static int64_t take_number(const char **s, int64_t max)
{
	int64_t v = 0;
	for (; is_digit(**s); ++*s)
		v = v > max / 10 ? max + 1 : v * 10 + (**s - '0');
	return v > max ? max + 1 : v;
}

static size_t count_letters(const char *s)
{
	size_t n = 0;
	while (is_letter(s[n]))
		n++;
	return n;
}

static int too_long(const char *s, struct err *e)
{
	return err_set(e, E_USAGE, 0, "'%.80s' is longer than 200 years", s);
}

/* ---- words ---- */

static const struct unit words[] = {{"year", 365 * DAY}, {"y", 365 * DAY}, {"month", 30 * DAY},
	{"week", 7 * DAY}, {"w", 7 * DAY}, {"day", DAY}, {"d", DAY}, {"hour", HOUR}, {"h", HOUR},
	{"minute", MINUTE}, {"min", MINUTE}, {"second", 1}, {"sec", 1}, {"s", 1}};

/* Words of more than one letter may have an s behind them. */
static int64_t word_seconds(const char *s, size_t n)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		size_t len = strlen(words[i].name);
		if (n >= len && strncmp(s, words[i].name, len) == 0 &&
			(n == len || (len > 1 && n == len + 1 && s[len] == 's')))
			return words[i].seconds;
	}
	return 0;
}

static int no_word(const char *s, struct err *e)
{
	return err_set(e, E_USAGE, 0,
		"'%.80s' is no length of time: write, for example, '30 days', '2 weeks' or "
		"'1h30min' (units: years, months, weeks, days, hours, min, sec)", s);
}

int duration_parse_words(const char *s, int64_t *ret, struct err *e)
{
	int64_t sum = 0, seen[8];
	size_t n_seen = 0;
	const char *p = s + strspn(s, " \t");
	while (*p) {
		if (!is_digit(*p))
			return no_word(s, e);
		int64_t v = take_number(&p, DURATION_MAX);
		p += strspn(p, " \t");
		size_t n = count_letters(p);
		int64_t unit = word_seconds(p, n);
		if (!unit)
			return no_word(s, e);
		for (size_t i = 0; i < n_seen; i++)
			if (seen[i] == unit)
				return err_set(e, E_USAGE, 0, "'%.80s' has a unit twice", s);
		seen[n_seen++] = unit; /* there are seven */
		p += n;
		p += strspn(p, " \t,");
		if (v > (DURATION_MAX - sum) / unit)
			return too_long(s, e);
		sum += v * unit;
	}
	if (n_seen == 0)
		return no_word(s, e);
	*ret = sum;
	return 0;
}

/* ---- borg ---- */

int duration_parse_borg(const char *s, int64_t *ret, struct err *e)
{
	static const struct unit units[] = {{"y", 365 * DAY}, {"m", 31 * DAY}, {"w", 7 * DAY},
		{"d", DAY}, {"H", HOUR}, {"M", MINUTE}, {"S", 1}};
	const char *p = s;
	int64_t v = is_digit(*p) ? take_number(&p, DURATION_MAX) : 0, unit = 0;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (strcmp(p, units[i].name) == 0)
			unit = units[i].seconds;
	if (!unit || v == 0)
		return err_set(e, E_USAGE, 0,
			"'%.80s' is no interval: a number and one of y, m (months), w, d, H, M "
			"(minutes), S, for example '2H' or '7d'", s);
	if (v > DURATION_MAX / unit)
		return too_long(s, e);
	*ret = v * unit;
	return 0;
}

/* ---- Go ---- */

static int no_go(const char *s, struct err *e)
{
	return err_set(e, E_USAGE, 0,
		"'%.80s' is no duration: write, for example, '1h30m' or '90s' (units: h, m, s, ms, "
		"us, ns)", s);
}

static int64_t go_unit(const char *s, size_t *ret_n)
{
	static const struct unit units[] = {{"h", (int64_t)HOUR * NANO}, {"ms", 1000000},
		{"m", (int64_t)MINUTE * NANO}, {"s", NANO}, {"us", 1000},
		{"\xc2\xb5s", 1000} /* micro */, {"\xce\xbcs", 1000} /* mu */, {"ns", 1}};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		*ret_n = strlen(units[i].name);
		if (strncmp(s, units[i].name, *ret_n) == 0)
			return units[i].seconds;
	}
	return 0;
}

/* The digits behind the point, as a fraction of `unit`, cut off. */
static int64_t take_fraction(const char **s, int64_t unit)
{
	int64_t num = 0, den = 1;
	for (; is_digit(**s); ++*s)
		if (den < INT64_C(100000000000000000)) {
			num = num * 10 + (**s - '0');
			den *= 10;
		}
	/* Up to 2^42 times 2^57. */
	return (int64_t)((__int128)unit * num / den);
}

int duration_parse_go(const char *s, int64_t *ret_ns, struct err *e)
{
	const int64_t max = DURATION_MAX * NANO;
	int64_t sum = 0;
	const char *p = s;
	if (strcmp(s, "0") == 0) {
		*ret_ns = 0;
		return 0;
	}
	do {
		const char *number = p;
		int64_t v = take_number(&p, max);
		const char *point = *p == '.' ? ++p : NULL, *frac = p;
		while (point && is_digit(*p))
			p++;
		if (p - number - (point != NULL) < 1)
			return no_go(s, e);
		size_t n;
		int64_t unit = go_unit(p, &n);
		if (!unit)
			return no_go(s, e);
		if (v > (max - sum) / unit)
			return too_long(s, e);
		sum += v * unit;
		int64_t part = point ? take_fraction(&frac, unit) : 0;
		if (part > max - sum)
			return too_long(s, e);
		sum += part;
		p += n;
	} while (*p);
	*ret_ns = sum;
	return 0;
}

/* ---- */

char *duration_format(int64_t seconds, char out[DURATION_CHARS])
{
	static const struct unit units[] = {{"year", 365 * DAY}, {"day", DAY}, {"hour", HOUR},
		{"minute", MINUTE}, {"second", 1}};
	uint64_t left = seconds < 0 ? 0 - (uint64_t)seconds : (uint64_t)seconds;
	size_t n = 0;
	if (seconds < 0)
		out[n++] = '-';
	size_t first = n;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		uint64_t unit = (uint64_t)units[i].seconds, v = left / unit;
		left %= unit;
		if (v || (unit == 1 && n == first))
			n += (size_t)snprintf(out + n, DURATION_CHARS - n, "%s%llu %s%s",
				n > first ? " " : "", (unsigned long long)v, units[i].name,
				v == 1 ? "" : "s");
	}
	return out;
}
