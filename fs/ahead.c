#include "fs/ahead.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "engine/base/cleanup.h"

#define QUEUE 64

struct ahead {
	pthread_mutex_t m;
	pthread_cond_t work;
	struct job {
		struct name name;
		uint32_t what;
	} q[QUEUE];
	size_t head, count;
	bool stop;
	ahead_fn fn;
	void *ctx;
	unsigned threads;
	struct helper {
		struct ahead *a;
		struct coder coder;
		pthread_t tid;
	} *helper;
};

static void *helper_main(void *arg)
{
	struct helper *h = arg;
	struct ahead *a = h->a;
	pthread_mutex_lock(&a->m);
	while (!a->stop) {
		if (!a->count) {
			pthread_cond_wait(&a->work, &a->m);
			continue;
		}
		struct job j = a->q[a->head];
		a->head = (a->head + 1) % QUEUE;
		a->count--;
		pthread_mutex_unlock(&a->m);
		a->fn(a->ctx, &h->coder, &j.name, j.what);
		pthread_mutex_lock(&a->m);
	}
	pthread_mutex_unlock(&a->m);
	return NULL;
}

static int start_threads(struct ahead *a, unsigned threads, struct err *e)
{
	for (; a->threads < threads; a->threads++) {
		struct helper *h = &a->helper[a->threads];
		h->a = a;
		int r = coder_init(&h->coder, e);
		if (r < 0)
			return r;
		if (pthread_create(&h->tid, NULL, helper_main, h) != 0) {
			coder_free(&h->coder);
			return a->threads ? 0 : err_set(e, E_NOMEM, 0, "cannot start a thread");
		}
	}
	return 0;
}

int ahead_new(struct ahead **ret, unsigned threads, ahead_fn fn, void *ctx, struct err *e)
{
	struct ahead *a = calloc(1, sizeof *a);
	struct helper *h = calloc(threads, sizeof *h);
	if (!a || !h) {
		free(a);
		free(h);
		return err_set(e, E_NOMEM, 0, "no memory for helper threads");
	}
	pthread_mutex_init(&a->m, NULL);
	pthread_cond_init(&a->work, NULL);
	a->fn = fn;
	a->ctx = ctx;
	a->helper = h;
	/* Signals are for the main thread. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = start_threads(a, threads, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		ahead_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->m);
	a->stop = true;
	pthread_cond_broadcast(&a->work);
	pthread_mutex_unlock(&a->m);
	for (unsigned i = 0; i < a->threads; i++) {
		pthread_join(a->helper[i].tid, NULL);
		coder_free(&a->helper[i].coder);
	}
	pthread_cond_destroy(&a->work);
	pthread_mutex_destroy(&a->m);
	free(a->helper);
	free(a);
}

bool ahead_submit(struct ahead *a, const struct name *name, uint32_t what)
{
	LOCK_SCOPE(&a->m);
	if (a->count == QUEUE)
		return false;
	a->q[(a->head + a->count) % QUEUE] = (struct job){*name, what};
	a->count++;
	pthread_cond_signal(&a->work);
	return true;
}
