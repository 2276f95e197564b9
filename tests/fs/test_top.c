/* top: the snapshots as the mount shows them, however many have one name, while others come and go. */
#include "tests/unit/support.h"

#include "fs/top.h"
#include "tests/unit/mem_place.h"

static struct snapshot make(unsigned no, const char *name, int64_t when)
{
	struct snapshot sn = {.begin = {when, 0}, .end = {when, 0}, .generation = no,
		.host = strdup("host"), .user = strdup("user"), .program = strdup("program")};
	memset(sn.id.b, (int)no, ID_BYTES);
	snprintf(sn.name, sizeof sn.name, "%s", name);
	return sn;
}

static void add(struct store *s, unsigned no, const char *name, int64_t when)
{
	struct snapshot sn = make(no, name, when);
	OK(snapshot_write(s, &sn, false, e));
	snapshot_free(&sn);
}

static void drop(struct store *s, unsigned no)
{
	struct id id;
	memset(id.b, (int)no, ID_BYTES);
	OK(store_object_remove(s, SNAPSHOT_KIND, &id, e));
}

/* The number of the snapshot that has this name now; 0: none has. */
static unsigned who(struct top *t, const char *name)
{
	CLEANUP_TOP_LIST struct top_list *l = top_get(t);
	size_t i = top_list_find(l, text(name));
	return i == l->list.n ? 0 : l->snap[i]->id.b[0];
}

static void test_one_name(void **state)
{
	(void)state;
	struct object_place *p = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(p);
	struct top *t;
	add(s, 2, "same", 20);
	add(s, 3, "same", 30);
	add(s, 4, "other", 25);
	OK(top_new(&t, s, NULL, e));
	assert_int_equal(who(t, "same"), 2);
	assert_int_equal(who(t, "same-03030303"), 3);
	assert_int_equal(who(t, "other"), 4);
	assert_int_equal(who(t, "othe"), 0);
	assert_int_equal(who(t, "same-02020202"), 0);
	/* One that comes later keeps its hands off a name that is shown, however old it is itself. */
	add(s, 1, "same", 10);
	add(s, 5, "same", 50);
	OK(top_reload(t, e));
	assert_int_equal(who(t, "same"), 2);
	assert_int_equal(who(t, "same-01010101"), 1);
	assert_int_equal(who(t, "same-03030303"), 3);
	assert_int_equal(who(t, "same-05050505"), 5);
	drop(s, 2);
	OK(top_reload(t, e));
	assert_int_equal(who(t, "same"), 0);
	assert_int_equal(who(t, "same-01010101"), 1);
	top_free(t);
	store_close(s);
	object_place_free(p);
}

static void test_numbers(void **state)
{
	(void)state;
	struct object_place *p = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(p);
	struct top *t;
	char name[20];
	OK(top_new(&t, s, NULL, e));
	assert_int_equal(who(t, "anything"), 0);
	/* In three lots, each from the newest to the oldest. */
	for (unsigned i = 1; i <= 60; i++) {
		snprintf(name, sizeof name, "n%u", i);
		add(s, i, name, 1000 - (int64_t)i);
		if (i % 20 == 0)
			OK(top_reload(t, e));
	}
	drop(s, 7);
	OK(top_reload(t, e));
	struct top_list *l = top_get(t);
	assert_int_equal(l->list.n, 59);
	for (uint64_t from = 0; from <= 61; from++) {
		size_t at = top_list_from(l, from);
		assert_true(at == 59 || l->snap[l->by_number[at]]->number >= from);
		assert_true(at == 0 || l->snap[l->by_number[at - 1]]->number < from);
	}
	for (size_t i = 0; i < l->list.n; i++) {
		const char *n = l->snap[i]->name;
		assert_int_equal(top_list_find(l, span_of(n, strlen(n))), i);
	}
	top_list_unref(l);
	top_free(t);
	store_close(s);
	object_place_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_name),
		cmocka_unit_test(test_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
