/* forgotten: there and back, released into marks, and failures at each step. */
#include "tests/unit/support.h"

#include "engine/snapshot/forgotten.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/one_store.h"

static void write_one(unsigned no, const struct name *previous)
{
	struct snapshot sn = {.begin = {1000 * no, 5}, .generation = no, .host = (char *)"h",
		.user = (char *)"u", .program = (char *)"p"};
	memset(sn.id.b, (int)no, ID_BYTES);
	snprintf(sn.name, sizeof sn.name, "snapshot-%u", no);
	if (previous)
		sn.previous = *previous;
	OK(snapshot_write(s, &sn, false, e));
}

static struct snapshot_list load(void)
{
	struct snapshot_list l;
	OK(snapshot_list_load(&l, s, e));
	return l;
}

/* Chain of n snapshots. */
static void write_chain(unsigned n)
{
	struct name last = {{0}};
	for (unsigned i = 1; i <= n; i++) {
		write_one(i, &last);
		struct snapshot_list l = load();
		last = l.v[l.n - 1].self;
		snapshot_list_free(&l);
	}
}

static void counts(size_t snapshots, size_t forgotten, uint64_t past_highest)
{
	struct snapshot_list l = load();
	struct forgotten_list f;
	struct past p;
	OK(forgotten_load(&f, s, e));
	OK(past_load(&p, s, e));
	assert_int_equal(l.n, snapshots);
	assert_int_equal(f.n, forgotten);
	assert_int_equal(p.highest, past_highest);
	assert_int_equal(f.damaged + p.damaged, 0);
	snapshot_list_free(&l);
	forgotten_free(&f);
	past_free(&p);
}

static void forget_nth(size_t i)
{
	struct snapshot_list l = load();
	OK(snapshot_forget(s, &l.v[i], e));
	snapshot_list_free(&l);
}

static void test_there_and_back(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf before = BUF_INIT, after = BUF_INIT;
	struct forgotten_list f;
	struct forgotten *one;
	struct id id;
	write_chain(3);
	memset(id.b, 2, ID_BYTES);
	OK(store_object_get(s, SNAPSHOT_KIND, &id, &before, e));
	forget_nth(1);
	counts(2, 1, 2);
	OK(forgotten_load(&f, s, e));
	assert_string_equal(f.v[0].sn.name, "snapshot-2");
	assert_true(f.v[0].when.s > 1000000000);
	OK(forgotten_find(&f, "snapshot-2", &one, e));
	OK(forgotten_find(&f, "0202", &one, e));
	FAILS(E_NOTFOUND, forgotten_find(&f, "020", &one, e));
	FAILS(E_NOTFOUND, forgotten_find(&f, "snapshot-1", &one, e));
	struct snapshot_list l = load();
	OK(snapshot_undelete(s, &l, one, e));
	snapshot_list_free(&l);
	counts(3, 0, 0);
	OK(store_object_get(s, SNAPSHOT_KIND, &id, &after, e));
	assert_spans(buf_span(&after), buf_span(&before));
	forgotten_free(&f);
}

static void test_release(void **state)
{
	(void)state;
	size_t n;
	struct past p;
	struct snapshot_list l;
	write_chain(4);
	OK(forgotten_release(s, &n, e));
	assert_int_equal(n, 0);
	assert_null(mem_place_key(place, "marks/", 0));
	forget_nth(3);
	forget_nth(1);
	OK(forgotten_release(s, &n, e));
	assert_int_equal(n, 2);
	counts(2, 0, 4);
	forget_nth(0);
	OK(forgotten_release(s, &n, e));
	assert_int_equal(n, 1);
	assert_null(mem_place_key(place, "marks/", 1)); /* one holds them all */
	assert_null(mem_place_key(place, "forgotten/", 0));
	OK(past_load(&p, s, e));
	assert_int_equal(p.n, 3);
	l = load();
	assert_non_null(past_find(&p, &l.v[0].previous)); /* 3 names 2 */
	assert_null(past_find(&p, &l.v[0].self));
	snapshot_list_free(&l);
	past_free(&p);
	struct past_one more = {.generation = 9};
	memset(more.self.b, 7, NAME_BYTES);
	OK(past_add(s, &more, 1, e));
	counts(1, 0, 9);
	assert_null(mem_place_key(place, "marks/", 1));
}

/* The newest forgotten, compacted: not a rollback. The newest removed: one. */
static void test_rollback(void **state)
{
	(void)state;
	char *dir = temp_path("state");
	size_t n;
	write_chain(4);
	struct snapshot_list l = load();
	OK(snapshot_check_rollback(&l, s, dir, false, e));
	snapshot_list_free(&l);
	forget_nth(3);
	l = load();
	OK(snapshot_check_rollback(&l, s, dir, false, e));
	OK(forgotten_release(s, &n, e));
	OK(snapshot_check_rollback(&l, s, dir, false, e));
	OK(object_remove(store_place(s), mem_place_key(place, "marks/", 0), e));
	FAILS(E_CORRUPT, snapshot_check_rollback(&l, s, dir, false, e));
	OK(snapshot_check_rollback(&l, s, dir, true, e));
	OK(snapshot_check_rollback(&l, s, dir, false, e));
	OK(object_remove(store_place(s), "snapshots/03030303030303030303030303030303", e));
	snapshot_list_free(&l);
	l = load();
	FAILS(E_CORRUPT, snapshot_check_rollback(&l, s, dir, false, e));
	snapshot_list_free(&l);
	free(dir);
}

static void test_damaged(void **state)
{
	(void)state;
	struct forgotten_list f;
	struct past p;
	size_t n;
	write_chain(2);
	forget_nth(0);
	mem_place_object(place, mem_place_key(place, "forgotten/", 0))->p[50] ^= 1;
	OK(forgotten_load(&f, s, e));
	assert_true(f.n == 0 && f.damaged == 1);
	forgotten_free(&f);
	forget_nth(0);
	OK(forgotten_release(s, &n, e));
	assert_int_equal(n, 1);
	assert_null(mem_place_key(place, "forgotten/", 0));
	mem_place_object(place, mem_place_key(place, "marks/", 0))->p[50] ^= 1;
	OK(past_load(&p, s, e));
	assert_true(p.n == 0 && p.damaged == 1);
	past_free(&p);
	/* What cannot be read is not thrown away with the rest. */
	struct past_one more = {.generation = 9};
	OK(past_add(s, &more, 1, e));
	assert_non_null(mem_place_key(place, "marks/", 1));
}

static void test_name_taken(void **state)
{
	(void)state;
	struct forgotten_list f;
	write_chain(1);
	forget_nth(0);
	struct snapshot sn = {.generation = 2, .name = "snapshot-1", .host = (char *)"h",
		.user = (char *)"u", .program = (char *)"p"};
	OK(snapshot_write(s, &sn, false, e));
	OK(forgotten_load(&f, s, e));
	struct snapshot_list l = load();
	FAILS(E_EXISTS, snapshot_undelete(s, &l, &f.v[0], e));
	snapshot_list_free(&l);
	forgotten_free(&f);
}

/* ---- two at a time ---- */

static struct store *other;
static struct forgotten_list other_list; /* as the other one saw it */

static void other_undeletes(void *ctx)
{
	struct snapshot_list none = {0};
	(void)ctx;
	OK(snapshot_undelete(other, &none, &other_list.v[0], e));
}

static void other_forgets(void *ctx)
{
	(void)ctx;
	struct snapshot_list l = load();
	OK(snapshot_forget(other, &l.v[0], e));
	snapshot_list_free(&l);
}

/* The one snapshot is forgotten, and `other_list` has it. */
static void begin_two(void)
{
	write_chain(1);
	forget_nth(0);
	other = open_store(place);
	OK(forgotten_load(&other_list, other, e));
}

static void end_two(void)
{
	assert_null(mem_place_key(place, "locks/", 0));
	forgotten_free(&other_list);
	store_close(other);
}

static void test_two_undeletes(void **state)
{
	struct snapshot_list none = {0};
	(void)state;
	begin_two();
	mem_place_before_remove(place, "locks/", other_undeletes, NULL);
	OK(snapshot_undelete(s, &none, &other_list.v[0], e));
	counts(1, 0, 0);
	end_two();
}

static void test_undelete_then_forget(void **state)
{
	struct snapshot_list none = {0};
	(void)state;
	begin_two();
	mem_place_before_remove(place, "locks/", other_forgets, NULL);
	OK(snapshot_undelete(s, &none, &other_list.v[0], e));
	counts(0, 1, 1);
	end_two();
}

/* The first of the two is killed after its Nth removal, before which the other did the opposite. */
static void test_killed_between(void **state)
{
	struct snapshot_list none = {0};
	(void)state;
	for (unsigned long at = 1; at <= 2; at++) {
		for (unsigned how = 0; how < 2; how++) {
			const struct object_fault fault = {FAULT_REMOVE, at, FAULT_OFF_DONE, 0};
			struct object_place *faulty;
			struct store *dying;
			struct err err = ERR_INIT;
			const char *lock;
			teardown_store(state);
			setup_store(state);
			begin_two();
			if (how)
				OK(snapshot_undelete(s, &none, &other_list.v[0], e));
			OK(object_faulty_new_as(&faulty, mem_place_borrow(place), &fault, e));
			OK(store_open(&dying, faulty, &test_secret, &(struct store_options){0}, e));
			mem_place_before_remove(place, how ? "snapshots/" : "forgotten/",
				how ? other_undeletes : other_forgets, NULL);
			struct snapshot_list l = load();
			(void)!(how ? snapshot_forget(dying, &l.v[0], &err)
				    : snapshot_undelete(dying, &none, &other_list.v[0], &err));
			snapshot_list_free(&l);
			store_close(dying);
			struct forgotten_list f;
			l = load();
			OK(forgotten_load(&f, other, e));
			if (l.n + f.n != 1)
				fail_msg("killed after removal %lu: in %zu places", at, l.n + f.n);
			snapshot_list_free(&l);
			forgotten_free(&f);
			while ((lock = mem_place_key(place, "locks/", 0)))
				OK(object_remove(place, lock, e));
			end_two();
		}
	}
}

static void test_forget_then_undelete(void **state)
{
	struct snapshot_list none = {0};
	(void)state;
	begin_two();
	OK(snapshot_undelete(s, &none, &other_list.v[0], e));
	mem_place_before_remove(place, "snapshots/", other_undeletes, NULL);
	forget_nth(0);
	counts(0, 1, 1);
	end_two();
}

/* Of another version: not ours to throw away. */
static void test_unknown_version(void **state)
{
	(void)state;
	size_t n;
	struct id id = {{5}};
	OK(store_object_put(s, "forgotten", &id, text("\x09 something new"), false, e));
	write_chain(1);
	forget_nth(0);
	OK(forgotten_release(s, &n, e));
	assert_int_equal(n, 1);
	assert_non_null(mem_place_key(place, "forgotten/", 0));
	assert_null(mem_place_key(place, "forgotten/", 1));
}

/* Whatever operation fails: every snapshot is there, forgotten or on record; and the next try works. */
static void test_faults(void **state)
{
	(void)state;
	for (unsigned long at = 1, ended = 0; !ended; at++) {
		assert_true(at < 100);
		struct object_place *p = new_place_with_store(SLACK_EXACT), *faulty;
		size_t n;
		struct err own = ERR_INIT;
		struct past past;
		s = open_store(p);
		write_chain(3);
		forget_nth(0);
		OK(forgotten_release(s, &n, e));
		store_close(s);
		OK(object_faulty_new(&faulty, mem_place_borrow(p), at, false, e));
		OK(store_open(&s, faulty, &test_secret, &(struct store_options){0}, e));
		struct snapshot_list l = load();
		struct forgotten_list f;
		int r = snapshot_forget(s, &l.v[0], &own);
		if (r == 0)
			r = forgotten_load(&f, s, &own);
		if (r == 0) {
			r = snapshot_undelete(s, &l, &f.v[0], &own);
			forgotten_free(&f);
		}
		if (r == 0)
			r = snapshot_forget(s, &l.v[0], &own);
		if (r == 0)
			r = forgotten_release(s, &n, &own);
		snapshot_list_free(&l);
		store_close(s);
		s = open_store(p);
		l = load();
		OK(past_load(&past, s, e));
		assert_true(past.damaged == 0 && l.n + past.n >= 3);
		for (unsigned g = 1; g <= 3; g++) {
			bool found = false;
			for (size_t i = 0; i < l.n; i++)
				found |= l.v[i].generation == g;
			for (size_t i = 0; i < past.n; i++)
				found |= past.v[i].generation == g;
			assert_true(found);
		}
		if (l.n == 2)
			OK(snapshot_forget(s, &l.v[0], e));
		OK(forgotten_release(s, &n, e));
		counts(1, 0, 2);
		past_free(&past);
		snapshot_list_free(&l);
		store_close(s);
		object_place_free(p);
		ended = r == 0;
	}
	s = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_and_back, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_release, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_rollback, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_damaged, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_name_taken, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_two_undeletes, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_undelete_then_forget, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_killed_between, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_forget_then_undelete, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_unknown_version, setup_store, teardown_store),
		cmocka_unit_test(test_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
