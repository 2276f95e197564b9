#include "engine/snapshot/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/duration.h"

static const char *const rule_names[RULE_COUNT] = {"", "in the future", "within", "tag", "last",
	"secondly", "minutely", "hourly", "daily", "weekly", "monthly", "13weekly", "3monthly",
	"yearly", "newest of its group"};

/* ---- settings ---- */

static int set_number(struct retention *rt, enum retention_rule rule, const char *value,
	struct err *e)
{
	char *end;
	long v = strtol(value, &end, 10);
	if (end == value || *end || v < -1 || v > 1000000)
		return err_set(e, E_USAGE, 0,
			"keep %s is a number of snapshots, or -1 for all, not '%.60s'",
			rule_names[rule], value);
	rt->n[rule] = v;
	return 0;
}

static int set_within(struct retention *rt, const char *value, struct err *e)
{
	int64_t within = 0;
	int r = duration_parse_borg(value, &within, NULL);
	if (r < 0)
		r = duration_parse_words(value, &within, NULL);
	if (r < 0 || within == 0)
		return err_set(e, E_USAGE, 0,
			"keep within is a length of time such as '48H', '7d', '3m' (months) or "
			"'2 weeks', not '%.60s'", value);
	rt->within = within;
	return 0;
}

static int set_group(struct retention *rt, const char *value, struct err *e)
{
	bool host = false, source = false;
	if (strcmp(value, "none") != 0)
		for (const char *p = value; *p;) {
			size_t n = strcspn(p, ",");
			if (n == 4 && strncmp(p, "host", 4) == 0)
				host = true;
			else if (n == 6 && strncmp(p, "source", 6) == 0)
				source = true;
			else
				return err_set(e, E_USAGE, 0,
					"groups are by 'host', 'source', 'host,source' or 'none', "
					"not '%.60s'", value);
			p += n + (p[n] == ',');
		}
	rt->by_host = host;
	rt->by_source = source;
	return 0;
}

int retention_set(struct retention *rt, const char *key, const char *value, struct err *e)
{
	if (strcmp(key, "group_by") == 0 || strcmp(key, "group-by") == 0)
		return set_group(rt, value, e);
	if (strncmp(key, "keep_", 5) == 0 || strncmp(key, "keep-", 5) == 0) {
		const char *rule = key + 5;
		if (strcmp(rule, "within") == 0)
			return set_within(rt, value, e);
		if (strcmp(rule, "tag") == 0) {
			if (!snapshot_tag_ok(value))
				return err_set(e, E_USAGE, 0, "'%.80s' is no tag", value);
			if (rt->n_tags == RETENTION_TAGS_MAX)
				return err_set(e, E_USAGE, 0, "more than %d tags to keep",
					RETENTION_TAGS_MAX);
			rt->tags[rt->n_tags++] = value;
			return 0;
		}
		for (int i = RULE_LAST; i <= RULE_YEARLY; i++)
			if (strcmp(rule, rule_names[i]) == 0)
				return set_number(rt, (enum retention_rule)i, value, e);
	}
	return err_set(e, E_NOTFOUND, 0, "there is no rule '%.60s'", key);
}

bool retention_is_empty(const struct retention *rt)
{
	for (int i = RULE_LAST; i <= RULE_YEARLY; i++)
		if (rt->n[i])
			return false;
	return rt->within == 0 && rt->n_tags == 0;
}

/* ---- deciding ---- */

/* A snapshot of the group that is being looked at, newest first. */
struct item {
	const struct snapshot *sn;
	struct retention_reason *why;
};

static int same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int cmp_group(const struct retention *rt, const struct snapshot *a, const struct snapshot *b)
{
	int c = rt->by_host ? same_text(a->host, b->host) : 0;
	if (c || !rt->by_source)
		return c;
	if (a->n_sources != b->n_sources)
		return a->n_sources < b->n_sources ? -1 : 1;
	for (size_t i = 0; i < a->n_sources && c == 0; i++)
		c = same_text(a->sources[i].path, b->sources[i].path);
	return c;
}

static int cmp_items(const void *a, const void *b, void *rt)
{
	const struct item *x = a, *y = b;
	int c = cmp_group(rt, x->sn, y->sn);
	return c ? c : snapshot_by_time(y->sn, x->sn);
}

static void keep(const struct item *it, enum retention_rule rule, unsigned number)
{
	*it->why = (struct retention_reason){.rule = rule, .number = number};
}

/* What all snapshots of one period have in common. Only equality counts. */
static int64_t period_of(const struct snapshot *sn, enum retention_rule rule)
{
	time_t t = (time_t)sn->begin.s;
	struct tm tm;
	char iso[24];
	int year, week;
	if (rule == RULE_SECONDLY)
		return sn->begin.s;
	if (!localtime_r(&t, &tm))
		return sn->begin.s;
	int64_t y = tm.tm_year, day = y * 512 + tm.tm_yday;
	switch (rule) {
	case RULE_MINUTELY:
		return (day * 24 + tm.tm_hour) * 60 + tm.tm_min;
	case RULE_HOURLY:
		return day * 24 + tm.tm_hour;
	case RULE_DAILY:
		return day;
	case RULE_MONTHLY:
		return y * 12 + tm.tm_mon;
	case RULE_3MONTHLY:
		return y * 4 + tm.tm_mon / 3;
	case RULE_WEEKLY:
	case RULE_13WEEKLY:
		if (strftime(iso, sizeof iso, "%G %V", &tm) == 0 ||
			sscanf(iso, "%d %d", &year, &week) != 2)
			return sn->begin.s;
		if (rule == RULE_WEEKLY)
			return (int64_t)year * 64 + week;
		return (int64_t)year * 4 + (week > 39 ? 3 : (week - 1) / 13);
	default:
		return y;
	}
}

static void keep_periods(struct item *v, size_t n, enum retention_rule rule, int64_t wanted)
{
	int64_t last = 0;
	unsigned kept = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t period = period_of(v[i].sn, rule);
		if (i && period == last)
			continue;
		last = period;
		if (v[i].why->rule != RULE_NONE)
			continue;
		keep(&v[i], rule, ++kept);
		if (wanted >= 0 && kept == wanted)
			return;
	}
	if (n && v[n - 1].why->rule == RULE_NONE) {
		keep(&v[n - 1], rule, ++kept);
		v[n - 1].why->oldest = true;
	}
}

static void keep_last(struct item *v, size_t n, int64_t wanted)
{
	unsigned kept = 0;
	for (size_t i = 0; i < n && (wanted < 0 || kept < wanted); i++)
		if (v[i].why->rule == RULE_NONE)
			keep(&v[i], RULE_LAST, ++kept);
}

static void keep_within(struct item *v, size_t n, int64_t within, struct timestamp now)
{
	unsigned kept = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t since = now.s - within;
		if (v[i].sn->begin.s > since ||
			(v[i].sn->begin.s == since && v[i].sn->begin.ns > now.ns))
			keep(&v[i], RULE_WITHIN, ++kept);
	}
}

static void keep_tagged(struct item *v, size_t n, const struct retention *rt)
{
	for (size_t i = 0; i < n; i++)
		for (size_t t = 0; t < v[i].sn->n_tags && v[i].why->rule == RULE_NONE; t++)
			for (size_t k = 0; k < rt->n_tags; k++)
				if (strcmp(v[i].sn->tags[t], rt->tags[k]) == 0) {
					keep(&v[i], RULE_TAG, 0);
					v[i].why->tag = rt->tags[k];
				}
}

/* One group, newest first. */
static void decide_group(const struct retention *rt, struct item *v, size_t n, struct timestamp now)
{
	for (; n && (v->sn->begin.s > now.s ||
			    (v->sn->begin.s == now.s && v->sn->begin.ns > now.ns)); v++, n--)
		keep(v, RULE_FUTURE, 0);
	if (rt->within > 0)
		keep_within(v, n, rt->within, now);
	keep_tagged(v, n, rt);
	if (rt->n[RULE_LAST])
		keep_last(v, n, rt->n[RULE_LAST]);
	for (int rule = RULE_SECONDLY; rule <= RULE_YEARLY; rule++)
		if (rt->n[rule])
			keep_periods(v, n, (enum retention_rule)rule, rt->n[rule]);
	for (size_t i = 0; i < n; i++)
		if (v[i].why->rule != RULE_NONE)
			return;
	if (n)
		keep(&v[0], RULE_NEWEST, 0);
}

int retention_decide(const struct retention *rt, const struct snapshot_list *l, struct timestamp now,
	struct retention_reason *ret, struct err *e)
{
	struct item *v = calloc(l->n + 1, sizeof *v);
	if (!v)
		return err_set(e, E_NOMEM, 0, "no memory for the rules of retention");
	for (size_t i = 0; i < l->n; i++) {
		ret[i] = (struct retention_reason){RULE_NONE};
		v[i] = (struct item){&l->v[i], &ret[i]};
	}
	qsort_r(v, l->n, sizeof *v, cmp_items, (void *)(uintptr_t)rt);
	for (size_t i = 0, k; i < l->n; i = k) {
		for (k = i + 1; k < l->n && cmp_group(rt, v[i].sn, v[k].sn) == 0; k++)
			;
		decide_group(rt, v + i, k - i, now);
	}
	free(v);
	return 0;
}

char *retention_text(const struct retention_reason *why, char out[RETENTION_CHARS])
{
	if (why->rule == RULE_TAG)
		snprintf(out, RETENTION_CHARS, "tag %.80s", why->tag);
	else if (why->number)
		snprintf(out, RETENTION_CHARS, "%s%s #%u", rule_names[why->rule],
			why->oldest ? "[oldest]" : "", why->number);
	else
		snprintf(out, RETENTION_CHARS, "%s", rule_names[why->rule]);
	return out;
}
