/* retention.h - which snapshots to keep, with borg's and borgmatic's meaning of each rule.
 *
 * Rules are applied in the order of the enum below, to each group of snapshots by itself:
 *  - within: all that are younger than that;
 *  - tag: all that have one of the tags;
 *  - last: the newest N;
 *  - secondly .. yearly: going back in time, the newest snapshot of each second, .. year of local
 *    time (weeks as in ISO 8601; two hours of one name at the end of summer time are one), until N
 *    are kept. A snapshot that an earlier rule keeps uses up its period but not one of the N. If
 *    there are fewer than N, the oldest snapshot is kept as well ("daily[oldest]").
 * N = -1 stands for all. Beyond borg: a snapshot whose time is in the future is kept, told, and
 * takes no part in the rules, so that a wrong clock pushes nothing out; and when the rules leave
 * nothing of a group, its newest snapshot stays.
 *
 * Source of the meaning: documentation and behaviour of borg 1.4 prune and borgmatic's keep_*. Pure but
 * for the time zone of the process (localtime_r: call tzset() first if TZ may have changed). */
#ifndef MCFS_SNAPSHOT_RETENTION_H
#define MCFS_SNAPSHOT_RETENTION_H

#include "engine/snapshot/snapobj.h"

enum retention_rule {
	RULE_NONE, /* not kept */
	RULE_FUTURE,
	RULE_WITHIN,
	RULE_TAG,
	RULE_LAST,
	RULE_SECONDLY,
	RULE_MINUTELY,
	RULE_HOURLY,
	RULE_DAILY,
	RULE_WEEKLY,
	RULE_MONTHLY,
	RULE_13WEEKLY, /* quarters of an ISO year */
	RULE_3MONTHLY,
	RULE_YEARLY,
	RULE_NEWEST, /* of a group of which the rules keep nothing */
	RULE_COUNT
};

#define RETENTION_TAGS_MAX 32
/* Zeroed: no rule at all, one group. */
struct retention {
	int64_t within;	       /* seconds; 0: no such rule */
	int64_t n[RULE_COUNT]; /* of RULE_LAST .. RULE_YEARLY; 0: no such rule, -1: all */
	const char *tags[RETENTION_TAGS_MAX]; /* the caller's */
	size_t n_tags;
	bool by_host, by_source; /* what makes a group: host, all source paths */
};

/* One key and value as options and configuration files have them: "keep_daily" or "keep-daily" (last,
 * within, secondly, minutely, hourly, daily, weekly, monthly, 13weekly, 3monthly, yearly, tag) or
 * "group_by" ("host,source", "host", "source", "none"). Numbers are -1 or more; within takes "7d" as
 * borg and "7 days". E_USAGE with a clear text; E_NOTFOUND when the key is none of these. `value`
 * must live as long as *rt for tags. */
int retention_set(struct retention *rt, const char *key, const char *value, struct err *e) MUST_CHECK;
/* Does it say anything about what to keep? */
bool retention_is_empty(const struct retention *rt);

struct retention_reason {
	enum retention_rule rule;
	unsigned number;  /* counted from 1 in its group, where the rule counts */
	bool oldest;	  /* kept as the oldest, since there were fewer than asked for */
	const char *tag;  /* RULE_TAG */
};
/* Decide for all of `l`, in any order: ret[i] is for l->v[i] and has room for l->n. */
int retention_decide(const struct retention *rt, const struct snapshot_list *l, struct timestamp now,
	struct retention_reason *ret, struct err *e) MUST_CHECK;
/* "daily #3", "within #1", "tag x", "in the future"; "" when not kept. Returns `out`. */
#define RETENTION_CHARS 96
char *retention_text(const struct retention_reason *why, char out[RETENTION_CHARS]);

#endif
