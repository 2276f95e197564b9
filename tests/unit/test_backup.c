/* backup and restore through the engine alone: whatever the threads do, what comes out is what went
 * in; and when the place fails at any operation, older snapshots stay and the next one works. */
#include "tests/unit/support.h"

#include "engine/base/io.h"
#include "engine/snapshot/backup.h"
#include "engine/snapshot/restore.h"
#include "tests/unit/make_region.h"
#include "tests/unit/mem_place.h"

static int setup(void **state)
{
	(void)state;
	return crypto_init(NULL);
}

/* ---- a directory of files of all kinds ---- */

#define REGIONS 3
#define OTHERS 12

static struct buf files[REGIONS + OTHERS];

static void path_of(unsigned i, const char *top, char out[200])
{
	if (i < REGIONS)
		snprintf(out, 200, "%s/region/r.%u.-1.mca", top, i);
	else
		snprintf(out, 200, "%s/file-%u%s", top, i, i % 4 == 3 ? ".dat" : "");
}

static void write_all(const char *top)
{
	char path[200];
	snprintf(path, sizeof path, "%s/region", top);
	OK(io_mkdirs(path, 0700, e));
	for (unsigned i = 0; i < REGIONS + OTHERS; i++) {
		path_of(i, top, path);
		write_file(path, buf_span(&files[i]));
	}
}

static void make_all(unsigned seed)
{
	rnd_seed(seed);
	for (unsigned i = 0; i < REGIONS + OTHERS; i++) {
		struct buf *b = &files[i];
		b->len = 0;
		if (i < REGIONS) {
			/* No external types: without their .mcc a file this fresh counts as changing. */
			make_region(b, 20, (unsigned)rnd() & FLAW_ALL & ~(unsigned)FLAW_TYPES);
		} else if (i % 4 == 3) {
			CLEANUP_BUF struct buf rec = BUF_INIT;
			make_record(&rec, 2000, 1, 6, i);
			OK(buf_add(b, rec.p + 5, rec.len - 5, e));
		} else {
			OK(buf_resize(b, i % 4 ? below(3000) : 600000 + below(900000), e));
			fill(b->p, b->len, (int)(i % 3) + 1);
		}
	}
}

static void change_all(void)
{
	for (unsigned i = 0; i < REGIONS + OTHERS; i++)
		if (i < REGIONS)
			play_region(&files[i], 3);
		else if (files[i].len && i % 2)
			files[i].p[below((uint32_t)files[i].len)] ^= 1;
}

static void free_all(void)
{
	for (unsigned i = 0; i < REGIONS + OTHERS; i++)
		buf_free(&files[i]);
}

static void compare_all(const char *top)
{
	char path[200];
	for (unsigned i = 0; i < REGIONS + OTHERS; i++) {
		CLEANUP_BUF struct buf got = BUF_INIT;
		path_of(i, top, path);
		read_file(path, &got);
		if (got.len != files[i].len || memcmp(got.p, files[i].p, got.len) != 0)
			fail_msg("'%s' is not what it was", path);
	}
}

/* ---- the two operations ---- */

/* These files were written just now, and noise in them can look like a chunk in a .mcc file that is
 * missing: such a file may be said to have changed. It must come back all the same. */
static void on_problem(void *ctx, const char *path, const struct err *e)
{
	(void)ctx;
	if (e->code != E_CHANGED || !strstr(path, ".mca"))
		fail_msg("problem: %s: %s", path, e->msg);
}

static int back_up(struct object_place *place, const char *dir, unsigned threads, struct err *e)
{
	const struct store_options opt = {0};
	struct backup_options bo = {.paths = &dir, .n_paths = 1, .threads = threads,
		.program = "test", .level = 3, .on_problem = on_problem};
	struct backup_result result = {0};
	struct store *s;
	int r = store_open(&s, place, &test_secret, &opt, e);
	if (r < 0)
		return r;
	r = backup_run(s, &bo, &result, e);
	snapshot_free(&result.sn);
	store_close(s);
	return r;
}

/* The nth snapshot, counted from the newest. */
static void bring_back(struct object_place *place, unsigned nth, const char *to, unsigned threads)
{
	struct store *s = open_store(place);
	struct snapshot_list l;
	struct restore_result result = {0};
	OK(snapshot_list_load(&l, s, e));
	assert_true(l.n > nth);
	struct restore_options ro = {.path = "src/", .to = to, .threads = threads, .verify = true,
		.delete_extra = true};
	OK(restore_run(s, &l.v[l.n - 1 - nth], &ro, &result, e));
	assert_int_equal(result.problems, 0);
	snapshot_list_free(&l);
	store_close(s);
}

static void test_versions(void **state)
{
	(void)state;
	for (unsigned threads = 1; threads <= 4; threads += 3) {
		struct object_place *place = new_place_with_store(SLACK_EXACT);
		CLEANUP_FREE char *src = temp_path("src");
		CLEANUP_FREE char *to = temp_path("to");
		make_all(threads);
		for (int version = 0; version < 4; version++) {
			write_all(src);
			OK(back_up(mem_place_borrow(place), src, threads, e));
			bring_back(place, 0, to, 5 - threads);
			compare_all(to);
			change_all();
		}
		/* And the oldest one once more. */
		make_all(threads);
		bring_back(place, 3, to, threads);
		compare_all(to);
		object_place_free(place);
	}
	free_all();
}

/* As a crash or a full disk would: each operation fails once. */
static void test_every_failure(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT), *faulty;
	CLEANUP_FREE char *src = temp_path("src");
	CLEANUP_FREE char *to = temp_path("to");
	make_all(9);
	write_all(src);
	OK(back_up(mem_place_borrow(place), src, 2, e));
	change_all();
	write_all(src);
	unsigned failures = 0;
	for (unsigned long n = 1;; n++) {
		struct object_place *copy = mem_place_copy(place);
		struct err err = ERR_INIT;
		OK(object_faulty_new(&faulty, mem_place_borrow(copy), n, false, e));
		int r = back_up(faulty, src, 2, &err);
		if (r == 0) {
			object_place_free(copy);
			break;
		}
		failures++;
		assert_int_equal(r, E_IO);
		struct store *s = open_store(copy);
		struct snapshot_list l;
		OK(snapshot_list_load(&l, s, e));
		assert_int_equal(l.n, 1);
		assert_int_equal(l.damaged, 0);
		snapshot_list_free(&l);
		store_close(s);
		OK(back_up(mem_place_borrow(copy), src, 2, e));
		bring_back(copy, 0, to, 2);
		compare_all(to);
		object_place_free(copy);
		assert_true(n < 500);
	}
	assert_true(failures >= 3); /* a pack, the index object, the snapshot */
	object_place_free(place);
	free_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_every_failure),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
