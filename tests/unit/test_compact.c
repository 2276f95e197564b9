/* compact and repair beside a writer who is at work: whatever comes between two of their steps, what a
 * snapshot names can be read afterwards. */
#include "tests/unit/support.h"

#include "engine/snapshot/check.h"
#include "engine/snapshot/compact.h"
#include "engine/snapshot/compact_plan.h"
#include "engine/snapshot/forgotten.h"
#include "engine/snapshot/repair.h"
#include "engine/snapshot/tree.h"
#include "engine/store/store_internal.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/one_coder.h"

#define VERSION_BYTES ((size_t)200 << 10)

/* ---- contents, and snapshots of one file ---- */

/* Version `no` of something: noise, in which a little changes from one to the next. */
static void version(struct buf *b, unsigned no)
{
	rnd_seed(77);
	b->len = 0;
	OK(buf_resize(b, VERSION_BYTES, e));
	fill(b->p, b->len, 1);
	for (unsigned i = 1; i <= no; i++)
		memset(b->p + 4096 * i, (int)i, 64);
}

static void put_version(struct store *s, unsigned no, const struct name *base, struct name *ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	version(&b, no);
	OK(store_put(s, &c, FORM_RAW, buf_span(&b), base, ret, e));
}

static void put_noise(struct store *s, unsigned seed, struct name *ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	rnd_seed(seed);
	OK(buf_resize(&b, VERSION_BYTES, e));
	fill(b.p, b.len, 1);
	OK(store_put(s, &c, FORM_RAW, buf_span(&b), NULL, ret, e));
}

static void must_read(struct object_place *place, const struct name *name, unsigned no)
{
	CLEANUP_BUF struct buf want = BUF_INIT, got = BUF_INIT;
	struct store *s = open_store(place);
	version(&want, no);
	OK(store_get(s, &c, name, &got, e));
	assert_spans(buf_span(&got), buf_span(&want));
	store_close(s);
}

/* Within a transaction: a directory with that one file, then the snapshot. */
static void finish_snapshot(struct store *s, const struct name *file, const char *label,
	struct snapshot *sn)
{
	struct tree_builder *b;
	struct entry en = {.name = text("file"), .type = NODE_FILE, .mode = 0600, .nlink = 1,
		.size = VERSION_BYTES, .content = {.kind = CONTENT_BLOB, .name = *file}};
	*sn = (struct snapshot){.generation = 1};
	OK(tree_builder_new(&b, s, &c, NULL, e));
	OK(tree_builder_add(b, &en, e));
	OK(tree_builder_finish(b, NULL, &sn->root, e));
	OK(store_commit(s, &c, e));
	snprintf(sn->name, sizeof sn->name, "%s", label);
	sn->host = strdup("host");
	sn->user = strdup("user");
	sn->program = strdup("test");
	crypto_random(sn->id.b, ID_BYTES);
	OK(snapshot_write(s, sn, false, e));
	OK(store_end(s, e));
}

/* ---- what comes between ---- */

struct between {
	struct object_place *place;
	struct store *w, *blocker;
	struct name last, file;
	struct snapshot sn;
	bool done;
};

static void compact_with(struct between *b, void (*on_wait)(void *, const struct lock_info *))
{
	struct compact_result ret;
	const struct compact_options opt = {.wait_seconds = 20, .max_unused = 1, .on_wait = on_wait, .ctx = b};
	struct store *s = open_store(b->place);
	OK(compact_run(s, &opt, &ret, e));
	assert_true(b->done);
	assert_true(ret.removed_packs > 0);
	store_close(s);
}

static void writer_ends(void *ctx, const struct lock_info *l)
{
	struct between *b = ctx;
	(void)l;
	if (!b->done)
		finish_snapshot(b->w, &b->file, "second", &b->sn);
	b->done = true;
}

/* The writer's first pack is there when compact lists the packs, and in no index object yet. What it holds
 * are differences against blobs of a snapshot that was forgotten meanwhile. */
static void test_pack_before_its_index(void **state)
{
	(void)state;
	struct between b = {.place = new_place_with_store(SLACK_EXACT)};
	CLEANUP_BUF struct buf noise = BUF_INIT;
	struct store *s = open_store(b.place);
	struct snapshot first;
	struct name ignored;
	OK(store_begin(s, 1, e));
	put_version(s, 0, NULL, &b.last);
	finish_snapshot(s, &b.last, "first", &first);
	b.w = open_store(b.place);
	OK(store_begin(b.w, 1, e));
	put_version(b.w, 1, &b.last, &b.file);
	OK(buf_resize(&noise, (size_t)33 << 20, e)); /* ends the pack */
	fill(noise.p, noise.len, 1);
	OK(store_put(b.w, &c, FORM_RAW, buf_span(&noise), NULL, &ignored, e));
	assert_non_null(mem_place_key(b.place, "packs/", 1));
	assert_null(mem_place_key(b.place, "index/", 1));
	OK(snapshot_forget(s, &first, e));
	compact_with(&b, writer_ends);
	must_read(b.place, &b.file, 1);
	snapshot_free(&first);
	snapshot_free(&b.sn);
	store_close(s);
	store_close(b.w);
	object_place_free(b.place);
}

static void writer_begins(void *ctx, const struct lock_info *l)
{
	struct between *b = ctx;
	(void)l;
	if (b->done)
		return;
	OK(store_begin(b->w, 1, e));
	put_version(b->w, 9, &b->last, &b->file);
	store_abort(b->blocker);
	b->done = true;
}

/* The newest version is there at the end of a long chain, in a pack that goes, and whole in one that stays.
 * A writer who begins then must not go up the chain to what goes. */
static void test_doomed_chain(void **state)
{
	(void)state;
	struct between b = {.place = new_place_with_store(SLACK_EXACT)};
	struct store *s = open_store(b.place), *t = open_store(b.place);
	struct snapshot first;
	struct name name[9];
	OK(store_begin(t, 1, e)); /* knows nothing of what s writes */
	OK(store_begin(s, 1, e));
	for (unsigned i = 0; i < N_OF(name); i++)
		put_version(s, i, i ? &name[i - 1] : NULL, &name[i]);
	OK(store_commit(s, &c, e));
	OK(store_end(s, e));
	b.last = name[N_OF(name) - 1];
	put_version(t, N_OF(name) - 1, NULL, &b.last);
	finish_snapshot(t, &b.last, "first", &first);
	b.w = open_store(b.place);
	b.blocker = open_store(b.place);
	OK(store_begin(b.blocker, 1, e));
	compact_with(&b, writer_begins);
	finish_snapshot(b.w, &b.file, "second", &b.sn);
	must_read(b.place, &b.file, 9);
	must_read(b.place, &b.last, N_OF(name) - 1);
	snapshot_free(&first);
	snapshot_free(&b.sn);
	store_close(s);
	store_close(t);
	store_close(b.w);
	store_close(b.blocker);
	object_place_free(b.place);
}

static void writer_runs(void *ctx, const char *where, const char *what)
{
	struct between *b = ctx;
	(void)where;
	(void)what;
	if (b->done)
		return;
	OK(store_begin(b->w, 1, e));
	put_version(b->w, 3, NULL, &b->file);
	finish_snapshot(b->w, &b->file, "second", &b->sn);
	b->done = true;
}

/* A whole snapshot is made while repair is at work, behind its list of packs. */
static void test_repair_beside_writer(void **state)
{
	(void)state;
	struct between b = {.place = new_place_with_store(SLACK_EXACT)};
	struct store *s = open_store(b.place);
	struct snapshot first;
	struct repair_result ret;
	struct name name;
	const struct repair_options opt = {.check = {.ctx = &b}, .on_done = writer_runs};
	OK(store_begin(s, 1, e));
	put_version(s, 0, NULL, &name);
	finish_snapshot(s, &name, "first", &first);
	mem_place_object(b.place, mem_place_key(b.place, "packs/", 0))->p[1000] ^= 1;
	b.w = open_store(b.place);
	OK(repair_run(s, &opt, &ret, e));
	assert_true(b.done);
	assert_int_equal(ret.lost_blobs, 1); /* of the first snapshot */
	must_read(b.place, &b.file, 3);
	snapshot_free(&first);
	snapshot_free(&b.sn);
	store_close(s);
	store_close(b.w);
	object_place_free(b.place);
}

/* Doomed by a machine whose clock was years ahead: it goes after the grace all the same. */
static void test_doomed_in_the_future(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct doomed_pack pack = {.since = (int64_t)1 << 40};
	struct compact_options opt = {.grace = 1000};
	struct compact_result ret;
	struct id id;
	struct name name;
	OK(store_begin(s, 1, e));
	put_version(s, 0, NULL, &name);
	OK(store_commit(s, &c, e));
	OK(store_end(s, e));
	assert_true(hex_parse(mem_place_key(place, "packs/", 0) + 9, ID_BYTES, pack.pack.b));
	OK(doomed_put(s, &pack, 1, &id, e));
	OK(compact_run(s, &opt, &ret, e));
	assert_int_equal(ret.doomed_packs, 1);
	struct doomed d;
	OK(doomed_load(&d, s, e));
	assert_int_equal(d.n, 1);
	assert_true(d.v[0].since < (int64_t)1 << 40);
	doomed_free(&d);
	store_close(s);
	object_place_free(place);
}

/* Who was taken for dead must not name packs in the index: others have looked at them, and may have
 * removed them, as packs that nobody names. */
static void test_no_index_without_lock(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place), *t = open_store(place);
	struct name name;
	OK(store_begin(s, 1, e));
	put_version(s, 0, NULL, &name);
	OK(object_remove(store_place(t), mem_place_key(place, "locks/", 0), e));
	FAILS(E_LOCKED, store_commit(s, &c, e));
	store_abort(s);
	assert_null(mem_place_key(place, "index/", 0));
	OK(store_begin(s, 1, e));
	put_version(s, 0, NULL, &name);
	OK(store_commit(s, &c, e));
	OK(store_end(s, e));
	must_read(place, &name, 0);
	store_close(s);
	store_close(t);
	object_place_free(place);
}

/* ---- versions that only others stand on ---- */

#define PART ((size_t)25 << 10)

/* Version `no` of something of which each version replaces an eighth of the one before by noise of its own:
 * of `parts` eighths one after the other. */
static unsigned parts = 8;

static void drift(struct buf *b, unsigned no)
{
	b->len = 0;
	OK(buf_resize(b, 8 * PART, e));
	rnd_seed(100);
	fill(b->p, b->len, 1);
	for (unsigned i = 1; i <= no; i++) {
		rnd_seed(100 + i);
		fill(b->p + i % parts * PART, PART, 1);
	}
}

static void put_drift(struct store *s, unsigned no, const struct name *base, struct name *ret)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	drift(&b, no);
	OK(store_put(s, &c, FORM_RAW, buf_span(&b), base, ret, e));
}

static void must_read_drift(struct store *s, const struct name *name, unsigned no)
{
	CLEANUP_BUF struct buf want = BUF_INIT, got = BUF_INIT;
	drift(&want, no);
	OK(store_get(s, &c, name, &got, e));
	assert_spans(buf_span(&got), buf_span(&want));
}

static uint64_t pack_bytes_of(struct store *s)
{
	struct plan p;
	struct blobtab t;
	const struct doomed none = {0};
	OK(store_refresh(s, e));
	OK(blobtab_load(&t, store_index(s), e));
	OK(plan_load(&p, s, &t, &none, e));
	uint64_t bytes = p.bytes;
	plan_free(&p);
	blobtab_free(&t);
	return bytes;
}

/* A snapshot for each of `n` versions; of them those in `keep` (bits) are kept. */
static void make_chain(struct store *s, unsigned n, unsigned keep, struct name *name)
{
	for (unsigned i = 0; i < n; i++) {
		struct snapshot sn;
		char label[32];
		snprintf(label, sizeof label, "version-%u", i);
		OK(store_begin(s, 1, e));
		put_drift(s, i, i ? &name[i - 1] : NULL, &name[i]);
		finish_snapshot(s, &name[i], label, &sn);
		if (!(keep >> i & 1))
			OK(snapshot_forget(s, &sn, e));
		snapshot_free(&sn);
	}
}

static unsigned depth_of(struct store *s, const struct name *name)
{
	struct blob_loc l, other;
	OK(store_refresh(s, e));
	OK(index_find(store_index(s), name, 0, &l, e));
	assert_int_equal(index_find(store_index(s), name, 1, &other, NULL), E_NOTFOUND);
	return copy_rank(&l);
}

/* Of a chain only the last is kept: it is stored whole, and the others go. Run again, there is nothing to do. */
static void test_rekey_whole(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	struct compact_options opt = {.max_unused = 1, .dry_run = true};
	struct compact_result ret;
	struct name name[5];
	make_chain(s, 5, 1 << 4, name);
	uint64_t before = pack_bytes_of(s);
	assert_true(before > 12 * PART);
	OK(compact_run(s, &opt, &ret, e));
	uint64_t would = ret.removed_bytes - ret.written_bytes;
	opt.dry_run = false;
	OK(compact_run(s, &opt, &ret, e));
	assert_int_equal(ret.rekeyed, 1);
	uint64_t after = pack_bytes_of(s);
	assert_true(after < 9 * PART);
	assert_true(would > before - after - PART / 2 && would < before - after + PART / 2);
	assert_int_equal(depth_of(s, &name[4]), 0);
	must_read_drift(s, &name[4], 4);
	assert_false(store_has(s, &name[0]));
	OK(compact_run(s, &opt, &ret, e));
	assert_int_equal(ret.rekeyed + ret.removed_packs + ret.written_bytes, 0);
	store_close(s);
	object_place_free(place);
}

/* A live version is above: the last becomes a difference against that, and what was between goes. */
static void test_rekey_on_live(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	const struct compact_options opt = {.max_unused = 1};
	struct compact_result ret;
	struct name name[7];
	parts = 2;
	make_chain(s, 7, 1 | 1 << 6, name);
	OK(compact_run(s, &opt, &ret, e));
	OK(store_refresh(s, e));
	assert_int_equal(ret.rekeyed, 1);
	assert_int_equal(depth_of(s, &name[0]), 0);
	assert_int_equal(depth_of(s, &name[6]), 1);
	must_read_drift(s, &name[0], 0);
	must_read_drift(s, &name[6], 6);
	assert_false(store_has(s, &name[3]));
	parts = 8;
	store_close(s);
	object_place_free(place);
}

/* Two branches from one first version, as the ninth version begins a new one: the first is given up, one of the
 * branches is stored whole and the other against it. What stands on them keeps standing. */
static void test_rekey_branches(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	const struct compact_options opt = {.max_unused = 1};
	struct compact_result ret;
	struct name first, name[4], ignored;
	struct snapshot sn[4];
	OK(store_begin(s, 1, e));
	put_drift(s, 0, NULL, &first);
	put_noise(s, 7, &ignored);
	OK(store_commit(s, &c, e));
	OK(store_end(s, e));
	for (unsigned i = 0; i < 4; i++) {
		OK(store_begin(s, 1, e));
		put_drift(s, 2 + i, i % 2 ? &name[i - 1] : &first, &name[i]);
		finish_snapshot(s, &name[i], i == 0 ? "a" : i == 1 ? "b" : i == 2 ? "c" : "d", &sn[i]);
		snapshot_free(&sn[i]);
	}
	OK(compact_run(s, &opt, &ret, e));
	assert_int_equal(ret.rekeyed, 2);
	OK(store_refresh(s, e));
	assert_false(store_has(s, &first));
	for (unsigned i = 0; i < 4; i++)
		must_read_drift(s, &name[i], 2 + i);
	assert_int_equal(depth_of(s, &name[0]) + depth_of(s, &name[2]), 1);
	store_close(s);
	object_place_free(place);
}

/* ---- differences whose base is gone ---- */

/* Version 0 in a pack of which nothing is needed; version 1, a difference against it that nobody needs, in one
 * with something that a snapshot names. */
static void make_baseless(struct store *s, struct name *name, struct name *kept)
{
	struct snapshot sn;
	OK(store_begin(s, 1, e));
	put_version(s, 0, NULL, &name[0]);
	OK(store_commit(s, &c, e));
	OK(store_end(s, e));
	OK(store_begin(s, 1, e));
	put_version(s, 1, &name[0], &name[1]);
	put_noise(s, 5, kept);
	finish_snapshot(s, kept, "first", &sn);
	snapshot_free(&sn);
}

static void check_all(struct store *s)
{
	struct check_result ret;
	const struct check_options opt = {.read_percent = 100, .threads = 1};
	OK(check_run(s, &opt, &ret, e));
	assert_int_equal(ret.damage, 0);
	assert_true(ret.read_blobs > 0);
}

/* It stays in its pack and in the index, and is as good as not there: who has the same content stores it. */
static void test_baseless(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place);
	const struct compact_options opt = {0};
	struct compact_result ret;
	struct snapshot sn;
	struct name name[2], kept, again;
	struct blob_loc l;
	make_baseless(s, name, &kept);
	OK(compact_run(s, &opt, &ret, e));
	assert_int_equal(ret.removed_packs, 1);
	OK(store_refresh(s, e));
	OK(index_find(store_index(s), &name[1], 0, &l, e));
	assert_false(store_has(s, &name[1]));
	check_all(s);
	OK(compact_run(s, &opt, &ret, e));
	assert_int_equal(ret.removed_packs, 0);
	OK(store_begin(s, 1, e));
	put_version(s, 1, NULL, &again);
	assert_int_equal(name_cmp(&again, &name[1]), 0);
	finish_snapshot(s, &again, "second", &sn);
	must_read(place, &again, 1);
	check_all(s);
	OK(compact_run(s, &opt, &ret, e));
	must_read(place, &again, 1);
	snapshot_free(&sn);
	store_close(s);
	object_place_free(place);
}

static void writer_finds(void *ctx, const struct lock_info *l)
{
	struct between *b = ctx;
	(void)l;
	if (b->done)
		return;
	OK(store_begin(b->w, 1, e));
	assert_true(store_has(b->w, &b->last)); /* still */
	put_version(b->w, 1, NULL, &b->file);
	store_abort(b->blocker);
	b->done = true;
}

/* The same while the base's pack is doomed and still there. */
static void test_nearly_baseless(void **state)
{
	(void)state;
	struct between b = {.place = new_place_with_store(SLACK_EXACT)};
	struct store *s = open_store(b.place);
	struct name name[2], kept;
	make_baseless(s, name, &kept);
	b.last = name[1];
	b.w = open_store(b.place);
	b.blocker = open_store(b.place);
	OK(store_begin(b.blocker, 1, e));
	compact_with(&b, writer_finds);
	finish_snapshot(b.w, &b.file, "second", &b.sn);
	must_read(b.place, &b.file, 1);
	snapshot_free(&b.sn);
	store_close(s);
	store_close(b.w);
	store_close(b.blocker);
	object_place_free(b.place);
}

static void writer_found(void *ctx, const struct lock_info *l)
{
	struct between *b = ctx;
	(void)l;
	if (!b->done)
		finish_snapshot(b->w, &b->file, "second", &b->sn);
	b->done = true;
}

/* And found before it was doomed: compact waits, and keeps the base. */
static void test_found_before(void **state)
{
	(void)state;
	struct between b = {.place = new_place_with_store(SLACK_EXACT)};
	struct store *s = open_store(b.place);
	struct name name[2], kept;
	make_baseless(s, name, &kept);
	b.w = open_store(b.place);
	OK(store_begin(b.w, 1, e));
	put_version(b.w, 1, NULL, &b.file);
	struct store_stats st;
	store_stats(b.w, &st);
	assert_int_equal(st.new_blobs, 0);
	compact_with(&b, writer_found);
	must_read(b.place, &b.file, 1);
	check_all(s);
	snapshot_free(&b.sn);
	store_close(s);
	store_close(b.w);
	object_place_free(b.place);
}

/* Two writers stored the same at once, as differences of the same depth against different versions. Which of
 * the two packs is looked at first is a matter of chance: ten times. */
static void test_two_bases(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		struct between b = {.place = new_place_with_store(SLACK_EXACT), .done = true};
		struct store *s[2] = {open_store(b.place), open_store(b.place)};
		struct snapshot sn;
		struct name base, ignored;
		for (unsigned i = 0; i < 2; i++) {
			OK(store_begin(s[i], 1, e));
			put_version(s[i], 3 + i, NULL, &base);
			put_version(s[i], 5, &base, &b.file);
			put_noise(s[i], 200 + i, &ignored);
		}
		OK(store_commit(s[0], &c, e));
		OK(store_end(s[0], e));
		finish_snapshot(s[1], &b.file, "first", &sn);
		compact_with(&b, NULL);
		must_read(b.place, &b.file, 5);
		snapshot_free(&sn);
		store_close(s[0]);
		store_close(s[1]);
		object_place_free(b.place);
	}
}

/* A name that a killed snapshot was about to take goes, but not while somebody is at work. */
static void test_left_name(void **state)
{
	(void)state;
	struct object_place *place = new_place_with_store(SLACK_EXACT);
	struct store *s = open_store(place), *w = open_store(place);
	const struct compact_options opt = {0};
	struct compact_result ret;
	const struct id id = {{1}};
	OK(store_object_put(s, "names", &id, text("2026-01-01T00-00-00Z"), false, e));
	OK(store_enter(w, e));
	OK(compact_run(s, &opt, &ret, e));
	assert_non_null(mem_place_key(place, "names/", 0));
	OK(store_end(w, e));
	OK(compact_run(s, &opt, &ret, e));
	assert_null(mem_place_key(place, "names/", 0));
	store_close(s);
	store_close(w);
	object_place_free(place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pack_before_its_index),
		cmocka_unit_test(test_doomed_chain),
		cmocka_unit_test(test_repair_beside_writer),
		cmocka_unit_test(test_doomed_in_the_future),
		cmocka_unit_test(test_no_index_without_lock),
		cmocka_unit_test(test_two_bases),
		cmocka_unit_test(test_baseless),
		cmocka_unit_test(test_nearly_baseless),
		cmocka_unit_test(test_found_before),
		cmocka_unit_test(test_left_name),
		cmocka_unit_test(test_rekey_whole),
		cmocka_unit_test(test_rekey_on_live),
		cmocka_unit_test(test_rekey_branches),
	};
	return cmocka_run_group_tests(tests, setup_coder, teardown_coder);
}
