#include "engine/prune/selection.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"

#define FILE_MAX ((size_t)1 << 30)
#define RADIUS_MAX 4096

struct selection {
	bool inverted, sorted;
	struct selection_region *v;
	size_t n, cap;
	uint32_t *table; /* open addressing: index + 1, 0 empty; a power of two of them */
	size_t slots;
};

int selection_new(struct selection **ret, struct err *e)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : err_set(e, E_NOMEM, 0, "no memory for a set of chunks");
}

void selection_free(struct selection *s)
{
	if (!s)
		return;
	free(s->v);
	free(s->table);
	free(s);
}

/* ---- the table ---- */

static size_t hash(int32_t x, int32_t z)
{
	uint64_t k = (uint64_t)(uint32_t)x << 32 | (uint32_t)z;
	k = (k ^ k >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(k ^ k >> 29);
}

static size_t probe(const struct selection *s, int32_t x, int32_t z)
{
	size_t i = hash(x, z) & (s->slots - 1);
	while (s->table[i]) {
		const struct selection_region *r = &s->v[s->table[i] - 1];
		if (r->x == x && r->z == z)
			break;
		i = (i + 1) & (s->slots - 1);
	}
	return i;
}

static void rehash(struct selection *s)
{
	memset(s->table, 0, s->slots * sizeof *s->table);
	for (size_t i = 0; i < s->n; i++)
		s->table[probe(s, s->v[i].x, s->v[i].z)] = (uint32_t)i + 1;
}

static int make_room(struct selection *s, struct err *e)
{
	if (s->n == UINT32_MAX - 1)
		return err_set(e, E_USAGE, 0, "a set of chunks has too many regions");
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 8;
		void *v = realloc(s->v, cap * sizeof *s->v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a set of chunks");
		s->v = v;
		s->cap = cap;
	}
	if (2 * (s->n + 1) > s->slots) {
		size_t slots = s->slots ? 2 * s->slots : 16;
		void *t = malloc(slots * sizeof *s->table);
		if (!t)
			return err_set(e, E_NOMEM, 0, "no memory for a set of chunks");
		free(s->table);
		s->table = t;
		s->slots = slots;
		rehash(s);
	}
	return 0;
}

static const struct selection_region *find(const struct selection *s, int32_t rx, int32_t rz)
{
	uint32_t i = s->slots ? s->table[probe(s, rx, rz)] : 0;
	return i ? &s->v[i - 1] : NULL;
}

static int get(struct selection *s, int32_t rx, int32_t rz, struct selection_region **ret,
	struct err *e)
{
	int r = make_room(s, e);
	if (r < 0)
		return r;
	size_t at = probe(s, rx, rz);
	if (!s->table[at]) {
		s->v[s->n] = (struct selection_region){rx, rz, {0}};
		s->table[at] = (uint32_t)++s->n;
		s->sorted = false;
	}
	*ret = &s->v[s->table[at] - 1];
	return 0;
}

/* ---- chunks ---- */

int selection_add(struct selection *s, int64_t x, int64_t z, struct err *e)
{
	struct selection_region *r;
	if (x < INT32_MIN || x > INT32_MAX || z < INT32_MIN || z > INT32_MAX)
		return 0;
	int rc = get(s, (int32_t)(x >> 5), (int32_t)(z >> 5), &r, e);
	if (rc == 0)
		r->bits[(z & 31) * 4 + (x & 31) / 8] |= (uint8_t)(1u << (x & 7));
	return rc;
}

int selection_add_region(struct selection *s, int32_t rx, int32_t rz, const uint8_t bits[128],
	struct err *e)
{
	struct selection_region *r;
	int rc = get(s, rx, rz, &r, e);
	for (int i = 0; i < 128 && rc == 0; i++)
		r->bits[i] |= bits[i];
	return rc;
}

int selection_add_disc(struct selection *s, int64_t x, int64_t z, unsigned radius, struct err *e)
{
	int64_t n = radius;
	if (radius > RADIUS_MAX)
		return err_set(e, E_USAGE, 0, "a radius of %u chunks is too large (at most %d)",
			radius, RADIUS_MAX);
	for (int64_t dz = -n; dz <= n; dz++)
		for (int64_t dx = -n; dx <= n; dx++) {
			/* (n + 0.3)^2, all times 100 */
			if (100 * (dx * dx + dz * dz) > (10 * n + 3) * (10 * n + 3))
				continue;
			int r = selection_add(s, x + dx, z + dz, e);
			if (r < 0)
				return r;
		}
	return 0;
}

bool selection_has(const struct selection *s, int32_t x, int32_t z)
{
	const struct selection_region *r = find(s, x >> 5, z >> 5);
	bool listed = r && r->bits[(z & 31) * 4 + (x & 31) / 8] >> (x & 7) & 1;
	return listed != s->inverted;
}

bool selection_inverted(const struct selection *s)
{
	return s->inverted;
}

uint64_t selection_count(const struct selection *s)
{
	uint64_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		for (int b = 0; b < 128; b++)
			n += (unsigned)__builtin_popcount(s->v[i].bits[b]);
	return n;
}

static int by_place(const void *a, const void *b)
{
	const struct selection_region *x = a, *y = b;
	if (x->x != y->x)
		return x->x < y->x ? -1 : 1;
	return x->z < y->z ? -1 : x->z > y->z;
}

const struct selection_region *selection_regions(struct selection *s, size_t *ret_n)
{
	if (!s->sorted && s->n) {
		qsort(s->v, s->n, sizeof *s->v, by_place);
		rehash(s);
		s->sorted = true;
	}
	*ret_n = s->n;
	return s->v;
}

int selection_grow(const struct selection *s, unsigned radius, struct selection **ret,
	struct err *e)
{
	CLEANUP_SELECTION struct selection *out = NULL;
	int r = selection_new(&out, e);
	for (size_t i = 0; i < s->n && r == 0; i++)
		for (int k = 0; k < 1024 && r == 0; k++)
			if (s->v[i].bits[k / 8] >> (k & 7) & 1)
				r = selection_add_disc(out, (int64_t)s->v[i].x * 32 + k % 32,
					(int64_t)s->v[i].z * 32 + k / 32, radius, e);
	if (r == 0)
		*ret = TAKE_PTR(out);
	return r;
}

/* ---- text ---- */

/* Numbers between semicolons; how many, or -1. */
static int parse_numbers(const char *p, const char *end, int64_t v[4])
{
	int n = 0;
	for (;;) {
		bool neg = p < end && *p == '-';
		int64_t k = 0;
		int digits = 0;
		p += neg;
		for (; p < end && *p >= '0' && *p <= '9' && digits < 11; digits++)
			k = k * 10 + (*p++ - '0');
		if (digits == 0 || digits > 10 || n == 4)
			return -1;
		v[n++] = neg ? -k : k;
		if (p == end)
			return n;
		if (*p++ != ';')
			return -1;
	}
}

static bool fits(int64_t v, int64_t most)
{
	return v >= -most - 1 && v <= most;
}

static int parse_line(struct selection *s, const char *p, const char *end, unsigned line,
	struct err *e)
{
	uint8_t all[128];
	int64_t v[4];
	int n = parse_numbers(p, end, v);
	if ((n != 2 && n != 4) || !fits(v[0], INT32_MAX >> 5) || !fits(v[1], INT32_MAX >> 5))
		return err_set(e, E_USAGE, 0,
			"line %u: '%.*s' is neither REGIONX;REGIONZ nor "
			"REGIONX;REGIONZ;CHUNKX;CHUNKZ",
			line, (int)(end - p < 60 ? end - p : 60), p);
	if (n == 4 && (v[2] >> 5 != v[0] || v[3] >> 5 != v[1]))
		return err_set(e, E_USAGE, 0, "line %u: chunk %lld;%lld is not in region %lld;%lld",
			line, (long long)v[2], (long long)v[3], (long long)v[0], (long long)v[1]);
	memset(all, 0xff, sizeof all);
	return n == 4 ? selection_add(s, v[2], v[3], e)
		      : selection_add_region(s, (int32_t)v[0], (int32_t)v[1], all, e);
}

int selection_parse(struct selection **ret, struct span text, struct err *e)
{
	CLEANUP_SELECTION struct selection *s = NULL;
	const char *p = (const char *)text.p, *stop = (const char *)span_end(text);
	int r = selection_new(&s, e);
	for (unsigned line = 1; p < stop && r == 0; line++) {
		const char *nl = memchr(p, '\n', (size_t)(stop - p));
		const char *next = nl ? nl + 1 : stop, *end = nl ? nl : stop;
		while (end > p && (end[-1] == '\r' || end[-1] == ' '))
			end--;
		if (line == 1 && end - p == 8 && memcmp(p, "inverted", 8) == 0)
			s->inverted = true;
		else if (end > p)
			r = parse_line(s, p, end, line, e);
		p = next;
	}
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

int selection_load(struct selection **ret, const char *path, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = io_read_file(AT_FDCWD, path, &b, FILE_MAX, e);
	if (r < 0)
		return r;
	r = selection_parse(ret, buf_span(&b), e);
	return r < 0 ? err_wrap(e, "'%s'", path) : 0;
}

static int format_line(struct buf *out, const int32_t *v, int n, struct err *e)
{
	char line[64];
	int len = n == 2 ? snprintf(line, sizeof line, "%d;%d\n", v[0], v[1])
			 : snprintf(line, sizeof line, "%d;%d;%d;%d\n", v[0], v[1], v[2], v[3]);
	return buf_add(out, line, (size_t)len, e);
}

int selection_format(struct selection *s, struct buf *out, struct err *e)
{
	size_t n;
	const struct selection_region *v = selection_regions(s, &n);
	int r = s->inverted ? buf_add(out, "inverted\n", 9, e) : 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		bool all = true;
		for (int b = 0; b < 128; b++)
			all = all && v[i].bits[b] == 0xff;
		int32_t at[4] = {v[i].x, v[i].z, 0, 0};
		if (all)
			r = format_line(out, at, 2, e);
		for (int k = 0; k < 1024 && !all && r == 0; k++) {
			if (!(v[i].bits[k / 8] >> (k & 7) & 1))
				continue;
			at[2] = v[i].x * 32 + k % 32;
			at[3] = v[i].z * 32 + k / 32;
			r = format_line(out, at, 4, e);
		}
	}
	return r;
}
