/* filter: which paths a pattern means. */
#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "engine/snapshot/filter.h"

static const struct {
	const char *pattern, *path;
	bool excluded;
} cases[] = {
	{"*.tmp", "/srv/a.tmp", true},
	{"*.tmp", "/srv/a.tmp.gz", false},
	{"*.tmp", "/srv/x.tmp/below", false}, /* its directory was not entered */
	{"logs", "/srv/logs", true},
	{"logs/", "/srv/logs", true},
	{"logs", "/srv/mylogs", false},
	{"/srv/world", "/srv/world", true},
	{"/srv/world", "/x/srv/world", false},
	{"/srv/*", "/srv/a/b/c", true},
	{"dynmap/tiles", "/srv/plugins/dynmap/tiles", true},
	{"dynmap/tiles", "/srv/xdynmap/tiles", false},
	{"dynmap/*", "/srv/dynmap/a/b", true},
	{"[abc].dat", "/srv/b.dat", true},
	{"[!abc].dat", "/srv/b.dat", false},
	{"?", "/srv/x", true},
	{"?", "/srv/xy", false},
	{"*", "/srv", true},
	{".*", "/srv/.hidden", true},
	{".*", "/srv/plain", false},
	{"a\\*b", "/srv/a*b", true},
	{"a\\*b", "/srv/axb", false},
	{"caf\xc3\xa9", "/srv/caf\xc3\xa9", true},
};

static void test_patterns(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(cases); i++) {
		struct filter f = {0};
		OK(filter_add(&f, cases[i].pattern, e));
		if (filter_excludes(&f, cases[i].path) != cases[i].excluded)
			fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].path);
		filter_free(&f);
	}
}

static const struct {
	const char *pattern, *path;
	bool excluded;
} borg_cases[] = {
	{"*.tmp", "/srv/a.tmp", true},
	{"*.tmp", "/srv/a.tmp/below", true},
	{"*.tmp", "/srv/a.tmpx", false},
	{"*DistantHorizons.sqlite*", "/mnt/world/data/DistantHorizons.sqlite-wal", true},
	{"fm:*DistantHorizons.sqlite*", "/mnt/world/DistantHorizons.sqlite", true},
	{"logs", "/srv/logs", false}, /* only /logs, unlike our own patterns */
	{"logs", "/logs", true},
	{"logs", "/logs/a", true},
	{"/srv/logs", "/srv/logs/x", true},
	{"/srv/logs", "/srv/logs2", false},
	{"/srv//./logs", "/srv/logs", true},
	{"/srv/logs/", "/srv/logs", false}, /* what is in it */
	{"/srv/logs/", "/srv/logs/x", true},
	{"*/cache", "/srv/a/cache/b", true},
	{"*/cache", "/srv/cached", false},
	{"a\\*b", "/a\\xb", true}, /* no escapes */
	{"[!a].dat", "/b.dat", true},
	{"sh:srv/*.log", "/srv/a.log", true},
	{"sh:srv/*.log", "/srv/x/a.log", false},
	{"sh:srv/**/*.log", "/srv/a.log", true},
	{"sh:srv/**/*.log", "/srv/x/y/a.log", true},
	{"sh:**/logs", "/a/b/logs/c", true},
	{"sh:**/logs", "/a/b/logs2", false},
	{"sh:s?v/[ab].log", "/srv/b.log", true},
	{"sh:s?v/[!ab].log", "/srv/b.log", false},
	{"sh:s?v", "/s/v", false},
	{"sh:a/", "/a/b", true},
	{"sh:a/", "/a", false},
	{"sh:a[", "/a[", true},
	{"pp:/srv/world", "/srv/world/a/b", true},
	{"pp:/srv/world", "/srv/world", true},
	{"pp:srv/world", "/srv/world2", false},
	{"pp:srv/*", "/srv/x", false},
	{"pf:/srv/world", "/srv/world", true},
	{"pf:/srv/world", "/srv/world/a", false},
};

static void test_borg(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_OF(borg_cases); i++) {
		struct filter f = {0};
		OK(filter_add_borg(&f, borg_cases[i].pattern, e));
		if (filter_excludes(&f, borg_cases[i].path) != borg_cases[i].excluded)
			fail_msg("'%s' and '%s'", borg_cases[i].pattern, borg_cases[i].path);
		filter_free(&f);
	}
	struct filter f = {0};
	FAILS(E_USAGE, filter_add_borg(&f, "re:x", e));
	FAILS(E_USAGE, filter_add_borg(&f, "xx:x", e));
	FAILS(E_USAGE, filter_add_borg(&f, "", e));
	FAILS(E_USAGE, filter_add_borg(&f, "/", e));
	/* Stars beyond reason end soon, and leave nothing out. */
	OK(filter_add_borg(&f, "sh:*a*a*a*a*a*a*a*a*a*a*a*a*b", e));
	char long_name[200];
	memset(long_name, 'a', sizeof long_name);
	long_name[0] = '/';
	long_name[sizeof long_name - 1] = 0;
	assert_false(filter_excludes(&f, long_name));
	filter_free(&f);
	CLEANUP_FREE char *path = temp_path("borg-patterns");
	write_file(path, text("# comment\n\n  *.tmp  \r\nsh:**/x\n"));
	OK(filter_add_borg_file(&f, path, e));
	assert_int_equal(f.n_borg, 2);
	assert_true(filter_excludes(&f, "/a.tmp"));
	filter_free(&f);
}

static void test_markers(void **state)
{
	(void)state;
	CLEANUP_FREE char *dir = temp_path("marked");
	CLEANUP_FREE char *marker = temp_path("marked/.nobackup");
	struct filter f = {0};
	assert_int_equal(mkdir(dir, 0700), 0);
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY);
	OK(filter_add_marker(&f, ".nobackup", e));
	assert_false(filter_skips_contents(&f, fd));
	assert_false(filter_skips_contents(NULL, fd));
	write_file(marker, text(""));
	assert_true(filter_skips_contents(&f, fd));
	FAILS(E_USAGE, filter_add_marker(&f, "", e));
	FAILS(E_USAGE, filter_add_marker(&f, "/etc", e));
	filter_free(&f);
}

static void test_many(void **state)
{
	(void)state;
	struct filter f = {0};
	assert_false(filter_excludes(NULL, "/srv"));
	assert_false(filter_excludes(&f, "/srv"));
	OK(filter_add(&f, "a", e));
	OK(filter_add(&f, "b", e));
	assert_true(filter_excludes(&f, "/x/b"));
	assert_false(filter_excludes(&f, "/x/c"));
	FAILS(E_USAGE, filter_add(&f, "", e));
	filter_free(&f);
	filter_free(&f);
}

static void test_file(void **state)
{
	(void)state;
	CLEANUP_FREE char *path = temp_path("patterns");
	struct filter f = {0};
	write_file(path, text("# comment\n\n*.tmp\r\n  spaced\nlast"));
	OK(filter_add_file(&f, path, e));
	assert_int_equal(f.n, 3);
	assert_string_equal(f.patterns[0], "*.tmp");
	assert_string_equal(f.patterns[1], "  spaced");
	assert_string_equal(f.patterns[2], "last");
	FAILS(E_NOTFOUND, filter_add_file(&f, "/nonexistent", e));
	filter_free(&f);
	write_file(path, text(""));
	OK(filter_add_file(&f, path, e));
	assert_int_equal(f.n, 0);
	filter_free(&f);
}

static void test_cache_dirs(void **state)
{
	(void)state;
	CLEANUP_FREE char *dir = temp_path("cache");
	CLEANUP_FREE char *tag = temp_path("cache/CACHEDIR.TAG");
	struct filter f = {.caches = true}, off = {0};
	assert_int_equal(mkdir(dir, 0700), 0);
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_false(filter_is_cache_dir(&f, fd));
	write_file(tag, text("Signature: 8a477f597d28d172789f06886806bc5"));
	assert_false(filter_is_cache_dir(&f, fd));
	write_file(tag, text("Signature: 8a477f597d28d172789f06886806bc55\n# by tests"));
	assert_true(filter_is_cache_dir(&f, fd));
	assert_false(filter_is_cache_dir(&off, fd));
	assert_false(filter_is_cache_dir(NULL, fd));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_borg),
		cmocka_unit_test(test_markers),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_cache_dirs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
