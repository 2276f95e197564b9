/* zone_internal.h - the POSIX rule behind the last transition of a zone (TZ=std offset dst..). */
#ifndef MCFS_SCHEDULE_ZONE_INTERNAL_H
#define MCFS_SCHEDULE_ZONE_INTERNAL_H

#include <stdbool.h>

#include "engine/schedule/zone.h"

/* A day of the year on which the clock changes. */
struct posix_day {
	enum { DAY_JULIAN, DAY_COUNT, DAY_OF_WEEK } kind; /* Jn, n, Mm.w.d */
	int month, week, day;
	int32_t second; /* of the local time before the change; may be outside of the day */
};

struct posix_rule {
	int32_t std, dst; /* offsets east of UTC */
	bool has_dst;
	struct posix_day begin, end; /* of summer time */
};

/* Returns false when the text is no rule. The whole text must be taken. */
bool posix_rule_parse(const char *s, struct posix_rule *ret);
struct zone_span posix_rule_at(const struct posix_rule *r, int64_t t);

#endif
