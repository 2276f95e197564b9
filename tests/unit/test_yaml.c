/* yaml: trees with lines, variables, includes and their merging, limits. */
#include "tests/unit/support.h"

#include <sys/stat.h>

#include "engine/config/yaml.h"

static const char *env(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "A") == 0 ? "alpha" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static const struct yaml_options opt = {.env = env};

static struct ydoc *parsed(const char *s)
{
	struct ydoc *y = NULL;
	OK(ydoc_parse(&y, text(s), "f.yaml", &opt, e));
	return y;
}

/* The text must be refused with this message. */
static void refused(const char *s, const char *want)
{
	struct ydoc *y = NULL;
	struct err e = ERR_INIT;
	assert_int_equal(ydoc_parse(&y, text(s), "f.yaml", &opt, &e), E_USAGE);
	assert_null(y);
	if (!strstr(e.msg, want))
		fail_msg("'%s' is not in '%s'", want, e.msg);
}

static void test_tree(void **state)
{
	(void)state;
	struct ydoc *y = parsed("# first\na: 1\nb:\n  - x\n  - 'y'\nc: {d: ~, e: \"\"}\n");
	const struct yaml_node *r = ydoc_root(y), *n;
	assert_int_equal(r->kind, YAML_MAP);
	assert_int_equal(r->n, 3);
	assert_string_equal(r->v[1].key, "b");
	assert_int_equal(r->v[1].line, 3);
	n = ydoc_get(r, "b");
	assert_int_equal(n->kind, YAML_LIST);
	assert_int_equal(n->v[1].line, 5);
	assert_true(n->v[0].value->plain);
	assert_false(n->v[1].value->plain);
	assert_string_equal(n->v[1].value->text, "y");
	n = ydoc_get(r, "c");
	assert_true(ydoc_is_null(ydoc_get(n, "d")));
	assert_false(ydoc_is_null(ydoc_get(n, "e")));
	assert_null(ydoc_get(n, "f"));
	assert_null(ydoc_get(NULL, "f"));
	ydoc_free(y);
	y = parsed("\xef\xbb\xbf" "a: 1\r\nb: 2\r\n"); /* as Windows writes it */
	assert_string_equal(ydoc_root(y)->v[0].key, "a");
	assert_string_equal(ydoc_get(ydoc_root(y), "b")->text, "2");
	ydoc_free(y);
	y = parsed("");
	assert_int_equal(ydoc_root(y)->kind, YAML_MAP);
	assert_int_equal(ydoc_root(y)->n, 0);
	ydoc_free(y);
	ydoc_free(NULL);
}

static void test_values(void **state)
{
	(void)state;
	struct ydoc *y = parsed("a: 12\nb: yes\nc: text\nd: [1]\ne:\nf: 99999999999999999999\n");
	const struct yaml_node *r = ydoc_root(y);
	int64_t v = 0;
	bool b = false;
	const char *s = NULL;
	OK(ydoc_int(ydoc_get(r, "a"), "a", 0, 12, &v, e));
	assert_int_equal(v, 12);
	FAILS(E_USAGE, ydoc_int(ydoc_get(r, "a"), "a", 0, 11, &v, e));
	FAILS(E_USAGE, ydoc_int(ydoc_get(r, "c"), "c", 0, 11, &v, e));
	FAILS(E_USAGE, ydoc_int(ydoc_get(r, "d"), "d", 0, 11, &v, e));
	FAILS(E_USAGE, ydoc_int(ydoc_get(r, "f"), "f", 0, INT64_MAX, &v, e));
	OK(ydoc_bool(ydoc_get(r, "b"), "b", &b, e));
	assert_true(b);
	FAILS(E_USAGE, ydoc_bool(ydoc_get(r, "a"), "a", &b, e));
	OK(ydoc_string(ydoc_get(r, "c"), "c", &s, e));
	assert_string_equal(s, "text");
	FAILS(E_USAGE, ydoc_string(ydoc_get(r, "e"), "e", &s, e));
	struct err own = ERR_INIT;
	assert_int_equal(ydoc_string(ydoc_get(r, "d"), "dee", &s, &own), E_USAGE);
	assert_string_equal(own.msg, "f.yaml:4: dee is a list here; it must be a single value");
	ydoc_free(y);
}

static void test_variables(void **state)
{
	(void)state;
	struct ydoc *y = parsed("a: x${A}y${A}\nb: ${NO:-else}\nc: '\\${A}'\nd: ${EMPTY:-full}${EMPTY-no}\n"
				"e: ${NO-}\nf: ${}${ A}$A\ng: ${A\n");
	const struct yaml_node *r = ydoc_root(y);
	assert_string_equal(ydoc_get(r, "a")->text, "xalphayalpha");
	assert_string_equal(ydoc_get(r, "b")->text, "else");
	assert_string_equal(ydoc_get(r, "c")->text, "${A}");
	assert_string_equal(ydoc_get(r, "d")->text, "full");
	assert_string_equal(ydoc_get(r, "e")->text, "");
	assert_string_equal(ydoc_get(r, "f")->text, "${}${ A}$A");
	assert_string_equal(ydoc_get(r, "g")->text, "${A");
	ydoc_free(y);
	refused("a: 1\nb: ${NOT_SET}\n", "f.yaml:2: the variable NOT_SET is not set");
	struct yaml_options lenient = {.env = env, .allow_unset = true};
	OK(ydoc_parse(&y, text("a: p/${NOT_SET}/${A}\n"), "f.yaml", &lenient, e));
	assert_string_equal(ydoc_get(ydoc_root(y), "a")->text, "p/${NOT_SET}/alpha");
	size_t n;
	const struct yaml_note *u = ydoc_unset(y, &n);
	assert_int_equal(n, 1);
	assert_string_equal(u[0].name, "NOT_SET");
	assert_int_equal(u[0].line, 1);
	ydoc_free(y);
}

static void test_refused(void **state)
{
	(void)state;
	refused("a: 1\nb: 2\na: 3\n", "f.yaml:3: 'a' is here twice (the first time in line 1)");
	refused("a: [1\n", "not valid YAML");
	refused("a: b: c\n", "f.yaml:1: not valid YAML");
	refused("\ta: b\n", "not valid YAML");
	refused("[a]: b\n", "only plain text can be a key");
	refused("a: !danger x\n", "f.yaml:1: the tag !danger means nothing here");
	refused("a: 1\n---\nb: 2\n", "f.yaml:2: a second document");
	refused("a: *nothing\n", "there is no anchor &nothing");
	refused("a: &x [*x]\n", "there is no anchor &x");
	refused("a: \"x\\0y\"\n", "NUL");
	refused("a: \xff\xfe\n", "not valid YAML");
	refused("a: [!omit x]\n", "!omit takes items out");
	refused("<<: text\n", "<< takes the keys of a map");
}

static void test_limits(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	OK(buf_add(&b, "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n", 30, e));
	for (int i = 1; i < 10; i++) {
		char line[200];
		int n = snprintf(line, sizeof line, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n",
			i, i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
		OK(buf_add(&b, line, (size_t)n, e));
	}
	OK(buf_add(&b, "", 1, e));
	refused((char *)b.p, "there is too much in this file");
	b.len = 0;
	for (int i = 0; i < YAML_DEPTH_MAX + 1; i++)
		OK(buf_add(&b, "[", 1, e));
	OK(buf_add(&b, "", 1, e));
	refused((char *)b.p, "nested more than 32 deep");
	/* Depth by aliases: each list holds the one before. */
	b.len = 0;
	OK(buf_add(&b, "a0: &a0 [x]\n", 12, e));
	for (int i = 1; i < YAML_DEPTH_MAX + 1; i++) {
		char line[40];
		int n = snprintf(line, sizeof line, "a%d: &a%d [*a%d]\n", i, i, i - 1);
		OK(buf_add(&b, line, (size_t)n, e));
	}
	OK(buf_add(&b, "", 1, e));
	refused((char *)b.p, "nested more than 32 deep");
	b.len = 0;
	OK(buf_add_zero(&b, YAML_FILE_MAX + 1, e));
	struct ydoc *y;
	FAILS(E_USAGE, ydoc_parse(&y, buf_span(&b), "f", &opt, e));
}

static void put(const char *name, const char *s)
{
	CLEANUP_FREE char *path = temp_path(name);
	write_file(path, text(s));
}

static struct ydoc *loaded(const char *name)
{
	CLEANUP_FREE char *path = temp_path(name);
	struct ydoc *y = NULL;
	OK(ydoc_load(&y, path, &opt, e));
	return y;
}

static void not_loaded(const char *name, const char *want)
{
	CLEANUP_FREE char *path = temp_path(name);
	struct ydoc *y = NULL;
	struct err e = ERR_INIT;
	assert_true(ydoc_load(&y, path, &opt, &e) < 0);
	if (!strstr(e.msg, want))
		fail_msg("'%s' is not in '%s'", want, e.msg);
}

static void join(const struct yaml_node *list, char *out, size_t n)
{
	*out = 0;
	for (size_t i = 0; i < list->n; i++)
		snprintf(out + strlen(out), n - strlen(out), "%s ", list->v[i].value->text);
}

static void test_include(void **state)
{
	(void)state;
	char got[100];
	CLEANUP_FREE char *dir = temp_path("sub");
	assert_int_equal(mkdir(dir, 0700), 0);
	put("sub/base.yaml", "keep: {daily: 1, weekly: 2}\nlist: [a, b, c]\nother: [x]\nown: base\nonly: ${A}\n");
	put("main.yaml", "own: main\nkeep:\n  daily: 9\nlist: [d, !omit b]\nother: !retain [y]\n"
			 "<<: !include sub/base.yaml\nwhole: !include sub/base.yaml\n");
	struct ydoc *y = loaded("main.yaml");
	const struct yaml_node *r = ydoc_root(y);
	assert_string_equal(ydoc_get(r, "own")->text, "main");
	assert_string_equal(ydoc_get(r, "only")->text, "alpha");
	assert_non_null(strstr(ydoc_get(r, "only")->file, "sub/base.yaml"));
	assert_string_equal(ydoc_get(ydoc_get(r, "keep"), "daily")->text, "9");
	assert_string_equal(ydoc_get(ydoc_get(r, "keep"), "weekly")->text, "2");
	join(ydoc_get(r, "list"), got, sizeof got);
	assert_string_equal(got, "a c d ");
	join(ydoc_get(r, "other"), got, sizeof got);
	assert_string_equal(got, "y ");
	assert_string_equal(ydoc_get(ydoc_get(r, "whole"), "own")->text, "base");
	assert_null(ydoc_get(r, "<<"));
	ydoc_free(y);
	put("one.yaml", "a: 1\nb: 1\n");
	put("two.yaml", "b: 2\nc: 2\n");
	put("both.yaml", "<<: !include [one.yaml, two.yaml]\nc: 3\n");
	y = loaded("both.yaml");
	r = ydoc_root(y);
	assert_string_equal(ydoc_get(r, "a")->text, "1");
	assert_string_equal(ydoc_get(r, "b")->text, "2");
	assert_string_equal(ydoc_get(r, "c")->text, "3");
	ydoc_free(y);
	put("self.yaml", "a: 1\n<<: !include self.yaml\n");
	not_loaded("self.yaml", "includes itself");
	put("gone.yaml", "a: 1\n<<: !include nowhere.yaml\n");
	not_loaded("gone.yaml", "gone.yaml:2: !include: configuration file '");
	put("bad.yaml", "a: 1\n<<: !include twice.yaml\n");
	put("twice.yaml", "x: 1\nx: 2\n");
	not_loaded("bad.yaml", "twice.yaml:2: 'x' is here twice");
	char name[32], content[64];
	for (int i = 0; i < YAML_INCLUDE_MAX + 2; i++) {
		snprintf(name, sizeof name, "deep%d.yaml", i);
		snprintf(content, sizeof content, "<<: !include deep%d.yaml\n", i + 1);
		put(name, content);
	}
	not_loaded("deep0.yaml", "more than 8 deep");
	not_loaded("nothing.yaml", "No such file");
}

static void test_merge_key(void **state)
{
	(void)state;
	struct ydoc *y = parsed("x: &x {a: {k: 1}, b: 1}\ny: &y {b: 2, c: 2}\n"
				"z:\n  <<: [*x, *y]\n  a: {l: 2}\n");
	const struct yaml_node *z = ydoc_get(ydoc_root(y), "z");
	assert_int_equal(z->n, 3);
	assert_null(ydoc_get(ydoc_get(z, "a"), "k")); /* shallow */
	assert_string_equal(ydoc_get(z, "b")->text, "1");
	assert_string_equal(ydoc_get(z, "c")->text, "2");
	ydoc_free(y);
}

static void test_mended(void **state)
{
	(void)state;
	/* Inside a block of text, the same line is text. */
	struct ydoc *y = parsed("script: |\n  - echo \"kept: as it is\"\nrun:\n  - echo \"it's: {x}\"  \n  - plain\n");
	const struct yaml_node *r = ydoc_root(y);
	size_t n;
	assert_string_equal(ydoc_get(r, "script")->text, "- echo \"kept: as it is\"\n");
	assert_string_equal(ydoc_get(r, "run")->v[0].value->text, "echo \"it's: {x}\"");
	assert_int_equal(ydoc_mended(y, &n)[0].line, 4);
	assert_int_equal(n, 1);
	ydoc_free(y);
	/* What is YAML is left alone. */
	y = parsed("run:\n  - it's: fine\n  - 'a: b'\n");
	assert_int_equal(ydoc_get(ydoc_root(y), "run")->v[0].value->kind, YAML_MAP);
	(void)ydoc_mended(y, &n);
	assert_int_equal(n, 0);
	ydoc_free(y);
	refused("run:\n  - echo \"a: {b}\"\nx: [\n", "f.yaml:4: not valid YAML");
	refused("run:\n  - echo \"a: {b}\"\nx: 1\nx: 2\n", "f.yaml:4: 'x' is here twice");
}

static void test_nearest(void **state)
{
	(void)state;
	static const char *const known[] = {"keep_daily", "keep_weekly", "repositories", "checks", NULL};
	assert_string_equal(ydoc_nearest("keep_dialy", known), "keep_daily");
	assert_string_equal(ydoc_nearest("keep-daily", known), "keep_daily");
	assert_string_equal(ydoc_nearest("repository", known), "repositories");
	assert_string_equal(ydoc_nearest("check", known), "checks");
	assert_null(ydoc_nearest("compression", known));
	assert_null(ydoc_nearest("x", known));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree), cmocka_unit_test(test_values),
		cmocka_unit_test(test_variables), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_include),
		cmocka_unit_test(test_merge_key), cmocka_unit_test(test_mended),
		cmocka_unit_test(test_nearest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
