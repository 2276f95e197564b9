/* Reading TZif (RFC 8536): header, the 32-bit block (skipped when a 64-bit one follows), the 64-bit
 * block, and a footer with the rule for what comes after. Every count is checked against what is
 * there before it is used. */
#include "engine/schedule/zone.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/base/wire.h"
#include "engine/schedule/zone_internal.h"

#define ZONEINFO "/usr/share/zoneinfo/"
#define FILE_MAX ((size_t)1 << 18)
#define NAME_MAX_CHARS 64
#define OFFSET_MAX (26 * 3600)
/* Of times that are looked at; far from where sums would overflow. */
#define TIME_MAX ((int64_t)1 << 55)

struct zone {
	char name[NAME_MAX_CHARS + 1];
	size_t n;	  /* transitions */
	int64_t *at;	  /* ascending */
	int32_t *offset;  /* from at[i] on */
	int32_t before;	  /* before at[0] */
	bool has_rule;	  /* behind at[n-1] */
	struct posix_rule rule;
};

/* ---- the calendar ---- */

/* Days in a calendar whose year begins in March, so that the leap day is its last. */
int64_t civil_days(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int civil_month_days(int64_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return month == 2 && leap ? 29 : days[month - 1];
}

void civil_of(int64_t t, struct civil *c)
{
	int64_t days = t / 86400, rest = t % 86400;
	if (rest < 0) {
		rest += 86400;
		days--;
	}
	c->hour = (int)(rest / 3600);
	c->minute = (int)(rest / 60 % 60);
	c->second = (int)(rest % 60);
	c->weekday = (int)(((days + 4) % 7 + 7) % 7);
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;
	c->day = (int)(of_year - (153 * m + 2) / 5 + 1);
	c->month = (int)(m < 10 ? m + 3 : m - 9);
	c->year = y + era * 400 + (c->month <= 2);
}

/* ---- reading ---- */

struct tzif_header {
	uint8_t version;
	uint32_t isut, isstd, leap, times, types, chars;
};

static bool read_header(struct rd *r, struct tzif_header *h)
{
	struct span magic = rd_raw(r, 4);
	if (magic.n != 4 || memcmp(magic.p, "TZif", 4) != 0)
		return false;
	h->version = rd_u8(r);
	rd_raw(r, 15);
	struct span counts = rd_raw(r, 24);
	if (counts.n != 24)
		return false;
	h->isut = get_be32(counts.p);
	h->isstd = get_be32(counts.p + 4);
	h->leap = get_be32(counts.p + 8);
	h->times = get_be32(counts.p + 12);
	h->types = get_be32(counts.p + 16);
	h->chars = get_be32(counts.p + 20);
	return h->times <= 65536 && h->types >= 1 && h->types <= 256 && h->chars <= 65536 &&
	       h->leap <= 65536 && h->isut <= 256 && h->isstd <= 256;
}

static int64_t get_be64(const uint8_t *p)
{
	return (int64_t)((uint64_t)get_be32(p) << 32 | get_be32(p + 4));
}

/* The block behind a header whose times are `width` bytes wide. */
static int read_block(struct rd *r, const struct tzif_header *h, size_t width, struct zone *z,
	struct err *e)
{
	struct span at = rd_raw(r, h->times * width), which = rd_raw(r, h->times);
	struct span types = rd_raw(r, (size_t)h->types * 6);
	rd_raw(r, h->chars + h->leap * (width + 4) + h->isstd + h->isut);
	if (r->bad)
		return err_set(e, E_FORMAT, 0, "it is cut short");
	z->at = calloc(h->times + 1, sizeof *z->at);
	z->offset = calloc(h->times + 1, sizeof *z->offset);
	if (!z->at || !z->offset)
		return err_set(e, E_NOMEM, 0, "no memory for it");
	z->n = h->times;
	for (size_t i = 0; i < h->types; i++) {
		int32_t offset = (int32_t)get_be32(types.p + i * 6);
		if (offset < -OFFSET_MAX || offset > OFFSET_MAX)
			return err_set(e, E_FORMAT, 0, "an offset of %d seconds", (int)offset);
	}
	z->before = (int32_t)get_be32(types.p);
	for (size_t i = 0; i < z->n; i++) {
		z->at[i] = width == 8 ? get_be64(at.p + i * 8) : (int32_t)get_be32(at.p + i * 4);
		if (which.p[i] >= h->types || (i && z->at[i] <= z->at[i - 1]))
			return err_set(e, E_FORMAT, 0, "its transitions are not in order");
		z->offset[i] = (int32_t)get_be32(types.p + which.p[i] * 6);
	}
	return 0;
}

static int read_footer(struct rd *r, struct zone *z, struct err *e)
{
	char text[128];
	struct span rest = rd_raw(r, rd_left(r));
	if (rest.n < 2 || rest.p[0] != '\n')
		return err_set(e, E_FORMAT, 0, "its footer is not there");
	const uint8_t *end = memchr(rest.p + 1, '\n', rest.n - 1);
	size_t n = end ? (size_t)(end - rest.p) - 1 : sizeof text;
	if (n >= sizeof text || memchr(rest.p + 1, 0, n))
		return err_set(e, E_FORMAT, 0, "its footer has no end");
	memcpy(text, rest.p + 1, n);
	text[n] = 0;
	if (n == 0)
		return 0; /* no rule: the last offset stays */
	if (!posix_rule_parse(text, &z->rule))
		return err_set(e, E_FORMAT, 0, "its footer is not a rule");
	z->has_rule = true;
	return 0;
}

static int parse_into(struct span s, struct zone *z, struct err *e)
{
	struct rd r = rd_of(s);
	struct tzif_header h;
	if (!read_header(&r, &h))
		return err_set(e, E_FORMAT, 0, "it is not a TZif file");
	if (h.version < '2')
		return read_block(&r, &h, 4, z, e);
	rd_raw(&r, (size_t)h.times * 5 + (size_t)h.types * 6 + h.chars + (size_t)h.leap * 8 +
			   h.isstd + h.isut);
	if (!read_header(&r, &h))
		return err_set(e, E_FORMAT, 0, "its 64-bit part is not there");
	int rc = read_block(&r, &h, 8, z, e);
	return rc < 0 ? rc : read_footer(&r, z, e);
}

static struct zone *new_zone(const char *name)
{
	struct zone *z = calloc(1, sizeof *z);
	if (z)
		snprintf(z->name, sizeof z->name, "%.*s", NAME_MAX_CHARS, name);
	return z;
}

int zone_parse(struct span tzif, const char *name, struct zone **ret, struct err *e)
{
	struct zone *z = new_zone(name);
	if (!z)
		return err_set(e, E_NOMEM, 0, "time zone '%s': no memory", name);
	int rc = parse_into(tzif, z, e);
	if (rc < 0) {
		zone_free(z);
		return err_wrap(e, "time zone '%s'", name);
	}
	*ret = z;
	return 0;
}

/* Names are parts of letters, digits, _ + - . with single slashes between; no part begins with a
 * dot. So they stay below the directory. */
static bool name_ok(const char *s)
{
	if (strlen(s) > NAME_MAX_CHARS)
		return false;
	for (size_t i = 0; s[i]; i++) {
		char c = s[i];
		bool first = i == 0 || s[i - 1] == '/';
		if (first && (c == '/' || c == '.'))
			return false;
		if (!(c == '/' || c == '_' || c == '+' || c == '-' || c == '.' ||
			    (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			    (c >= 'A' && c <= 'Z')))
			return false;
	}
	return s[0] && s[strlen(s) - 1] != '/';
}

static bool is_directory(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int load_file(const char *path, const char *name, struct zone **ret, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int rc = io_read_file(AT_FDCWD, path, &b, FILE_MAX, e);
	return rc < 0 ? rc : zone_parse(buf_span(&b), name, ret, e);
}

int zone_load(const char *name, struct zone **ret, struct err *e)
{
	struct posix_rule rule;
	if (*name == ':')
		name++;
	/* What TZ says on many systems, and what an empty one means. */
	bool local = !*name || strcmp(name, "/etc/localtime") == 0;
	bool utc = strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0;
	if (local) {
		struct err le = ERR_INIT;
		int rc = load_file("/etc/localtime", "local time", ret, &le);
		if (rc != E_NOTFOUND) {
			return rc < 0 ? err_pass(e, &le) : rc;
		}
		utc = true;
	}
	bool posix = !utc && strlen(name) <= NAME_MAX_CHARS && posix_rule_parse(name, &rule);
	if (!utc && name_ok(name)) {
		char path[sizeof ZONEINFO + NAME_MAX_CHARS];
		snprintf(path, sizeof path, ZONEINFO "%s", name);
		int rc = load_file(path, name, ret, e);
		if (rc == E_NOTFOUND || (rc == E_IO && is_directory(path)))
			rc = err_set(e, E_NOTFOUND, 0,
				"there is no time zone '%s' on this machine (" ZONEINFO
				", package tzdata)",
				name);
		if (rc != E_NOTFOUND || !posix)
			return rc;
	}
	if (!utc && !posix)
		return err_set(e, E_USAGE, 0, "'%s' is not the name of a time zone", name);
	struct zone *z = new_zone(local ? "local time" : name);
	if (!z)
		return err_set(e, E_NOMEM, 0, "time zone '%s': no memory", name);
	z->has_rule = posix;
	if (posix)
		z->rule = rule;
	*ret = z;
	return 0;
}

void zone_free(struct zone *z)
{
	if (!z)
		return;
	free(z->at);
	free(z->offset);
	free(z);
}

const char *zone_name(const struct zone *z)
{
	return z->name;
}

struct zone_span zone_at(const struct zone *z, int64_t t)
{
	size_t lo = 0, hi = z->n; /* the number of transitions at or before t */
	if (t > TIME_MAX)
		t = TIME_MAX;
	if (t < -TIME_MAX)
		t = -TIME_MAX;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (z->at[mid] <= t)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < z->n)
		return (struct zone_span){lo ? z->at[lo - 1] : INT64_MIN, z->at[lo],
			lo ? z->offset[lo - 1] : z->before};
	int64_t last = z->n ? z->at[z->n - 1] : INT64_MIN;
	if (!z->has_rule)
		return (struct zone_span){last, INT64_MAX, z->n ? z->offset[z->n - 1] : z->before};
	struct zone_span s = posix_rule_at(&z->rule, t);
	if (s.from < last)
		s.from = last;
	return s;
}

char *zone_format(const struct zone *z, int64_t t, char out[ZONE_TIME_CHARS])
{
	struct civil c;
	int32_t off = zone_at(z, t).offset, a = off < 0 ? -off : off;
	civil_of(t + off, &c);
	snprintf(out, ZONE_TIME_CHARS, "%04lld-%02d-%02dT%02d:%02d:%02d%c%02d:%02d",
		(long long)c.year, c.month, c.day, c.hour, c.minute, c.second, off < 0 ? '-' : '+',
		(int)(a / 3600 % 100), (int)(a / 60 % 60));
	return out;
}
