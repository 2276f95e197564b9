/* entry: what is written comes back; what could leave a directory, or is not well formed, is refused. */
#include "tests/unit/support.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/snapshot/entry.h"

static struct entry plain_file(void)
{
	return (struct entry){.name = text("name"), .type = NODE_FILE, .mode = 0640, .uid = 1000,
		.gid = 100, .mtime = {1700000000, 5}, .ctime = {1700000001, 999999999}, .ino = 77,
		.nlink = 1, .size = 12345, .content = {.kind = CONTENT_BLOB, .name = {{1, 2, 3}}}};
}

static bool read_back(struct span s, struct entry *en)
{
	struct rd r = rd_of(s);
	entry_get(&r, en);
	return rd_done(&r, "entry", NULL) == 0;
}

static void roundtrip(const struct entry *en)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct entry got;
	OK(entry_put(&b, en, e));
	assert_true(read_back(buf_span(&b), &got));
	assert_spans(got.name, en->name);
	assert_spans(got.target, en->target);
	assert_spans(got.xattrs, en->xattrs);
	assert_true(content_equal(&got.content, &en->content));
	assert_true(got.type == en->type && got.mode == en->mode && got.uid == en->uid &&
		got.gid == en->gid && got.size == en->size && got.ino == en->ino &&
		got.damaged == en->damaged);
	assert_true(time_equal(got.mtime, en->mtime) && time_equal(got.ctime, en->ctime));
	if (en->type == NODE_CHAR || en->type == NODE_BLOCK)
		assert_true(got.rdev_major == en->rdev_major && got.rdev_minor == en->rdev_minor);
	if (en->type != NODE_DIR && en->nlink > 1)
		assert_true(got.nlink == en->nlink && got.dev == en->dev);
	/* The same entry has one spelling. */
	OK(entry_put(&again, &got, e));
	assert_spans(buf_span(&again), buf_span(&b));
	/* Cut short anywhere it is refused. */
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		memcpy(copy, b.p, n);
		assert_false(read_back(span_of(copy, n), &got));
		free(copy);
	}
}

static void test_kinds(void **state)
{
	(void)state;
	struct entry en = plain_file();
	roundtrip(&en);
	for (uint8_t kind = CONTENT_EMPTY; kind <= CONTENT_REGION; kind++) {
		en.content.kind = kind;
		en.content.level = kind == CONTENT_MAP ? 3 : 0;
		en.content.inline_data = kind == CONTENT_INLINE ? text("inline") : text("");
		roundtrip(&en);
	}
	en = plain_file();
	en.nlink = 4000000;
	en.dev = UINT64_MAX;
	en.xattrs = text("encoded attributes");
	roundtrip(&en);
	en = plain_file();
	en.damaged = 1;
	en.size = INT64_MAX;
	en.uid = en.gid = UINT32_MAX;
	en.mode = 07777;
	roundtrip(&en);
	en = plain_file();
	en.content = (struct content){.kind = CONTENT_EMPTY};
	en.size = 0;
	for (uint8_t type = NODE_FIFO; type <= NODE_SOCKET; type++) {
		en.type = type;
		en.rdev_major = type == NODE_CHAR || type == NODE_BLOCK ? UINT32_MAX : 0;
		en.rdev_minor = en.rdev_major;
		roundtrip(&en);
	}
	en.type = NODE_SYMLINK;
	en.rdev_major = en.rdev_minor = 0;
	en.target = text("somewhere/else");
	roundtrip(&en);
	en.type = NODE_DIR;
	en.target = text("");
	roundtrip(&en);
	en.content = (struct content){.kind = CONTENT_TREE, .level = 7};
	roundtrip(&en);
}

/* Times that other file systems allow. */
static void test_times(void **state)
{
	(void)state;
	static const int64_t s[] = {0, -1, INT64_MIN, INT64_MAX, INT64_MIN + 1, 1700000000};
	for (size_t i = 0; i < N_OF(s); i++)
		for (size_t k = 0; k < N_OF(s); k++) {
			struct entry en = plain_file();
			en.mtime = (struct timestamp){s[i], 0};
			en.ctime = (struct timestamp){s[k], 999999999};
			roundtrip(&en);
		}
}

static const struct {
	const char *p;
	size_t n;
} bad_names[] = {{"", 0}, {".", 1}, {"..", 2}, {"/", 1}, {"a/b", 3}, {"../x", 4}, {"/etc/passwd", 11},
	{"a\0b", 3}, {"\0", 1}, {"x/", 2}};

static void test_hostile_names(void **state)
{
	(void)state;
	char longest[256];
	memset(longest, 'n', sizeof longest);
	for (size_t i = 0; i < N_OF(bad_names); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct entry en = plain_file(), got;
		en.name = span_of(bad_names[i].p, bad_names[i].n);
		assert_false(entry_name_ok(en.name));
		OK(entry_put(&b, &en, e));
		assert_false(read_back(buf_span(&b), &got));
	}
	assert_true(entry_name_ok(span_of(longest, 255)));
	assert_false(entry_name_ok(span_of(longest, 256)));
	assert_true(entry_name_ok(text("...")));
	assert_true(entry_name_ok(text("..a")));
	assert_true(entry_name_ok(text(".a")));
	assert_true(entry_name_ok(text("\xff\n\x01")));
}

static void must_be_bad(struct entry en)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct entry got;
	OK(entry_put(&b, &en, e));
	if (read_back(buf_span(&b), &got))
		fail_msg("type %d, content %d, mode %o was accepted", en.type, en.content.kind, en.mode);
}

static void test_contradictions(void **state)
{
	(void)state;
	struct entry en = plain_file();
	en.type = 0;
	must_be_bad(en);
	en.type = NODE_SOCKET + 1;
	must_be_bad(en);
	en.type = NODE_DIR; /* with the bytes of a file */
	must_be_bad(en);
	en.type = NODE_FIFO;
	must_be_bad(en);
	en = plain_file();
	en.content.kind = CONTENT_TREE;
	must_be_bad(en);
	en.content = (struct content){.kind = CONTENT_NESTED, .below = 1};
	must_be_bad(en);
	en.type = NODE_DIR;
	en.content.below = 0;
	must_be_bad(en);
	en.content = (struct content){.kind = CONTENT_NESTED + 1};
	must_be_bad(en);
	en = plain_file();
	en.content.level = 1;
	must_be_bad(en);
	en = plain_file();
	en.mode = 010000;
	must_be_bad(en);
	en = plain_file();
	en.mtime.ns = 1000000000;
	must_be_bad(en);
	en = plain_file();
	en.size = (uint64_t)INT64_MAX + 1;
	must_be_bad(en);
	en = plain_file();
	en.content = (struct content){.kind = CONTENT_EMPTY};
	en.type = NODE_SYMLINK;
	en.target = span_of("a\0b", 3);
	must_be_bad(en);
}

/* Whatever the bytes: refused, or an entry that keeps the rules. */
static void test_noise(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct entry en = plain_file(), got;
	en.xattrs = text("attributes");
	en.nlink = 2;
	OK(entry_put(&b, &en, e));
	for (unsigned i = 0; i < 20000; i++) {
		size_t at = below((uint32_t)b.len);
		uint8_t was = b.p[at];
		b.p[at] = (uint8_t)rnd();
		if (read_back(buf_span(&b), &got)) {
			assert_true(entry_name_ok(got.name));
			assert_in_range(got.type, NODE_FILE, NODE_SOCKET);
			assert_true(got.mode <= 07777);
			(void)entry_mode_bits(&got);
		}
		b.p[at] = was;
	}
}

static void test_order(void **state)
{
	(void)state;
	static const char *const names[] = {"", "A", "a", "a\x01", "a ", "aa", "b", "\x7f", "\x80", "\xff"};
	for (size_t i = 0; i < N_OF(names); i++)
		for (size_t k = 0; k < N_OF(names); k++) {
			int cmp = entry_name_cmp(text(names[i]), text(names[k]));
			assert_true(i < k ? cmp < 0 : i > k ? cmp > 0 : cmp == 0);
		}
}

static void test_from_stat(void **state)
{
	(void)state;
	struct stat st = {.st_mode = S_IFCHR | 04751, .st_uid = 3, .st_gid = 4, .st_ino = 5, .st_dev = 6,
		.st_nlink = 7, .st_size = 8, .st_rdev = makedev(9, 10),
		.st_mtim = {11, 12}, .st_ctim = {13, 14}};
	struct entry en = {0};
	entry_from_stat(&en, &st);
	assert_int_equal(en.type, NODE_CHAR);
	assert_int_equal(en.mode, 04751);
	assert_true(en.uid == 3 && en.gid == 4 && en.ino == 5 && en.dev == 6 && en.nlink == 7);
	assert_true(en.rdev_major == 9 && en.rdev_minor == 10 && en.size == 0);
	assert_true(en.mtime.s == 11 && en.mtime.ns == 12 && en.ctime.s == 13 && en.ctime.ns == 14);
	static const mode_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK};
	for (size_t i = 0; i < N_OF(types); i++) {
		st.st_mode = types[i];
		entry_from_stat(&en, &st);
		assert_int_equal(en.type, NODE_FILE + i);
		assert_int_equal(entry_mode_bits(&en), types[i]);
		assert_int_equal(en.size, types[i] == S_IFREG ? 8 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_from_stat),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
