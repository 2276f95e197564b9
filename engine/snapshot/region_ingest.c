/* Region files: groups of chunks, what lies between them, and the layout that names both.
 *
 * Jobs of one file: one a group, one for the gaps; the last to end writes the layout. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/snapshot/gaps.h"
#include "engine/snapshot/ingest.h"
#include "engine/snapshot/region_read.h"

#define REGION_MEMORY_MAX ((uint64_t)40 << 20) /* larger ones go the way of any large file */

struct state {
	struct buf file;
	struct region_extent rec[REGION_SLOTS];
	struct name group[LAYOUT_GROUPS]; /* written by the groups' jobs, one each */
	bool kept[LAYOUT_GROUPS];	  /* as they are */
	struct layout layout;		  /* its gaps and further sources: by the gaps' job */
	struct layout old;		  /* of the older version */
	bool have_old;
	struct name old_name;
	struct holes holes;
	size_t held;
};

struct group_job {
	struct ingest_file *f;
	unsigned group; /* LAYOUT_GROUPS: the gaps */
};

static int read_memory(void *ctx, uint64_t off, void *p, size_t n, size_t *ret_n, struct err *e)
{
	struct span s = span_sub(buf_span(ctx), (size_t)off, n);
	(void)e;
	if (s.n)
		memcpy(p, s.p, s.n);
	*ret_n = s.n;
	return 0;
}

static bool has_base(const struct state *st, unsigned g)
{
	return st->have_old && st->old.has_group[g];
}

static int store_group(struct ingest_file *f, unsigned g, struct coder *c, struct err *e)
{
	struct state *st = f->state;
	uint32_t mask = 0;
	c->canon.len = 0;
	for (unsigned i = 0; i < GROUP_SLOTS; i++)
		mask |= (uint32_t)(st->rec[g * GROUP_SLOTS + i].len != 0) << i;
	int r = put_u32(&c->canon, mask, e);
	for (unsigned i = 0; i < GROUP_SLOTS && r == 0; i++) {
		const struct region_extent *x = &st->rec[g * GROUP_SLOTS + i];
		r = buf_add(&c->canon, st->file.p + x->off, x->len, e);
	}
	if (r < 0)
		return r;
	/* The scratch is the coder's: store_put() may use it again for a base. */
	CLEANUP_BUF struct buf canon = take_buf(&c->canon);
	bool base = has_base(st, g);
	return store_put(f->in->s, c, st->kept[g] ? FORM_GROUP_KEPT : FORM_GROUP, buf_span(&canon),
		base ? &st->old.sources[g].name : NULL, &st->group[g], e);
}

static void run_job(void *arg, unsigned worker)
{
	struct group_job *j = arg;
	struct ingest_file *f = j->f;
	struct state *st = f->state;
	struct coder *c = &f->in->coders[worker];
	struct err e = ERR_INIT;
	int r;
	if (j->group < LAYOUT_GROUPS)
		r = store_group(f, j->group, c, &e);
	else
		r = gaps_store(f->in->s, c, buf_span(&st->file), st->rec,
			st->have_old ? &st->old : NULL, &st->holes, f->in->discard_slack,
			&st->layout, &e);
	free(j);
	ingest_job_done(f, c, r, &e);
}

/* The bytes as a reader of the snapshot will see them: with discarded slack as zeros. */
static void hash_whole(struct ingest_file *f, struct name *ret)
{
	struct state *st = f->state;
	if (f->in->discard_slack)
		for (size_t i = 0; i < st->layout.n_gaps; i++)
			if (st->layout.gaps[i].kind != EXTENT_BLOB)
				memset(st->file.p + st->layout.gaps[i].off, 0,
					st->layout.gaps[i].len);
	name_of(store_keys(f->in->s), 0, buf_span(&st->file), ret);
}

static void finish(struct ingest_file *f, struct coder *c, struct err *e)
{
	struct state *st = f->state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	for (unsigned g = 0; g < LAYOUT_GROUPS; g++)
		st->layout.sources[g].name = st->group[g];
	int r = layout_put(&st->layout, &b, e);
	if (r == 0)
		r = store_put(f->in->s, c, FORM_RAW, buf_span(&b),
			st->have_old ? &st->old_name : NULL, &f->content.name, e);
	if (r < 0)
		return;
	hash_whole(f, &f->content.whole);
	f->content.kind = CONTENT_REGION;
}

static void release(struct ingest_file *f)
{
	struct state *st = f->state;
	ingest_release(f->in, st->held);
	layout_free(&st->layout);
	layout_free(&st->old);
	buf_free(&st->file);
	free(st->holes.v);
	free(st);
}

static void load_old(struct ingest_file *f, const struct content *old)
{
	struct state *st = f->state;
	CLEANUP_PLAIN struct plain *p = NULL;
	if (!old || old->kind != CONTENT_REGION ||
		store_plain(f->in->s, &f->in->coders[0], &old->name, &p, NULL) < 0)
		return;
	st->old_name = old->name;
	st->have_old = layout_get(buf_span(&p->data), &st->old, NULL) == 0;
}

/* Where the file takes no room on the disk. File systems that cannot tell have no holes. */
static int find_holes(struct state *st, int fd, const struct stat *before, struct err *e)
{
	off_t end = (off_t)st->file.len;
	if ((uint64_t)before->st_blocks * 512 >= (uint64_t)before->st_size)
		return 0;
	for (off_t at = 0; at < end;) {
		off_t hole = lseek(fd, at, SEEK_HOLE);
		if (hole < 0 || hole >= end)
			break;
		off_t data = lseek(fd, hole, SEEK_DATA);
		at = data < 0 || data > end ? end : data;
		struct hole *v = realloc(st->holes.v, (st->holes.n + 1) * sizeof *v);
		if (!v)
			return err_set(e, E_NOMEM, 0, "no memory for a region file");
		st->holes.v = v;
		v[st->holes.n++] = (struct hole){(uint64_t)hole, (uint64_t)at};
	}
	return 0;
}

static int submit(struct ingest_file *f, unsigned group, size_t bytes, struct err *e)
{
	struct group_job *j = malloc(sizeof *j);
	if (!j)
		return err_set(e, E_NOMEM, 0, "no memory for a job");
	*j = (struct group_job){f, group};
	ingest_submit(f, run_job, j, bytes);
	return 0;
}

static int submit_all(struct ingest_file *f, struct err *e)
{
	struct state *st = f->state;
	int r = 0;
	for (unsigned g = 0; g < LAYOUT_GROUPS && r == 0; g++) {
		size_t bytes = 0;
		for (unsigned i = 0; i < GROUP_SLOTS; i++)
			bytes += st->rec[g * GROUP_SLOTS + i].len;
		st->layout.has_group[g] = bytes != 0;
		st->kept[g] = bytes && !has_base(st, g) && !ingest_compresses(f->in, bytes);
		/* Inflated about eightfold, and the older version beside it. */
		if (bytes)
			r = submit(f, g, bytes * (st->kept[g] ? 3 : 18), e);
	}
	return r < 0 ? r : submit(f, LAYOUT_GROUPS, (size_t)4 << 20, e);
}

int region_ingest_start(struct ingest_file *f, int fd, const char *name, const struct stat *before,
	const struct content *old, bool *ret_taken, struct err *e)
{
	*ret_taken = false;
	if ((uint64_t)before->st_size > REGION_MEMORY_MAX)
		return 0;
	struct state *st = calloc(1, sizeof *st);
	if (!st)
		return err_set(e, E_NOMEM, 0, "no memory for a region file");
	st->held = (size_t)before->st_size;
	ingest_hold(f->in, st->held);
	f->state = st;
	f->release = release;
	bool settled;
	int r = region_read_settled(fd, name, before, &st->file, &settled, e);
	if (r == 0 && st->file.len < REGION_HEADER) { /* cut off just now */
		release(f);
		f->release = NULL;
		return 0;
	}
	if (r == 0)
		r = region_map(st->file.p, st->file.len, read_memory, &st->file, st->rec, e);
	if (r == 0)
		r = find_holes(st, fd, before, e);
	if (r == 0)
		r = layout_init(&st->layout, e);
	if (r < 0)
		return r;
	*ret_taken = true;
	load_old(f, old);
	f->changed = !settled;
	if (fstat(fd, &f->st) < 0)
		return err_set(e, E_IO, errno, "stat '%s'", name);
	for (unsigned i = 0; i < REGION_SLOTS; i++)
		if (st->rec[i].len && (st->file.p[st->rec[i].off + 4] & CHUNK_EXTERNAL))
			f->external[i / 8] |= (uint8_t)(1 << i % 8);
	f->size = st->layout.size = st->file.len;
	memcpy(st->layout.header, st->file.p, REGION_HEADER);
	for (unsigned i = 0; i < REGION_SLOTS; i++)
		st->layout.rec_len[i] = st->rec[i].len;
	f->finish = finish;
	ingest_open(f);
	r = submit_all(f, e);
	ingest_job_done(f, &f->in->coders[0], r, e);
	return r;
}
