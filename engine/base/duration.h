/* duration.h - lengths of time as people write them, in the three spellings of the files mcfs reads.
 *
 * words: as MCA Selector takes them, and weeks: "30 days", "5min", "1h30min", "2 weeks 3 days".
 *   Units: year(s) y (365 days), month(s) (30 days), week(s) w, day(s) d, hour(s) h, minute(s)
 *   min(s), second(s) sec(s) s; lower case, each at most once, in any order, with or without blanks
 *   and commas between. A bare "m" is refused, since it is a month to some and a minute to others.
 * borg: one number and one letter, as borg's --keep-within and borgmatic's keep_within: y (365
 *   days), m (31 days), w, d, H, M (minutes), S.
 * go: as Go's time.ParseDuration, without a sign: "1h30m", "90s", "1.5h", "300ms", "0"; h, m, s,
 *   ms, us, ns, each part with its unit.
 *
 * All: no sign, the whole text must be taken, at most DURATION_MAX seconds. A failure is E_USAGE
 * with the text and what would be right in its message, and leaves *ret alone. Pure: no locale, no
 * clock, no memory. */
#ifndef MCFS_BASE_DURATION_H
#define MCFS_BASE_DURATION_H

#include "engine/base/err.h"

#include <stdint.h>

/* 200 years: in ticks, milliseconds or nanoseconds it still fits into 63 bits. */
#define DURATION_MAX ((int64_t)200 * 365 * 86400)

/* Seconds. A number without a unit is refused: what it would mean is the caller's affair (MCA
 * Selector takes it for ticks). */
int duration_parse_words(const char *s, int64_t *ret, struct err *e) MUST_CHECK;
/* Seconds; at least 1. */
int duration_parse_borg(const char *s, int64_t *ret, struct err *e) MUST_CHECK;
/* Nanoseconds. What is finer than one is cut off. */
int duration_parse_go(const char *s, int64_t *ret_ns, struct err *e) MUST_CHECK;

/* "1 year 30 days 2 hours": exact, and read back by duration_parse_words(). Negative ones get a "-"
 * in front (which is not read back). Returns `out`. */
#define DURATION_CHARS 96
char *duration_format(int64_t seconds, char out[DURATION_CHARS]);

#endif
