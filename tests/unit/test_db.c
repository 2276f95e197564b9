/* db: what is committed stays, what is not goes; other files are refused. */
#include "tests/unit/support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/io.h"
#include "engine/db/db.h"

static const struct db_options opt = {.what = "test", .id = 0x4d434601, .version = 3,
	.schema = "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c BLOB)"};

static void open_it(struct db **d, const char *path)
{
	OK(db_open(d, path, &opt, e));
}

static void add(struct db *d, int64_t a, const char *b, struct span c)
{
	struct db_stmt *s;
	OK(db_sql(d, &s, "INSERT INTO t VALUES(?1, ?2, ?3)", e));
	db_bind_int(s, 1, a);
	db_bind_text(s, 2, b);
	db_bind_blob(s, 3, c);
	OK(db_run(s, e));
}

static int64_t count(struct db *d)
{
	struct db_stmt *s;
	OK(db_sql(d, &s, "SELECT count(*) FROM t", e));
	struct err err = ERR_INIT;
	assert_int_equal(db_step(s, &err), 1);
	int64_t n = db_int(s, 0);
	db_reset(s);
	return n;
}

static void test_values(void **state)
{
	(void)state;
	struct db *d;
	struct db_stmt *s;
	struct err err = ERR_INIT;
	struct stat st;
	char *path = temp_path("values.db");
	open_it(&d, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	add(d, INT64_MIN, "x", span_of("a\0b", 3));
	add(d, 5, NULL, span_of(NULL, 0));
	db_close(d);
	open_it(&d, path);
	OK(db_sql(d, &s, "SELECT a, b, c FROM t ORDER BY a", e));
	assert_int_equal(db_step(s, &err), 1);
	assert_true(db_int(s, 0) == INT64_MIN);
	assert_string_equal(db_text(s, 1), "x");
	assert_int_equal(db_blob(s, 2).n, 3);
	assert_memory_equal(db_blob(s, 2).p, "a\0b", 3);
	assert_int_equal(db_step(s, &err), 1);
	assert_true(db_is_null(s, 1) && !db_text(s, 1));
	assert_false(db_is_null(s, 2));
	assert_int_equal(db_blob(s, 2).n, 0);
	assert_int_equal(db_step(s, &err), 0);
	/* One file, and nothing beside it that holds data. */
	CLEANUP_FREE char *journal = NULL;
	assert_true(asprintf(&journal, "%s-journal", path) > 0);
	assert_true(stat(journal, &st) < 0 || st.st_size == 0);
	db_close(d);
	free(path);
}

static void test_transactions(void **state)
{
	(void)state;
	struct db *d, *other;
	uint64_t before, after;
	char *path = temp_path("tx.db");
	open_it(&d, path);
	open_it(&other, path);
	OK(db_changes(other, &before, e));
	OK(db_begin(d, e));
	add(d, 1, "a", span_of("", 0));
	db_rollback(d);
	assert_int_equal(count(d), 0);
	OK(db_changes(other, &after, e));
	assert_true(before == after);
	OK(db_begin(d, e));
	add(d, 1, "a", span_of("", 0));
	OK(db_commit(d, e));
	assert_int_equal(count(other), 1);
	OK(db_changes(other, &after, e));
	assert_true(before != after);
	OK(db_changes(d, &before, e));
	add(d, 2, "a", span_of("", 0));
	OK(db_changes(d, &after, e));
	assert_true(before != after);
	/* Closing amid a transaction undoes it. */
	OK(db_begin(d, e));
	add(d, 3, "a", span_of("", 0));
	db_close(d);
	assert_int_equal(count(other), 2);
	/* A failure within a statement leaves the transaction usable. */
	struct db_stmt *s;
	struct err err = ERR_INIT;
	OK(db_begin(other, e));
	OK(db_sql(other, &s, "INSERT INTO t(a) VALUES(1)", e));
	assert_int_equal(db_run(s, &err), E_IO);
	add(other, 4, "a", span_of("", 0));
	OK(db_commit(other, e));
	assert_int_equal(count(other), 3);
	db_close(other);
	free(path);
}

static void test_killed(void **state)
{
	(void)state;
	char *path = temp_path("killed.db");
	struct db *d;
	open_it(&d, path);
	add(d, 1, "kept", span_of("", 0));
	db_close(d);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		CLEANUP_BUF struct buf big = BUF_INIT;
		OK(buf_add_zero(&big, 8 << 20, e)); /* more than the page cache: it is spilled */
		open_it(&d, path);
		OK(db_begin(d, e));
		add(d, 2, "half", buf_span(&big));
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	open_it(&d, path);
	assert_int_equal(count(d), 1);
	db_close(d);
	free(path);
}

static void test_refused(void **state)
{
	(void)state;
	struct db *d;
	struct err err = ERR_INIT;
	char *path = temp_path("refused.db");
	struct db_options o = opt;
	o.must_exist = true;
	assert_int_equal(db_open(&d, path, &o, &err), E_NOTFOUND);
	assert_null(d);
	assert_int_equal(access(path, F_OK), -1);
	open_it(&d, path);
	db_close(d);
	o = opt;
	o.id++;
	assert_int_equal(db_open(&d, path, &o, &err), E_CORRUPT);
	o = opt;
	o.version++;
	assert_int_equal(db_open(&d, path, &o, &err), E_UNSUPPORTED);
	OK(io_write_file(AT_FDCWD, path, span_of("this is no database, but text that is long enough"
						 "to be looked at as one, and so on, and so on.....", 98),
		0600, false, e));
	assert_int_equal(db_open(&d, path, &opt, &err), E_CORRUPT);
	assert_non_null(strstr(err.msg, "move the file away"));
	assert_int_equal(db_open(&d, "/nonexistent/dir/x.db", &opt, &err), E_NOTFOUND);
	free(path);
}

/* A limit on the size of files stands for a full disk: the transaction goes, the rest stays. */
static void test_full(void **state)
{
	(void)state;
	char *path = temp_path("full.db");
	struct db *d;
	struct rlimit old, limit;
	struct err err = ERR_INIT;
	open_it(&d, path);
	add(d, 1, "kept", span_of("", 0));
	CLEANUP_BUF struct buf big = BUF_INIT;
	OK(buf_add_zero(&big, 1 << 20, e));
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = 500000;
	setrlimit(RLIMIT_FSIZE, &limit);
	struct db_stmt *s;
	OK(db_begin(d, e));
	OK(db_sql(d, &s, "INSERT INTO t VALUES(?1, NULL, ?2)", e));
	db_bind_int(s, 1, 2);
	db_bind_blob(s, 2, buf_span(&big));
	int r = db_run(s, &err);
	if (r == 0)
		r = db_commit(d, &err);
	else
		db_rollback(d);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_true(r == E_IO || r == E_NOSPACE);
	assert_int_equal(count(d), 1);
	add(d, 2, "room again", span_of("", 0));
	db_close(d);
	open_it(&d, path);
	assert_int_equal(count(d), 2);
	db_close(d);
	free(path);
}

static void test_shrink(void **state)
{
	(void)state;
	char *path = temp_path("shrink.db");
	struct db *d;
	struct stat before, after;
	CLEANUP_BUF struct buf big = BUF_INIT;
	OK(buf_add_zero(&big, 1 << 20, e));
	open_it(&d, path);
	add(d, 1, "big", buf_span(&big));
	stat(path, &before);
	OK(db_exec(d, "DELETE FROM t", e));
	OK(db_shrink(d, e));
	stat(path, &after);
	assert_true(after.st_size < before.st_size / 10);
	db_close(d);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_transactions),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_shrink),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
