/* worlds: which worlds and dimensions are found in a tree, asked for through the interface alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/anvil/worlds.h"
#include "engine/base/buf.h"

/* A tree as a list of files; directories are what stands in front of the slashes. */
struct tree {
	const char *const *files;
	const char *fail; /* listing this directory fails */
	unsigned lists;
};

static int list(void *ctx, const char *dir, world_each fn, void *fn_ctx, struct err *e)
{
	struct tree *t = ctx;
	size_t n = strlen(dir);
	char last[256] = "";
	t->lists++;
	if (t->fail && strcmp(dir, t->fail) == 0)
		return err_set(e, E_IO, 0, "cannot list '%s'", dir);
	for (const char *const *f = t->files; *f; f++) {
		char name[256];
		if (strncmp(*f, dir, n) != 0 || (n && (*f)[n] != '/'))
			continue;
		const char *rest = *f + n + (n ? 1 : 0);
		size_t k = strcspn(rest, "/");
		snprintf(name, sizeof name, "%.*s", (int)k, rest);
		if (strcmp(name, last) == 0)
			continue; /* files of one directory stand together */
		strcpy(last, name);
		int r = fn(fn_ctx, name, rest[k] == '/', e);
		if (r)
			return r;
	}
	return 0;
}

static void expect(const char *const *files, const char *const *want)
{
	struct tree t = {.files = files};
	struct world_source src = {list, &t};
	struct worlds w;
	struct err e = ERR_INIT;
	assert_int_equal(worlds_find(&src, &w, &e), 0);
	size_t n = 0;
	while (want[n])
		n++;
	for (size_t i = 0; i < w.n; i++) {
		char got[1024];
		snprintf(got, sizeof got, "%s|%s|%s", w.v[i].world, w.v[i].name, w.v[i].folder);
		assert_true(i < n);
		assert_string_equal(got, want[i]);
	}
	assert_int_equal(w.n, n);
	worlds_free(&w);
}

static void test_classic_layout(void **state)
{
	(void)state;
	expect((const char *const[]){"world/DIM-1/region/r.0.0.mca", "world/DIM1/poi/r.-1.3.mca",
		       "world/DIM7/region/r.0.0.mca", "world/level.dat",
		       "world/region/r.0.0.mca", NULL},
		(const char *const[]){"world|DIM7|world/DIM7", "world|overworld|world",
			"world|the_end|world/DIM1", "world|the_nether|world/DIM-1", NULL});
}

static void test_layout_of_26_1_and_custom_dimensions(void **state)
{
	(void)state;
	expect((const char *const[]){"w/dimensions/minecraft/overworld/region/r.0.0.mca",
		       "w/dimensions/minecraft/the_end/entities/r.0.0.mca",
		       "w/dimensions/mod/a/b/region/r.0.0.mca",
		       "w/dimensions/mod/c/region/r.0.0.mca", NULL},
		(const char *const[]){"w|mod/a/b|w/dimensions/mod/a/b",
			"w|mod/c|w/dimensions/mod/c",
			"w|overworld|w/dimensions/minecraft/overworld",
			"w|the_end|w/dimensions/minecraft/the_end", NULL});
}

static void test_an_upgraded_world_keeps_what_is_left_of_the_old_layout(void **state)
{
	(void)state;
	expect((const char *const[]){"w/DIM1/region/r.0.0.mca",
		       "w/dimensions/minecraft/overworld/region/r.0.0.mca",
		       "w/region/r.0.0.mca", NULL},
		(const char *const[]){"w|overworld|w/dimensions/minecraft/overworld",
			"w|overworld.old|w", "w|the_end|w/DIM1", NULL});
}

static void test_split_and_nested_worlds(void **state)
{
	(void)state;
	expect((const char *const[]){"srv/a/world/region/r.0.0.mca",
		       "srv/a/world_nether/DIM-1/region/r.0.0.mca",
		       "srv/b/world/region/r.0.0.mca", NULL},
		(const char *const[]){"srv/a/world|overworld|srv/a/world",
			"srv/a/world_nether|the_nether|srv/a/world_nether/DIM-1",
			"srv/b/world|overworld|srv/b/world", NULL});
}

static void test_the_root_may_be_a_world(void **state)
{
	(void)state;
	expect((const char *const[]){"region/r.0.0.mca", NULL},
		(const char *const[]){"|overworld|", NULL});
}

static void test_what_is_no_world(void **state)
{
	(void)state;
	expect((const char *const[]){"a/region/notes.txt", "b/region/r.0.0.mca/inside",
		       "c/r.0.0.mca", "d/entities/r.x.0.mca", "plugins/region/config.yml", NULL},
		(const char *const[]){NULL});
	expect((const char *const[]){NULL}, (const char *const[]){NULL});
}

static void test_directories_full_of_files_are_not_searched(void **state)
{
	(void)state;
	static const char *const files[] = {"w/data/x/y/z/f", "w/playerdata/deep/f",
		"w/region/r.0.0.mca", NULL};
	struct tree t = {.files = files};
	struct world_source src = {list, &t};
	struct worlds w;
	assert_int_equal(worlds_find(&src, &w, NULL), 0);
	assert_int_equal(w.n, 1);
	assert_true(t.lists <= 3); /* the root, the world, its region files */
	worlds_free(&w);
}

static void test_a_failure_is_passed_on(void **state)
{
	(void)state;
	static const char *const files[] = {"w/region/r.0.0.mca", "w2/region/r.0.0.mca", NULL};
	static const char *const where[] = {"", "w", "w/region", "w2", "w2/region"};
	for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
		struct tree t = {.files = files, .fail = where[i]};
		struct world_source src = {list, &t};
		struct worlds w;
		struct err e = ERR_INIT;
		assert_int_equal(worlds_find(&src, &w, &e), E_IO);
		assert_int_equal(w.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classic_layout),
		cmocka_unit_test(test_layout_of_26_1_and_custom_dimensions),
		cmocka_unit_test(test_an_upgraded_world_keeps_what_is_left_of_the_old_layout),
		cmocka_unit_test(test_split_and_nested_worlds),
		cmocka_unit_test(test_the_root_may_be_a_world),
		cmocka_unit_test(test_what_is_no_world),
		cmocka_unit_test(test_directories_full_of_files_are_not_searched),
		cmocka_unit_test(test_a_failure_is_passed_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
