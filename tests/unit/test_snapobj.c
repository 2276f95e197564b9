/* snapobj: snapshot objects come back whole; lists, names, tags; stores that went back in time. */
#include "tests/unit/support.h"

#include "engine/snapshot/snapobj.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/one_store.h"

static struct snapshot make(unsigned no, int64_t when)
{
	struct snapshot sn = {.begin = {when, 5}, .end = {when + 9, 6}, .generation = no,
		.root = {.kind = CONTENT_TREE, .level = 1}, .files = 1, .dirs = 2, .others = 3,
		.bytes = UINT64_MAX, .files_new = 5, .files_changed = 6, .files_unreadable = 7,
		.files_restless = 8, .added_bytes = 9, .added_blobs = 10,
		.with_xattrs = 11, .with_acls = 12};
	memset(sn.id.b, (int)no, ID_BYTES);
	memset(sn.root.name.b, (int)no + 50, NAME_BYTES);
	snprintf(sn.name, sizeof sn.name, "snapshot-%u", no);
	sn.host = strdup("host");
	sn.user = strdup("user");
	sn.program = strdup("program");
	sn.sources = calloc(2, sizeof *sn.sources);
	sn.n_sources = 2;
	for (int i = 0; i < 2; i++) {
		sn.sources[i].path = strdup(i ? "/srv/\xff" : "/srv/a");
		sn.sources[i].name = strdup(i ? "\xff" : "a");
	}
	OK(snapshot_tag_add(&sn, "tag", e));
	return sn;
}

static void write_one(unsigned no, int64_t when, bool replace)
{
	struct snapshot sn = make(no, when);
	OK(snapshot_write(s, &sn, replace, e));
	snapshot_free(&sn);
}

static struct snapshot_list load(void)
{
	struct snapshot_list l;
	OK(snapshot_list_load(&l, s, e));
	return l;
}

static void test_roundtrip(void **state)
{
	(void)state;
	write_one(2, 2000, false);
	write_one(1, 1000, false);
	write_one(3, -3000, false);
	struct snapshot dup = make(1, 1000);
	FAILS(E_EXISTS, snapshot_write(s, &dup, false, e));
	snapshot_free(&dup);
	struct snapshot_list l = load();
	assert_int_equal(l.n, 3);
	assert_int_equal(l.damaged, 0);
	assert_string_equal(l.v[0].name, "snapshot-3"); /* oldest first */
	assert_string_equal(l.v[1].name, "snapshot-1");
	assert_string_equal(l.v[2].name, "snapshot-2");
	struct snapshot want = make(1, 1000), *got = &l.v[1];
	assert_memory_equal(got->id.b, want.id.b, ID_BYTES);
	assert_true(content_equal(&got->root, &want.root));
	assert_true(time_equal(got->begin, want.begin) && time_equal(got->end, want.end));
	assert_true(got->files == 1 && got->dirs == 2 && got->others == 3 && got->bytes == UINT64_MAX &&
		got->files_new == 5 && got->files_changed == 6 && got->files_unreadable == 7 &&
		got->files_restless == 8 && got->added_bytes == 9 && got->added_blobs == 10 &&
		got->with_xattrs == 11 && got->with_acls == 12 &&
		got->generation == 1);
	assert_int_equal(got->n_sources, 2);
	assert_string_equal(got->sources[1].path, "/srv/\xff");
	assert_string_equal(got->host, "host");
	assert_int_equal(got->n_tags, 1);
	snapshot_free(&want);
	snapshot_list_free(&l);
}

static void test_find(void **state)
{
	(void)state;
	struct snapshot_list l = load();
	struct snapshot *sn;
	OK(snapshot_find(&l, "latest", &sn, e));
	assert_string_equal(sn->name, "snapshot-2");
	OK(snapshot_find(&l, "latest~0", &sn, e));
	assert_string_equal(sn->name, "snapshot-2");
	OK(snapshot_find(&l, "latest~1", &sn, e));
	assert_ptr_equal(sn, &l.v[l.n - 2]);
	FAILS(E_NOTFOUND, snapshot_find(&l, "latest~999999999", &sn, e));
	FAILS(E_NOTFOUND, snapshot_find(&l, "latest~", &sn, e));
	FAILS(E_NOTFOUND, snapshot_find(&l, "latest~1x", &sn, e));
	FAILS(E_NOTFOUND, snapshot_find(&l, "latest1", &sn, e));
	OK(snapshot_find(&l, "snapshot-1", &sn, e));
	assert_int_equal(sn->generation, 1);
	OK(snapshot_find(&l, "0303", &sn, e));
	assert_int_equal(sn->generation, 3);
	FAILS(E_NOTFOUND, snapshot_find(&l, "030", &sn, e));
	FAILS(E_NOTFOUND, snapshot_find(&l, "", &sn, e));
	FAILS(E_NOTFOUND, snapshot_find(&l, "snapshot-9", &sn, e));
	/* Two ids that begin alike. */
	struct snapshot other = make(3, 1);
	other.id.b[15] ^= 1;
	OK(snapshot_write(s, &other, false, e));
	snapshot_free(&other);
	snapshot_list_free(&l);
	l = load();
	FAILS(E_USAGE, snapshot_find(&l, "030303", &sn, e));
	OK(snapshot_find(&l, "03030303030303030303030303030302", &sn, e));
	snapshot_list_free(&l);
	struct snapshot_list none = {0};
	FAILS(E_NOTFOUND, snapshot_find(&none, "latest", &sn, e));
}

static void test_names(void **state)
{
	(void)state;
	struct snapshot_list l = {0};
	char name[SNAPSHOT_NAME_CHARS];
	snapshot_pick_name(&l, (struct timestamp){1790000000, 5}, 0, name);
	assert_string_equal(name, "2026-09-21T14-13-20Z");
	struct snapshot v[3] = {0};
	l.v = v;
	for (unsigned i = 0; i < 3; i++) {
		snprintf(v[l.n++].name, SNAPSHOT_NAME_CHARS, "%s", name);
		snapshot_pick_name(&l, (struct timestamp){1790000000, 9}, 0, name);
		char want[40];
		snprintf(want, sizeof want, "2026-09-21T14-13-20Z-%u", i + 2);
		assert_string_equal(name, want);
	}
}

static void test_tags(void **state)
{
	(void)state;
	static const char *const good[] = {"a", "A-b_c.d:e@f+g", "0", "-x"}, *const bad[] = {"", " ",
		"a b", "a/b", "\n", "\xc3\xa4", ".hidden"};
	for (size_t i = 0; i < N_OF(good); i++)
		assert_true(snapshot_tag_ok(good[i]));
	for (size_t i = 0; i < N_OF(bad); i++)
		assert_false(snapshot_tag_ok(bad[i]));
	char longest[66];
	memset(longest, 'x', 65);
	longest[65] = 0;
	assert_false(snapshot_tag_ok(longest));
	longest[64] = 0;
	assert_true(snapshot_tag_ok(longest));
	struct snapshot sn = {0};
	OK(snapshot_tag_add(&sn, "b", e));
	OK(snapshot_tag_add(&sn, "a", e));
	OK(snapshot_tag_add(&sn, "b", e));
	OK(snapshot_tag_add(&sn, "c", e));
	assert_int_equal(sn.n_tags, 3);
	assert_string_equal(sn.tags[0], "a");
	snapshot_tag_remove(&sn, "b");
	snapshot_tag_remove(&sn, "never");
	assert_int_equal(sn.n_tags, 2);
	assert_string_equal(sn.tags[1], "c");
	snapshot_free(&sn);
}

/* What is in the list already is not read again; what came and what went is noticed. */
static void test_update(void **state)
{
	(void)state;
	struct object_place *p = new_place_with_store(SLACK_EXACT), *counting;
	const struct object_fault reads = {.kinds = FAULT_READ};
	const struct store_options opt = {0};
	struct store *mine, *others = open_store(p);
	OK(object_faulty_new_as(&counting, mem_place_borrow(p), &reads, e));
	OK(store_open(&mine, counting, &test_secret, &opt, e));
	struct snapshot v[] = {make(1, 1000), make(2, 2000), make(3, 3000), make(4, 1500)};
	for (size_t i = 0; i < 3; i++)
		OK(snapshot_write(others, &v[i], false, e));
	struct snapshot_list l;
	OK(snapshot_list_load(&l, mine, e));
	unsigned long before = object_faulty_count(counting);
	OK(snapshot_list_update(&l, mine, e));
	assert_int_equal(object_faulty_count(counting) - before, 1); /* the listing */
	assert_int_equal(l.n, 3);
	OK(store_object_remove(others, SNAPSHOT_KIND, &v[1].id, e));
	OK(snapshot_write(others, &v[3], false, e));
	before = object_faulty_count(counting);
	OK(snapshot_list_update(&l, mine, e));
	assert_int_equal(object_faulty_count(counting) - before, 3); /* and the new one's size and bytes */
	assert_int_equal(l.n, 3);
	static const char *const want[] = {"snapshot-1", "snapshot-4", "snapshot-3"};
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(l.v[i].name, want[i]);
	/* A damaged one is counted each time anew. */
	struct buf *b = mem_place_object(p, mem_place_key(p, "snapshots/", 0));
	b->p[b->len / 2] ^= 1;
	snapshot_list_free(&l);
	OK(snapshot_list_load(&l, mine, e));
	OK(snapshot_list_update(&l, mine, e));
	assert_int_equal(l.n, 2);
	assert_int_equal(l.damaged, 1);
	b->p[b->len / 2] ^= 1;
	OK(snapshot_list_update(&l, mine, e));
	assert_int_equal(l.n, 3);
	assert_int_equal(l.damaged, 0);
	snapshot_list_free(&l);
	for (size_t i = 0; i < N_OF(v); i++)
		snapshot_free(&v[i]);
	store_close(mine);
	store_close(others);
	object_place_free(p);
}

/* A damaged object is counted, told, and hides none of the others. */
static void test_damage(void **state)
{
	(void)state;
	struct buf *b = mem_place_object(place, mem_place_key(place, "snapshots/", 0));
	for (size_t i = 0; i < b->len; i++) {
		b->p[i] ^= 2;
		struct snapshot_list l = load();
		assert_int_equal(l.n, 3);
		assert_int_equal(l.damaged, 1);
		assert_int_equal(l.first_damage.code, E_CORRUPT);
		assert_true(l.first_damage.msg[0]);
		snapshot_list_free(&l);
		b->p[i] ^= 2;
	}
}

/* Objects that only somebody with the key could make: refused, or read within their bounds. */
static void test_hostile(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct id id = {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, evil = {{0xee}};
	OK(store_object_get(s, "snapshots", &id, &b, e));
	for (size_t i = 0; i < b.len; i++) {
		struct buf cut = {b.p, i, 0};
		uint8_t was = b.p[i];
		OK(store_object_put(s, "snapshots", &evil, buf_span(&cut), true, e));
		struct snapshot_list l = load();
		assert_int_equal(l.damaged, 1);
		snapshot_list_free(&l);
		for (int k = 0; k < 4; k++) {
			b.p[i] = k == 0 ? 0xff : k == 1 ? 0 : (uint8_t)rnd();
			OK(store_object_put(s, "snapshots", &evil, buf_span(&b), true, e));
			l = load();
			assert_true(l.n + l.damaged == 5);
			snapshot_list_free(&l);
		}
		b.p[i] = was;
	}
	OK(object_remove(store_place(s), "snapshots/ee000000000000000000000000000000", e));
}

static void test_rollback(void **state)
{
	(void)state;
	CLEANUP_FREE char *dir = temp_path("state");
	struct snapshot_list l = load();
	OK(snapshot_check_rollback(&l, s, NULL, false, e));
	OK(snapshot_check_rollback(&l, s, dir, false, e));
	OK(snapshot_check_rollback(&l, s, dir, false, e));
	snapshot_list_free(&l);
	write_one(9, 9000, false);
	l = load();
	OK(snapshot_check_rollback(&l, s, dir, false, e));
	snapshot_list_free(&l);
	OK(object_remove(store_place(s), "snapshots/09090909090909090909090909090909", e));
	l = load();
	FAILS(E_CORRUPT, snapshot_check_rollback(&l, s, dir, false, e));
	/* Another client, that has not seen it, cannot know. */
	OK(snapshot_check_rollback(&l, s, NULL, false, e));
	snapshot_list_free(&l);
	/* A state directory that cannot be written is no failure. */
	l = load();
	OK(snapshot_check_rollback(&l, s, "/proc/nowhere", false, e));
	snapshot_list_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roundtrip),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_rollback),
	};
	return cmocka_run_group_tests(tests, setup_store, teardown_store);
}
