#include "engine/snapshot/layout.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/base/wire.h"

#define LAYOUT_VERSION 1
/* How an extent follows in the list, in the low bits of its length. */
enum { STEP_ZERO = 0, STEP_HOLE = 1, STEP_NEXT = 2 /* goes on in the same source */, STEP_BLOB = 3 };

int layout_init(struct layout *l, struct err *e)
{
	memset(l, 0, sizeof *l);
	l->sources = calloc(LAYOUT_GROUPS, sizeof *l->sources);
	if (!l->sources)
		return err_set(e, E_NOMEM, 0, "no memory for a region file");
	l->n_sources = LAYOUT_GROUPS;
	for (int i = 0; i < LAYOUT_GROUPS; i++)
		l->sources[i].group = 1;
	return 0;
}

void layout_free(struct layout *l)
{
	free(l->sources);
	free(l->gaps);
	l->sources = NULL;
	l->gaps = NULL;
	l->n_sources = l->n_gaps = 0;
}

/* Arrays double at powers of two. */
static void *grow(void *p, size_t n, size_t each)
{
	if (n & (n - 1))
		return p;
	return realloc(p, (n ? 2 * n : 1) * each);
}

int layout_add_source(struct layout *l, const struct name *name, bool group, uint32_t *ret,
	struct err *e)
{
	for (size_t i = LAYOUT_GROUPS; i < l->n_sources; i++)
		if (l->sources[i].group == group && name_cmp(&l->sources[i].name, name) == 0) {
			*ret = (uint32_t)i;
			return 0;
		}
	struct layout_source *s = grow(l->sources, l->n_sources, sizeof *s);
	if (!s)
		return err_set(e, E_NOMEM, 0, "no memory for a region file");
	l->sources = s;
	*ret = (uint32_t)l->n_sources;
	s[l->n_sources++] = (struct layout_source){*name, group};
	return 0;
}

int layout_add_gap(struct layout *l, const struct extent *x, struct err *e)
{
	struct extent *g = grow(l->gaps, l->n_gaps, sizeof *g);
	if (!g)
		return err_set(e, E_NOMEM, 0, "no memory for a region file");
	l->gaps = g;
	g[l->n_gaps++] = *x;
	return 0;
}

uint64_t layout_record_off(const struct layout *l, unsigned slot)
{
	return (uint64_t)region_entry_at(l->header, slot).sector * REGION_SECTOR;
}

uint32_t layout_record_at(const struct layout *l, unsigned slot)
{
	uint32_t at = 4; /* behind the mask */
	for (unsigned i = slot / GROUP_SLOTS * GROUP_SLOTS; i < slot; i++)
		at += l->rec_len[i];
	return at;
}

/* The header and the lengths go into planes of equal bytes, which compress and compare better: the
 * sector offsets, what the count differs from the length's, the time stamps, the lengths. */
static void to_planes(const struct layout *l, uint8_t *p)
{
	for (unsigned i = 0; i < REGION_SLOTS; i++) {
		const uint8_t *h = l->header + 4 * i;
		uint8_t count = (uint8_t)((l->rec_len[i] + REGION_SECTOR - 1) / REGION_SECTOR);
		for (unsigned k = 0; k < 3; k++)
			p[k * REGION_SLOTS + i] = h[k];
		p[3 * REGION_SLOTS + i] = (uint8_t)(h[3] - count);
		for (unsigned k = 0; k < 4; k++)
			p[(4 + k) * REGION_SLOTS + i] = h[4096 + k];
		for (unsigned k = 0; k < 4; k++)
			p[(8 + k) * REGION_SLOTS + i] = (uint8_t)(l->rec_len[i] >> 8 * k);
	}
}

static void from_planes(const uint8_t *p, struct layout *l)
{
	for (unsigned i = 0; i < REGION_SLOTS; i++) {
		uint8_t *h = l->header + 4 * i;
		l->rec_len[i] = 0;
		for (unsigned k = 0; k < 4; k++)
			l->rec_len[i] |= (uint32_t)p[(8 + k) * REGION_SLOTS + i] << 8 * k;
		uint8_t count = (uint8_t)((l->rec_len[i] + (uint64_t)REGION_SECTOR - 1) /
					  REGION_SECTOR);
		for (unsigned k = 0; k < 3; k++)
			h[k] = p[k * REGION_SLOTS + i];
		h[3] = (uint8_t)(p[3 * REGION_SLOTS + i] + count);
		for (unsigned k = 0; k < 4; k++)
			h[4096 + k] = p[(4 + k) * REGION_SLOTS + i];
	}
}

#define PLANES (12 * REGION_SLOTS)

static int put_gaps(const struct layout *l, struct buf *out, struct err *e)
{
	uint32_t source = 0, next = 0;
	int r = put_var(out, l->n_gaps, e);
	for (size_t i = 0; i < l->n_gaps && r == 0; i++) {
		const struct extent *x = &l->gaps[i];
		unsigned step = x->kind == EXTENT_ZERO	  ? STEP_ZERO
				: x->kind == EXTENT_HOLE  ? STEP_HOLE
				: x->source == source && x->at == next && i ? STEP_NEXT
									      : STEP_BLOB;
		r = put_var(out, (uint64_t)x->len << 2 | step, e);
		if (r == 0 && step == STEP_BLOB) {
			r = put_var(out, x->source, e);
			if (r == 0)
				r = put_var(out, x->at, e);
		}
		if (step >= STEP_NEXT) {
			source = x->source;
			next = x->at + x->len;
		}
	}
	return r;
}

int layout_put(const struct layout *l, struct buf *out, struct err *e)
{
	uint8_t planes[PLANES];
	uint8_t groups[LAYOUT_GROUPS / 8] = {0};
	to_planes(l, planes);
	for (unsigned i = 0; i < LAYOUT_GROUPS; i++)
		groups[i / 8] |= (uint8_t)(l->has_group[i] << i % 8);
	int r = put_u8(out, LAYOUT_VERSION, e);
	if (r == 0)
		r = put_var(out, l->size, e);
	if (r == 0)
		r = buf_add(out, planes, sizeof planes, e);
	if (r == 0)
		r = buf_add(out, groups, sizeof groups, e);
	for (unsigned i = 0; i < LAYOUT_GROUPS && r == 0; i++)
		if (l->has_group[i])
			r = buf_add(out, l->sources[i].name.b, NAME_BYTES, e);
	if (r == 0)
		r = put_var(out, l->n_sources - LAYOUT_GROUPS, e);
	for (size_t i = LAYOUT_GROUPS; i < l->n_sources && r == 0; i++) {
		r = put_u8(out, l->sources[i].group, e);
		if (r == 0)
			r = buf_add(out, l->sources[i].name.b, NAME_BYTES, e);
	}
	return r < 0 ? r : put_gaps(l, out, e);
}

static int get_sources(struct rd *r, struct layout *l, struct err *e)
{
	struct span groups = rd_raw(r, LAYOUT_GROUPS / 8);
	for (unsigned i = 0; groups.n && i < LAYOUT_GROUPS; i++) {
		l->has_group[i] = groups.p[i / 8] >> i % 8 & 1;
		struct span n = rd_raw(r, l->has_group[i] ? NAME_BYTES : 0);
		if (n.n)
			memcpy(l->sources[i].name.b, n.p, NAME_BYTES);
	}
	uint64_t more = rd_count(r, NAME_BYTES + 1);
	if (more > LAYOUT_SOURCES_MAX)
		r->bad = true;
	for (uint64_t i = 0; i < more && !r->bad; i++) {
		struct layout_source *s = grow(l->sources, l->n_sources, sizeof *s);
		if (!s)
			return err_set(e, E_NOMEM, 0, "no memory for a region file");
		l->sources = s;
		s += l->n_sources++;
		s->group = rd_u8(r);
		struct span n = rd_raw(r, NAME_BYTES);
		if (n.n)
			memcpy(s->name.b, n.p, NAME_BYTES);
	}
	return 0;
}

static int get_gaps(struct rd *r, struct layout *l, struct err *e)
{
	uint64_t n = rd_count(r, 1);
	uint32_t source = 0, next = 0;
	for (uint64_t i = 0; i < n && !r->bad; i++) {
		uint64_t v = rd_var_max(r, LAYOUT_FILE_MAX << 2);
		unsigned step = v & 3;
		struct extent x = {.len = (uint32_t)(v >> 2), .kind = (uint8_t)(step > 2 ? 2 : step)};
		if (step == STEP_BLOB) {
			source = (uint32_t)rd_var_max(r, l->n_sources - 1);
			next = (uint32_t)rd_var_max(r, CANON_MAX);
		}
		if (step >= STEP_NEXT) {
			x.source = source;
			x.at = next;
			next += x.len;
			if (source < LAYOUT_GROUPS && !l->has_group[source])
				r->bad = true;
		}
		int rc = r->bad ? 0 : layout_add_gap(l, &x, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

struct placed {
	uint64_t off;
	unsigned slot;
};

static int by_off(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;
	return x->off < y->off ? -1 : x->off > y->off;
}

static unsigned records_in_order(const struct layout *l, struct placed p[REGION_SLOTS])
{
	unsigned n = 0;
	for (unsigned i = 0; i < REGION_SLOTS; i++)
		if (l->rec_len[i])
			p[n++] = (struct placed){layout_record_off(l, i), i};
	qsort(p, n, sizeof *p, by_off);
	return n;
}

/* Give the gaps their places; they must fill exactly what is left. */
static int place_gaps(struct layout *l)
{
	struct placed p[REGION_SLOTS];
	unsigned n = records_in_order(l, p);
	uint64_t at = REGION_HEADER;
	size_t g = 0;
	for (unsigned i = 0; i <= n; i++) {
		uint64_t end = i < n ? p[i].off : l->size;
		while (at < end && g < l->n_gaps) {
			if (l->gaps[g].len == 0 || l->gaps[g].len > end - at)
				return -1;
			l->gaps[g].off = at;
			at += l->gaps[g++].len;
		}
		if (at != end)
			return -1;
		if (i < n) {
			unsigned slot = p[i].slot;
			if (!l->has_group[slot / GROUP_SLOTS] || l->rec_len[slot] > l->size - at)
				return -1;
			at += l->rec_len[slot];
		}
	}
	return g == l->n_gaps ? 0 : -1;
}

int layout_get(struct span s, struct layout *l, struct err *e)
{
	struct rd r = rd_of(s);
	int rc = layout_init(l, e);
	if (rc < 0)
		return rc;
	if (rd_u8(&r) != LAYOUT_VERSION)
		r.bad = true;
	l->size = rd_var_max(&r, LAYOUT_FILE_MAX);
	struct span planes = rd_raw(&r, PLANES);
	if (planes.n)
		from_planes(planes.p, l);
	rc = get_sources(&r, l, e);
	if (rc == 0)
		rc = get_gaps(&r, l, e);
	if (rc < 0)
		return rc;
	if (r.bad || rd_left(&r) || l->size < REGION_HEADER || place_gaps(l) < 0)
		return err_set(e, E_CORRUPT, 0, "the layout of a region file is not well formed");
	return 0;
}

int layout_extents(const struct layout *l, struct extent **ret, size_t *ret_n, struct err *e)
{
	struct placed p[REGION_SLOTS];
	unsigned n = records_in_order(l, p), i = 0;
	size_t g = 0, k = 0;
	struct extent *x = calloc(1 + n + l->n_gaps, sizeof *x);
	if (!x)
		return err_set(e, E_NOMEM, 0, "no memory for a region file");
	x[k++] = (struct extent){.len = REGION_HEADER, .kind = EXTENT_HEADER};
	while (i < n || g < l->n_gaps) {
		if (i < n && (g == l->n_gaps || p[i].off < l->gaps[g].off)) {
			unsigned slot = p[i++].slot;
			x[k++] = (struct extent){.off = layout_record_off(l, slot),
				.len = l->rec_len[slot],
				.kind = EXTENT_BLOB,
				.source = slot / GROUP_SLOTS,
				.at = layout_record_at(l, slot)};
		} else {
			x[k++] = l->gaps[g++];
		}
	}
	*ret = x;
	*ret_n = k;
	return 0;
}
