/* cron.h - when a job is due: crontab expressions as robfig/cron v3 (Ofelia) reads them.
 *
 * Five fields: minute hour day-of-month month day-of-week; six with seconds in front. A field is a
 * list, with commas, of: * or ?, a number or name (JAN, mon), a range a-b, each with an optional
 * step /n ("5/15" means from 5 to the end by 15). Day of week: 0 or 7 is Sunday; a range may end
 * there ("fri-sun"). When day of month and day of week are both restricted, either one is enough;
 * a step counts as restricted. Or: @yearly @annually @monthly @weekly @daily @midnight @hourly,
 * @every DURATION (Go's form, whole seconds, at least one). "CRON_TZ=Zone " or "TZ=Zone " in front
 * sets the zone.
 *
 * Summer time. A schedule that names hours means times of the day: one that falls into the gap in
 * spring is due once, at the gap's end; one that comes twice in autumn is due at the first. A
 * schedule of all 24 hours (its hour field is *) means a distance in time: it goes by what really
 * passes, so nothing is added in spring and the hour that comes twice has its runs twice.
 *
 * Immutable once parsed: any number of threads may use one. */
#ifndef MCFS_SCHEDULE_CRON_H
#define MCFS_SCHEDULE_CRON_H

#include <stdint.h>

#include "engine/base/err.h"
#include "engine/schedule/zone.h"

struct cron;

/* `local` is the zone without a prefix; it must outlive the cron. E_USAGE names the field and what
 * would be right; also for a date that never comes (31 February). */
int cron_parse(const char *text, const struct zone *local, struct cron **ret,
	struct err *e) MUST_CHECK;
void cron_free(struct cron *c);

/* The first due time after `after`, in seconds since 1970. @every counts from `after`: the caller
 * keeps the beat by giving the last due time. E_NOTFOUND when there is none in the next 40 years. */
int cron_next(const struct cron *c, int64_t after, int64_t *ret, struct err *e) MUST_CHECK;

/* Seconds of @every, 0 for all others. */
int64_t cron_every(const struct cron *c);
const struct zone *cron_zone(const struct cron *c);

#endif
