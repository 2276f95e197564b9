#include "engine/snapshot/extract.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/snapshot/layout.h"
#include "engine/snapshot/map.h"

#define READ_BACK ((size_t)256 << 10)
#define BLOCK 4096u /* of most file systems, and a sector of a region file */

struct job {
	struct extract_file *f;
	struct name name;
	uint64_t off, len;
	unsigned group; /* of a region file; LAYOUT_GROUPS: the gaps */
};

static void job_done(struct extract_file *f, int code, const struct err *e)
{
	pool_lock(f->x->pool);
	if (code < 0 && f->code == 0) {
		f->code = code;
		f->err = *e;
	}
	f->pending--;
	pool_unlock(f->x->pool);
}

static int submit(struct extract_file *f, pool_fn fn, const struct job *j, size_t bytes,
	struct err *e)
{
	struct job *copy = malloc(sizeof *copy);
	if (!copy)
		return err_set(e, E_NOMEM, 0, "no memory for a job");
	*copy = *j;
	copy->f = f;
	pool_lock(f->x->pool);
	f->pending++;
	pool_unlock(f->x->pool);
	pool_submit(f->x->pool, fn, copy, bytes);
	return 0;
}

bool extract_is_done(struct extract_file *f)
{
	pool_lock(f->x->pool);
	bool done = f->pending == 0;
	pool_unlock(f->x->pool);
	return done;
}

int extract_wait(struct extract_file *f, struct err *e)
{
	pool_wait(f->x->pool, &f->pending, 0);
	if (f->state) {
		layout_free(f->state);
		free(TAKE_PTR(f->state));
	}
	return f->code < 0 ? err_pass(e, &f->err) : f->code;
}

/* ---- blobs and pieces ---- */

static void write_blob(void *arg, unsigned worker)
{
	struct job *j = arg;
	struct extract_file *f = j->f;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	int r = store_get(f->x->s, &f->x->coders[worker], &j->name, &b, &e);
	if (r == 0 && b.len != j->len)
		r = err_set(&e, E_CORRUPT, 0, "a piece of the file has the wrong length");
	if (r == 0)
		r = io_pwrite(f->fd, b.p, b.len, j->off, "the new file", &e);
	free(j);
	job_done(f, r, &e);
}

/* Not before the size is known to fit the content: a crafted one could be anything. */
static int set_size(struct extract_file *f, uint64_t size, struct err *e)
{
	if (ftruncate(f->fd, (off_t)size) < 0)
		return err_set(e, E_IO, errno, "make a file of %llu bytes",
			(unsigned long long)size);
	return 0;
}

static int start_map(struct extract_file *f, const struct content *c, uint64_t size, struct err *e)
{
	struct map_iter it;
	struct map_piece p;
	uint64_t end = 0;
	int r = map_iter_open(&it, f->x->s, &f->x->coders[0], c, 0, e);
	if (r < 0)
		return r;
	while ((r = map_iter_next(&it, &p, e)) == 1) {
		end = p.off + p.len;
		struct job j = {.name = p.name, .off = p.off, .len = p.len};
		if (p.hole)
			continue;
		if (p.len > CANON_MAX)
			r = err_set(e, E_CORRUPT, 0, "a piece of the file is too large");
		else
			r = submit(f, write_blob, &j, (size_t)p.len * 3, e);
		if (r < 0)
			break;
	}
	map_iter_close(&it);
	if (r == 0 && end != size)
		r = err_set(e, E_CORRUPT, 0, "the pieces of the file do not add up to its size");
	return r < 0 ? r : set_size(f, size, e);
}

/* ---- region files ---- */

static int write_group(struct extract_file *f, struct coder *c, unsigned g, struct err *e)
{
	const struct layout *l = f->state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = store_get(f->x->s, c, &l->sources[g].name, &b, e);
	for (unsigned i = 0; i < GROUP_SLOTS && r == 0; i++) {
		unsigned slot = g * GROUP_SLOTS + i;
		uint32_t at = layout_record_at(l, slot), len = l->rec_len[slot];
		if (!len)
			continue;
		if ((uint64_t)at + len > b.len)
			return err_set(e, E_CORRUPT, 0, "a chunk group is shorter than its layout");
		r = io_pwrite(f->fd, b.p + at, len, layout_record_off(l, slot), "the new file", e);
	}
	return r;
}

static int write_zeros(int fd, uint64_t off, uint64_t len, struct err *e)
{
	static const uint8_t zeros[65536];
	int r = 0;
	while (len && r == 0) {
		size_t n = len < sizeof zeros ? (size_t)len : sizeof zeros;
		r = io_pwrite(fd, zeros, n, off, "the new file", e);
		off += n;
		len -= n;
	}
	return r;
}

/* The new file reads as zeros already: what is left to do is to give them room on the disk, so that they
 * do not come back as a hole. A block that they share with a record or other bytes gets its room from
 * those, which spares a write behind every record. */
static int write_gap_zeros(struct extract_file *f, const struct layout *l, size_t i, struct err *e)
{
	const struct extent *x = &l->gaps[i], *before = i ? x - 1 : NULL;
	const struct extent *after = i + 1 < l->n_gaps ? x + 1 : NULL;
	uint64_t from = x->off, to = (uint64_t)x->off + x->len;
	bool hole_before = before && before->kind == EXTENT_HOLE && before->off + before->len == from;
	bool hole_after = to == l->size || (after && after->kind == EXTENT_HOLE && after->off == to);
	if (!hole_before)
		from = (from + BLOCK - 1) / BLOCK * BLOCK;
	if (!hole_after)
		to = to / BLOCK * BLOCK;
	return from < to ? write_zeros(f->fd, from, to - from, e) : 0;
}

/* Header, zeros, and the parts of sources; a source is decoded once for a run of its parts. */
static int write_gaps(struct extract_file *f, struct coder *c, struct err *e)
{
	const struct layout *l = f->state;
	CLEANUP_FREE bool *done = calloc(l->n_gaps + 1, sizeof *done);
	if (!done)
		return err_set(e, E_NOMEM, 0, "no memory for a region file");
	int r = io_pwrite(f->fd, l->header, REGION_HEADER, 0, "the new file", e);
	for (size_t i = 0; i < l->n_gaps && r == 0; i++) {
		const struct extent *x = &l->gaps[i];
		if (x->kind == EXTENT_ZERO)
			r = write_gap_zeros(f, l, i, e);
		if (x->kind != EXTENT_BLOB || done[i])
			continue;
		CLEANUP_BUF struct buf b = BUF_INIT;
		r = store_get(f->x->s, c, &l->sources[x->source].name, &b, e);
		for (size_t k = i; k < l->n_gaps && r == 0; k++) {
			const struct extent *y = &l->gaps[k];
			if (y->kind != EXTENT_BLOB || y->source != x->source)
				continue;
			done[k] = true;
			if ((uint64_t)y->at + y->len > b.len)
				return err_set(e, E_CORRUPT, 0, "a source is shorter than its layout");
			r = io_pwrite(f->fd, b.p + y->at, y->len, y->off, "the new file", e);
		}
	}
	return r;
}

static void write_region_part(void *arg, unsigned worker)
{
	struct job *j = arg;
	struct extract_file *f = j->f;
	struct coder *c = &f->x->coders[worker];
	struct err e = ERR_INIT;
	int r = j->group < LAYOUT_GROUPS ? write_group(f, c, j->group, &e) : write_gaps(f, c, &e);
	free(j);
	job_done(f, r, &e);
}

static int start_region(struct extract_file *f, const struct content *content, uint64_t size,
	struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct layout *l = calloc(1, sizeof *l);
	if (!l)
		return err_set(e, E_NOMEM, 0, "no memory for a region file");
	f->state = l;
	int r = store_get(f->x->s, &f->x->coders[0], &content->name, &b, e);
	if (r == 0)
		r = layout_get(buf_span(&b), l, e);
	if (r == 0 && l->size != size)
		r = err_set(e, E_CORRUPT, 0, "the region file's layout has another size");
	if (r == 0)
		r = set_size(f, size, e);
	for (unsigned g = 0; g < LAYOUT_GROUPS && r == 0; g++) {
		size_t bytes = 0;
		for (unsigned i = 0; i < GROUP_SLOTS; i++)
			bytes += l->rec_len[g * GROUP_SLOTS + i];
		struct job j = {.group = g};
		if (bytes && l->has_group[g])
			r = submit(f, write_region_part, &j, bytes * 18, e);
	}
	struct job gaps = {.group = LAYOUT_GROUPS};
	return r < 0 ? r : submit(f, write_region_part, &gaps, (size_t)2 << 20, e);
}

/* ---- */

static int start(struct extract_file *f, const struct content *c, uint64_t size, struct err *e)
{
	struct job j = {.name = c->name, .len = size};
	if (c->kind == CONTENT_INLINE ? c->inline_data.n != size
				      : c->kind == CONTENT_EMPTY && size)
		return err_set(e, E_CORRUPT, 0, "the file's size does not fit its content");
	switch (c->kind) {
	case CONTENT_EMPTY:
		return 0;
	case CONTENT_INLINE:
		return io_pwrite(f->fd, c->inline_data.p, c->inline_data.n, 0, "the new file", e);
	case CONTENT_BLOB:
		if (size > CANON_MAX)
			return err_set(e, E_CORRUPT, 0, "the file's size does not fit its content");
		return submit(f, write_blob, &j, (size_t)size * 3, e);
	case CONTENT_MAP:
		return start_map(f, c, size, e);
	case CONTENT_REGION:
		return start_region(f, c, size, e);
	default:
		return err_set(e, E_CORRUPT, 0, "the file has an unknown kind of content");
	}
}

int extract_start(struct extract *x, struct extract_file *f, int fd, const struct content *c,
	uint64_t size, struct err *e)
{
	*f = (struct extract_file){.x = x, .fd = fd};
	int r = start(f, c, size, e);
	if (r < 0)
		(void)!extract_wait(f, NULL);
	return r;
}

/* ---- reading back ---- */

static int hash_range(struct store *s, int fd, uint64_t off, uint64_t len, uint8_t form,
	struct name *ret, struct err *e)
{
	struct hasher h;
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = buf_reserve(&b, READ_BACK, e);
	hasher_begin(&h, store_keys(s), form);
	while (len && r == 0) {
		size_t n = len < READ_BACK ? (size_t)len : READ_BACK, got;
		r = io_pread(fd, b.p, n, off, &got, "the new file", e);
		if (r == 0 && got < n)
			r = err_set(e, E_CORRUPT, 0, "the new file is shorter than it should be");
		if (r == 0)
			hasher_add(&h, span_of(b.p, n));
		off += n;
		len -= n;
	}
	hasher_end(&h, ret);
	return r;
}

static int differs(struct err *e)
{
	return err_set(e, E_CORRUPT, 0, "the bytes differ from the snapshot's");
}

static int verify_range(struct store *s, int fd, uint64_t off, uint64_t len, uint8_t form,
	const struct name *want, struct err *e)
{
	struct name got;
	int r = hash_range(s, fd, off, len, form, &got, e);
	return r < 0 ? r : name_cmp(&got, want) == 0 ? 0 : differs(e);
}

static int verify_map(struct store *s, struct coder *c, int fd, const struct content *content,
	struct err *e)
{
	struct map_iter it;
	struct map_piece p;
	int r = map_iter_open(&it, s, c, content, 0, e);
	if (r < 0)
		return r;
	while ((r = map_iter_next(&it, &p, e)) == 1) {
		r = p.hole ? 0 : verify_range(s, fd, p.off, p.len, FORM_RAW, &p.name, e);
		if (r < 0)
			break;
	}
	map_iter_close(&it);
	return r;
}

int extract_verify(struct store *s, struct coder *c, int fd, const struct content *content,
	uint64_t size, struct err *e)
{
	uint8_t tmp[INLINE_MAX];
	size_t n;
	int r;
	switch (content->kind) {
	case CONTENT_REGION:
		return verify_range(s, fd, 0, size, 0, &content->whole, e);
	case CONTENT_MAP:
		return verify_map(s, c, fd, content, e);
	case CONTENT_BLOB:
		/* One of the two forms that a whole file can have. */
		r = verify_range(s, fd, 0, size, FORM_RAW, &content->name, e);
		return r == E_CORRUPT ? verify_range(s, fd, 0, size, FORM_STREAM, &content->name, e)
				      : r;
	case CONTENT_INLINE:
		r = io_pread(fd, tmp, sizeof tmp, 0, &n, "the new file", e);
		if (r < 0)
			return r;
		return n == content->inline_data.n && memcmp(tmp, content->inline_data.p, n) == 0
			       ? 0
			       : differs(e);
	default:
		return 0;
	}
}
