#include "engine/snapshot/source_snap.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/cleanup.h"
#include "engine/snapshot/reader.h"
#include "engine/snapshot/resolve.h"

#define IDLE_CODERS 16

struct snap_source {
	struct source base;
	struct store *store;
	const struct snapshot *sn;
	char *root;
	pthread_mutex_t m; /* guards what follows */
	struct coder *idle[IDLE_CODERS];
	unsigned n_idle;
};

struct snap_file {
	struct source_file base;
	struct reader *reader;
	struct coder *coder;
};

static struct snap_source *of(struct source *s)
{
	return (struct snap_source *)(void *)s;
}

/* ---- coders: one thread's at a time, worth keeping ---- */

static int take_coder(struct snap_source *ss, struct coder **ret, struct err *e)
{
	struct coder *c = NULL;
	pthread_mutex_lock(&ss->m);
	if (ss->n_idle)
		c = ss->idle[--ss->n_idle];
	pthread_mutex_unlock(&ss->m);
	if (!c) {
		c = calloc(1, sizeof *c);
		int r = c ? coder_init(c, e) : err_set(e, E_NOMEM, 0, "no memory to read a snapshot");
		if (r < 0) {
			free(c);
			return r;
		}
	}
	*ret = c;
	return 0;
}

static void put_coder(struct snap_source *ss, struct coder *c)
{
	pthread_mutex_lock(&ss->m);
	if (ss->n_idle < IDLE_CODERS) {
		ss->idle[ss->n_idle++] = c;
		c = NULL;
	}
	pthread_mutex_unlock(&ss->m);
	if (c) {
		coder_free(c);
		free(c);
	}
}

/* ---- directories and files ---- */

static int lookup(struct snap_source *ss, struct coder *c, const char *path, struct entry *ret,
	struct plain **ret_hold, struct err *e)
{
	CLEANUP_FREE char *full = NULL;
	if (asprintf(&full, "%s/%s", ss->root, path) < 0) {
		full = NULL;
		return err_set(e, E_NOMEM, 0, "no memory for a path");
	}
	return resolve_path(ss->store, c, ss->sn, full, ret, ret_hold, e);
}

static int list_entries(struct snap_source *ss, struct coder *c, const struct content *dir,
	world_each fn, void *ctx, struct err *e)
{
	struct tree_iter it;
	struct entry en;
	char name[256];
	int r = tree_iter_open(&it, ss->store, c, dir, 0, e);
	if (r < 0)
		return r;
	while ((r = tree_iter_next(&it, &en, e)) == 1) {
		memcpy(name, en.name.p, en.name.n);
		name[en.name.n] = 0;
		r = fn(ctx, name, en.type == NODE_DIR, e);
		if (r)
			break;
	}
	tree_iter_close(&it);
	return r;
}

static int snap_list(struct source *s, const char *path, world_each fn, void *ctx, struct err *e)
{
	struct snap_source *ss = of(s);
	struct coder *c;
	struct entry en;
	struct plain *hold = NULL;
	int r = take_coder(ss, &c, e);
	if (r < 0)
		return r;
	r = lookup(ss, c, path, &en, &hold, e);
	if (r == 0 && en.type != NODE_DIR)
		r = err_set(e, E_NOTFOUND, 0, "'%s' is not a directory", path);
	if (r == 0)
		r = list_entries(ss, c, &en.content, fn, ctx, e);
	plain_unref(hold);
	put_coder(ss, c);
	return r;
}

static void snap_close_file(struct source_file *file)
{
	struct snap_file *f = (struct snap_file *)(void *)file;
	reader_close(f->reader);
	put_coder(of(file->source), f->coder);
	free(f);
}

static int open_entry(struct snap_source *ss, struct snap_file *f, const char *path,
	struct source_stat *st, struct err *e)
{
	struct entry en;
	struct plain *hold = NULL;
	int r = lookup(ss, f->coder, path, &en, &hold, e);
	if (r == 0 && en.type != NODE_FILE)
		r = err_set(e, E_NOTFOUND, 0, "'%s' is no file", path);
	if (r == 0) {
		*st = (struct source_stat){en.size, en.size, en.mtime.s, en.mtime.ns};
		r = reader_open(&f->reader, ss->store, f->coder, &en.content, en.size, 0, e);
	}
	plain_unref(hold);
	return r;
}

static int snap_open(struct source *s, const char *path, struct source_file **ret,
	struct source_stat *st, struct err *e)
{
	struct snap_source *ss = of(s);
	struct snap_file *f = calloc(1, sizeof *f);
	if (!f)
		return err_set(e, E_NOMEM, 0, "no memory to read a snapshot");
	f->base.source = s;
	int r = take_coder(ss, &f->coder, e);
	if (r < 0) {
		free(f);
		return r;
	}
	r = open_entry(ss, f, path, st, e);
	if (r < 0) {
		snap_close_file(&f->base);
		return r;
	}
	*ret = &f->base;
	return 0;
}

static int snap_pread(struct source_file *file, uint64_t off, void *p, size_t n, size_t *ret_n,
	struct err *e)
{
	struct snap_file *f = (struct snap_file *)(void *)file;
	return reader_pread(f->reader, f->coder, off, p, n, ret_n, e);
}

static int snap_chunk(struct source_file *file, unsigned slot, uint8_t *ret_type, bool *ret_plain,
	struct buf *out, struct err *e)
{
	struct snap_file *f = (struct snap_file *)(void *)file;
	return reader_chunk(f->reader, f->coder, slot, ret_type, ret_plain, out, e);
}

/* ---- the source ---- */

static void snap_close(struct source *s)
{
	struct snap_source *ss = of(s);
	for (unsigned i = 0; i < ss->n_idle; i++) {
		coder_free(ss->idle[i]);
		free(ss->idle[i]);
	}
	pthread_mutex_destroy(&ss->m);
	free(ss->root);
	free(ss);
}

static const struct source_ops snap_ops = {snap_list, snap_open, snap_pread, snap_close_file,
	snap_close, snap_chunk};

static int nothing(void *ctx, const char *name, bool is_dir, struct err *e)
{
	(void)ctx, (void)name, (void)is_dir, (void)e;
	return 1;
}

int source_snapshot_open(struct source **ret, struct store *s, const struct snapshot *sn,
	const char *path, struct err *e)
{
	struct snap_source *ss = calloc(1, sizeof *ss);
	if (!ss)
		return err_set(e, E_NOMEM, 0, "no memory to read a snapshot");
	ss->base = (struct source){&snap_ops, false};
	ss->store = s;
	ss->sn = sn;
	pthread_mutex_init(&ss->m, NULL);
	ss->root = strdup(path);
	int r = ss->root ? snap_list(&ss->base, "", nothing, NULL, e)
			 : err_set(e, E_NOMEM, 0, "no memory to read a snapshot");
	if (r < 0) {
		snap_close(&ss->base);
		return r;
	}
	*ret = &ss->base;
	return 0;
}
