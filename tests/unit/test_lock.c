/* Locks and doomed packs: who holds what, who is dead, and what a writer relies on. */
#include "tests/unit/support.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/store/store_internal.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/one_coder.h"

#define TICK_MS 40

static struct store *open_ticking(struct object_place *place)
{
	const struct store_options opt = {.what = "test", .lock_interval_ms = TICK_MS};
	struct store *s = NULL;
	OK(store_open(&s, mem_place_borrow(place), &test_secret, &opt, e));
	return s;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static bool any(void *ctx, const struct lock_info *l)
{
	(void)ctx;
	(void)l;
	return true;
}

static size_t count_locks(struct store *s)
{
	struct lock_list l;
	OK(lock_list_load(&l, s, e));
	size_t n = l.n;
	lock_list_free(&l);
	return n;
}

static void test_list(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_ticking(place);
	struct store_lock *a, *b;
	struct lock_list l;
	char text[LOCK_TEXT_CHARS];
	struct id seen[2] = {{{1}}, {{2}}}, other = {{3}};
	struct id_list both = {.v = seen, .n = 2};
	OK(store_lock_take(s, LOCK_WRITER, "snapshot", NULL, &a, e));
	OK(store_lock_take(s, LOCK_WRITER, "snapshot", NULL, &b, e));
	OK(store_lock_saw(a, &both, e));
	OK(lock_list_load(&l, s, e));
	assert_int_equal(l.n, 2);
	bool first = l.v[0].seen.n == 2;
	const struct lock_info *x = &l.v[!first];
	assert_int_equal(x->mode, LOCK_WRITER);
	assert_int_equal(x->pid, (uint64_t)getpid());
	assert_true(id_list_has(&x->seen, &seen[0]) && id_list_has(&x->seen, &seen[1]));
	assert_false(id_list_has(&x->seen, &other));
	assert_non_null(strstr(lock_text(x, text), "(snapshot)"));
	lock_list_free(&l);
	store_lock_release(a);
	assert_int_equal(count_locks(s), 1);
	store_lock_release(b);
	assert_int_equal(count_locks(s), 0);
	store_close(s);
	object_place_free(place);
}

/* Exclusive ones keep each other out, writers nobody. */
static void test_exclusive(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_ticking(place), *t = open_ticking(place);
	struct store_lock *a, *b, *w;
	OK(store_lock_take(s, LOCK_EXCLUSIVE, "compact", NULL, &a, e));
	struct err err = ERR_INIT;
	assert_int_equal(store_lock_take(t, LOCK_EXCLUSIVE, "repair", NULL, &b, &err), E_LOCKED);
	assert_non_null(strstr(err.msg, "(compact)"));
	assert_non_null(strstr(err.msg, "process "));
	OK(store_lock_take(t, LOCK_WRITER, "snapshot", NULL, &w, e));
	/* Alive for many intervals: it is renewed, and nobody takes it for dead. */
	sleep_ms(TICK_MS * 6);
	FAILS(E_LOCKED, store_lock_take(t, LOCK_EXCLUSIVE, "repair", NULL, &b, e));
	OK(store_lock_check(a, e));
	assert_int_equal(count_locks(s), 2);
	store_lock_release(a);
	OK(store_lock_take(t, LOCK_EXCLUSIVE, "repair", NULL, &b, e));
	store_lock_release(b);
	store_lock_release(w);
	store_close(s);
	store_close(t);
	object_place_free(place);
}

/* A lock that is not renewed is dead after two and a half intervals, whatever its times say. */
static void test_silent_holder(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_ticking(place), *t = open_ticking(place);
	struct store_lock *a, *b;
	OK(store_lock_take(s, LOCK_EXCLUSIVE, "compact", NULL, &a, e));
	/* What a host leaves that went away: the object, of another boot, and no thread. */
	struct object_place *left = mem_place_copy(place);
	struct store *u = open_ticking(left);
	const struct lock_wait wait = {.seconds = 5};
	OK(store_lock_take(u, LOCK_EXCLUSIVE, "repair", &wait, &b, e));
	OK(store_lock_check(b, e));
	assert_int_equal(count_locks(u), 1);
	store_lock_release(b);
	store_close(u);
	object_place_free(left);
	store_lock_release(a);
	store_close(t);
	store_close(s);
	object_place_free(place);
}

/* A process of this machine that is gone: at once. */
static void test_dead_process(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("locks-store");
	struct object_place *place;
	struct store_config cfg = {0};
	struct store *s = NULL;
	struct store_lock *l;
	const struct store_options opt = {.what = "test"}; /* an interval of a minute */
	crypto_random(cfg.id.b, ID_BYTES);
	OK(object_dir_open(&place, path, true, e));
	OK(store_create(place, &cfg, &test_secret, e));
	pid_t pid = fork();
	if (pid == 0) {
		OK(store_open(&s, place, &test_secret, &opt, e));
		OK(store_lock_take(s, LOCK_EXCLUSIVE, "compact", NULL, &l, e));
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	OK(store_open(&s, place, &test_secret, &opt, e));
	assert_int_equal(count_locks(s), 1);
	time_t begin = time(NULL);
	OK(store_lock_take(s, LOCK_EXCLUSIVE, "compact", NULL, &l, e));
	assert_true(time(NULL) - begin < 5);
	store_lock_release(l);
	store_close(s);
}

/* A holder that was broken is told so, and its next renewal does not bring the lock back. */
static void test_broken(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_ticking(place);
	struct store_lock *a;
	struct lock_list l;
	OK(store_lock_take(s, LOCK_WRITER, "snapshot", NULL, &a, e));
	OK(store_lock_check(a, e));
	for (;;) { /* it may be renewed between the two */
		struct err err = ERR_INIT;
		OK(lock_list_load(&l, s, e));
		assert_true(l.n >= 1);
		int r = store_object_remove(s, "locks", &l.v[0].object, &err);
		lock_list_free(&l);
		if (r == 0)
			break;
		assert_int_equal(r, E_NOTFOUND);
	}
	FAILS(E_LOCKED, store_lock_check(a, e));
	sleep_ms(TICK_MS * 3);
	FAILS(E_LOCKED, store_lock_check(a, e));
	assert_int_equal(count_locks(s), 0);
	store_lock_release(a);
	store_close(s);
	object_place_free(place);
}

/* One that nobody can read is waited for like any other, and broken when it is silent. */
static void test_unreadable(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_ticking(place);
	struct store_lock *a;
	OK(object_put(place, "locks/0123456789abcdef0123456789abcdef", text("not a lock"), false, e));
	struct lock_list l;
	OK(lock_list_load(&l, s, e));
	assert_int_equal(l.n, 1);
	assert_true(l.v[0].unknown);
	char t[LOCK_TEXT_CHARS];
	assert_non_null(strstr(lock_text(&l.v[0], t), "cannot be read"));
	lock_list_free(&l);
	/* Its interval is not known either, so that this would take minutes: be interrupted. */
	volatile sig_atomic_t stop = 1;
	const struct lock_wait wait = {.cancel = &stop};
	OK(store_lock_take(s, LOCK_WRITER, "x", NULL, &a, e));
	FAILS(E_CANCELLED, store_locks_clear(s, a, any, NULL, &wait, NULL, e));
	store_lock_release(a);
	store_close(s);
	object_place_free(place);
}

/* What is doomed is stored again, whole, and told in the lock; it is still read. */
static void test_doomed(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_ticking(place);
	struct store_stats st;
	struct name n, m;
	struct blob_loc loc;
	struct doomed d;
	struct lock_list l;
	uint8_t b[50000];
	fill(b, sizeof b, 1);
	OK(store_begin(s, 3, e));
	OK(store_put(s, &c, FORM_RAW, span_of(b, sizeof b), NULL, &n, e));
	OK(store_commit(s, &c, e));
	OK(store_end(s, e));
	OK(index_find(store_index(s), &n, 0, &loc, e));
	struct doomed_pack p = {loc.pack, 1000};
	struct id object, again;
	OK(doomed_put(s, &p, 1, &object, e));
	p.since = 900;
	OK(doomed_put(s, &p, 1, &again, e));
	OK(doomed_load(&d, s, e));
	assert_int_equal(d.n, 1);
	assert_int_equal(d.objects.n, 2);
	assert_int_equal(d.v[0].since, 900);
	assert_true(doomed_has(&d, &loc.pack));
	assert_false(doomed_has(&d, &object));
	doomed_free(&d);
	CLEANUP_BUF struct buf out = BUF_INIT;
	OK(store_get(s, &c, &n, &out, e));
	OK(store_begin(s, 3, e));
	OK(lock_list_load(&l, s, e));
	assert_int_equal(l.n, 1);
	assert_true(id_list_has(&l.v[0].seen, &object) && id_list_has(&l.v[0].seen, &again));
	lock_list_free(&l);
	/* With itself as base, as a group that did not change has. */
	OK(store_put(s, &c, FORM_RAW, span_of(b, sizeof b), &n, &m, e));
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 1);
	assert_int_equal(st.delta_blobs, 0);
	OK(store_end(s, e));
	/* Now there is a copy that stays. */
	OK(store_begin(s, 3, e));
	OK(store_put(s, &c, FORM_RAW, span_of(b, sizeof b), NULL, &m, e));
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 0);
	store_close(s);
	object_place_free(place);
}

static void test_damaged_doomed(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_ticking(place);
	struct doomed d;
	OK(object_put(place, "doomed/0123456789abcdef0123456789abcdef", text("nonsense"), false, e));
	OK(doomed_load(&d, s, e));
	assert_int_equal(d.n, 0);
	assert_int_equal(d.objects.n, 0);
	doomed_free(&d);
	store_close(s);
	object_place_free(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_list),
		cmocka_unit_test(test_exclusive), cmocka_unit_test(test_silent_holder),
		cmocka_unit_test(test_dead_process), cmocka_unit_test(test_broken),
		cmocka_unit_test(test_unreadable), cmocka_unit_test(test_doomed),
		cmocka_unit_test(test_damaged_doomed)};
	return cmocka_run_group_tests(tests, setup_coder, teardown_coder);
}
