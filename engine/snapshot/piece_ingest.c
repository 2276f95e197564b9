/* Large and sparse files: pieces cut by content, holes kept as holes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/base/io.h"
#include "engine/snapshot/cut.h"
#include "engine/snapshot/ingest.h"
#include "engine/snapshot/map.h"

struct state {
	struct map_builder map;
	struct map_piece pieces[MAP_FANOUT];
	size_t n;
	struct cutter cutter;
	struct map_iter old; /* pieces of the older version, by offset */
	struct map_piece old_piece;
	bool have_old;
	struct name first_base; /* older version as one blob */
	bool has_first_base;
};

struct piece_job {
	struct ingest_file *f;
	struct map_piece *piece;
	struct name base;
	bool has_base;
	size_t n;
	uint8_t data[];
};

static void store_piece(void *arg, unsigned worker)
{
	struct piece_job *j = arg;
	struct ingest_file *f = j->f;
	struct coder *c = &f->in->coders[worker];
	struct err e = ERR_INIT;
	int r = store_put(f->in->s, c, FORM_RAW, span_of(j->data, j->n),
		j->has_base ? &j->base : NULL, &j->piece->name, &e);
	free(j);
	ingest_job_done(f, c, r, &e);
}

static int flush_pieces(struct state *st, struct coder *c, struct err *e)
{
	int r = 0;
	st->map.c = c;
	for (size_t i = 0; i < st->n && r == 0; i++)
		r = map_builder_add(&st->map, &st->pieces[i], e);
	st->n = 0;
	return r;
}

static void release(struct ingest_file *f)
{
	struct state *st = f->state;
	map_builder_free(&st->map);
	free(st);
}

/* Runs when the last piece is stored. */
static void finish(struct ingest_file *f, struct coder *c, struct err *e)
{
	struct state *st = f->state;
	int r = flush_pieces(st, c, e);
	if (r == 0)
		r = map_builder_finish(&st->map, &f->content, e);
	(void)r; /* *e carries it */
}

/* The piece of the older version that lies where this one does. */
static const struct name *base_at(struct state *st, uint64_t off)
{
	while (st->have_old && st->old_piece.off + st->old_piece.len <= off)
		st->have_old = map_iter_next(&st->old, &st->old_piece, NULL) == 1;
	if (st->have_old && !st->old_piece.hole)
		return &st->old_piece.name;
	return off == 0 && st->has_first_base ? &st->first_base : NULL;
}

static int room_for_piece(struct ingest_file *f, struct state *st, struct err *e)
{
	if (st->n < MAP_FANOUT)
		return 0;
	/* One is our own hold on the file. */
	pool_wait(f->in->pool, &f->pending, 1);
	return f->code < 0 ? f->code : flush_pieces(st, &f->in->coders[0], e);
}

static int add_hole(struct ingest_file *f, struct state *st, uint64_t off, uint64_t len,
	struct err *e)
{
	int r = room_for_piece(f, st, e);
	if (r == 0)
		st->pieces[st->n++] = (struct map_piece){.off = off, .len = len, .hole = true};
	return r;
}

static int add_piece(struct ingest_file *f, struct state *st, uint64_t off, struct span s,
	struct err *e)
{
	int r = room_for_piece(f, st, e);
	if (r < 0)
		return r;
	struct piece_job *j = malloc(sizeof *j + s.n);
	if (!j)
		return err_set(e, E_NOMEM, 0, "no memory for a piece of a file");
	const struct name *base = base_at(st, off);
	*j = (struct piece_job){.f = f, .piece = &st->pieces[st->n++], .n = s.n};
	*j->piece = (struct map_piece){.off = off, .len = s.n};
	j->has_base = base != NULL;
	if (base)
		j->base = *base;
	memcpy(j->data, s.p, s.n);
	ingest_submit(f, store_piece, j, s.n * 3);
	return 0;
}

/* Cut and submit the data from `off` to `end`; *ret_off is where the file ended, if before. */
static int take_data(struct ingest_file *f, struct state *st, int fd, const char *name,
	uint64_t off, uint64_t end, uint64_t *ret_off, struct err *e)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	int r = buf_reserve_exact(&b, CUT_MAX, e);
	while (r == 0) {
		size_t want = CUT_MAX - b.len, n;
		uint64_t at = off + b.len;
		if (want > end - at)
			want = (size_t)(end - at);
		r = io_pread(fd, b.p + b.len, want, at, &n, name, e);
		if (r < 0)
			break;
		b.len += n;
		if (n < want)
			end = at + n; /* it became shorter */
		if (b.len == 0)
			break;
		size_t cut = cutter_next(&st->cutter, buf_span(&b));
		r = add_piece(f, st, off, span_of(b.p, cut), e);
		memmove(b.p, b.p + cut, b.len - cut);
		b.len -= cut;
		off += cut;
	}
	*ret_off = off;
	return r;
}

static int take_all(struct ingest_file *f, struct state *st, int fd, const char *name,
	uint64_t size, struct err *e)
{
	uint64_t off = 0;
	int r = 0;
	while (off < size && r == 0) {
		off_t data = lseek(fd, (off_t)off, SEEK_DATA);
		off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (data < 0 && errno == ENXIO)
			data = hole = (off_t)size; /* only a hole is left */
		else if (data < 0 || hole < 0)
			data = (off_t)off, hole = (off_t)size; /* cannot tell: all data */
		if ((uint64_t)data > size)
			data = (off_t)size;
		if ((uint64_t)hole > size)
			hole = (off_t)size;
		if ((uint64_t)data > off)
			r = add_hole(f, st, off, (uint64_t)data - off, e);
		off = (uint64_t)data;
		if (r == 0 && hole > data) {
			r = take_data(f, st, fd, name, off, (uint64_t)hole, &off, e);
			if (off < (uint64_t)hole)
				break;
		}
	}
	f->size = off;
	return r;
}

int piece_ingest_start(struct ingest_file *f, int fd, const char *name, const struct stat *before,
	const struct content *old, struct err *e)
{
	struct ingest *in = f->in;
	struct stat after;
	struct state *st = calloc(1, sizeof *st);
	if (!st)
		return err_set(e, E_NOMEM, 0, "no memory for a file");
	map_builder_init(&st->map, in->s, &in->coders[0], old);
	cutter_init(&st->cutter, store_keys(in->s));
	st->old.depth = -1;
	if (old && old->kind == CONTENT_MAP &&
		map_iter_open(&st->old, in->s, &in->coders[0], old, 0, NULL) == 0)
		st->have_old = map_iter_next(&st->old, &st->old_piece, NULL) == 1;
	st->has_first_base = old && old->kind == CONTENT_BLOB;
	if (st->has_first_base)
		st->first_base = old->name;
	f->state = st;
	f->finish = finish;
	f->release = release;
	ingest_open(f);
	int r = take_all(f, st, fd, name, (uint64_t)before->st_size, e);
	map_iter_close(&st->old);
	if (r == 0 && fstat(fd, &after) == 0)
		f->changed = ingest_stat_differs(before, &after);
	ingest_job_done(f, &in->coders[0], r, e);
	return r;
}
