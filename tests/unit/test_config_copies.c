/* The config's two objects: whichever is damaged, the store opens; and the first of them counts. */
#include "tests/unit/support.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/mem_place.h"

static struct object_place *place;
static const char *const names[] = {"config", "config.copy"};

static int setup(void **state)
{
	(void)state;
	place = new_place_with_store(SLACK_EXACT);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	object_place_free(place);
	return 0;
}

static void put(const char *key, struct span text)
{
	OK(object_put(place, key, text, true, e));
}

static bool is_there(const char *key, struct span want)
{
	const struct buf *b = mem_place_object(place, key);
	return b && b->len == want.n && memcmp(b->p, want.p, want.n) == 0;
}

static void original(struct buf *ret)
{
	ret->len = 0;
	OK(buf_add(ret, mem_place_object(place, "config")->p, mem_place_object(place, "config")->len, e));
	assert_true(is_there("config.copy", buf_span(ret)));
}

/* The same config with another option and the next serial. */
static void changed(struct span old, struct buf *ret)
{
	struct config_edit *ed;
	OK(config_edit_open(&ed, old, &test_secret, e));
	config_edit_parity(ed, 7);
	OK(config_edit_text(ed, &test_secret, ret, e));
	config_edit_free(ed);
}

static const char *told;
static unsigned n_told;

static void on_copy(void *ctx, const char *key, const char *what)
{
	(void)ctx;
	assert_true(*what);
	told = key;
	n_told++;
}

/* What check says: nothing, or `bad`; and whether one is stale. Repair makes them `want`. */
static void check_and_mend(struct store *s, const char *bad, bool stale, struct span want)
{
	bool got;
	n_told = 0;
	OK(store_config_check(s, &got, on_copy, NULL, e));
	assert_int_equal(got, stale);
	assert_int_equal(n_told, bad ? 1 : 0);
	if (bad)
		assert_string_equal(told, bad);
	n_told = 0;
	OK(store_config_mend(s, on_copy, NULL, e));
	assert_int_equal(n_told, bad || stale ? 1 : 0);
	assert_true(is_there("config", want) && is_there("config.copy", want));
	n_told = 0;
	OK(store_config_mend(s, on_copy, NULL, e));
	OK(store_config_check(s, &got, on_copy, NULL, e));
	assert_true(!got && n_told == 0);
}

/* i < length: a flipped bit; then gone, empty, too long, cut. */
static void hurt(const char *key, size_t i, struct span good)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	OK(buf_add(&b, good.p, good.n, e));
	if (i < good.n)
		b.p[i] ^= (uint8_t)(1u << (i % 8));
	else if (i == good.n)
		OK(object_remove(place, key, e));
	else if (i == good.n + 1)
		b.len = 0;
	else if (i == good.n + 2)
		OK(buf_add_zero(&b, CONFIG_MAX_BYTES, e));
	else
		b.len /= 2;
	if (i != good.n)
		put(key, buf_span(&b));
}

static void test_one_damaged(void **state)
{
	CLEANUP_BUF struct buf good = BUF_INIT, got = BUF_INIT;
	(void)state;
	original(&good);
	for (unsigned k = 0; k < 2; k++)
		for (size_t i = 0; i < good.len + 4; i++) {
			struct err flaw;
			hurt(names[k], i, buf_span(&good));
			OK(store_config_read(place, &got, &flaw, e));
			assert_spans(buf_span(&got), buf_span(&good));
			assert_int_equal(flaw.code != 0, k == 0);
			struct store *s = open_store(place);
			check_and_mend(s, names[k], false, buf_span(&good));
			store_close(s);
		}
}

static void test_both_damaged(void **state)
{
	CLEANUP_BUF struct buf good = BUF_INIT, got = BUF_INIT;
	struct store *s;
	(void)state;
	original(&good);
	for (size_t i = 0; i < good.len + 4; i += 7) {
		bool gone = i == good.len;
		hurt(names[0], i, buf_span(&good));
		hurt(names[1], i, buf_span(&good));
		FAILS(gone ? E_NOTFOUND : E_CORRUPT, store_config_read(place, &got, NULL, e));
		FAILS(gone ? E_NOTFOUND : E_CORRUPT, try_open_store(place, &s, e));
	}
	put(names[0], buf_span(&good));
	put(names[1], text("mcfs store 1\n"));
	OK(object_remove(place, names[0], e));
	FAILS(E_CORRUPT, store_config_read(place, &got, NULL, e));
}

/* Someone without the key gave the copy a sum that is right: noticed, and it does not spread. */
static void test_forged_copy(void **state)
{
	CLEANUP_BUF struct buf good = BUF_INIT, other = BUF_INIT;
	struct object_place *p = new_place_with_store(SLACK_DISCARD);
	(void)state;
	original(&good);
	OK(buf_add(&other, mem_place_object(p, "config")->p, mem_place_object(p, "config")->len, e));
	put("config.copy", buf_span(&other));
	struct store *s = open_store(place);
	check_and_mend(s, "config.copy", false, buf_span(&good));
	store_close(s);
	object_place_free(p);
}

/* A change fails at each of its steps. */
static void test_interrupted(void **state)
{
	CLEANUP_BUF struct buf good = BUF_INIT, got = BUF_INIT, next = BUF_INIT;
	(void)state;
	original(&good);
	changed(buf_span(&good), &next);
	for (unsigned long at = 1; at <= 3; at++) {
		struct object_place *p;
		OK(object_faulty_new(&p, mem_place_borrow(place), at, false, e));
		assert_int_equal(store_config_replace(p, buf_span(&next), NULL), at < 3 ? E_IO : 0);
		object_place_free(p);
		/* The copy is ahead, never behind. */
		assert_true(is_there("config", buf_span(at < 3 ? &good : &next)));
		assert_true(is_there("config.copy", buf_span(at < 2 ? &good : &next)));
		OK(store_config_read(place, &got, NULL, e));
		assert_spans(buf_span(&got), buf_span(at < 3 ? &good : &next));
		if (at < 3) {
			struct store *s = open_store(place);
			check_and_mend(s, NULL, at == 2, buf_span(&good));
			store_close(s);
		}
	}
}

/* ---- a place of which some objects cannot be read ---- */

static int sick_errno;
static const char *sick_key;

static int sick_size(struct object_place *p, const char *key, uint64_t *ret, struct err *err)
{
	(void)p;
	return object_size(place, key, ret, err);
}

static int sick_read(struct object_place *p, const char *key, uint64_t off, size_t n, struct buf *out,
	struct err *err)
{
	(void)p;
	if (!sick_key || strcmp(key, sick_key) == 0)
		return err_set(err, E_IO, sick_errno, "read %s", key);
	return object_read(place, key, off, n, out, err);
}

/* A sector that cannot be read is damage; a place that does not answer says nothing about what is there. */
static void test_unreadable(void **state)
{
	static const struct object_ops ops = {.size = sick_size, .read = sick_read};
	struct object_place sick = {&ops};
	CLEANUP_BUF struct buf good = BUF_INIT, got = BUF_INIT;
	struct err flaw;
	(void)state;
	original(&good);
	sick_key = "config";
	sick_errno = EIO;
	OK(store_config_read(&sick, &got, &flaw, e));
	assert_spans(buf_span(&got), buf_span(&good));
	assert_int_equal(flaw.code, E_IO);
	sick_errno = EHOSTDOWN;
	FAILS(E_IO, store_config_read(&sick, &got, NULL, e));
	sick_key = NULL;
	FAILS(E_IO, store_config_read(&sick, &got, NULL, e));
	sick_errno = EIO;
	FAILS(E_IO, store_config_read(&sick, &got, NULL, e));
}

static void test_create(void **state)
{
	CLEANUP_BUF struct buf good = BUF_INIT;
	struct store_config cfg = {0};
	(void)state;
	original(&good);
	FAILS(E_EXISTS, store_create(place, &cfg, &test_secret, e));
	assert_true(is_there("config", buf_span(&good)) && is_there("config.copy", buf_span(&good)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_both_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_create, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
