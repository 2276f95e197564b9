#include "engine/snapshot/gaps.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"

#define ZERO_RUN_MIN 24	 /* shorter runs of zeros are cheaper as literals */
#define EQUAL_RUN_MIN 16 /* the same for bytes found in the older version */
#define SOURCE_BYTES_MIN 160 /* what a further source must give to be worth its name */
#define SOURCES_KEEP 96	     /* old groups and literals that one version may lean on */
#define LITERAL_BLOB_MAX ((size_t)1 << 20)

/* Growing list of extents. */
struct list {
	struct extent *x;
	size_t n, cap;
};

static int list_add(struct list *l, const struct extent *x, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		struct extent *n = realloc(l->x, cap * sizeof *n);
		if (!n)
			return err_set(e, E_NOMEM, 0, "no memory for a region file");
		l->x = n;
		l->cap = cap;
	}
	l->x[l->n++] = *x;
	return 0;
}

static void list_free(struct list *l)
{
	free(l->x);
}
#define CLEANUP_LIST __attribute__((cleanup(list_free)))

struct work {
	struct store *s;
	struct coder *c;
	struct span file;
	struct layout *l;
	const struct layout *old;
	const struct holes *holes;
};

static int by_off(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;
	return x->off < y->off ? -1 : x->off > y->off;
}

static int by_source(const void *a, const void *b)
{
	const struct extent *x = a, *y = b;
	if (x->source != y->source)
		return x->source < y->source ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

static size_t zero_run(const uint8_t *p, size_t n)
{
	size_t i = 0;
	while (i + 8 <= n) {
		uint64_t v;
		memcpy(&v, p + i, 8);
		if (v)
			break;
		i += 8;
	}
	while (i < n && p[i] == 0)
		i++;
	return i;
}

/* ---- 1. which bytes are gaps, and which of those are zero ---- */

/* Split one gap into runs of zeros and of data. A run of zeros may be short at the gap's end. */
static int split_zeros(struct span file, uint64_t off, uint64_t end, struct list *out,
	struct err *e)
{
	uint64_t data = off, at = off;
	while (at < end) {
		size_t z = file.p[at] ? 0 : zero_run(file.p + at, (size_t)(end - at));
		if (z < ZERO_RUN_MIN && !(z && at + z == end)) {
			at += z ? z : 1;
			continue;
		}
		struct extent d = {.off = data, .len = (uint32_t)(at - data), .kind = EXTENT_BLOB};
		struct extent zero = {.off = at, .len = (uint32_t)z, .kind = EXTENT_ZERO};
		int r = d.len ? list_add(out, &d, e) : 0;
		if (r == 0)
			r = list_add(out, &zero, e);
		if (r < 0)
			return r;
		at = data = at + z;
	}
	struct extent d = {.off = data, .len = (uint32_t)(end - data), .kind = EXTENT_BLOB};
	return d.len ? list_add(out, &d, e) : 0;
}

static int find_gaps(const struct work *w, const struct region_extent *rec, struct list *out,
	struct err *e)
{
	struct extent order[REGION_SLOTS];
	unsigned n = 0;
	for (unsigned i = 0; i < REGION_SLOTS; i++)
		if (rec[i].len)
			order[n++] = (struct extent){.off = rec[i].off, .len = rec[i].len};
	if (n)
		qsort(order, n, sizeof *order, by_off);
	uint64_t at = REGION_HEADER;
	for (unsigned i = 0; i <= n; i++) {
		uint64_t end = i < n ? order[i].off : w->file.n;
		int r = end > at ? split_zeros(w->file, at, end, out, e) : 0;
		if (r < 0)
			return r;
		if (i < n)
			at = order[i].off + order[i].len;
	}
	return 0;
}

/* ---- 2. discard: forget what is nobody's ---- */

/* Sectors of entries that could not be read as records: their bytes may be somebody's chunk. */
static int drop_slack(const struct work *w, const struct region_extent *rec, struct list *gaps,
	struct err *e)
{
	size_t sectors = w->file.n / REGION_SECTOR + 1;
	CLEANUP_FREE uint8_t *claimed = calloc(sectors, 1);
	CLEANUP_LIST struct list in = *gaps;
	if (!claimed) {
		in.x = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for a region file");
	}
	for (unsigned i = 0; i < REGION_SLOTS; i++) {
		struct region_entry en = region_entry_at(w->file.p, i);
		for (uint32_t k = 0; rec[i].broken && k < (en.count ? en.count : 1); k++)
			if (en.sector + k < sectors)
				claimed[en.sector + k] = 1;
	}
	*gaps = (struct list){0};
	for (size_t i = 0; i < in.n; i++) {
		/* Sector by sector; neighbours of one kind grow together. */
		uint64_t off = in.x[i].off, end = off + in.x[i].len;
		for (; off < end;) {
			uint64_t next = (off / REGION_SECTOR + 1) * REGION_SECTOR;
			if (next > end)
				next = end;
			uint8_t kind = in.x[i].kind == EXTENT_BLOB && claimed[off / REGION_SECTOR]
					       ? EXTENT_BLOB
					       : EXTENT_ZERO;
			struct extent *last = gaps->n ? &gaps->x[gaps->n - 1] : NULL;
			if (last && last->kind == kind && last->off + last->len == off) {
				last->len += (uint32_t)(next - off);
			} else {
				struct extent x = {.off = off, .len = (uint32_t)(next - off),
					.kind = kind};
				int r = list_add(gaps, &x, e);
				if (r < 0)
					return r;
			}
			off = next;
		}
	}
	return 0;
}

/* ---- 3. what the older version has at the same place ---- */

/* Parts of the data runs that the older version has from some blob: candidates, with the index of
 * the older layout's source. */
static int find_candidates(const struct work *w, const struct list *gaps, struct list *out,
	struct err *e)
{
	CLEANUP_FREE struct extent *old = NULL;
	size_t n_old, k = 0;
	int r = layout_extents(w->old, &old, &n_old, e);
	for (size_t i = 0; i < gaps->n && r == 0; i++) {
		const struct extent *g = &gaps->x[i];
		if (g->kind != EXTENT_BLOB)
			continue;
		while (k < n_old && old[k].off + old[k].len <= g->off)
			k++;
		for (size_t j = k; j < n_old && old[j].off < g->off + g->len && r == 0; j++) {
			if (old[j].kind != EXTENT_BLOB)
				continue;
			uint64_t a = old[j].off > g->off ? old[j].off : g->off;
			uint64_t b = old[j].off + old[j].len;
			if (b > g->off + g->len)
				b = g->off + g->len;
			struct extent x = {.off = a, .len = (uint32_t)(b - a), .kind = EXTENT_BLOB,
				.source = old[j].source,
				.at = old[j].at + (uint32_t)(a - old[j].off)};
			if (x.len >= EQUAL_RUN_MIN)
				r = list_add(out, &x, e);
		}
	}
	return r;
}

/* A source's canonical bytes, made only as far as they are looked at. */
struct view {
	struct plain *p;
	bool group;
	struct group_slot slots[GROUP_SLOTS];
	struct buf rec[GROUP_SLOTS];
};

static void view_close(struct view *v)
{
	plain_unref(v->p);
	for (int i = 0; i < GROUP_SLOTS; i++)
		buf_free(&v->rec[i]);
}
#define CLEANUP_VIEW __attribute__((cleanup(view_close)))

static int view_open(struct view *v, struct store *s, struct coder *c,
	const struct layout_source *src)
{
	v->group = src->group;
	if (store_plain(s, c, &src->name, &v->p, NULL) < 0)
		return -1;
	if (v->p->form != (src->group ? FORM_GROUP : FORM_RAW))
		return -1;
	return src->group ? group_parse(buf_span(&v->p->data), v->slots, NULL) : 0;
}

/* Up to n bytes at `at`, without a copy; empty where there are none. */
static struct span view_at(struct view *v, struct coder *c, uint32_t at, size_t n)
{
	if (!v->group)
		return span_sub(buf_span(&v->p->data), at, n);
	for (int i = 0; i < GROUP_SLOTS; i++) {
		const struct group_slot *s = &v->slots[i];
		if (!s->canon_len || at < s->canon_off || at - s->canon_off >= s->canon_len)
			continue;
		if (!v->rec[i].len &&
			group_record(c->rs, buf_span(&v->p->data), s, &v->rec[i], NULL) < 0)
			break;
		return span_sub(buf_span(&v->rec[i]), at - s->canon_off, n);
	}
	return (struct span){NULL, 0};
}

/* Add the parts of a candidate whose bytes are really equal. */
static int match(const struct work *w, struct view *v, const struct extent *x, struct list *out,
	uint64_t *total, struct err *e)
{
	struct span old = view_at(v, w->c, x->at, x->len);
	const uint8_t *p = w->file.p + x->off;
	for (size_t i = 0; i < old.n;) {
		size_t n = 0;
		while (i + n < old.n && old.p[i + n] == p[i + n])
			n++;
		if (n >= EQUAL_RUN_MIN) {
			struct extent m = {.off = x->off + i, .len = (uint32_t)n,
				.kind = EXTENT_BLOB, .source = x->source,
				.at = x->at + (uint32_t)i};
			int r = list_add(out, &m, e);
			if (r < 0)
				return r;
			*total += n;
		}
		i += n ? n : 1;
	}
	return 0;
}

struct gain {
	uint64_t bytes;
	size_t first, n; /* of the matches */
};

static int by_gain(const void *a, const void *b)
{
	const struct gain *x = a, *y = b;
	return x->bytes > y->bytes ? -1 : x->bytes < y->bytes;
}

/* Keep the matches of the sources that give most, under their index in the new layout. */
static int keep_best(const struct work *w, struct list *matches, struct gain *gains, size_t n,
	struct list *out, struct err *e)
{
	if (n)
		qsort(gains, n, sizeof *gains, by_gain);
	for (size_t i = 0; i < n && i < SOURCES_KEEP; i++) {
		if (gains[i].bytes < SOURCE_BYTES_MIN)
			break;
		struct extent *m = &matches->x[gains[i].first];
		const struct layout_source *src = &w->old->sources[m->source];
		uint32_t index;
		int r = layout_add_source(w->l, &src->name, src->group, &index, e);
		for (size_t k = 0; k < gains[i].n && r == 0; k++) {
			m[k].source = index;
			r = list_add(out, &m[k], e);
		}
		if (r < 0)
			return r;
	}
	if (out->n)
		qsort(out->x, out->n, sizeof *out->x, by_off);
	return 0;
}

static int find_matches(const struct work *w, const struct list *gaps, struct list *out,
	struct err *e)
{
	CLEANUP_LIST struct list cand = {0};
	CLEANUP_LIST struct list matches = {0};
	CLEANUP_FREE struct gain *gains = calloc(w->old->n_sources, sizeof *gains);
	size_t n_gains = 0;
	if (!gains)
		return err_set(e, E_NOMEM, 0, "no memory for a region file");
	int r = find_candidates(w, gaps, &cand, e);
	if (r < 0 || cand.n == 0)
		return r;
	qsort(cand.x, cand.n, sizeof *cand.x, by_source);
	for (size_t i = 0; i < cand.n && r == 0;) {
		CLEANUP_VIEW struct view v = {0};
		struct gain g = {.first = matches.n};
		uint32_t source = cand.x[i].source;
		bool ok = view_open(&v, w->s, w->c, &w->old->sources[source]) == 0;
		for (; i < cand.n && cand.x[i].source == source && r == 0; i++)
			if (ok)
				r = match(w, &v, &cand.x[i], &matches, &g.bytes, e);
		g.n = matches.n - g.first;
		if (g.n)
			gains[n_gains++] = g;
	}
	return r < 0 ? r : keep_best(w, &matches, gains, n_gains, out, e);
}

/* ---- 4. the rest is literal ---- */

/* Literal bytes collect in a blob; its name is known when it is full. */
struct literals {
	struct buf data;
	size_t first_gap; /* in the layout: extents that wait for the source's index */
};

static int flush_literals(const struct work *w, struct literals *lit, struct err *e)
{
	struct name name;
	uint32_t index;
	if (lit->data.len) {
		int r = store_put(w->s, w->c, FORM_RAW, buf_span(&lit->data), NULL, &name, e);
		if (r == 0)
			r = layout_add_source(w->l, &name, false, &index, e);
		if (r < 0)
			return r;
		for (size_t i = lit->first_gap; i < w->l->n_gaps; i++)
			if (w->l->gaps[i].source == UINT32_MAX)
				w->l->gaps[i].source = index;
		lit->data.len = 0;
	}
	lit->first_gap = w->l->n_gaps;
	return 0;
}

static int add_literal(const struct work *w, struct literals *lit, uint64_t off, uint64_t len,
	struct err *e)
{
	while (len) {
		size_t n = LITERAL_BLOB_MAX - lit->data.len;
		if (n > len)
			n = (size_t)len;
		struct extent x = {.off = off, .len = (uint32_t)n, .kind = EXTENT_BLOB,
			.source = UINT32_MAX, .at = (uint32_t)lit->data.len};
		int r = buf_add(&lit->data, w->file.p + off, n, e);
		if (r == 0)
			r = layout_add_gap(w->l, &x, e);
		if (r == 0 && lit->data.len == LITERAL_BLOB_MAX)
			r = flush_literals(w, lit, e);
		if (r < 0)
			return r;
		off += n;
		len -= n;
	}
	return 0;
}

/* Zeros, in parts that lie in holes and parts that do not. *hole moves along with the offsets. */
static int add_zeros(const struct work *w, const struct extent *g, size_t *hole, struct err *e)
{
	uint64_t at = g->off, end = g->off + g->len;
	int r = 0;
	while (at < end && r == 0) {
		while (*hole < w->holes->n && w->holes->v[*hole].end <= at)
			++*hole;
		const struct hole *h = *hole < w->holes->n ? &w->holes->v[*hole] : NULL;
		bool inside = h && h->off <= at;
		uint64_t to = !h ? end : inside ? h->end : h->off;
		if (to > end)
			to = end;
		struct extent x = {.off = at, .len = (uint32_t)(to - at),
			.kind = inside ? EXTENT_HOLE : EXTENT_ZERO};
		r = layout_add_gap(w->l, &x, e);
		at = to;
	}
	return r;
}

/* Enter all gaps in order: zeros, matches, and literals for what is left of the data. */
static int emit(const struct work *w, const struct list *gaps, const struct list *matches,
	struct err *e)
{
	struct literals lit = {.first_gap = 0};
	size_t m = 0, hole = 0;
	int r = 0;
	for (size_t i = 0; i < gaps->n && r == 0; i++) {
		const struct extent *g = &gaps->x[i];
		uint64_t at = g->off, end = g->off + g->len;
		if (g->kind != EXTENT_BLOB) {
			r = add_zeros(w, g, &hole, e);
			continue;
		}
		for (; m < matches->n && matches->x[m].off < end && r == 0; m++) {
			if (matches->x[m].off > at)
				r = add_literal(w, &lit, at, matches->x[m].off - at, e);
			if (r == 0)
				r = layout_add_gap(w->l, &matches->x[m], e);
			at = matches->x[m].off + matches->x[m].len;
		}
		if (r == 0 && at < end)
			r = add_literal(w, &lit, at, end - at, e);
	}
	if (r == 0)
		r = flush_literals(w, &lit, e);
	buf_free(&lit.data);
	return r;
}

int gaps_store(struct store *s, struct coder *c, struct span file,
	const struct region_extent rec[REGION_SLOTS], const struct layout *old,
	const struct holes *holes, bool discard, struct layout *l, struct err *e)
{
	struct work w = {s, c, file, l, old, holes};
	CLEANUP_LIST struct list gaps = {0};
	CLEANUP_LIST struct list matches = {0};
	int r = find_gaps(&w, rec, &gaps, e);
	if (r == 0 && discard)
		r = drop_slack(&w, rec, &gaps, e);
	if (r == 0 && old)
		r = find_matches(&w, &gaps, &matches, e);
	return r < 0 ? r : emit(&w, &gaps, &matches, e);
}
