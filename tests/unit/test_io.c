/* io: whole reads, durable writes, and old files that survive a failed one. */
#include "tests/unit/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/io.h"

static ino_t synced[32];
static unsigned n_synced;

/* In place of the C library's: the engine calls this one. */
int fsync(int fd)
{
	struct stat st;
	if (n_synced < N_OF(synced) && fstat(fd, &st) == 0)
		synced[n_synced++] = st.st_ino;
	return (int)syscall(SYS_fsync, fd);
}

static unsigned files_in(const char *path)
{
	CLEANUP_DIR DIR *d = opendir(path);
	unsigned n = 0;
	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static void test_pread(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("pread");
	char got[10];
	size_t n;
	write_file(path, text("0123456789"));
	CLEANUP_FD int fd = open(path, O_RDWR);
	OK(io_pread(fd, got, 4, 3, &n, path, e));
	assert_int_equal(n, 4);
	assert_memory_equal(got, "3456", 4);
	OK(io_pread(fd, got, 10, 8, &n, path, e));
	assert_int_equal(n, 2);
	OK(io_pread(fd, got, 10, 1000, &n, path, e));
	assert_int_equal(n, 0);
	OK(io_pwrite(fd, "xyz", 3, 9, path, e));
	OK(io_pread(fd, got, 10, 8, &n, path, e));
	assert_int_equal(n, 4);
	assert_memory_equal(got, "8xyz", 4);
	FAILS(E_IO, io_pread(-1, got, 1, 0, &n, "here", e));
}

static void test_read_all(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("all");
	CLEANUP_BUF struct buf want = BUF_INIT;
	CLEANUP_BUF struct buf got = BUF_INIT;
	OK(buf_resize(&want, 300001, e));
	fill(want.p, want.len, 1);
	write_file(path, buf_span(&want));
	OK(io_read_file(AT_FDCWD, path, &got, 300001, e));
	assert_spans(buf_span(&got), buf_span(&want));
	got.len = 0;
	FAILS(E_FORMAT, io_read_file(AT_FDCWD, path, &got, 300000, e));
	FAILS(E_NOTFOUND, io_read_file(AT_FDCWD, "/nonexistent/file", &got, 10, e));
}

static void test_write_file(void **state)
{
	(void)state;
	CLEANUP_FREE char *dir = temp_path("write");
	CLEANUP_FREE char *path = temp_path("write/file");
	CLEANUP_BUF struct buf got = BUF_INIT;
	struct stat st;
	assert_int_equal(mkdir(dir, 0700), 0);
	OK(io_write_file(AT_FDCWD, path, text("first"), 0640, true, e));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	FAILS(E_EXISTS, io_write_file(AT_FDCWD, path, text("second"), 0600, true, e));
	read_file(path, &got);
	assert_spans(buf_span(&got), text("first"));
	OK(io_write_file(AT_FDCWD, path, text("third"), 0600, false, e));
	got.len = 0;
	read_file(path, &got);
	assert_spans(buf_span(&got), text("third"));
	/* No temporary file is left by any of them. */
	assert_int_equal(files_in(dir), 1);
}

/* Somebody with the old file open sees the old bytes: it was replaced, not overwritten. */
static void test_replaced_not_overwritten(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("replaced");
	char got[4];
	size_t n;
	write_file(path, text("old!"));
	CLEANUP_FD int fd = open(path, O_RDONLY);
	write_file(path, text("new!"));
	OK(io_pread(fd, got, 4, 0, &n, path, e));
	assert_memory_equal(got, "old!", 4);
}

static void test_failed_write(void **state)
{
	(void)state;
	CLEANUP_FREE char *dir = temp_path("failed");
	CLEANUP_FREE char *inner = temp_path("failed/dir");
	CLEANUP_FREE char *full = temp_path("failed/dir/x");
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(mkdir(inner, 0700), 0);
	write_file(full, text("x"));
	struct err err = ERR_INIT;
	assert_true(io_write_file(AT_FDCWD, inner, text("y"), 0600, false, &err) < 0);
	assert_true(err.msg[0]);
	assert_int_equal(files_in(dir), 1);
	assert_int_equal(files_in(inner), 1);
	assert_true(io_write_file(AT_FDCWD, "/nonexistent/file", text("y"), 0600, false, NULL) < 0);
}

static void test_mkdirs(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("a/b//c/d");
	CLEANUP_FREE char *file = temp_path("plain");
	CLEANUP_FREE char *below = temp_path("plain/below");
	struct stat st;
	OK(io_mkdirs(path, 0700, e));
	OK(io_mkdirs(path, 0700, e));
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	write_file(file, text("x"));
	assert_true(io_mkdirs(below, 0700, NULL) < 0);
	assert_true(io_mkdirs(file, 0700, NULL) < 0);
	assert_true(io_mkdirs("", 0700, NULL) < 0);
	OK(io_fsync_dir(AT_FDCWD, path, e));
}

/* What is above must be on disk too, for the name to be there: up to the directory one is in, or the root. */
static void test_sync_parents(void **state)
{
	(void)state;
	CLEANUP_FREE char *above = temp_path("above");
	struct stat here, root;
	char *was = getcwd(NULL, 0);
	assert_non_null(was);
	assert_int_equal(mkdir(above, 0700), 0);
	assert_int_equal(chdir(above), 0);
	OK(io_mkdirs("x/y", 0700, e));
	n_synced = 0;
	OK(io_sync_parents("x/y", e));
	assert_int_equal(stat(".", &here), 0);
	assert_int_equal(n_synced, 3);
	assert_int_equal(synced[2], here.st_ino);
	n_synced = 0;
	OK(io_sync_parents(above, e));
	assert_int_equal(stat("/", &root), 0);
	assert_int_equal(synced[n_synced - 1], root.st_ino);
	assert_int_equal(chdir(was), 0);
	free(was);
}

static void test_sync_close(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("sync");
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	OK(io_write(fd, "abc", 3, path, e));
	OK(io_sync_close(&fd, path, e));
	assert_int_equal(fd, -1);
	CLEANUP_FD int full = open("/dev/full", O_WRONLY);
	if (full >= 0)
		FAILS(E_NOSPACE, io_write(full, "abc", 3, "/dev/full", e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pread),
		cmocka_unit_test(test_read_all),
		cmocka_unit_test(test_write_file),
		cmocka_unit_test(test_replaced_not_overwritten),
		cmocka_unit_test(test_failed_write),
		cmocka_unit_test(test_mkdirs),
		cmocka_unit_test(test_sync_parents),
		cmocka_unit_test(test_sync_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
