#include "engine/schedule/cron.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/duration.h"

#define SECONDS_A_DAY 86400
#define HORIZON ((int64_t)40 * 366 * SECONDS_A_DAY)
#define TEXT_MAX 256
#define ALL_HOURS (((uint64_t)1 << 24) - 1)

enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, N_FIELDS };

struct field {
	const char *what;
	int min, max;
	const char *names; /* three letters each, from `min` on */
};

static const struct field fields[N_FIELDS] = {
	[SECOND] = {"second", 0, 59, NULL},
	[MINUTE] = {"minute", 0, 59, NULL},
	[HOUR] = {"hour", 0, 23, NULL},
	[DAY] = {"day of month", 1, 31, NULL},
	[MONTH] = {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
	[WEEKDAY] = {"day of week", 0, 7, "sunmontuewedthufrisat"},
};

struct cron {
	uint64_t set[N_FIELDS]; /* bit n: the value n is in */
	bool star[N_FIELDS];	/* no restriction */
	int64_t every;		/* seconds; then nothing of the above matters */
	const struct zone *zone;
	struct zone *own_zone;
};

/* ---- parsing ---- */

static int bad(const struct field *f, const char *item, struct err *e, const char *why)
{
	return err_set(e, E_USAGE, 0, "'%s' as %s: %s", item, f->what, why);
}

static int parse_value(const struct field *f, const char **s, const char *item, int *ret,
	struct err *e)
{
	const char *p = *s;
	int n = 0;
	if (*p >= '0' && *p <= '9') {
		for (; *p >= '0' && *p <= '9'; p++)
			n = n < 1000 ? n * 10 + *p - '0' : n;
		*s = p;
		if (n < f->min || n > f->max) {
			char why[64];
			snprintf(why, sizeof why, "only %d to %d can be meant", f->min, f->max);
			return bad(f, item, e, why);
		}
		*ret = n;
		return 0;
	}
	for (int i = 0; f->names && f->names[i * 3]; i++)
		if (strncasecmp(p, f->names + i * 3, 3) == 0) {
			*s = p + 3;
			*ret = f->min + i;
			return 0;
		}
	return bad(f, item, e,
		f->names ? "neither a number nor a name of three letters" : "not a number");
}

/* One item of a list: "*", "5", "1-5", each with "/n". */
static int parse_item(const struct field *f, const char *item, uint64_t *set, bool *star,
	struct err *e)
{
	const char *s = item;
	int from = f->min, to = f->max, step = 1, rc;
	bool all = *s == '*' || *s == '?', single = false;
	if (all) {
		s++;
		if (f->max == 7)
			to = 6;
	} else {
		rc = parse_value(f, &s, item, &from, e);
		if (rc < 0)
			return rc;
		to = from;
		single = *s != '-';
		if (*s == '-') {
			s++;
			rc = parse_value(f, &s, item, &to, e);
			if (rc < 0)
				return rc;
			if (f->max == 7 && to == 0 && from > 0)
				to = 7;
			if (to < from)
				return bad(f, item, e, "the range ends before it begins");
		}
	}
	if (*s == '/') {
		char *end;
		if (s[1] < '0' || s[1] > '9')
			return bad(f, item, e, "behind / stands a number");
		long n = strtol(s + 1, &end, 10);
		if (n < 1 || n > 1000)
			return bad(f, item, e, "a step is at least 1");
		s = end;
		step = (int)n;
		if (single)
			to = f->max == 7 ? 6 : f->max;
	}
	if (*s)
		return bad(f, item, e, "this is not understood (L, W, # and ~ are not known here)");
	if (all && step == 1)
		*star = true;
	for (int i = from; i <= to; i += step)
		*set |= (uint64_t)1 << (f->max == 7 && i == 7 ? 0 : i);
	return 0;
}

static int parse_field(const struct field *f, char *text, uint64_t *set, bool *star, struct err *e)
{
	for (char *item = text, *next; item; item = next) {
		next = strchr(item, ',');
		if (next)
			*next++ = 0;
		if (!*item)
			return bad(f, text, e, "an empty item in the list");
		int rc = parse_item(f, item, set, star, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int parse_fields(struct cron *c, char *text, struct err *e)
{
	char *word[N_FIELDS + 1], *save = NULL;
	int n = 0;
	for (char *w = strtok_r(text, " \t", &save); w; w = strtok_r(NULL, " \t", &save))
		if (n <= N_FIELDS)
			word[n++] = w;
	if (n != N_FIELDS && n != N_FIELDS - 1)
		return err_set(e, E_USAGE, 0,
			"%s fields; five are minute hour day month weekday, six begin with seconds",
			n > N_FIELDS ? "too many" : n == 0 ? "no" : "too few");
	int first = N_FIELDS - n;
	if (first == 1)
		c->set[SECOND] = 1;
	for (int i = 0; i < n; i++) {
		int rc = parse_field(&fields[first + i], word[i], &c->set[first + i],
			&c->star[first + i], e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int parse_every(struct cron *c, const char *text, struct err *e)
{
	int64_t ns;
	int rc = duration_parse_go(text, &ns, e);
	if (rc < 0)
		return err_wrap(e, "@every");
	c->every = ns / 1000000000;
	if (c->every < 1)
		return err_set(e, E_USAGE, 0, "@every '%s': at least a second", text);
	return 0;
}

static int parse_descriptor(struct cron *c, const char *text, struct err *e)
{
	static const struct {
		const char *name, *fields;
	} known[] = {
		{"@yearly", "0 0 1 1 *"},
		{"@annually", "0 0 1 1 *"},
		{"@monthly", "0 0 1 * *"},
		{"@weekly", "0 0 * * 0"},
		{"@daily", "0 0 * * *"},
		{"@midnight", "0 0 * * *"},
		{"@hourly", "0 * * * *"},
	};
	char copy[16];
	if (strncmp(text, "@every", 6) == 0 && (text[6] == ' ' || text[6] == '\t'))
		return parse_every(c, text + 6 + strspn(text + 6, " \t"), e);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(text, known[i].name) == 0) {
			snprintf(copy, sizeof copy, "%s", known[i].fields);
			return parse_fields(c, copy, e);
		}
	return err_set(e, E_USAGE, 0,
		"'%s' is not known; there are @yearly @annually @monthly @weekly @daily @midnight "
		"@hourly and '@every 1h30m'",
		text);
}

/* A day that no month of those named has would wait for ever. */
static int check_date(const struct cron *c, struct err *e)
{
	static const int most[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (c->every || c->star[DAY] || !c->star[WEEKDAY])
		return 0;
	for (int m = 1; m <= 12; m++)
		if (c->set[MONTH] >> m & 1)
			for (int d = 1; d <= most[m - 1]; d++)
				if (c->set[DAY] >> d & 1)
					return 0;
	return err_set(e, E_USAGE, 0, "none of these months has such a day");
}

/* Take "CRON_TZ=Zone " off the front. */
static int take_zone(struct cron *c, char **text, struct err *e)
{
	char *s = *text;
	size_t n = strncmp(s, "CRON_TZ=", 8) == 0 ? 8 : strncmp(s, "TZ=", 3) == 0 ? 3 : 0;
	if (n == 0)
		return 0;
	char *name = s + n, *end = name + strcspn(name, " \t");
	if (!*end || end == name)
		return err_set(e, E_USAGE, 0, "behind '%.*s' stand a zone, a blank and a schedule",
			(int)n, s);
	*end = 0;
	*text = end + 1 + strspn(end + 1, " \t");
	int rc = zone_load(name, &c->own_zone, e);
	if (rc == 0)
		c->zone = c->own_zone;
	return rc == E_NOTFOUND ? err_set(e, E_USAGE, 0, "there is no time zone '%s'", name) : rc;
}

int cron_parse(const char *text, const struct zone *local, struct cron **ret, struct err *e)
{
	char copy[TEXT_MAX], *s = copy;
	size_t n = strlen(text);
	struct cron *c = calloc(1, sizeof *c);
	if (!c)
		return err_set(e, E_NOMEM, 0, "schedule: no memory");
	c->zone = local;
	int rc = 0;
	if (n >= sizeof copy) {
		rc = err_set(e, E_USAGE, 0, "it is longer than %zu characters", sizeof copy - 1);
	} else {
		memcpy(copy, text, n + 1);
		while (n && (copy[n - 1] == ' ' || copy[n - 1] == '\t'))
			copy[--n] = 0;
		s += strspn(s, " \t");
		rc = take_zone(c, &s, e);
	}
	if (rc == 0)
		rc = *s == '@' ? parse_descriptor(c, s, e) : parse_fields(c, s, e);
	if (rc == 0)
		rc = check_date(c, e);
	if (rc < 0) {
		cron_free(c);
		return err_wrap(e, "schedule '%.80s'", text);
	}
	*ret = c;
	return 0;
}

void cron_free(struct cron *c)
{
	if (!c)
		return;
	zone_free(c->own_zone);
	free(c);
}

int64_t cron_every(const struct cron *c)
{
	return c->every;
}

const struct zone *cron_zone(const struct cron *c)
{
	return c->zone;
}

/* ---- what is next ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static bool day_matches(const struct cron *c, const struct civil *d)
{
	bool dom = c->set[DAY] >> d->day & 1, dow = c->set[WEEKDAY] >> d->weekday & 1;
	if (c->star[DAY] || c->star[WEEKDAY])
		return dom && dow;
	return dom || dow;
}

/* The lowest value of a set that is at least `from`; -1 when there is none. */
static int at_least(uint64_t set, int from)
{
	set = from > 63 ? 0 : set >> from << from;
	return set ? __builtin_ctzll(set) : -1;
}

/* The first time of the day that is at least `from` seconds into it; -1 when there is none. */
static int64_t time_of_day(const struct cron *c, int64_t from)
{
	int h = at_least(c->set[HOUR], (int)(from / 3600));
	if (h < 0)
		return -1;
	int m = 0, s = 0;
	if (h == from / 3600) {
		m = at_least(c->set[MINUTE], (int)(from / 60 % 60));
		if (m == from / 60 % 60)
			s = at_least(c->set[SECOND], (int)(from % 60));
		else
			s = at_least(c->set[SECOND], 0);
		if (m >= 0 && s < 0) { /* no second is left in this minute */
			m = at_least(c->set[MINUTE], m + 1);
			s = at_least(c->set[SECOND], 0);
		}
		if (m < 0)
			h = at_least(c->set[HOUR], h + 1);
	}
	if (h < 0)
		return -1;
	if (h != from / 3600 || m < 0) {
		m = at_least(c->set[MINUTE], 0);
		s = at_least(c->set[SECOND], 0);
	}
	return h * 3600 + m * 60 + s;
}

/* The first wall time that matches, from <= w < until; INT64_MAX when there is none. */
static int64_t match_wall(const struct cron *c, int64_t from, int64_t until)
{
	int64_t day = floor_div(from, SECONDS_A_DAY);
	int64_t rest = from - day * SECONDS_A_DAY;
	while (day * SECONDS_A_DAY < until) {
		struct civil d;
		civil_of(day * SECONDS_A_DAY, &d);
		if (!(c->set[MONTH] >> d.month & 1)) {
			day += civil_month_days(d.year, d.month) - d.day + 1;
			rest = 0;
			continue;
		}
		int64_t t = day_matches(c, &d) ? time_of_day(c, rest) : -1;
		if (t >= 0) {
			t += day * SECONDS_A_DAY;
			return t < until ? t : INT64_MAX;
		}
		day++;
		rest = 0;
	}
	return INT64_MAX;
}

int cron_next(const struct cron *c, int64_t after, int64_t *ret, struct err *e)
{
	if (after < 0 || after > INT64_MAX / 4)
		return err_set(e, E_USAGE, 0, "a time out of range");
	if (c->every) {
		*ret = after + c->every;
		return 0;
	}
	bool times_of_day = (c->set[HOUR] & ALL_HOURS) != ALL_HOURS;
	int64_t t = after + 1, end = after + HORIZON;
	/* From one stretch of constant offset to the next; within one, the wall clock is the time plus
	 * a number. */
	while (t < end) {
		struct zone_span s = zone_at(c->zone, t);
		int64_t until = s.until < end ? s.until : end;
		int64_t from = t + s.offset;
		if (times_of_day && s.from != INT64_MIN) {
			int64_t shown = s.from + zone_at(c->zone, s.from - 1).offset;
			/* It begins behind a gap: what was in that is due at its end. */
			if (t == s.from && match_wall(c, shown, s.from + s.offset) != INT64_MAX) {
				*ret = t;
				return 0;
			}
			/* What the clock showed before it was set back has had its turn. */
			if (from < shown)
				from = shown;
		}
		int64_t w = match_wall(c, from, until + s.offset);
		if (w != INT64_MAX) {
			*ret = w - s.offset;
			return 0;
		}
		if (until == end)
			break;
		t = until;
	}
	return err_set(e, E_NOTFOUND, 0, "it is not due in the next 40 years");
}
