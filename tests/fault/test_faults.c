/* Every operation on the store in turn fails, is done without being told so, or is the last before the
 * power goes; and the space ends at every few bytes. For snapshot, forget, undelete, compact, repair and the
 * changes of keys, until they succeed. After each: every finished snapshot is whole, check is clean, the
 * next run works; and one of the keys, the old or the new, opens the store.
 *
 * MCFS_FAULTS_ALL=1: every N; else some of them. */
#include "tests/fault/fault_store.h"
#include "tests/unit/mem_place.h"

/* Reads are many and alike: some 32 of them, spread out. */
static unsigned long stride(unsigned kinds, unsigned long n, unsigned long total)
{
	if (getenv("MCFS_FAULTS_ALL"))
		return 1;
	if (kinds == FAULT_READ)
		return total / 32 + (MCFS_SANITIZED ? 45 : 5);
	return n < 12 ? 1 : MCFS_SANITIZED ? 9 : 4;
}

static unsigned long injected;
/* Opening is part of it. True when it succeeded although the fault was due, or was not reached. */
static bool run_once(struct object_place *place, const struct fault_op *op, const struct object_fault *fault,
	unsigned long *ret_count)
{
	struct object_place *faulty;
	struct store *s = NULL;
	struct err err = ERR_INIT;
	OK(object_faulty_new_as(&faulty, mem_place_borrow(place), fault, e));
	int r = fault_store_open(faulty, &s, &err);
	if (r == 0)
		r = op->run(s, &err);
	if (r < 0 && !err.msg[0])
		fail_msg("a failure without words");
	if (s)
		*ret_count = object_faulty_count(faulty);
	if (s)
		store_close(s);
	return r == 0;
}

static void loop(const struct fault_op *op, unsigned kinds, enum fault_how how)
{
	const char *name = op->name;
	unsigned long total = 0, survived = 0;
	struct object_place *place = mem_place_copy(fault_base);
	assert_true(run_once(place, op, &(struct object_fault){.kinds = kinds}, &total));
	fault_store_must_hold(place, op, "none", 0);
	object_place_free(place);
	for (unsigned long n = 1; n <= total; n += stride(kinds, n, total)) {
		unsigned long count;
		place = mem_place_copy(fault_base);
		run_once(place, op, &(struct object_fault){.kinds = kinds, .at = n, .how = how}, &count);
		fault_store_bury(place);
		fault_store_must_hold(place, op, "after it", n);
		if (!run_once(place, op, &(struct object_fault){0}, &count))
			fail_msg("%s: the next run after a fault at %lu fails", name, n);
		fault_store_must_hold(place, op, "run again", n);
		fault_store_must_open(place, op);
		object_place_free(place);
		survived++;
	}
	injected += survived;
	printf("%s: %lu faults of kind %u, way %d, of %lu operations\n", name, survived, kinds, how,
		total);
}

static void all_ways(const struct fault_op *op)
{
	static const enum fault_how ways[] = {FAULT_FAILS, FAULT_DONE, FAULT_OFF, FAULT_OFF_DONE,
		FAULT_TORN_OFF};
	for (size_t i = 0; i < N_OF(ways); i++)
		loop(op, ways[i] == FAULT_TORN_OFF ? FAULT_APPEND : FAULT_CHANGES, ways[i]);
	loop(op, FAULT_READ, FAULT_FAILS);
	/* The disk is full at the Nth byte. */
	for (uint64_t space = 1; space < 900000; space += space < 2000 ? 700 : 60000) {
		unsigned long count;
		struct object_place *place = mem_place_copy(fault_base);
		bool done = run_once(place, op, &(struct object_fault){.space = space}, &count);
		fault_store_bury(place);
		fault_store_must_hold(place, op, "full disk", space);
		assert_true(run_once(place, op, &(struct object_fault){0}, &count));
		fault_store_must_hold(place, op, "after a full disk", space);
		object_place_free(place);
		injected++;
		if (done)
			break;
	}
}

static void test_op(void **state)
{
	all_ways(*state);
}

static int setup(void **state)
{
	(void)state;
	fault_store_make();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	printf("%lu faults injected and survived\n", injected);
	fault_store_free();
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[32];
	fault_store_tests(tests, test_op);
	return _cmocka_run_group_tests("faults", tests, n_fault_ops, setup, teardown);
}
