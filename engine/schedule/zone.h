/* zone.h - what the clock on the wall shows, in any zone, without touching the process's own TZ.
 *
 * setenv("TZ") and tzset() are the process's and every thread's: a scheduler whose jobs name zones
 * of their own would have to lock every use of the local time. So the rules are read from the
 * system's tzdata (TZif files, RFC 8536): transitions up to the last one listed, the POSIX rule of
 * the footer for all times after. A zone is immutable: any number of threads may use one.
 *
 * A wall time ("local seconds") is what the same clock reading would be as seconds since 1970 if
 * the zone were UTC. Leap seconds do not exist, as everywhere in POSIX. */
#ifndef MCFS_SCHEDULE_ZONE_H
#define MCFS_SCHEDULE_ZONE_H

#include <stdint.h>

#include "engine/base/buf.h"

struct zone;

/* A stretch of time with one offset: from <= t < until. Neighbours may have the same offset. */
struct zone_span {
	int64_t from, until; /* INT64_MIN and INT64_MAX at the ends */
	int32_t offset;	     /* seconds east of UTC */
};

/* "Europe/Berlin" is looked up below /usr/share/zoneinfo, "UTC" needs no file, "" is the machine's
 * own zone (/etc/localtime; UTC where there is none), and what looks like a POSIX rule
 * ("CET-1CEST,M3.5.0,M10.5.0/3") is one. A leading ':' is taken off. E_NOTFOUND: there is no such
 * zone; E_FORMAT: its file is damaged; E_USAGE: a name that cannot be one ("../x", "/x"). The zone
 * is the caller's. */
int zone_load(const char *name, struct zone **ret, struct err *e) MUST_CHECK;
/* The same from the bytes of a TZif file. */
int zone_parse(struct span tzif, const char *name, struct zone **ret, struct err *e) MUST_CHECK;
void zone_free(struct zone *z);
/* As it was asked for; "local time" for "". */
const char *zone_name(const struct zone *z);

struct zone_span zone_at(const struct zone *z, int64_t t);

/* ---- the calendar, Gregorian throughout ---- */

struct civil {
	int64_t year;
	int month, day;		  /* from 1 */
	int hour, minute, second; /* from 0 */
	int weekday;		  /* 0 Sunday */
};

int64_t civil_days(int64_t year, int month, int day); /* since 1970-01-01 */
void civil_of(int64_t local_seconds, struct civil *ret);
int civil_month_days(int64_t year, int month);
/* "2026-03-29T03:00:00+02:00" */
#define ZONE_TIME_CHARS 40
char *zone_format(const struct zone *z, int64_t t, char out[ZONE_TIME_CHARS]);

#endif
