/* sources: under which names what the user gave appears in a snapshot. */
#include "tests/unit/support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "engine/snapshot/sources.h"

static void free_all(struct snapshot_source *v, size_t n)
{
	for (size_t i = 0; v && i < n; i++) {
		free(v[i].path);
		free(v[i].name);
	}
	free(v);
}

/* "name=path" of all sources, in order, with spaces between. */
static void must_be(const char *want, const char *const *paths, size_t n)
{
	struct snapshot_source *v = NULL;
	size_t k = 0, at = 0;
	char got[1000] = "";
	OK(sources_resolve(paths, n, &v, &k, e));
	for (size_t i = 0; i < k; i++)
		at += (size_t)snprintf(got + at, sizeof got - at, "%s%s=%s", i ? " " : "", v[i].name,
			v[i].path);
	assert_string_equal(got, want);
	free_all(v, k);
}
#define MUST_BE(want, ...)                                                                         \
	must_be(want, (const char *const[]){__VA_ARGS__},                                          \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void test_base_names(void **state)
{
	(void)state;
	MUST_BE("world=/srv/mc/world", "/srv/mc/world");
	MUST_BE("world=/srv/mc/world", "/srv//mc/./world/");
	MUST_BE("a=/x/a b=/x/b", "/x/b", "/x/a");
	MUST_BE("a=/x/a", "/x/a", "/x/a/", "/x/./a");
}

static void test_equal_base_names(void **state)
{
	(void)state;
	MUST_BE("a/world=/srv/a/world b/world=/srv/b/world", "/srv/b/world", "/srv/a/world");
	MUST_BE("a/world=/srv/a/world b/world=/srv/b/world", "/srv/a/world", "/srv/b/world");
	MUST_BE("a/world=/a/world b/world=/b/world c/world=/c/world", "/c/world", "/a/world", "/b/world");
	MUST_BE("one/s/world=/one/s/world two/s/world=/two/s/world", "/one/s/world", "/two/s/world");
	/* Others keep their short names. */
	MUST_BE("a/world=/a/world b/world=/b/world logs=/b/logs", "/a/world", "/b/logs", "/b/world");
}

/* However they are nested, no name is another's or lies below it. */
static void no_clash(const char *const *paths, size_t n)
{
	struct snapshot_source *v = NULL;
	size_t k = 0;
	struct err err = ERR_INIT;
	int r = sources_resolve(paths, n, &v, &k, &err);
	for (size_t i = 0; r == 0 && i < k; i++)
		for (size_t j = 0; j < k; j++) {
			size_t len = strlen(v[i].name);
			assert_true(len > 0 && v[i].name[0] != '/');
			if (i != j && strncmp(v[i].name, v[j].name, len) == 0 &&
				(v[j].name[len] == '/' || !v[j].name[len]))
				fail_msg("'%s' (%s) and '%s' (%s)", v[i].name, v[i].path, v[j].name,
					v[j].path);
		}
	if (r < 0) /* a clear refusal will do */
		assert_int_equal(r, E_USAGE);
	free_all(v, k);
}
#define NO_CLASH(...)                                                                              \
	no_clash((const char *const[]){__VA_ARGS__},                                               \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void test_no_clash(void **state)
{
	(void)state;
	NO_CLASH("/a/b", "/a/b/c", "/a");
	NO_CLASH("/a/world", "/a/x/world", "/a/x", "/world");
	NO_CLASH("/x/a", "/y/x/a", "/z/y/x/a");
	NO_CLASH("/s/a/b", "/t/b", "/u/a");
	NO_CLASH("/w", "/w/w");
	NO_CLASH("/", "/root");
	NO_CLASH("/", "/srv");
}

static void test_relative(void **state)
{
	(void)state;
	CLEANUP_FREE char *here = getcwd(NULL, 0);
	CLEANUP_FREE char *sub = temp_path("sub");
	CLEANUP_FREE char *dir = realpath(temp_dir(), NULL);
	char want[600];
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(chdir(temp_dir()), 0);
	snprintf(want, sizeof want, "sub=%s/sub", dir);
	MUST_BE(want, "sub");
	MUST_BE(want, "./sub/");
	MUST_BE(want, "sub/../sub");
	snprintf(want, sizeof want, "%s=%s", strrchr(dir, '/') + 1, dir);
	MUST_BE(want, ".");
	MUST_BE(want, "sub/..");
	assert_int_equal(chdir(here), 0);
}

static void test_nothing(void **state)
{
	(void)state;
	struct snapshot_source *v = NULL;
	size_t k = 0;
	const char *paths[] = {"/a", ""};
	FAILS(E_USAGE, sources_resolve(paths, 2, &v, &k, e));
	free_all(v, k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base_names),
		cmocka_unit_test(test_equal_base_names),
		cmocka_unit_test(test_no_clash),
		cmocka_unit_test(test_relative),
		cmocka_unit_test(test_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
