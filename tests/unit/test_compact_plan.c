/* What compact goes by: the table of blobs, what snapshots need of it, and which packs go. */
#include "tests/unit/support.h"

#include "engine/base/wire.h"
#include "engine/snapshot/compact_plan.h"
#include "engine/snapshot/mark.h"
#include "engine/snapshot/tree.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/one_coder.h"

/* ---- the table ---- */

static struct name name_no(uint8_t first, uint8_t tenth)
{
	struct name n = {{first}};
	n.b[10] = tenth;
	return n;
}

/* A pack with these blobs, each in a frame of ten bytes. */
static void add_pack(struct index *ix, uint8_t no, const struct name *v, size_t n)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const struct id id = {{no}};
	OK(buf_add(&b, id.b, ID_BYTES, e));
	OK(put_u64(&b, 10ull * n + 500, e));
	OK(put_var(&b, n, e));
	for (size_t i = 0; i < n; i++) {
		OK(put_u8(&b, METHOD_STORE, e));
		OK(put_var(&b, 10, e));
		OK(put_var(&b, 4, e));
		OK(put_var(&b, 1, e));
		OK(buf_add(&b, v[i].b, NAME_BYTES, e));
		OK(put_u8(&b, FORM_RAW, e));
		OK(put_var(&b, 4, e));
		OK(put_var(&b, 4, e));
	}
	struct span s = buf_span(&b);
	OK(index_add_object(ix, &id, &s, 1, e));
}

/* Names whose first eight bytes are the same, and copies of one blob in several packs. */
static void test_twins(void **state)
{
	static const struct id store = {"store..........."};
	const struct name v[] = {name_no(1, 0), name_no(2, 1), name_no(2, 2), name_no(2, 3),
		name_no(3, 0), name_no(9, 1), name_no(9, 2)};
	struct index *ix;
	struct blobtab t;
	char note[200];
	(void)state;
	OK(index_open(&ix, NULL, &store, note, sizeof note, e));
	add_pack(ix, 1, v, N_OF(v));
	add_pack(ix, 2, v + 1, 2);
	add_pack(ix, 3, v + 4, 1);
	OK(blobtab_load(&t, ix, e));
	assert_int_equal(t.n, N_OF(v));
	assert_int_equal(t.n_twins, 5);
	for (size_t i = 0; i < N_OF(v); i++) {
		assert_int_equal(blobtab_find(&t, &v[i]), i);
		assert_int_equal(blobtab_find_base(&t, v[i].b), i);
		assert_int_equal(t.rank[i], 0);
		assert_int_equal(t.base[i], BLOBTAB_NONE);
	}
	const struct name none[] = {name_no(2, 4), name_no(9, 0), name_no(5, 0), name_no(0, 0),
		name_no(255, 0)};
	for (size_t i = 0; i < N_OF(none); i++)
		assert_int_equal(blobtab_find(&t, &none[i]), BLOBTAB_NONE);
	blobtab_need(&t, 2);
	for (size_t i = 0; i < N_OF(v); i++)
		assert_int_equal(t.flags[i], (i == 2 ? BLOB_NEEDED : 0) |
			(i == 1 || i == 2 || i == 4 ? BLOB_TWICE : 0)); /* packs 2 and 3 */
	blobtab_free(&t);
	index_close(ix);
}

/* ---- what is needed ---- */

static void put_noise(struct store *s, unsigned seed, unsigned changed, const struct name *base,
	struct name *ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	rnd_seed(seed);
	OK(buf_resize(&b, 100000, e));
	fill(b.p, b.len, 1);
	memset(b.p + 5000, (int)changed, 30);
	OK(store_put(s, &c, FORM_RAW, buf_span(&b), base, ret, e));
}

static void put_tree(struct store *s, const struct name *file, struct content *ret)
{
	struct tree_builder *b;
	struct entry en = {.name = text("file"), .type = NODE_FILE, .mode = 0600, .nlink = 1,
		.size = 100000, .content = {.kind = CONTENT_BLOB, .name = *file}};
	OK(tree_builder_new(&b, s, &c, NULL, e));
	OK(tree_builder_add(b, &en, e));
	OK(tree_builder_finish(b, NULL, ret, e));
}

static void put_snapshot(struct store *s, unsigned no, const struct content *root)
{
	struct snapshot sn = {.generation = no, .begin = {1000 * no, 0}, .host = (char *)"h",
		.user = (char *)"u", .program = (char *)"p", .root = *root};
	snprintf(sn.name, sizeof sn.name, "snapshot-%u", no);
	memset(sn.id.b, (int)no, ID_BYTES);
	OK(snapshot_write(s, &sn, false, e));
}

/* Two snapshots of one directory: walked once. A difference takes its base along; what nobody names is
 * not needed. Another snapshot later: only that is walked. */
static void test_mark(void **state)
{
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct name base, diff, unused, other;
	struct content root, root2;
	struct blobtab t;
	uint64_t new;
	(void)state;
	OK(store_begin(s, 1, e));
	put_noise(s, 1, 1, NULL, &base);
	put_noise(s, 2, 1, NULL, &unused);
	put_noise(s, 3, 1, NULL, &other);
	OK(store_commit(s, &c, e));
	OK(store_end(s, e));
	OK(store_begin(s, 1, e));
	put_noise(s, 1, 2, &base, &diff);
	put_tree(s, &diff, &root);
	put_tree(s, &other, &root2);
	OK(store_commit(s, &c, e));
	put_snapshot(s, 1, &root);
	put_snapshot(s, 2, &root);
	OK(store_end(s, e));
	OK(store_refresh(s, e));
	OK(blobtab_load(&t, store_index(s), e));
	assert_int_equal(t.n, 6);
	struct marker m = {.s = s, .c = &c, .tab = &t};
	OK(mark_all(&m, &new, e));
	assert_int_equal(new, 2);
	assert_int_equal(m.roots, 2);
	assert_int_equal(m.nodes, 1);
	uint32_t i_diff = blobtab_find(&t, &diff), i_base = blobtab_find(&t, &base);
	assert_int_equal(t.base[i_diff], i_base);
	assert_int_equal(t.rank[i_diff], 1);
	assert_int_equal(t.flags[i_diff], BLOB_LIVE | BLOB_NEEDED);
	assert_int_equal(t.flags[i_base], BLOB_NEEDED | BLOB_BASE);
	assert_int_equal(t.flags[blobtab_find(&t, &root.name)], BLOB_LIVE | BLOB_NEEDED | BLOB_TREE);
	assert_int_equal(t.flags[blobtab_find(&t, &unused)], 0);
	assert_int_equal(t.flags[blobtab_find(&t, &other)], 0);
	put_snapshot(s, 3, &root2);
	OK(mark_all(&m, &new, e));
	assert_int_equal(new, 1);
	assert_int_equal(m.nodes, 2);
	assert_int_equal(t.flags[blobtab_find(&t, &other)], BLOB_LIVE | BLOB_NEEDED);
	/* What a snapshot names and nobody has: nothing may be concluded. */
	root.name.b[0] ^= 1;
	put_snapshot(s, 4, &root);
	FAILS(E_CORRUPT, mark_all(&m, &new, e));
	marker_free(&m);
	blobtab_free(&t);
	store_close(s);
	object_place_free(place);
}

/* ---- the plan ---- */

static uint64_t used_of(struct plan *p, const struct id *id)
{
	struct cpack *x = plan_find(p, id);
	assert_non_null(x);
	assert_true(x->there && x->indexed);
	return x->used;
}

/* Two writers stored the same at once: one copy is counted as used, and not the doomed one. When the pack
 * with that one is to go, the other holds the blob. */
static void test_copies(void **state)
{
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s[2] = {open_store(place), open_store(place)};
	struct name twin, own[2];
	struct id pack[2];
	struct blobtab t;
	struct plan p;
	struct doomed none = {0};
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		OK(store_begin(s[i], 1, e));
		put_noise(s[i], 5, 1, NULL, &twin);
		put_noise(s[i], 10 + i, 1, NULL, &own[i]);
	}
	for (unsigned i = 0; i < 2; i++) {
		OK(store_commit(s[i], &c, e));
		OK(store_end(s[i], e));
	}
	OK(store_refresh(s[0], e));
	for (unsigned i = 0; i < 2; i++) {
		struct blob_loc l;
		OK(index_find(store_index(s[0]), &own[i], 0, &l, e));
		pack[i] = l.pack;
	}
	OK(blobtab_load(&t, store_index(s[0]), e));
	assert_int_equal(t.n, 3);
	uint32_t i_twin = blobtab_find(&t, &twin);
	blobtab_need(&t, i_twin);
	OK(plan_load(&p, s[0], &t, &none, e));
	assert_int_equal(p.n, 2);
	assert_true((used_of(&p, &pack[0]) == 0) != (used_of(&p, &pack[1]) == 0));
	plan_free(&p);
	for (unsigned i = 0; i < 2; i++) {
		struct doomed_pack v = {.pack = pack[i], .since = 77};
		struct doomed d = {.v = &v, .n = 1};
		OK(plan_load(&p, s[0], &t, &d, e));
		assert_int_equal(used_of(&p, &pack[i]), 0);
		assert_true(used_of(&p, &pack[!i]) > 90000);
		plan_choose(&p, 10);
		assert_int_equal(plan_find(&p, &pack[i])->fate, PACK_GOES);
		assert_int_equal(plan_find(&p, &pack[i])->since, 77);
		plan_find(&p, &pack[!i])->fate = PACK_STAYS;
		plan_find(&p, &pack[i])->fate = PACK_NOW;
		OK(plan_settle(&p, e));
		assert_true(t.flags[i_twin] & BLOB_HELD);
		assert_false(t.flags[blobtab_find(&t, &own[i])] & BLOB_HELD);
		/* Both go: nobody holds it, and it is to be copied. */
		plan_find(&p, &pack[!i])->fate = PACK_NOW;
		OK(plan_settle(&p, e));
		assert_false(t.flags[i_twin] & BLOB_HELD);
		plan_free(&p);
	}
	blobtab_free(&t);
	store_close(s[0]);
	store_close(s[1]);
	object_place_free(place);
}

#define MIB ((uint64_t)1 << 20)

static void test_choice(void **state)
{
	struct cpack v[] = {
		{.used = 0, .indexed = true},			     /* unused */
		{.used = 10 * MIB, .indexed = true},		     /* half */
		{.used = 18 * MIB, .indexed = true},		     /* 10 % unused: not worth it */
		{.used = 20 * MIB, .indexed = true},		     /* all used */
		{.used = 20 * MIB, .indexed = true, .was_doomed = true}, /* of an earlier run */
		{.used = 0, .indexed = false},			     /* in no index object */
		{.used = 14 * MIB, .indexed = true},		     /* 30 % unused */
	};
	static const struct {
		unsigned max_unused;
		bool half, third;
	} cases[] = {{1, true, true}, {11, true, true}, {15, true, false}, {40, false, false}};
	(void)state;
	for (size_t k = 0; k < N_OF(cases); k++) {
		struct plan p = {.v = v, .n = N_OF(v)};
		for (size_t i = 0; i < N_OF(v); i++) {
			v[i].size = v[i].blobs_bytes = 20 * MIB;
			v[i].there = true;
		}
		plan_choose(&p, cases[k].max_unused);
		const bool goes[] = {true, cases[k].half, false, false, true, true, cases[k].third};
		for (size_t i = 0; i < N_OF(v); i++)
			if ((v[i].fate == PACK_GOES) != goes[i])
				fail_msg("at most %u %%: pack %zu", cases[k].max_unused, i);
	}
}

/* Many small ones of about a size are merged, a few are not; and none that are full of little blobs, or it would
 * never end. */
static void test_small(void **state)
{
	static const struct {
		uint64_t size;
		unsigned n;
		bool goes;
	} cases[] = {{20 << 10, 63, false}, {20 << 10, 64, true}, {100 << 10, 255, false},
		{100 << 10, 256, true}, {MIB, 1023, false}, {MIB, 1024, true}};
	struct cpack *v = calloc(1100, sizeof *v);
	assert_non_null(v);
	(void)state;
	for (unsigned k = 0; k < N_OF(cases); k++) {
		uint64_t size = cases[k].size, n = cases[k].n;
		struct plan p = {.v = v, .n = n + 1};
		for (unsigned i = 0; i <= n; i++)
			v[i] = (struct cpack){.size = size, .blobs_bytes = size, .used = size,
				.indexed = true, .there = true};
		v[n].size = v[n].used = v[n].blobs_bytes = 3 * MIB;
		plan_choose(&p, 10);
		assert_int_equal(v[0].fate, cases[k].goes ? PACK_GOES : PACK_STAYS);
		assert_int_equal(v[n].fate, PACK_STAYS);
		for (unsigned i = 0; i <= n; i++)
			v[i].blobs = 16384;
		plan_choose(&p, 10);
		assert_int_equal(v[0].fate, PACK_STAYS);
	}
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_twins), cmocka_unit_test(test_mark),
		cmocka_unit_test(test_copies), cmocka_unit_test(test_choice),
		cmocka_unit_test(test_small)};
	return cmocka_run_group_tests(tests, setup_coder, teardown_coder);
}
