#include "engine/anvil/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/anvil/nbt.h"
#include "engine/base/cleanup.h"

#define RECORD_HEAD 5
#define TRIES 200 /* a server that saves one chunk this often while it is read is none */

const char *const source_kind_name[SOURCE_KINDS] = {"region", "entities", "poi"};

void source_close(struct source *s)
{
	if (s)
		s->ops->close(s);
}

/* ---- what is in it ---- */

static int list_for_worlds(void *ctx, const char *dir, world_each fn, void *fn_ctx, struct err *e)
{
	struct source *s = ctx;
	return s->ops->list(s, dir, fn, fn_ctx, e);
}

int source_worlds(struct source *s, struct worlds *ret, struct err *e)
{
	struct world_source tree = {list_for_worlds, s};
	return worlds_find(&tree, ret, e);
}

int source_list(struct source *s, const char *dir, world_each fn, void *ctx, struct err *e)
{
	return s->ops->list(s, dir, fn, ctx, e);
}

static int read_open_file(struct source *s, struct source_file *f, uint64_t size, size_t max,
	const char *path, struct buf *out, struct err *e)
{
	size_t start = out->len, n;
	if (size > max)
		return err_set(e, E_FORMAT, 0, "'%s' has more than %zu bytes", path, max);
	/* One byte more than there should be: it may have grown. */
	int r = buf_resize(out, start + (size_t)size + 1, e);
	if (r == 0)
		r = s->ops->pread(f, 0, out->p + start, (size_t)size + 1, &n, e);
	if (r == 0 && n > size)
		r = err_set(e, E_CHANGED, 0, "'%s' grew while it was read", path);
	out->len = r < 0 ? start : start + n;
	return r;
}

int source_read_file(struct source *s, const char *path, size_t max, struct buf *out, struct err *e)
{
	for (int i = 0;; i++) {
		struct source_file *f;
		struct source_stat st;
		int r = s->ops->open(s, path, &f, &st, e);
		if (r < 0)
			return r;
		r = read_open_file(s, f, st.size, max, path, out, e);
		s->ops->close_file(f);
		if (r != E_CHANGED || i == TRIES)
			return r;
	}
}

/* ---- region files of a dimension ---- */

struct listing {
	struct source_regions *out;
	unsigned bit;
};

static int add_region(void *ctx, const char *name, bool is_dir, struct err *e)
{
	struct listing *l = ctx;
	struct source_regions *o = l->out;
	int32_t x, z;
	char again[64];
	if (is_dir || !region_parse_name(name, &x, &z) || !region_in_range(x, z))
		return 0;
	/* "r.01.0.mca" is another file. */
	snprintf(again, sizeof again, "r.%d.%d.mca", x, z);
	if (strcmp(name, again) != 0)
		return 0;
	if (!(o->n & (o->n - 1))) {
		void *v = realloc(o->v, (o->n ? 2 * o->n : 1) * sizeof *o->v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for the list of region files");
		o->v = v;
	}
	o->v[o->n++] = (struct source_region_name){x, z, l->bit};
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct source_region_name *x = a, *y = b;
	if (x->x != y->x)
		return x->x < y->x ? -1 : 1;
	return x->z < y->z ? -1 : x->z > y->z;
}

static char *join(const char *a, const char *b)
{
	char *out;
	return asprintf(&out, "%s%s%s", a, *a && *b ? "/" : "", b) < 0 ? NULL : out;
}

int source_regions(struct source *s, const struct world_dim *dim, struct source_regions *ret,
	struct err *e)
{
	*ret = (struct source_regions){0};
	for (unsigned k = 0; k < SOURCE_KINDS; k++) {
		struct listing l = {ret, 1u << k};
		CLEANUP_FREE char *dir = join(dim->folder, source_kind_name[k]);
		int r = dir ? s->ops->list(s, dir, add_region, &l, e)
			    : err_set(e, E_NOMEM, 0, "no memory for a path");
		if (r == E_NOTFOUND)
			continue; /* older worlds have no entities or poi */
		if (r < 0) {
			source_regions_free(ret);
			return r;
		}
	}
	size_t m = 0;
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, by_place);
	for (size_t i = 0; i < ret->n; i++)
		if (m && by_place(&ret->v[m - 1], &ret->v[i]) == 0)
			ret->v[m - 1].kinds |= ret->v[i].kinds;
		else
			ret->v[m++] = ret->v[i];
	ret->n = m;
	return 0;
}

void source_regions_free(struct source_regions *r)
{
	free(r->v);
	*r = (struct source_regions){0};
}

/* ---- one region file ---- */

static int read_header(struct source_region *r, struct err *e)
{
	size_t n;
	int rc = r->file->source->ops->pread(r->file, 0, r->header, REGION_HEADER, &n, e);
	r->has_header = rc == 0 && n == REGION_HEADER;
	if (!r->has_header)
		memset(r->header, 0, REGION_HEADER);
	return rc;
}

int source_region_open(struct source *s, const struct world_dim *dim, enum source_kind kind,
	int32_t x, int32_t z, struct source_region **ret, struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	struct source_region *r = calloc(1, sizeof *r);
	if (r)
		r->folder = join(dim->folder, source_kind_name[kind]);
	if (!r || !r->folder || asprintf(&path, "%s/r.%d.%d.mca", r->folder, x, z) < 0) {
		source_region_close(r);
		path = NULL;
		return err_set(e, E_NOMEM, 0, "no memory to open a region file");
	}
	r->x = x;
	r->z = z;
	int rc = s->ops->open(s, path, &r->file, &r->st, e);
	if (rc == 0)
		rc = read_header(r, e);
	if (rc < 0) {
		source_region_close(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void source_region_close(struct source_region *r)
{
	if (!r)
		return;
	if (r->file)
		r->file->source->ops->close_file(r->file);
	free(r->folder);
	free(r);
}

/* ---- one chunk ---- */

void source_chunk_free(struct source_chunk *c)
{
	buf_free(&c->record);
	buf_free(&c->outside);
	*c = (struct source_chunk){0};
}

static int read_external(struct source_region *r, unsigned slot, struct source_chunk *c,
	struct err *e)
{
	CLEANUP_FREE char *path = NULL;
	if (asprintf(&path, "%s/c.%lld.%lld.mcc", r->folder, (long long)r->x * 32 + slot % 32,
		    (long long)r->z * 32 + slot / 32) < 0) {
		path = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	c->outside.len = 0;
	int rc = source_read_file(r->file->source, path, SOURCE_EXTERNAL_MAX, &c->outside, e);
	if (rc == E_NOTFOUND)
		return err_set(e, E_FORMAT, 0, "'%s', which holds it, is missing", path);
	c->stream = buf_span(&c->outside);
	return rc;
}

/* What the entry names. */
static int read_record(struct source_region *r, unsigned slot, struct source_chunk *c,
	struct err *e)
{
	const struct source_ops *ops = r->file->source->ops;
	uint64_t off = (uint64_t)c->entry.sector * REGION_SECTOR;
	size_t want = (size_t)c->entry.count * REGION_SECTOR, n;
	c->record.len = 0;
	if (off < REGION_HEADER || want == 0)
		return err_set(e, E_FORMAT, 0,
			"its header entry (sector %u, %u of them) cannot be of a chunk",
			c->entry.sector, c->entry.count);
	int rc = buf_resize(&c->record, want, e);
	if (rc == 0)
		rc = ops->pread(r->file, off, c->record.p, want, &n, e);
	if (rc < 0)
		return rc;
	uint64_t len = n < RECORD_HEAD ? 0 : (uint64_t)get_be32(c->record.p) + 4;
	c->record.len = n;
	if (n < RECORD_HEAD)
		return err_set(e, E_FORMAT, 0, "its header entry points past the file's end");
	if (len < RECORD_HEAD || len > n)
		return err_set(e, E_FORMAT, 0,
			"its length (%llu) does not fit into its sectors or the file",
			(unsigned long long)len);
	c->record.len = (size_t)len;
	c->type = c->record.p[4] & 0x7f;
	c->external = c->record.p[4] & CHUNK_EXTERNAL;
	c->stream = span_sub(buf_span(&c->record), RECORD_HEAD, SIZE_MAX);
	return c->external ? read_external(r, slot, c, e) : 0;
}

/* Is the slot's entry still what was read by? If not, the header in memory takes the new one. */
static int entry_holds(struct source_region *r, unsigned slot, bool *ret, struct err *e)
{
	const struct source_ops *ops = r->file->source->ops;
	uint8_t now[4], stamp[4];
	size_t n = 0, m = 0;
	int rc = ops->pread(r->file, 4 * slot, now, 4, &n, e);
	if (rc == 0)
		rc = ops->pread(r->file, 4096 + 4 * slot, stamp, 4, &m, e);
	if (rc < 0)
		return rc;
	if (n < 4 || m < 4) /* cut off: no chunk any more */
		memset(now, 0, 4), memset(stamp, 0, 4);
	*ret = memcmp(now, r->header + 4 * slot, 4) == 0;
	memcpy(r->header + 4 * slot, now, 4);
	memcpy(r->header + 4096 + 4 * slot, stamp, 4);
	return 0;
}

int source_chunk_read(struct source_region *r, unsigned slot, struct source_chunk *c, struct err *e)
{
	bool holds = true;
	for (int i = 0; i < TRIES; i++) {
		c->entry = region_entry_at(r->header, slot);
		c->stream = (struct span){0};
		c->plain = false;
		if (!source_has_chunk(r, slot))
			return err_set(e, E_NOTFOUND, 0, "there is no such chunk");
		int rc = read_record(r, slot, c, e);
		if (!r->file->source->live || (rc < 0 && rc != E_FORMAT))
			return rc;
		int rc2 = entry_holds(r, slot, &holds, e);
		if (rc2 < 0)
			return rc2;
		c->entry.timestamp = get_be32(r->header + 4096 + 4 * slot);
		if (holds)
			return rc;
	}
	return err_set(e, E_CHANGED, 0, "the chunk did not hold still while it was read");
}

int source_chunk_look(struct source_region *r, unsigned slot, struct source_chunk *c, struct err *e)
{
	const struct source_ops *ops = r->file->source->ops;
	uint8_t type;
	if (!ops->chunk || !source_has_chunk(r, slot))
		return source_chunk_read(r, slot, c, e);
	c->entry = region_entry_at(r->header, slot);
	c->record.len = 0;
	int rc = ops->chunk(r->file, slot, &type, &c->plain, &c->record, e);
	if (rc == E_NOTFOUND)
		return source_chunk_read(r, slot, c, e);
	if (rc < 0)
		return rc;
	c->type = type & 0x7f;
	c->external = type & CHUNK_EXTERNAL;
	c->stream = buf_span(&c->record);
	return c->external ? read_external(r, slot, c, e) : 0;
}

int source_chunk_decode(const struct source_chunk *c, struct buf *nbt, struct err *e)
{
	return c->plain ? buf_add(nbt, c->stream.p, c->stream.n, e)
			: chunk_decode(c->type, c->stream, SOURCE_NBT_MAX, nbt, e);
}

int source_chunk_nbt(struct source_region *r, unsigned slot, struct source_chunk *c,
	struct buf *nbt, struct err *e)
{
	size_t start = nbt->len;
	int rc = source_chunk_look(r, slot, c, e);
	if (rc == 0)
		rc = source_chunk_decode(c, nbt, e);
	if (rc < 0)
		return rc;
	rc = nbt_check(span_of(nbt->p + start, nbt->len - start), e);
	if (rc < 0)
		nbt->len = start;
	return rc;
}
