/* index: finds what was added, survives whatever its file holds, serves several threads. */
#include "tests/unit/support.h"

#include <pthread.h>
#include <sys/stat.h>

#include "engine/base/wire.h"
#include "engine/store/index.h"

static const struct id store = {"store..........."};

static struct name name_no(unsigned no)
{
	struct name n;
	memset(n.b, 0x5a, NAME_BYTES);
	set_le32(n.b, no * 2654435761u);
	set_le32(n.b + 20, no);
	return n;
}

/* A pack record with n blobs, each in a frame of its own of ten bytes. */
static void make_record(struct buf *b, unsigned pack, unsigned first, unsigned n)
{
	uint8_t id[ID_BYTES] = {(uint8_t)pack};
	OK(buf_add(b, id, sizeof id, e));
	OK(put_u64(b, 10ull * n + 500, e));
	OK(put_var(b, n, e));
	for (unsigned i = 0; i < n; i++) {
		struct name name = name_no(first + i);
		OK(put_u8(b, METHOD_STORE, e));
		OK(put_var(b, 10, e));
		OK(put_var(b, 4, e));
		OK(put_var(b, 1, e));
		OK(buf_add(b, name.b, NAME_BYTES, e));
		OK(put_u8(b, FORM_RAW, e));
		OK(put_var(b, 4, e));
		OK(put_var(b, 4, e));
	}
}

static void add(struct index *ix, unsigned object, unsigned pack, unsigned first, unsigned n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct id id = {{(uint8_t)object}};
	make_record(&b, pack, first, n);
	struct span s = buf_span(&b);
	OK(index_add_object(ix, &id, &s, 1, e));
}

static struct index *open_it(const char *path, bool want_note)
{
	struct index *ix = NULL;
	char note[200] = "";
	OK(index_open(&ix, path, &store, note, sizeof note, e));
	if (!want_note && note[0])
		fail_msg("'%s'", note);
	return ix;
}

static void must_have(struct index *ix, unsigned first, unsigned n, bool there)
{
	for (unsigned i = first; i < first + n; i++) {
		struct name name = name_no(i), found;
		struct blob_loc l;
		if (there) {
			OK(index_find(ix, &name, 0, &l, e));
			assert_int_equal(l.plain_len, 4);
			assert_int_equal(l.offset, 10ull * (i - first));
			OK(index_find_base(ix, name.b, &found, &l, e));
			assert_int_equal(name_cmp(&name, &found), 0);
		} else {
			assert_int_equal(index_find(ix, &name, 0, &l, NULL), E_NOTFOUND);
			assert_int_equal(index_find_base(ix, name.b, &found, &l, NULL), E_NOTFOUND);
		}
	}
}

static int count_id(void *ctx, const struct id *id, uint64_t size, struct err *e)
{
	(void)id;
	(void)size;
	(void)e;
	++*(unsigned *)ctx;
	return 0;
}

static unsigned count_objects(struct index *ix)
{
	unsigned n = 0;
	OK(index_each_object(ix, count_id, &n, e));
	return n;
}

static uint64_t count_blobs(struct index *ix)
{
	uint64_t n;
	OK(index_count_blobs(ix, &n, e));
	return n;
}

/* Two who share a cache: with many lookups on the way each can write, and sees what it wrote; what the other wrote
 * is seen afterwards at the latest. */
static void test_many_lookups(void **state)
{
	CLEANUP_FREE char *path = temp_path("many.sqlite");
	(void)state;
	struct index *ix = open_it(path, false), *other = open_it(path, false);
	index_many_lookups(ix, true);
	index_many_lookups(ix, true);
	add(ix, 1, 10, 0, 100);
	for (unsigned i = 0; i < 50; i++)
		must_have(ix, 0, 100, true);
	add(other, 2, 11, 100, 100);
	must_have(ix, 0, 100, true);
	add(ix, 3, 12, 200, 100);
	must_have(ix, 100, 100, true);
	must_have(ix, 200, 100, true);
	assert_int_equal(count_objects(ix), 3);
	add(other, 4, 13, 300, 10);
	assert_int_equal(count_objects(ix), 4);
	index_many_lookups(ix, false);
	must_have(ix, 300, 10, true); /* still on, for the first */
	add(other, 5, 14, 400, 10);
	index_many_lookups(ix, false);
	must_have(ix, 400, 10, true);
	OK(index_clear(ix, e));
	must_have(other, 0, 10, false);
	index_close(other);
	index_many_lookups(ix, true);
	must_have(ix, 0, 10, false);
	OK(index_to_memory(ix, &store, e));
	add(ix, 1, 10, 0, 10);
	must_have(ix, 0, 10, true);
	index_close(ix);
}

static void test_in_memory(void **state)
{
	(void)state;
	struct index *ix = open_it(NULL, false);
	struct id id = {{1}};
	bool have;
	OK(index_has_object(ix, &id, &have, e));
	assert_false(have);
	add(ix, 1, 10, 0, 1000);
	OK(index_has_object(ix, &id, &have, e));
	assert_true(have);
	must_have(ix, 0, 1000, true);
	must_have(ix, 1000, 10, false);
	assert_int_equal(count_objects(ix), 1);
	assert_int_equal(count_blobs(ix), 1000);
	OK(index_clear(ix, e));
	must_have(ix, 0, 10, false);
	OK(index_has_object(ix, &id, &have, e));
	assert_false(have);
	index_close(ix);
	index_close(NULL);
}

static void test_kept_in_file(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("kept.sqlite");
	struct index *ix = open_it(path, false);
	add(ix, 1, 10, 0, 500);
	add(ix, 2, 11, 500, 500);
	add(ix, 2, 11, 500, 500); /* twice is once */
	index_close(ix);
	ix = open_it(path, false);
	assert_int_equal(count_blobs(ix), 1000);
	must_have(ix, 0, 500, true);
	index_close(ix);
	/* Of another store: nothing of it is seen. */
	struct id other = {"other store....."};
	char note[200];
	OK(index_open(&ix, path, &other, note, sizeof note, e));
	assert_int_equal(count_blobs(ix), 0);
	must_have(ix, 0, 5, false);
	index_close(ix);
}

/* All or nothing: an object with a bad record leaves no trace. */
static void test_bad_record(void **state)
{
	(void)state;
	struct index *ix = open_it(NULL, false);
	CLEANUP_BUF struct buf good = BUF_INIT;
	CLEANUP_BUF struct buf bad = BUF_INIT;
	struct id id = {{9}};
	bool have;
	make_record(&good, 1, 0, 50);
	make_record(&bad, 2, 50, 50);
	struct span s[2] = {buf_span(&good), span_of(bad.p, bad.len - 1)};
	FAILS(E_CORRUPT, index_add_object(ix, &id, s, 2, e));
	OK(index_has_object(ix, &id, &have, e));
	assert_false(have);
	assert_int_equal(count_blobs(ix), 0);
	must_have(ix, 0, 50, false);
	assert_int_equal(count_objects(ix), 0);
	add(ix, 1, 10, 0, 10); /* and it still works */
	must_have(ix, 0, 10, true);
	index_close(ix);
}

static int stop_at_3(void *ctx, const struct name *name, const struct blob_loc *l, struct err *e)
{
	unsigned *n = ctx;
	(void)name;
	(void)e;
	assert_int_equal(l->offset, 10ull * *n);
	return ++*n == 3 ? 55 : 0;
}

static int count_one(void *ctx, const struct name *name, const struct blob_loc *l, struct err *e)
{
	(void)name;
	(void)l;
	(void)e;
	++*(unsigned *)ctx;
	return 0;
}

static int sum_packs(void *ctx, const struct id *pack, uint64_t size, struct err *e)
{
	(void)e;
	assert_true(size >= 500);
	*(unsigned *)ctx += pack->b[0];
	return 0;
}

static void test_walks(void **state)
{
	(void)state;
	struct index *ix = open_it(NULL, false);
	struct id pack = {{11}};
	unsigned n = 0;
	add(ix, 1, 10, 0, 100);
	add(ix, 2, 11, 100, 50);
	OK(index_each_pack(ix, sum_packs, &n, e));
	assert_int_equal(n, 21);
	n = 0;
	OK(index_each_blob(ix, &pack, count_one, &n, e));
	assert_int_equal(n, 50);
	n = 0;
	assert_int_equal(index_each_blob(ix, &pack, stop_at_3, &n, NULL), 55);
	assert_int_equal(n, 3);
	index_close(ix);
}

/* Garbage, other databases, cut files: opened as an empty index, or in memory with a note. */
static void test_damaged_files(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("damaged.sqlite");
	CLEANUP_BUF struct buf good = BUF_INIT;
	struct index *ix = open_it(path, false);
	add(ix, 1, 10, 0, 2000);
	index_close(ix);
	read_file(path, &good);
	static const size_t sizes[] = {0, 1, 15, 16, 100, 1000, 4096, 5000, 20000};
	for (size_t i = 0; i < N_OF(sizes) + 60; i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		OK(buf_add(&b, good.p, good.len, e));
		if (i < N_OF(sizes))
			b.len = sizes[i] < b.len ? sizes[i] : b.len;
		else if (i < N_OF(sizes) + 50)
			b.p[below((uint32_t)b.len)] ^= (uint8_t)(1 + below(255));
		else
			fill(b.p, b.len, 1);
		remove(path);
		write_file(path, buf_span(&b));
		ix = open_it(path, true);
		/* Whatever it holds now, it can be cleared and filled, and tells the truth then. */
		struct err err = ERR_INIT;
		if (index_clear(ix, &err) == 0) {
			add(ix, 1, 10, 0, 200);
			must_have(ix, 0, 200, true);
		}
		index_close(ix);
	}
}

static void test_no_place_for_it(void **state)
{
	(void)state;
	CLEANUP_FREE char *dir = temp_path("dir.sqlite");
	struct index *ix;
	char note[200] = "";
	assert_int_equal(mkdir(dir, 0700), 0);
	OK(index_open(&ix, dir, &store, note, sizeof note, e));
	assert_true(note[0]);
	add(ix, 1, 10, 0, 20);
	must_have(ix, 0, 20, true);
	index_close(ix);
	OK(index_open(&ix, "/nonexistent/dir/index", &store, note, sizeof note, e));
	add(ix, 1, 10, 0, 20);
	index_close(ix);
}

static void *look(void *arg)
{
	struct index *ix = arg;
	for (unsigned i = 0; i < 2000; i++) {
		struct name name = name_no(i % 1000), found;
		struct blob_loc l;
		if (index_find(ix, &name, 0, &l, NULL) < 0 ||
			index_find_base(ix, name.b, &found, &l, NULL) < 0)
			return ix;
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("threads.sqlite");
	struct index *ix = open_it(path, false);
	pthread_t t[4];
	void *ret;
	add(ix, 1, 10, 0, 1000);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, look, ix), 0);
	for (unsigned i = 0; i < 20; i++)
		add(ix, 2 + i, 20 + i, 1000 + 10 * i, 10);
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &ret);
		assert_null(ret);
	}
	assert_int_equal(count_blobs(ix), 1200);
	index_close(ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_memory), cmocka_unit_test(test_many_lookups),
		cmocka_unit_test(test_kept_in_file),
		cmocka_unit_test(test_bad_record),
		cmocka_unit_test(test_walks),
		cmocka_unit_test(test_damaged_files),
		cmocka_unit_test(test_no_place_for_it),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
