/* For tests: counts the operations on a place, and fails, kills or switches off at the Nth. */
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
	_Atomic uint64_t written;
	atomic_bool off;
	struct object_fault fault;
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

static int injected(const char *what, struct err *e)
{
	return err_set(e, E_IO, EIO, "injected fault in %s", what);
}

/* 0: do it. 1: do it, then fail. Negative: fail. */
static int strike(struct object_place *p, unsigned kind, const char *what, struct err *e)
{
	struct faulty *f = faulty_of(p);
	if (atomic_load(&f->off))
		return injected(what, e);
	if (!(f->fault.kinds & kind) || atomic_fetch_add(&f->count, 1) + 1 != f->fault.at)
		return 0;
	if (f->kill)
		kill(getpid(), SIGKILL);
	if (f->fault.how >= FAULT_OFF)
		atomic_store(&f->off, true);
	return f->fault.how == FAULT_DONE || f->fault.how == FAULT_OFF_DONE ? 1 : injected(what, e);
}

/* What was done is told as a failure when that was the plan. */
static int after(int planned, int r, const char *what, struct err *e)
{
	return planned == 1 && r == 0 ? injected(what, e) : r;
}

static int room_for(struct object_place *p, size_t n, struct err *e)
{
	struct faulty *f = faulty_of(p);
	if (!f->fault.space || atomic_fetch_add(&f->written, n) + n <= f->fault.space)
		return 0;
	return err_set(e, E_IO, ENOSPC, "injected fault");
}

static int f_list(struct object_place *p, const char *dir, bool sizes, object_each fn, void *ctx,
	struct err *e)
{
	struct object_place *inner = faulty_of(p)->inner;
	int s = strike(p, FAULT_READ, "list", e);
	return s < 0 ? s : inner->ops->list(inner, dir, sizes, fn, ctx, e);
}

static int f_size(struct object_place *p, const char *key, uint64_t *ret, struct err *e)
{
	int s = strike(p, FAULT_READ, "size", e);
	return s < 0 ? s : object_size(faulty_of(p)->inner, key, ret, e);
}

static int f_read(struct object_place *p, const char *key, uint64_t off, size_t n, struct buf *out,
	struct err *e)
{
	int s = strike(p, FAULT_READ, "read", e);
	return s < 0 ? s : object_read(faulty_of(p)->inner, key, off, n, out, e);
}

static int f_put(struct object_place *p, const char *key, struct span data, bool replace,
	struct err *e)
{
	int s = strike(p, FAULT_PUT, "put", e), r = s;
	if (s >= 0)
		r = room_for(p, data.n, e);
	if (r >= 0 && s >= 0)
		r = object_put(faulty_of(p)->inner, key, data, replace, e);
	return after(s, r, "put", e);
}

static int f_remove(struct object_place *p, const char *key, struct err *e)
{
	int s = strike(p, FAULT_REMOVE, "remove", e);
	return s < 0 ? s : after(s, object_remove(faulty_of(p)->inner, key, e), "remove", e);
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

static int f_append(struct object_writer *w, struct span data, struct err *e)
{
	struct object_writer *inner = ((struct faulty_writer *)w)->inner;
	int s = strike(w->place, FAULT_APPEND, "append", e), r = s;
	if (s < 0 && faulty_of(w->place)->fault.how == FAULT_TORN_OFF &&
		object_append(inner, span_of(data.p, data.n / 2), NULL) < 0)
		return s;
	if (s >= 0)
		r = room_for(w->place, data.n, e);
	if (r >= 0 && s >= 0)
		r = object_append(inner, data, e);
	return after(s, r, "append", e);
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
	int s = strike(w->place, FAULT_COMMIT, "commit", e);
	if (s < 0) {
		f_abort(w);
		return s;
	}
	int r = object_commit(((struct faulty_writer *)w)->inner, key, e);
	free(w);
	return after(s, r, "commit", e);
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

static bool f_is_at(struct object_place *p, const struct stat *dir)
{
	return object_is_at(faulty_of(p)->inner, dir);
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
	.is_at = f_is_at,
};

int object_faulty_new_as(struct object_place **ret, struct object_place *inner,
	const struct object_fault *fault, struct err *e)
{
	struct faulty *f = calloc(1, sizeof *f);
	if (!f)
		return err_set(e, E_NOMEM, 0, "no memory for a store");
	f->base.ops = &faulty_ops;
	f->inner = inner;
	f->fault = *fault;
	*ret = &f->base;
	return 0;
}

int object_faulty_new(struct object_place **ret, struct object_place *inner, unsigned long fail_at,
	bool kill_process, struct err *e)
{
	const struct object_fault fault = {.kinds = FAULT_CHANGES, .at = fail_at};
	int r = object_faulty_new_as(ret, inner, &fault, e);
	if (r == 0)
		faulty_of(*ret)->kill = kill_process;
	return r;
}

unsigned long object_faulty_count(const struct object_place *p)
{
	return atomic_load(&((const struct faulty *)p)->count);
}
