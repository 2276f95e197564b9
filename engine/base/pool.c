#include "engine/base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct job {
	pool_fn fn;
	void *arg;
	size_t bytes;
};

#define QUEUE 256 /* power of two; the budget is the bound that matters */

struct pool {
	pthread_mutex_t m;
	pthread_cond_t change; /* a job came, ended, or a counter moved */
	struct job q[QUEUE];
	size_t head, count;
	size_t running, bytes, budget;
	unsigned threads;
	bool stop;
	pthread_t *tid;
	struct worker {
		struct pool *p;
		unsigned index;
	} *workers;
};

/* Called with the lock held; runs the oldest job with the lock dropped. */
static void run_one(struct pool *p, unsigned worker)
{
	struct job j = p->q[p->head];
	p->head = (p->head + 1) % QUEUE;
	p->count--;
	p->running++;
	pthread_mutex_unlock(&p->m);
	j.fn(j.arg, worker);
	pthread_mutex_lock(&p->m);
	p->running--;
	p->bytes -= j.bytes;
	pthread_cond_broadcast(&p->change);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct pool *p = w->p;
	pthread_mutex_lock(&p->m);
	for (;;) {
		if (p->count)
			run_one(p, w->index);
		else if (p->stop)
			break;
		else
			pthread_cond_wait(&p->change, &p->m);
	}
	pthread_mutex_unlock(&p->m);
	return NULL;
}

int pool_new(struct pool **ret, unsigned threads, size_t budget, struct err *e)
{
	if (threads == 0) {
		/* Those that this process may use: a container often has fewer than the machine. */
		cpu_set_t set;
		long n = sched_getaffinity(0, sizeof set, &set) == 0
				 ? CPU_COUNT(&set)
				 : sysconf(_SC_NPROCESSORS_ONLN);
		threads = n < 1 ? 1 : n > 64 ? 64 : (unsigned)n;
	}
	struct pool *p = calloc(1, sizeof *p);
	if (!p)
		return err_set(e, E_NOMEM, 0, "no memory for a worker pool");
	pthread_mutex_init(&p->m, NULL);
	pthread_cond_init(&p->change, NULL);
	p->budget = budget;
	p->threads = 1;
	p->tid = calloc(threads, sizeof *p->tid);
	p->workers = calloc(threads, sizeof *p->workers);
	if (!p->tid || !p->workers) {
		pool_free(p);
		return err_set(e, E_NOMEM, 0, "no memory for a worker pool");
	}
	/* Fewer threads than asked for is slower, not wrong. */
	for (unsigned i = 1; i < threads; i++) {
		p->workers[i] = (struct worker){p, i};
		if (pthread_create(&p->tid[i], NULL, worker_main, &p->workers[i]) != 0)
			break;
		p->threads++;
	}
	*ret = p;
	return 0;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	if (p->threads > 1 || p->count)
		pool_drain(p);
	pthread_mutex_lock(&p->m);
	p->stop = true;
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->m);
	for (unsigned i = 1; i < p->threads; i++)
		pthread_join(p->tid[i], NULL);
	pthread_cond_destroy(&p->change);
	pthread_mutex_destroy(&p->m);
	free(p->tid);
	free(p->workers);
	free(p);
}

unsigned pool_threads(const struct pool *p)
{
	return p->threads;
}

static bool has_room(const struct pool *p, size_t bytes)
{
	if (p->count == QUEUE)
		return false;
	return p->bytes == 0 || (bytes <= p->budget && p->bytes <= p->budget - bytes);
}

void pool_submit(struct pool *p, pool_fn fn, void *arg, size_t bytes)
{
	pthread_mutex_lock(&p->m);
	while (!has_room(p, bytes)) {
		if (p->count)
			run_one(p, 0);
		else
			pthread_cond_wait(&p->change, &p->m);
	}
	p->q[(p->head + p->count) % QUEUE] = (struct job){fn, arg, bytes};
	p->count++;
	p->bytes += bytes;
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->m);
}

void pool_wait(struct pool *p, const size_t *pending, size_t most)
{
	pthread_mutex_lock(&p->m);
	while (*pending > most) {
		if (p->count)
			run_one(p, 0);
		else
			pthread_cond_wait(&p->change, &p->m);
	}
	pthread_mutex_unlock(&p->m);
}

void pool_drain(struct pool *p)
{
	pthread_mutex_lock(&p->m);
	while (p->count || p->running) {
		if (p->count)
			run_one(p, 0);
		else
			pthread_cond_wait(&p->change, &p->m);
	}
	pthread_mutex_unlock(&p->m);
}

void pool_lock(struct pool *p)
{
	pthread_mutex_lock(&p->m);
}

void pool_unlock(struct pool *p)
{
	pthread_cond_broadcast(&p->change);
	pthread_mutex_unlock(&p->m);
}
