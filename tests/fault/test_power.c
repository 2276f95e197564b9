/* The power goes while a command changes the store in a local directory: whatever of the calls that were not
 * made durable is on the disk (disk_log.h), every finished snapshot is whole, check is clean, the command can
 * be run again; and what it had said to be done is done.
 *
 * MCFS_FAULTS_ALL=1: three times as many states. */
#include "tests/fault/disk_log.h"
#include "tests/fault/fault_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/io.h"
#include "tests/unit/mem_place.h"

static unsigned long images;

/* The simulator sees what is missing, or the rest of this proves nothing. */
static void test_what_is_not_synced_may_be_lost(void **state)
{
	CLEANUP_FREE char *dir = temp_path("simulator");
	unsigned got[DISK_FATES] = {0};
	(void)state;
	OK(io_mkdirs(dir, 0700, e));
	CLEANUP_FD int d = open(dir, O_RDONLY | O_DIRECTORY);
	disk_log_begin(dir);
	CLEANUP_FD int fd = openat(d, "x", O_CREAT | O_EXCL | O_WRONLY, 0600);
	assert_int_equal(write(fd, "abc", 3), 3);
	assert_int_equal(renameat(d, "x", d, "y"), 0);
	size_t before = disk_log_count();
	OK(io_fsync_dir(d, ".", e));
	size_t named = disk_log_count();
	assert_int_equal(fsync(fd), 0);
	disk_log_end();
	for (enum disk_fate fate = 0; fate < DISK_FATES; fate++) {
		struct object_place *p[3] = {mem_place_new(), mem_place_new(), mem_place_new()};
		disk_log_image(before, fate, p[0]);
		disk_log_image(named, fate, p[1]);
		disk_log_image(disk_log_count(), fate, p[2]);
		got[fate] = mem_place_object(p[0], "y") != NULL;
		/* The name is durable, its contents only afterwards. */
		assert_non_null(mem_place_object(p[1], "y"));
		if (fate == DISK_NAMES || fate == DISK_NOTHING)
			assert_int_equal(mem_place_object(p[1], "y")->len, 0);
		assert_null(mem_place_object(p[1], "x"));
		assert_int_equal(mem_place_object(p[2], "y")->len, 3);
		for (unsigned i = 0; i < N_OF(p); i++)
			object_place_free(p[i]);
	}
	assert_true(!got[DISK_NOTHING] && !got[DISK_DATA] && got[DISK_NAMES]);
}

static void copy_out(struct object_place *from, struct object_place *to)
{
	const char *key;
	for (unsigned i = 0; (key = mem_place_key(from, "", i)); i++)
		OK(object_put(to, key, buf_span(mem_place_object(from, key)), true, e));
}

static void run(struct object_place *place, const struct fault_op *op)
{
	struct store *s;
	OK(fault_store_open(place, &s, e));
	OK(op->run(s, e));
	store_close(s);
}

/* One state of the disk. `done`: the command had said that it was done. */
static void survive(const struct fault_op *op, size_t n, enum disk_fate fate, bool done)
{
	struct object_place *place = mem_place_new();
	disk_log_image(n, fate, place);
	fault_store_bury(place);
	fault_store_must_hold(place, op, "after it", n);
	if (done)
		fault_store_must_be_done(place, op);
	run(mem_place_borrow(place), op);
	fault_store_must_hold(place, op, "run again", n);
	fault_store_must_open(place, op);
	object_place_free(place);
	images++;
}

static void test_op(void **state)
{
	const struct fault_op *op = *state;
	CLEANUP_FREE char *dir = temp_path(op->name);
	struct object_place *place;
	size_t step = MCFS_SANITIZED ? 5 : 1, more = MCFS_SANITIZED ? 25 : 150;
	if (getenv("MCFS_FAULTS_ALL"))
		step = 1, more = 600;
	OK(object_dir_open(&place, dir, true, e));
	copy_out(fault_base, place);
	object_place_free(place);
	disk_log_begin(dir);
	OK(object_dir_open(&place, dir, false, e));
	run(place, op);
	disk_log_end();
	size_t n = disk_log_count();
	for (size_t i = 0; i < n; i += step)
		for (enum disk_fate fate = DISK_NOTHING; fate < DISK_CHANCE; fate++)
			survive(op, i, fate, false);
	for (size_t i = 0; i < more; i++)
		survive(op, below((uint32_t)n), DISK_CHANCE, false);
	for (unsigned i = 0; i < 12; i++)
		survive(op, n, i < DISK_FATES ? (enum disk_fate)i : DISK_CHANCE, true);
	printf("%s: %zu calls\n", op->name, n);
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
	printf("%lu states of a disk after a power cut survived\n", images);
	fault_store_free();
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[32] = {cmocka_unit_test(test_what_is_not_synced_may_be_lost)};
	fault_store_tests(tests + 1, test_op);
	return _cmocka_run_group_tests("power", tests, 1 + n_fault_ops, setup, teardown);
}
