/* object: what every place promises, on the local directory and on the tests' own. */
#include "tests/unit/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/mem_place.h"

static unsigned counted;

static int count(void *ctx, const char *name, uint64_t size, struct err *e)
{
	(void)e;
	assert_non_null(name);
	*(uint64_t *)ctx += size;
	counted++;
	return 0;
}

static int stop(void *ctx, const char *name, uint64_t size, struct err *e)
{
	(void)ctx;
	(void)name;
	(void)size;
	(void)e;
	return 33;
}

static unsigned list(struct object_place *p, const char *dir, uint64_t *bytes)
{
	counted = 0;
	*bytes = 0;
	uint64_t none = 0;
	OK(object_list_names(p, dir, count, &none, e));
	assert_int_equal(none, 0); /* these places make use of not being asked */
	unsigned names = counted;
	counted = 0;
	OK(object_list(p, dir, count, bytes, e));
	assert_int_equal(counted, names);
	return counted;
}

/* More at once than are open at a time, in several directories, one of them replaced. */
static void many(struct object_place *p)
{
	static char key[150][32];
	struct object_content v[150];
	const char *keys[151];
	CLEANUP_BUF struct buf got = BUF_INIT;
	uint64_t bytes;
	OK(object_put(p, "many/00/7", text("old"), true, e));
	for (unsigned i = 0; i < N_OF(v); i++) {
		snprintf(key[i], sizeof key[i], "many/%02u/%u", i % 7 == 0 ? 0 : i % 7, i);
		v[i] = (struct object_content){key[i], text(key[i])};
		keys[i] = key[i];
	}
	OK(object_put_all(p, v, N_OF(v), e));
	OK(object_put_all(p, v, 0, e));
	for (unsigned i = 0; i < N_OF(v); i++) {
		got.len = 0;
		OK(object_get(p, key[i], 100, &got, e));
		assert_spans(buf_span(&got), text(key[i]));
	}
	assert_int_equal(list(p, "many/00", &bytes), 22);
	/* One is there twice, and one was never. */
	keys[0] = "many/00/none";
	keys[150] = key[149];
	OK(object_remove_all(p, keys, N_OF(keys), e));
	OK(object_remove_all(p, keys, 0, e));
	assert_int_equal(list(p, "many/00", &bytes), 1);
	assert_int_equal(list(p, "many/06", &bytes), 0);
}

static void promises(struct object_place *p)
{
	CLEANUP_BUF struct buf got = BUF_INIT;
	uint64_t size, bytes;
	/* put, get, size, replace */
	OK(object_put(p, "kind/a", text("first"), false, e));
	FAILS(E_EXISTS, object_put(p, "kind/a", text("second"), false, e));
	OK(object_get(p, "kind/a", 100, &got, e));
	assert_spans(buf_span(&got), text("first"));
	OK(object_put(p, "kind/a", text("third!"), true, e));
	OK(object_put(p, "kind/b", text(""), true, e));
	OK(object_size(p, "kind/a", &size, e));
	assert_int_equal(size, 6);
	/* parts */
	got.len = 0;
	OK(object_read(p, "kind/a", 2, 3, &got, e));
	OK(object_read(p, "kind/a", 5, 100, &got, e));
	OK(object_read(p, "kind/a", 6, 1, &got, e));
	OK(object_read(p, "kind/a", 600, 1, &got, e));
	assert_spans(buf_span(&got), text("ird!"));
	FAILS(E_CORRUPT, object_get(p, "kind/a", 5, &got, e));
	/* what is not there */
	FAILS(E_NOTFOUND, object_get(p, "kind/c", 100, &got, e));
	FAILS(E_NOTFOUND, object_read(p, "other/c", 0, 1, &got, e));
	FAILS(E_NOTFOUND, object_size(p, "kind/c", &size, e));
	FAILS(E_NOTFOUND, object_remove(p, "kind/c", e));
	/* lists */
	assert_int_equal(list(p, "kind", &bytes), 2);
	assert_int_equal(bytes, 6);
	assert_int_equal(list(p, "nothing", &bytes), 0);
	assert_int_equal(object_list(p, "kind", stop, NULL, NULL), 33);
	OK(object_remove(p, "kind/b", e));
	assert_int_equal(list(p, "kind", &bytes), 1);
	/* writers: invisible until they are committed, then whole */
	struct object_writer *w;
	OK(object_begin(p, &w, e));
	OK(object_append(w, text("some "), e));
	OK(object_append(w, text("bytes"), e));
	got.len = 0;
	OK(object_read_back(w, 3, 4, &got, e));
	assert_spans(buf_span(&got), text("e by"));
	assert_int_equal(list(p, "packs/ab", &bytes), 0);
	OK(object_commit(w, "packs/ab/x", e));
	got.len = 0;
	OK(object_get(p, "packs/ab/x", 100, &got, e));
	assert_spans(buf_span(&got), text("some bytes"));
	OK(object_begin(p, &w, e));
	OK(object_append(w, text("other"), e));
	FAILS(E_EXISTS, object_commit(w, "packs/ab/x", e));
	OK(object_begin(p, &w, e));
	OK(object_append(w, text("never"), e));
	object_abort(w);
	object_abort(NULL);
	assert_int_equal(list(p, "packs/ab", &bytes), 1);
	assert_int_equal(bytes, 10);
	many(p);
	/* what is for processes that live */
	OK(object_put_brief(p, "brief/a", text("now"), e));
	FAILS(E_EXISTS, object_put_brief(p, "brief/a", text("then"), e));
	got.len = 0;
	OK(object_get(p, "brief/a", 100, &got, e));
	assert_spans(buf_span(&got), text("now"));
	OK(object_remove_brief(p, "brief/a", e));
	FAILS(E_NOTFOUND, object_remove_brief(p, "brief/a", e));
	assert_int_equal(list(p, "brief", &bytes), 0);
}

static void test_memory(void **state)
{
	(void)state;
	struct object_place *p = mem_place_new();
	promises(p);
	object_place_free(p);
}

static void test_directory(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("store");
	CLEANUP_FREE char *junk = temp_path("store/kind/left.tmp");
	CLEANUP_FREE char *hidden = temp_path("store/kind/.hidden");
	CLEANUP_FREE char *fifo = temp_path("store/kind/fifo");
	CLEANUP_FREE char *sub = temp_path("store/kind/sub");
	struct object_place *p;
	uint64_t bytes;
	OK(object_dir_open(&p, path, true, e));
	promises(p);
	/* Temporary files of others are no objects. */
	write_file(junk, text("x"));
	write_file(hidden, text("x"));
	/* Nor is what is no file. */
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(list(p, "kind", &bytes), 1);
	object_place_free(p);
	OK(object_dir_open(&p, path, false, e));
	assert_int_equal(list(p, "kind", &bytes), 1);
	object_place_free(p);
}

static void test_where_a_store_may_be_made(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("full");
	CLEANUP_FREE char *file = temp_path("full/file");
	CLEANUP_FREE char *config = temp_path("full/config");
	CLEANUP_FREE char *none = temp_path("none");
	struct object_place *p = NULL;
	assert_int_equal(mkdir(path, 0700), 0);
	write_file(file, text("x"));
	FAILS(E_EXISTS, object_dir_open(&p, path, true, e));
	assert_int_equal(rename(file, config), 0);
	FAILS(E_EXISTS, object_dir_open(&p, path, true, e));
	FAILS(E_NOTFOUND, object_dir_open(&p, none, false, e));
	assert_true(object_dir_open(&p, config, false, NULL) < 0);
}

/* What a crash left behind goes after a day, and what another writer is at stays. */
static void test_stale_files(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("stale");
	CLEANUP_FREE char *old = temp_path("stale/tmp/old.tmp");
	CLEANUP_FREE char *fresh = temp_path("stale/tmp/fresh.tmp");
	struct object_place *p;
	struct stat st;
	OK(object_dir_open(&p, path, true, e));
	object_place_free(p);
	write_file(old, text("x"));
	write_file(fresh, text("x"));
	const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	assert_int_equal(utimensat(AT_FDCWD, old, long_ago, 0), 0);
	OK(object_dir_open(&p, path, false, e));
	assert_int_not_equal(stat(old, &st), 0);
	assert_int_equal(stat(fresh, &st), 0);
	object_place_free(p);
}

static unsigned count_files(const char *path)
{
	unsigned n = 0;
	CLEANUP_DIR DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *de; (de = readdir(d));)
		n += de->d_name[0] != '.';
	return n;
}

/* One that was killed while it replaced an object leaves a file where it goes in time. */
static void test_killed_replacement(void **state)
{
	(void)state;
	static const char noise[1000];
	CLEANUP_FREE char *path = temp_path("killed");
	CLEANUP_FREE char *kind = temp_path("killed/kind");
	CLEANUP_FREE char *tmp = temp_path("killed/tmp");
	struct object_place *p;
	int status;
	OK(object_dir_open(&p, path, true, e));
	OK(object_put(p, "kind/a", text("old"), false, e));
	pid_t pid = fork();
	if (pid == 0) {
		const struct rlimit little = {10, 10}; /* then SIGXFSZ */
		_exit(setrlimit(RLIMIT_FSIZE, &little) < 0 ||
			object_put(p, "kind/a", span_of(noise, sizeof noise), true, NULL) < 0);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	assert_int_equal(count_files(kind), 1);
	assert_int_equal(count_files(tmp), 1);
	object_place_free(p);
}

/* An object that cannot be looked at is not left out of a list: it is not known to be none. */
static void test_unreadable_list(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("list");
	CLEANUP_FREE char *kind = temp_path("list/kind");
	struct object_place *p;
	uint64_t bytes;
	bool root = geteuid() == 0;
	OK(object_dir_open(&p, path, true, e));
	OK(object_put(p, "kind/a", text("x"), false, e));
	/* The names can be read, what they name cannot be asked for. */
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(chmod(kind, 0444), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	struct err err = ERR_INIT;
	int r = object_list(p, "kind", count, &bytes, &err);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(r, E_IO);
	assert_non_null(strstr(err.msg, "kind/a"));
	assert_int_equal(chmod(kind, 0700), 0);
	assert_int_equal(list(p, "kind", &bytes), 1);
	object_place_free(p);
}

static void test_faulty(void **state)
{
	(void)state;
	struct object_place *p;
	OK(object_faulty_new(&p, mem_place_new(), 0, false, e));
	promises(p);
	unsigned long all = object_faulty_count(p);
	assert_true(all > 8);
	object_place_free(p);
	for (unsigned long n = 1; n <= 3; n++) {
		struct object_writer *w;
		OK(object_faulty_new(&p, mem_place_new(), n, false, e));
		struct err err = ERR_INIT;
		int r = object_put(p, "a/a", text("x"), false, &err);
		assert_int_equal(r, n == 1 ? E_IO : 0);
		OK(object_begin(p, &w, e));
		r = object_append(w, text("y"), &err);
		assert_int_equal(r, n == 2 ? E_IO : 0);
		r = object_commit(w, "a/b", &err);
		assert_int_equal(r, n == 3 ? E_IO : 0);
		/* What failed left nothing. */
		uint64_t bytes;
		assert_int_equal(list(p, "a", &bytes), n == 2 ? 2 : 1);
		object_place_free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_where_a_store_may_be_made),
		cmocka_unit_test(test_stale_files),
		cmocka_unit_test(test_killed_replacement),
		cmocka_unit_test(test_unreadable_list),
		cmocka_unit_test(test_faulty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
