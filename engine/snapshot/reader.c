#include "engine/snapshot/reader.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/layout.h"
#include "engine/snapshot/map.h"

#define CACHE_DEFAULT ((size_t)8 << 20)
#define SLOTS 64

/* A decoded blob. */
struct slot {
	struct name name;
	struct buf data;
	uint64_t used; /* tick of the last use; 0: empty */
};

struct reader {
	struct store *s;
	struct content content;
	uint8_t inline_data[INLINE_MAX];
	uint64_t size, tick;
	struct slot slot[SLOTS];
	size_t bytes, max;
	struct layout layout; /* REGION */
	struct extent *ext;
	size_t n_ext;
};

static int open_region(struct reader *r, struct coder *c, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int rc = store_get(r->s, c, &r->content.name, &b, e);
	if (rc == 0)
		rc = layout_get(buf_span(&b), &r->layout, e);
	if (rc == 0 && r->layout.size != r->size)
		rc = err_set(e, E_CORRUPT, 0, "the region file's layout has another size");
	return rc < 0 ? rc : layout_extents(&r->layout, &r->ext, &r->n_ext, e);
}

int reader_open(struct reader **ret, struct store *s, struct coder *c,
	const struct content *content, uint64_t size, size_t cache_bytes, struct err *e)
{
	struct reader *r = calloc(1, sizeof *r);
	if (!r)
		return err_set(e, E_NOMEM, 0, "no memory to read a file");
	r->s = s;
	r->content = *content;
	r->size = size;
	r->max = cache_bytes ? cache_bytes : CACHE_DEFAULT;
	int rc = 0;
	if (content->kind == CONTENT_INLINE) {
		if (content->inline_data.n != size || size > INLINE_MAX)
			rc = err_set(e, E_CORRUPT, 0, "the file's size does not fit its content");
		else
			memcpy(r->inline_data, content->inline_data.p, (size_t)size);
	} else if (content->kind == CONTENT_REGION) {
		rc = open_region(r, c, e);
	} else if (content->kind == CONTENT_TREE || content->kind == CONTENT_NESTED) {
		rc = err_set(e, E_FORMAT, 0, "is a directory");
	} else if (content->kind == CONTENT_EMPTY && size) {
		rc = err_set(e, E_CORRUPT, 0, "the file's size does not fit its content");
	}
	if (rc < 0) {
		reader_close(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void reader_close(struct reader *r)
{
	if (!r)
		return;
	for (int i = 0; i < SLOTS; i++)
		buf_free(&r->slot[i].data);
	layout_free(&r->layout);
	free(r->ext);
	free(r);
}

static void drop(struct reader *r, struct slot *s)
{
	r->bytes -= s->data.cap;
	buf_free(&s->data);
	s->used = 0;
}

/* A decoded blob; the span is valid until the next call. */
static int blob(struct reader *r, struct coder *c, const struct name *name, struct span *ret,
	struct err *e)
{
	struct slot *oldest = NULL, *empty = NULL;
	for (int i = 0; i < SLOTS; i++) {
		struct slot *s = &r->slot[i];
		if (!s->used) {
			empty = s;
			continue;
		}
		if (name_cmp(&s->name, name) == 0) {
			s->used = ++r->tick;
			*ret = buf_span(&s->data);
			return 0;
		}
		if (!oldest || s->used < oldest->used)
			oldest = s;
	}
	struct slot *s = empty ? empty : oldest;
	if (s->used)
		drop(r, s);
	int rc = store_get(r->s, c, name, &s->data, e);
	if (rc < 0) {
		buf_free(&s->data);
		return rc;
	}
	s->name = *name;
	s->used = ++r->tick;
	r->bytes += s->data.cap;
	while (r->bytes > r->max) {
		struct slot *old = NULL;
		for (int i = 0; i < SLOTS; i++)
			if (r->slot[i].used && &r->slot[i] != s &&
				(!old || r->slot[i].used < old->used))
				old = &r->slot[i];
		if (!old)
			break;
		drop(r, old);
	}
	*ret = buf_span(&s->data);
	return 0;
}

/* Copy n bytes at `at` of a blob. */
static int copy(struct reader *r, struct coder *c, const struct name *name, uint64_t at, uint8_t *p,
	size_t n, struct err *e)
{
	struct span s;
	int rc = blob(r, c, name, &s, e);
	if (rc < 0)
		return rc;
	if (at > s.n || n > s.n - at)
		return err_set(e, E_CORRUPT, 0, "a part of the file is shorter than it should be");
	memcpy(p, s.p + at, n);
	return 0;
}

static size_t find_extent(const struct reader *r, uint64_t off)
{
	size_t lo = 0, hi = r->n_ext;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (r->ext[mid].off <= off)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static int read_region(struct reader *r, struct coder *c, uint64_t off, uint8_t *p, size_t n,
	struct err *e)
{
	for (size_t i = find_extent(r, off); n; i++) {
		if (i >= r->n_ext)
			return err_set(e, E_CORRUPT, 0, "the region file's layout has a gap");
		const struct extent *x = &r->ext[i];
		uint64_t skip = off - x->off;
		size_t k = x->len - skip < n ? (size_t)(x->len - skip) : n;
		int rc = 0;
		if (x->kind == EXTENT_HEADER)
			memcpy(p, r->layout.header + skip, k);
		else if (x->kind == EXTENT_BLOB)
			rc = copy(r, c, &r->layout.sources[x->source].name, x->at + skip, p, k, e);
		else
			memset(p, 0, k);
		if (rc < 0)
			return rc;
		off += k;
		p += k;
		n -= k;
	}
	return 0;
}

static int read_map(struct reader *r, struct coder *c, uint64_t off, uint8_t *p, size_t n,
	struct err *e)
{
	struct map_iter it;
	struct map_piece m;
	int rc = map_iter_open(&it, r->s, c, &r->content, off, e);
	if (rc < 0)
		return rc;
	while (n && (rc = map_iter_next(&it, &m, e)) == 1) {
		uint64_t skip = off - m.off;
		size_t k = m.len - skip < n ? (size_t)(m.len - skip) : n;
		rc = 0;
		if (m.hole)
			memset(p, 0, k);
		else
			rc = copy(r, c, &m.name, skip, p, k, e);
		if (rc < 0)
			break;
		off += k;
		p += k;
		n -= k;
	}
	map_iter_close(&it);
	if (rc >= 0 && n)
		return err_set(e, E_CORRUPT, 0, "the file's pieces end early");
	return rc < 0 ? rc : 0;
}

int reader_pread(struct reader *r, struct coder *c, uint64_t off, void *p, size_t n, size_t *ret_n,
	struct err *e)
{
	*ret_n = 0;
	if (off >= r->size)
		return 0;
	if (n > r->size - off)
		n = (size_t)(r->size - off);
	int rc = 0;
	switch (r->content.kind) {
	case CONTENT_INLINE:
		memcpy(p, r->inline_data + off, n);
		break;
	case CONTENT_BLOB:
		rc = copy(r, c, &r->content.name, off, p, n, e);
		break;
	case CONTENT_MAP:
		rc = read_map(r, c, off, p, n, e);
		break;
	case CONTENT_REGION:
		rc = read_region(r, c, off, p, n, e);
		break;
	default:
		break;
	}
	if (rc == 0)
		*ret_n = n;
	return rc;
}

static int take_chunk(struct span plain, const struct group_slot *s, uint8_t *ret_type, bool *ret_plain,
	struct buf *out, struct err *e)
{
	*ret_plain = s->recipe != RECIPE_NONE;
	*ret_type = *ret_plain ? group_type(s) : plain.p[s->plain_off];
	return *ret_plain ? group_nbt(plain, s, out, e)
			  : buf_add(out, plain.p + s->plain_off + 1, s->plain_len - 1, e);
}

int reader_chunk(struct reader *r, struct coder *c, unsigned slot, uint8_t *ret_type, bool *ret_plain,
	struct buf *out, struct err *e)
{
	CLEANUP_PLAIN struct plain *p = NULL;
	struct group_slot slots[GROUP_SLOTS];
	if (r->content.kind != CONTENT_REGION || !r->layout.rec_len[slot])
		return err_set(e, E_NOTFOUND, 0, "there is no such chunk");
	int rc = store_plain(r->s, c, &r->layout.sources[slot / GROUP_SLOTS].name, &p, e);
	if (rc == 0)
		rc = p->form == FORM_GROUP ? group_parse(buf_span(&p->data), slots, e) : E_CORRUPT;
	const struct group_slot *s = &slots[slot % GROUP_SLOTS];
	if (rc == E_CORRUPT || (rc == 0 && s->canon_len != r->layout.rec_len[slot]))
		return err_set(e, E_CORRUPT, 0, "the region file's chunks do not fit its layout");
	return rc < 0 ? rc : take_chunk(buf_span(&p->data), s, ret_type, ret_plain, out, e);
}

static int seek_map(struct reader *r, struct coder *c, uint64_t off, bool hole, uint64_t *ret,
	struct err *e)
{
	struct map_iter it;
	struct map_piece m;
	int rc = map_iter_open(&it, r->s, c, &r->content, off, e);
	if (rc < 0)
		return rc;
	while ((rc = map_iter_next(&it, &m, e)) == 1)
		if (m.hole == hole) {
			*ret = m.off > off ? m.off : off;
			break;
		}
	map_iter_close(&it);
	return rc < 0 ? rc : 0;
}

int reader_seek(struct reader *r, struct coder *c, uint64_t off, bool hole, uint64_t *ret,
	struct err *e)
{
	*ret = r->size;
	if (off >= r->size)
		return 0;
	if (r->content.kind == CONTENT_MAP)
		return seek_map(r, c, off, hole, ret, e);
	if (r->content.kind == CONTENT_REGION) {
		for (size_t i = find_extent(r, off); i < r->n_ext; i++)
			if ((r->ext[i].kind == EXTENT_HOLE) == hole) {
				*ret = r->ext[i].off > off ? r->ext[i].off : off;
				break;
			}
		return 0;
	}
	if (!hole)
		*ret = off;
	return 0;
}
