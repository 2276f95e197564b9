/* For tests: counts every operation that changes the place, and fails or kills at the Nth. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/object/object.h"

struct faulty {
	struct object_place base;
	struct object_place *inner;
	atomic_ulong count;
	unsigned long fail_at;
	bool kill;
};

struct faulty_writer {
	struct object_writer base;
	struct object_writer *inner;
};

static struct faulty *faulty_of(struct object_place *p)
{
	return (struct faulty *)p;
}

static int strike(struct object_place *p, const char *what, struct err *e)
{
	struct faulty *f = faulty_of(p);
	if (atomic_fetch_add(&f->count, 1) + 1 != f->fail_at)
		return 0;
	if (f->kill)
		kill(getpid(), SIGKILL);
	return err_set(e, E_IO, EIO, "injected fault in %s", what);
}

static int f_list(struct object_place *p, const char *dir, object_each fn, void *ctx, struct err *e)
{
	return object_list(faulty_of(p)->inner, dir, fn, ctx, e);
}

static int f_size(struct object_place *p, const char *key, uint64_t *ret, struct err *e)
{
	return object_size(faulty_of(p)->inner, key, ret, e);
}

static int f_read(struct object_place *p, const char *key, uint64_t off, size_t n, struct buf *out,
	struct err *e)
{
	return object_read(faulty_of(p)->inner, key, off, n, out, e);
}

static int f_put(struct object_place *p, const char *key, struct span s, bool replace,
	struct err *e)
{
	int r = strike(p, "put", e);
	return r < 0 ? r : object_put(faulty_of(p)->inner, key, s, replace, e);
}

static int f_remove(struct object_place *p, const char *key, struct err *e)
{
	int r = strike(p, "remove", e);
	return r < 0 ? r : object_remove(faulty_of(p)->inner, key, e);
}

static int f_begin(struct object_place *p, struct object_writer **ret, struct err *e)
{
	struct faulty_writer *w = calloc(1, sizeof *w);
	if (!w)
		return err_set(e, E_NOMEM, 0, "no memory for a writer");
	w->base.place = p;
	int r = object_begin(faulty_of(p)->inner, &w->inner, e);
	if (r < 0) {
		free(w);
		return r;
	}
	*ret = &w->base;
	return 0;
}

static int f_append(struct object_writer *w, struct span s, struct err *e)
{
	int r = strike(w->place, "append", e);
	return r < 0 ? r : object_append(((struct faulty_writer *)w)->inner, s, e);
}

static int f_read_back(struct object_writer *w, uint64_t off, size_t n, struct buf *out,
	struct err *e)
{
	return object_read_back(((struct faulty_writer *)w)->inner, off, n, out, e);
}

static void f_abort(struct object_writer *w)
{
	object_abort(((struct faulty_writer *)w)->inner);
	free(w);
}

static int f_commit(struct object_writer *w, const char *key, struct err *e)
{
	int r = strike(w->place, "commit", e);
	if (r < 0) {
		f_abort(w);
		return r;
	}
	r = object_commit(((struct faulty_writer *)w)->inner, key, e);
	free(w);
	return r;
}

static void f_free(struct object_place *p)
{
	object_place_free(faulty_of(p)->inner);
	free(p);
}

static int f_space(struct object_place *p, uint64_t *ret, struct err *e)
{
	return object_space(faulty_of(p)->inner, ret, e);
}

static const struct object_ops faulty_ops = {
	.list = f_list,
	.size = f_size,
	.read = f_read,
	.put = f_put,
	.remove = f_remove,
	.begin = f_begin,
	.append = f_append,
	.read_back = f_read_back,
	.commit = f_commit,
	.abort = f_abort,
	.free = f_free,
	.space = f_space,
};

int object_faulty_new(struct object_place **ret, struct object_place *inner, unsigned long fail_at,
	bool kill_process, struct err *e)
{
	struct faulty *f = calloc(1, sizeof *f);
	if (!f)
		return err_set(e, E_NOMEM, 0, "no memory for a store");
	f->base.ops = &faulty_ops;
	f->inner = inner;
	f->fail_at = fail_at;
	f->kill = kill_process;
	*ret = &f->base;
	return 0;
}

unsigned long object_faulty_count(const struct object_place *p)
{
	return atomic_load(&((const struct faulty *)p)->count);
}
