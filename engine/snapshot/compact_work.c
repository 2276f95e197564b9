#include "engine/snapshot/compact_work.h"

#include <stdlib.h>

#include "engine/base/cleanup.h"

#define BUDGET ((size_t)32 << 20)

struct work {
	struct store *s;
	struct pool *pool;
	struct coder *coders;
	const volatile sig_atomic_t *cancel;
	struct err failure; /* guarded by the pool's lock */
};

struct job {
	struct work *w;
	work_fn fn;
	void *ctx, *arg;
};

void work_free(struct work *w)
{
	if (!w)
		return;
	unsigned n = w->pool ? pool_threads(w->pool) : 0;
	pool_free(w->pool);
	for (unsigned i = 0; w->coders && i < n; i++)
		coder_free(&w->coders[i]);
	free(w->coders);
	free(w);
}

int work_new(struct work **ret, struct store *s, unsigned threads, const volatile sig_atomic_t *cancel,
	struct err *e)
{
	struct work *w = calloc(1, sizeof *w);
	if (!w)
		return err_set(e, E_NOMEM, 0, "no memory for threads");
	w->s = s;
	w->cancel = cancel;
	int r = pool_new(&w->pool, threads, BUDGET, e);
	unsigned n = r == 0 ? pool_threads(w->pool) : 0;
	if (r == 0 && !(w->coders = calloc(n, sizeof *w->coders)))
		r = err_set(e, E_NOMEM, 0, "no memory for threads");
	for (unsigned i = 0; i < n && r == 0; i++)
		r = coder_init(&w->coders[i], e);
	if (r < 0) {
		work_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

struct store *work_store(struct work *w)
{
	return w->s;
}

void work_lock(struct work *w)
{
	pool_lock(w->pool);
}

void work_unlock(struct work *w)
{
	pool_unlock(w->pool);
}

static void run(void *arg, unsigned worker)
{
	struct job *j = arg;
	struct work *w = j->w;
	struct err own = ERR_INIT;
	work_lock(w);
	bool over = w->failure.code != 0;
	work_unlock(w);
	int r = over		       ? 0
		: w->cancel && *w->cancel ? err_set(&own, E_CANCELLED, 0, "interrupted")
					  : j->fn(j->ctx, w->s, &w->coders[worker], j->arg, &own);
	if (r < 0) {
		work_lock(w);
		if (!w->failure.code)
			w->failure = own;
		work_unlock(w);
	}
	free(j->arg);
	free(j);
}

int work_submit(struct work *w, work_fn fn, void *ctx, void *arg, size_t bytes, struct err *e)
{
	struct job *j = arg ? malloc(sizeof *j) : NULL;
	if (!j) {
		free(arg);
		return err_set(e, E_NOMEM, 0, "no memory for a job");
	}
	*j = (struct job){w, fn, ctx, arg};
	pool_submit(w->pool, run, j, bytes);
	work_lock(w);
	int r = w->failure.code;
	if (r < 0)
		*e = w->failure;
	work_unlock(w);
	return r;
}

int work_drain(struct work *w, struct err *e)
{
	pool_drain(w->pool);
	if (w->failure.code && e)
		*e = w->failure;
	return w->failure.code;
}
