#include "engine/snapshot/ingest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/anvil/region.h"
#include "engine/base/cleanup.h"
#include "engine/base/io.h"

#define SMALL_MAX ((uint64_t)1 << 20)
#define STREAM_MAX ((uint64_t)4 << 20)
#define ATTEMPTS 4

bool ingest_stat_differs(const struct stat *a, const struct stat *b)
{
	return a->st_size != b->st_size || a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
	       a->st_mtim.tv_nsec != b->st_mtim.tv_nsec ||
	       a->st_ctim.tv_sec != b->st_ctim.tv_sec ||
	       a->st_ctim.tv_nsec != b->st_ctim.tv_nsec;
}

#define HELD_MAX ((size_t)20 << 20)

void ingest_hold(struct ingest *in, size_t bytes)
{
	pool_wait(in->pool, &in->held, bytes < HELD_MAX ? HELD_MAX - bytes : 0);
	pool_lock(in->pool);
	in->held += bytes;
	pool_unlock(in->pool);
}

void ingest_release(struct ingest *in, size_t bytes)
{
	pool_lock(in->pool);
	in->held -= bytes;
	pool_unlock(in->pool);
}

void ingest_open(struct ingest_file *f)
{
	pool_lock(f->in->pool);
	f->pending++;
	pool_unlock(f->in->pool);
}

void ingest_submit(struct ingest_file *f, pool_fn fn, void *job, size_t bytes)
{
	pool_lock(f->in->pool);
	f->pending++;
	pool_unlock(f->in->pool);
	pool_submit(f->in->pool, fn, job, bytes);
}

void ingest_job_done(struct ingest_file *f, struct coder *c, int code, const struct err *e)
{
	pool_lock(f->in->pool);
	if (code < 0 && f->code == 0) {
		f->code = code;
		f->err = *e;
	}
	bool last = f->pending == 1;
	bool ok = f->code == 0;
	if (!last)
		f->pending--;
	pool_unlock(f->in->pool);
	if (!last)
		return;
	/* Still counted as pending: nobody looks at the result before this is over. */
	struct err fe = ERR_INIT;
	if (ok && f->finish)
		f->finish(f, c, &fe);
	/* Memory goes now, not when the walk looks again: it may be waiting for that memory. */
	if (f->release)
		f->release(f);
	f->release = NULL;
	pool_lock(f->in->pool);
	if (ok && fe.code < 0) {
		f->code = fe.code;
		f->err = fe;
	}
	f->pending--;
	pool_unlock(f->in->pool);
}

bool ingest_is_done(struct ingest_file *f)
{
	pool_lock(f->in->pool);
	bool done = f->pending == 0;
	pool_unlock(f->in->pool);
	return done;
}

int ingest_wait(struct ingest_file *f, struct err *e)
{
	pool_wait(f->in->pool, &f->pending, 0);
	if (f->release) /* no job ever ran */
		f->release(f);
	f->release = NULL;
	return f->code < 0 ? err_pass(e, &f->err) : f->code;
}

/* ---- small files: one blob ---- */

struct whole_job {
	struct ingest_file *f;
	struct buf data;
	enum form form;
	struct name base;
	bool has_base;
};

static void store_whole(void *arg, unsigned worker)
{
	struct whole_job *j = arg;
	struct ingest_file *f = j->f;
	struct coder *c = &f->in->coders[worker];
	struct err e = ERR_INIT;
	int r = store_put(f->in->s, c, j->form, buf_span(&j->data), j->has_base ? &j->base : NULL,
		&f->content.name, &e);
	buf_free(&j->data);
	free(j);
	ingest_job_done(f, c, r, &e);
}

#define KEPT_MIN ((size_t)24 << 10) /* smaller streams share frames, and cost next to nothing */

/* zlib and gzip streams that fill a file: level.dat, playerdata, maps, .mcc. */
static enum form form_of(struct span s, const char *name)
{
	int32_t x, z;
	if (s.n > 18 && s.p[0] == 0x1f && s.p[1] == 0x8b && s.p[2] == 8)
		return FORM_STREAM;
	if (s.n > 8 && s.p[0] == 0x78 && region_parse_external_name(name, &x, &z))
		return FORM_STREAM;
	return FORM_RAW;
}

bool ingest_compresses(struct ingest *in, uint64_t bytes)
{
	bool yes = in->compress_new >= bytes;
	if (yes && in->compress_new != UINT64_MAX)
		in->compress_new -= bytes;
	return yes;
}

static int submit_whole(struct ingest_file *f, struct buf *data, const char *name,
	const struct content *old, struct err *e)
{
	if (data->len <= INLINE_MAX) {
		if (data->len)
			memcpy(f->inline_data, data->p, data->len);
		f->content.kind = data->len ? CONTENT_INLINE : CONTENT_EMPTY;
		f->content.inline_data = span_of(f->inline_data, data->len);
		return 0;
	}
	struct whole_job *j = calloc(1, sizeof *j);
	if (!j)
		return err_set(e, E_NOMEM, 0, "no memory for a file");
	j->f = f;
	j->form = form_of(buf_span(data), name);
	j->data = take_buf(data);
	j->has_base = old && old->kind == CONTENT_BLOB;
	if (j->has_base)
		j->base = old->name;
	else if (j->form == FORM_STREAM && j->data.len > KEPT_MIN &&
		 !ingest_compresses(f->in, j->data.len))
		j->form = FORM_STREAM_KEPT;
	f->content.kind = CONTENT_BLOB;
	/* Streams are inflated, and the older version with them. */
	size_t bytes = j->data.len * (j->form == FORM_STREAM ? 24 : 3);
	ingest_submit(f, store_whole, j, bytes);
	return 0;
}

/* Read all of a small file, again when it changed meanwhile. */
static int read_whole(struct ingest_file *f, int fd, const char *name, const struct stat *before,
	uint64_t max, struct buf *data, struct err *e)
{
	struct stat st = *before, after;
	for (int i = 0;; i++) {
		size_t n;
		data->len = 0;
		int r = buf_reserve(data, (size_t)st.st_size + 1, e);
		if (r == 0)
			r = io_pread(fd, data->p, (size_t)st.st_size + 1, 0, &n, name, e);
		if (r < 0)
			return r;
		data->len = n;
		if (fstat(fd, &after) < 0)
			return err_set(e, E_IO, errno, "stat '%s'", name);
		f->changed = ingest_stat_differs(&st, &after) || n != (uint64_t)st.st_size;
		if (!f->changed || i == ATTEMPTS || (uint64_t)after.st_size > max)
			break;
		st = after;
	}
	f->size = data->len;
	f->st = st;
	return 0;
}

static bool has_holes(int fd, const struct stat *st)
{
	if ((uint64_t)st->st_blocks * 512 >= (uint64_t)st->st_size)
		return false;
	off_t hole = lseek(fd, 0, SEEK_HOLE);
	return hole >= 0 && hole < st->st_size;
}

static int start(struct ingest_file *f, int fd, const char *name, const struct stat *st,
	const struct content *old, struct err *e)
{
	int32_t x, z;
	uint64_t size = (uint64_t)st->st_size;
	if (region_parse_name(name, &x, &z) && size >= REGION_HEADER) {
		bool taken;
		int r = region_ingest_start(f, fd, name, st, old, &taken, e);
		if (r < 0 || taken)
			return r;
	}
	uint64_t max = region_parse_external_name(name, &x, &z) ? STREAM_MAX : SMALL_MAX;
	if (size > max || has_holes(fd, st))
		return piece_ingest_start(f, fd, name, st, old, e);
	CLEANUP_BUF struct buf data = BUF_INIT;
	int r = read_whole(f, fd, name, st, max, &data, e);
	return r < 0 ? r : submit_whole(f, &data, name, old, e);
}

int ingest_start(struct ingest *in, struct ingest_file *f, int fd, const char *name,
	const struct stat *st, const struct content *old, struct err *e)
{
	*f = (struct ingest_file){.in = in, .st = *st};
	int r = start(f, fd, name, st, old, e);
	if (r < 0)
		(void)!ingest_wait(f, NULL); /* what was begun ends before the caller goes on */
	return r;
}
