/* tree: directories of any size; every entry is found, in order, from anywhere. */
#include "tests/unit/support.h"

#include "engine/snapshot/tree.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/one_coder.h"
#include "tests/unit/one_store.h"

/* Names ascend with the number; their lengths vary. */
static struct span name_no(unsigned i, char out[64])
{
	int n = snprintf(out, 64, "%08u%.*s", i, (int)(i * 7919 % 40),
		"-a-tail-that-makes-names-differ-in-length");
	return span_of(out, (size_t)n);
}

static struct entry entry_no(unsigned i, char name[64])
{
	return (struct entry){.name = name_no(i, name), .type = NODE_FILE, .mode = 0644, .ino = i + 1,
		.nlink = 1, .size = i * 3, .mtime = {1600000000 + i, i}};
}

/* Entries 0, step, 2 step, ... n of them. */
static struct content build(unsigned n, unsigned step, const struct content *old)
{
	struct tree_builder *b;
	struct content ret;
	char name[64];
	OK(tree_builder_new(&b, s, &c, old, e));
	for (unsigned i = 0; i < n; i++) {
		struct entry en = entry_no(i * step, name);
		OK(tree_builder_add(b, &en, e));
	}
	OK(tree_builder_finish(b, NULL, &ret, e));
	return ret;
}

static void check_from(const struct content *dir, unsigned n, unsigned step, unsigned skip)
{
	struct tree_iter it;
	struct entry en;
	char name[64];
	unsigned i = skip;
	OK(tree_iter_open(&it, s, &c, dir, skip, e));
	struct err err = ERR_INIT;
	for (;; i++) {
		int r = tree_iter_next(&it, &en, &err);
		assert_true(r >= 0);
		if (r == 0)
			break;
		assert_spans(en.name, name_no(i * step, name));
		assert_true(en.ino == i * step + 1 && en.size == i * step * 3);
		if (skip && i > skip + 300)
			break; /* far enough */
	}
	if (i <= skip + 300)
		assert_int_equal(i, skip > n ? skip : n);
	assert_int_equal(tree_iter_next(&it, &en, &err) >= 0, 1);
	tree_iter_close(&it);
}

static void check_lookup(const struct content *dir, unsigned n, unsigned step, unsigned every)
{
	for (unsigned i = 0; i < n; i += every) {
		char name[64];
		struct entry en;
		struct plain *hold = NULL;
		OK(tree_lookup(s, &c, dir, name_no(i * step, name), &en, &hold, e));
		assert_int_equal(en.ino, i * step + 1);
		plain_unref(hold);
		if (step > 1)
			FAILS(E_NOTFOUND, tree_lookup(s, &c, dir, name_no(i * step + 1, name), &en,
						  &hold, e));
	}
	struct entry en;
	struct plain *hold;
	FAILS(E_NOTFOUND, tree_lookup(s, &c, dir, text("\x01"), &en, &hold, e));
	FAILS(E_NOTFOUND, tree_lookup(s, &c, dir, text("zzz"), &en, &hold, e));
}

static void test_sizes(void **state)
{
	(void)state;
	static const unsigned sizes[] = {0, 1, 2, 10, 31, 32, 33, 1000, 5000, 200000};
	OK(store_begin(s, 1, e));
	struct content dirs[N_OF(sizes)];
	for (size_t i = 0; i < N_OF(sizes); i++)
		dirs[i] = build(sizes[i], 2, NULL);
	OK(store_commit(s, &c, e));
	for (size_t i = 0; i < N_OF(sizes); i++) {
		unsigned n = sizes[i];
		assert_int_equal(dirs[i].kind, n ? CONTENT_TREE : CONTENT_EMPTY);
		check_from(&dirs[i], n, 2, 0);
		for (unsigned k = 1; k <= n + 2; k += 1 + n / 20)
			check_from(&dirs[i], n, 2, k);
		check_from(&dirs[i], n, 2, n);
		check_from(&dirs[i], n, 2, n + 100);
		check_lookup(&dirs[i], n, 2, 1 + n / 500);
	}
	assert_true(dirs[N_OF(sizes) - 1].level >= 1);
}

/* A new name among thousands changes a leaf and what is above it, not the rest. */
static void test_stable_cuts(void **state)
{
	(void)state;
	struct store_stats st;
	struct tree_builder *b;
	struct content changed;
	char name[64];
	OK(store_begin(s, 1, e));
	struct content old = build(5001, 2, NULL);
	OK(store_commit(s, &c, e));
	OK(store_begin(s, 1, e));
	OK(tree_builder_new(&b, s, &c, &old, e));
	for (unsigned i = 0; i < 5001; i++) {
		struct entry en = entry_no(2 * i, name);
		OK(tree_builder_add(b, &en, e));
		if (i == 2500) {
			en = entry_no(2 * i + 1, name);
			OK(tree_builder_add(b, &en, e));
		}
	}
	OK(tree_builder_finish(b, NULL, &changed, e));
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_in_range(st.new_blobs, 1, 5);
	struct entry en;
	struct plain *hold;
	OK(tree_lookup(s, &c, &changed, name_no(5001, name), &en, &hold, e));
	plain_unref(hold);
	FAILS(E_NOTFOUND, tree_lookup(s, &c, &old, name_no(5001, name), &en, &hold, e));
	/* The same directory again is the same tree. */
	OK(store_begin(s, 1, e));
	struct content same = build(5001, 2, &changed);
	OK(store_commit(s, &c, e));
	assert_true(content_equal(&same, &old));
	store_stats(s, &st);
	assert_int_equal(st.new_blobs, 0);
}

/* Roots that are no tree, or say another level than their node. */
static void test_wrong_roots(void **state)
{
	(void)state;
	struct tree_iter it;
	struct entry en;
	struct plain *hold;
	struct name n;
	OK(store_begin(s, 1, e));
	struct content dir = build(1000, 1, NULL);
	static const char *const nodes[] = {"", "T", "T\x01", "hello", "M", "T\x02\x05"};
	struct name made[N_OF(nodes)];
	for (size_t i = 0; i < N_OF(nodes); i++)
		OK(store_put(s, &c, FORM_RAW, text(nodes[i]), NULL, &made[i], e));
	OK(store_put(s, &c, FORM_RAW, span_of("T\0\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11), NULL, &n, e));
	OK(store_commit(s, &c, e));
	for (uint8_t level = 0; level < 16; level++) {
		struct content w = dir;
		w.level = level;
		if (level == dir.level)
			continue;
		FAILS(E_CORRUPT, tree_iter_open(&it, s, &c, &w, 0, e));
		if (level < TREE_LEVELS)
			FAILS(E_CORRUPT, tree_lookup(s, &c, &w, text("x"), &en, &hold, e));
	}
	for (size_t i = 0; i < N_OF(nodes); i++) {
		struct content w = {.kind = CONTENT_TREE, .name = made[i]};
		FAILS(E_CORRUPT, tree_iter_open(&it, s, &c, &w, 0, e));
	}
	struct content w = {.kind = CONTENT_TREE, .name = n};
	FAILS(E_CORRUPT, tree_iter_open(&it, s, &c, &w, 0, e));
	w.name.b[0] ^= 1;
	FAILS(E_CORRUPT, tree_iter_open(&it, s, &c, &w, 0, e));
	w.kind = CONTENT_BLOB;
	FAILS(E_CORRUPT, tree_iter_open(&it, s, &c, &w, 0, e));
}

/* Names that only a hostile writer would put into a leaf stop the walk. */
static void test_hostile_leaf(void **state)
{
	(void)state;
	static const char *const names[] = {"..", "a/b", "", "."};
	for (size_t i = 0; i < N_OF(names); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct entry good = {.name = text("!"), .type = NODE_FILE, .nlink = 1}, bad = good, en;
		struct content dir = {.kind = CONTENT_TREE};
		struct tree_iter it;
		struct plain *hold;
		bad.name = text(names[i]);
		OK(buf_add(&b, "T\0\2", 3, e));
		OK(entry_put(&b, &good, e));
		OK(entry_put(&b, &bad, e));
		OK(store_begin(s, 1, e));
		OK(store_put(s, &c, FORM_RAW, buf_span(&b), NULL, &dir.name, e));
		OK(store_commit(s, &c, e));
		OK(tree_iter_open(&it, s, &c, &dir, 0, e));
		assert_int_equal(tree_iter_next(&it, &en, NULL), 1);
		FAILS(E_CORRUPT, tree_iter_next(&it, &en, e));
		tree_iter_close(&it);
		assert_true(tree_lookup(s, &c, &dir, text(names[i]), &en, &hold, NULL) < 0);
		FAILS(E_CORRUPT, tree_iter_open(&it, s, &c, &dir, 2, e));
	}
}

/* ---- nested directories ---- */

/* A directory of n entries from number `from` on; the middle one is a directory of the next depth. */
static struct content build_nested(unsigned depth, unsigned n, unsigned from, const struct content *old,
	struct buf *nested)
{
	struct tree_builder *b;
	struct content ret;
	char name[64];
	OK(tree_builder_new(&b, s, &c, old, e));
	for (unsigned i = 0; i < n; i++) {
		CLEANUP_BUF struct buf below = BUF_INIT;
		struct entry en = entry_no(from + i, name);
		if (depth && i == n / 2) {
			en.type = NODE_DIR;
			en.size = 0;
			en.content = build_nested(depth - 1, n, from + 1000, NULL, &below);
		}
		OK(tree_builder_add(b, &en, e));
	}
	OK(tree_builder_finish(b, nested, &ret, e));
	return ret;
}

/* Every entry, from here and there on, by name, and by its place. */
static void check_nested(unsigned depth, unsigned n, unsigned from, const struct content *dir)
{
	for (unsigned skip = 0; skip <= n; skip += 1 + n / 10) {
		struct tree_iter it;
		struct entry en, again;
		char name[64];
		OK(tree_iter_open(&it, s, &c, dir, skip, e));
		for (unsigned i = skip; i < n; i++) {
			struct plain *hold;
			struct tree_place found;
			struct span want = name_no(from + i, name);
			assert_int_equal(tree_iter_next(&it, &en, NULL), 1);
			assert_int_equal(entry_name_cmp(en.name, want), 0);
			OK(tree_entry_at(s, &c, &it.place, &again, &hold, e));
			assert_int_equal(entry_name_cmp(again.name, want), 0);
			assert_true(content_equal(&again.content, &en.content));
			plain_unref(hold);
			OK(tree_find(s, &c, dir, want, &again, &hold, &found, e));
			assert_int_equal(found.index, it.place.index);
			assert_int_equal(name_cmp(&found.leaf, &it.place.leaf), 0);
			plain_unref(hold);
			struct content below = en.content; /* stays good without the entry */
			if (depth && i == n / 2 && !skip)
				check_nested(depth - 1, n, from + 1000, &below);
		}
		assert_int_equal(tree_iter_next(&it, &en, NULL), 0);
		tree_iter_close(&it);
	}
	struct entry en;
	struct plain *hold;
	char name[64];
	FAILS(E_NOTFOUND, tree_lookup(s, &c, dir, name_no(from + n, name), &en, &hold, e));
	FAILS(E_NOTFOUND, tree_lookup(s, &c, dir, name_no(from + 1000, name), &en, &hold, e));
}

static void test_nested(void **state)
{
	(void)state;
	struct store_stats st;
	for (unsigned depth = 0; depth < 4; depth++)
		for (unsigned n = 1; n < 8; n += 3) {
			OK(store_begin(s, 1, e));
			struct content dir = build_nested(depth, n, 700000 + depth * 17, NULL, NULL);
			OK(store_commit(s, &c, e));
			store_stats(s, &st);
			assert_int_equal(dir.kind, CONTENT_TREE);
			assert_int_equal(st.new_blobs, 1);
			check_nested(depth, n, 700000 + depth * 17, &dir);
		}
	/* In a directory of many leaves, and too large to be nested itself. */
	OK(store_begin(s, 1, e));
	struct content dir = build_nested(2, 300, 800000, NULL, NULL);
	OK(store_commit(s, &c, e));
	check_nested(2, 300, 800000, &dir);
	store_stats(s, &st);
	assert_true(st.new_blobs > 3);
}

/* A directory of n links, too few for a leaf to end among them; 150 bytes each. */
static struct content build_links(unsigned n, const struct content *old, struct buf *nested)
{
	struct tree_builder *b;
	struct content ret;
	char name[64];
	OK(tree_builder_new(&b, s, &c, old, e));
	for (unsigned i = 0; i < n; i++) {
		struct entry en = {.name = name_no(i, name), .type = NODE_SYMLINK, .mode = 0777, .nlink = 1,
			.target = text("a-link-to-a-place-that-is-so-far-away-that-saying-where-it-is-takes-a-"
				       "hundred-bytes-at-the-very-least")};
		OK(tree_builder_add(b, &en, e));
	}
	OK(tree_builder_finish(b, nested, &ret, e));
	return ret;
}

/* What was nested and has grown is stored by itself, as a difference from the leaf it was in. */
static void test_outgrown(void **state)
{
	(void)state;
	struct store_stats st;
	struct tree_builder *b;
	struct content above;
	struct entry en = {.name = text("dir"), .type = NODE_DIR, .nlink = 1}, found;
	struct plain *hold;
	CLEANUP_BUF struct buf nested = BUF_INIT;
	CLEANUP_BUF struct buf none = BUF_INIT;
	OK(store_begin(s, 1, e));
	OK(tree_builder_new(&b, s, &c, NULL, e));
	en.content = build_links(24, NULL, &nested);
	OK(tree_builder_add(b, &en, e));
	OK(tree_builder_finish(b, NULL, &above, e));
	OK(store_commit(s, &c, e));
	OK(tree_lookup(s, &c, &above, text("dir"), &found, &hold, e));
	plain_unref(hold);
	assert_int_equal(found.content.kind, CONTENT_NESTED);
	OK(store_begin(s, 1, e));
	struct content grown = build_links(31, &found.content, &none);
	OK(store_commit(s, &c, e));
	store_stats(s, &st);
	assert_int_equal(grown.kind, CONTENT_TREE);
	assert_int_equal(st.new_blobs, 1);
	assert_int_equal(st.delta_blobs, 1);
	assert_int_equal(none.len, 0);
}

static void test_hostile_nested(void **state)
{
	(void)state;
	/* How many entries follow, how many the first and the second say. */
	static const uint32_t lies[][3] = {{0, 1, 0}, {1, 2, 0}, {2, 1, 1}, {2, 2, 2}, {2, UINT32_MAX, 1}};
	for (size_t i = 0; i < N_OF(lies); i++) {
		CLEANUP_BUF struct buf b = BUF_INIT;
		struct content dir = {.kind = CONTENT_TREE};
		struct entry en = {.name = text("a"), .type = NODE_DIR, .nlink = 1};
		struct tree_iter it;
		OK(buf_add(&b, "T\0", 2, e));
		OK(put_var(&b, 1 + lies[i][0], e));
		for (uint32_t k = 0; k <= lies[i][0]; k++) {
			uint32_t below = k < 2 ? lies[i][1 + k] : 0;
			en.content = (struct content){.kind = below ? CONTENT_NESTED : CONTENT_EMPTY,
				.below = below};
			OK(entry_put(&b, &en, e));
		}
		OK(store_begin(s, 1, e));
		OK(store_put(s, &c, FORM_RAW, buf_span(&b), NULL, &dir.name, e));
		OK(store_commit(s, &c, e));
		/* Down and along: one of both meets the lie, neither reads behind the leaf. */
		int r = tree_iter_open(&it, s, &c, &dir, 0, NULL), below = 0;
		while (r == 0 && (r = tree_iter_next(&it, &en, NULL)) == 1) {
			struct tree_iter inner;
			struct content nested = en.content;
			r = 0;
			if (nested.kind != CONTENT_NESTED)
				continue;
			OK(tree_iter_open(&inner, s, &c, &nested, 0, e));
			while ((below = tree_iter_next(&inner, &en, NULL)) == 1)
				;
			tree_iter_close(&inner);
		}
		assert_true(r < 0 || below < 0);
		tree_iter_close(&it);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_stable_cuts),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_outgrown),
		cmocka_unit_test(test_hostile_nested),
		cmocka_unit_test(test_wrong_roots),
		cmocka_unit_test(test_hostile_leaf),
	};
	return cmocka_run_group_tests(tests, setup_coder_and_store, teardown_coder_and_store);
}
