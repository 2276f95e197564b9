/* pool: every job runs once, within threads and budget. */
#include "tests/unit/support.h"

#include <stdatomic.h>

#include "engine/base/pool.h"

#define JOBS 2000

struct shared {
	struct pool *p;
	atomic_uint runs[JOBS];
	atomic_size_t held, most_held;
	atomic_uint in_worker[64];
	size_t pending; /* under the pool's lock */
};

struct job {
	struct shared *sh;
	unsigned no;
	size_t bytes;
};

static void spin(void)
{
	for (volatile int i = 0; i < 2000; i++)
		;
}

static void run(void *arg, unsigned worker)
{
	struct job *j = arg;
	struct shared *sh = j->sh;
	/* No cmocka assertion in here: it would jump out of the wrong thread. */
	if (worker >= pool_threads(sh->p) || atomic_fetch_add(&sh->in_worker[worker], 1) != 0)
		abort();
	size_t held = atomic_fetch_add(&sh->held, j->bytes) + j->bytes;
	size_t most = atomic_load(&sh->most_held);
	while (held > most && !atomic_compare_exchange_weak(&sh->most_held, &most, held))
		;
	spin();
	atomic_fetch_add(&sh->runs[j->no], 1);
	atomic_fetch_sub(&sh->held, j->bytes);
	atomic_fetch_sub(&sh->in_worker[worker], 1);
	pool_lock(sh->p);
	sh->pending--;
	pool_unlock(sh->p);
}

static void run_all(unsigned threads, size_t budget, size_t max_job)
{
	struct shared *sh = calloc(1, sizeof *sh);
	struct job *jobs = calloc(JOBS, sizeof *jobs);
	size_t largest = 0;
	OK(pool_new(&sh->p, threads, budget, e));
	assert_in_range(pool_threads(sh->p), 1, 64);
	if (threads)
		assert_int_equal(pool_threads(sh->p), threads);
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i] = (struct job){sh, i, below((uint32_t)max_job) + 1};
		if (jobs[i].bytes > largest)
			largest = jobs[i].bytes;
		pool_lock(sh->p);
		sh->pending++;
		pool_unlock(sh->p);
		pool_submit(sh->p, run, &jobs[i], jobs[i].bytes);
		if (i % 500 == 499) {
			pool_wait(sh->p, &sh->pending, 3);
			pool_lock(sh->p);
			assert_true(sh->pending <= 3);
			pool_unlock(sh->p);
		}
	}
	pool_drain(sh->p);
	assert_int_equal(sh->pending, 0);
	for (unsigned i = 0; i < JOBS; i++)
		assert_int_equal(sh->runs[i], 1);
	assert_true(sh->most_held <= (budget > largest ? budget : largest));
	pool_free(sh->p);
	free(jobs);
	free(sh);
}

static void test_one_thread(void **state)
{
	(void)state;
	run_all(1, 10000, 1000);
}

static void test_threads(void **state)
{
	(void)state;
	run_all(4, 1 << 20, 1000);
	run_all(0, 1 << 20, 1000);
}

/* Jobs that fill or exceed the budget: they run all the same, alone. */
static void test_tight_budget(void **state)
{
	(void)state;
	run_all(4, 1000, 1000);
	run_all(4, 500, 1000);
	run_all(3, 0, 1000);
}

/* pool_free waits for what was submitted. */
static void test_free_waits(void **state)
{
	(void)state;
	struct shared *sh = calloc(1, sizeof *sh);
	struct job jobs[50];
	OK(pool_new(&sh->p, 3, 1000, e));
	for (unsigned i = 0; i < 50; i++) {
		jobs[i] = (struct job){sh, i, 10};
		pool_lock(sh->p);
		sh->pending++;
		pool_unlock(sh->p);
		pool_submit(sh->p, run, &jobs[i], 10);
	}
	pool_free(sh->p);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(sh->runs[i], 1);
	free(sh);
	pool_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_thread),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_tight_budget),
		cmocka_unit_test(test_free_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
