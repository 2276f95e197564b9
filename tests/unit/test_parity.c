/* parity: packs of all sizes; flipped, zeroed and cut off bytes up to the share come back to the bit, beyond
 * it nothing gets worse; damage of the parity itself. */
#include "tests/unit/support.h"

#include "engine/base/wire.h"
#include "engine/codec/rs.h"
#include "engine/store/pack.h"
#include "engine/store/parity.h"
#include "engine/store/store_internal.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/one_store.h"

static struct id pack;
static char pack_key[PACK_KEY_CHARS];

static int setup(void **state)
{
	setup_store(state);
	memset(pack.b, 0xab, ID_BYTES);
	pack_object_key(&pack, pack_key);
	return 0;
}

static struct buf *stored(const char *prefix)
{
	return mem_place_object(place, mem_place_key(place, prefix, 0));
}

/* Any bytes do: parity knows nothing of what is in a pack. */
static void make(size_t n, unsigned percent, struct buf *want)
{
	want->len = 0;
	OK(buf_resize(want, n, e));
	fill(want->p, n, 1);
	OK(object_put(store_place(s), pack_key, buf_span(want), true, e));
	OK(parity_make(s, &pack, percent, e));
}

static bool is_whole(const struct buf *want)
{
	const struct buf *got = stored("packs/");
	return got->len == want->len && memcmp(got->p, want->p, want->len) == 0;
}

static struct parity_result restore(void)
{
	struct parity_result pr;
	OK(parity_restore(s, &pack, &pr, e));
	return pr;
}

/* A header that would have a reader make room for many times what the pack and its parity have. */
static void test_swollen(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf want = BUF_INIT, header = BUF_INIT, sealed = BUF_INIT, object = BUF_INIT;
	const uint32_t width = 4096;
	char key[64], hex[2 * ID_BYTES + 1];
	make(256, 5, &want);
	OK(put_u8(&header, 1, e));
	OK(put_u8(&header, 5, e));
	OK(put_u64(&header, 256, e));
	OK(put_u32(&header, 4096, e));
	OK(put_u32(&header, width, e));
	OK(put_u32(&header, 1, e));
	OK(buf_add_zero(&header, 8 * (1 + width), e));
	OK(object_seal(store_keys(s), "parity", &pack, buf_span(&header), &sealed, e));
	OK(put_u32(&object, (uint32_t)sealed.len, e));
	OK(buf_add(&object, sealed.p, sealed.len, e));
	OK(buf_add(&object, sealed.p, sealed.len, e));
	OK(put_u32(&object, (uint32_t)sealed.len, e));
	snprintf(key, sizeof key, "parity/ab/%s", hex_of(pack.b, ID_BYTES, hex));
	OK(object_put(store_place(s), key, buf_span(&object), true, e));
	assert_true(restore().none);
	assert_true(is_whole(&want));
}

static void test_rs(void **state)
{
	(void)state;
	static const unsigned shapes[][2] = {{1, 1}, {2, 1}, {5, 3}, {20, 2}, {100, 50}, {242, 13}, {1, 254}};
	enum { LEN = 96 };
	for (size_t i = 0; i < N_OF(shapes); i++) {
		unsigned k = shapes[i][0], m = shapes[i][1];
		struct rs *rs;
		uint8_t *rows[RS_ROWS_MAX], want[LEN];
		bool lost[RS_ROWS_MAX] = {false};
		OK(rs_new(&rs, k, m, e));
		for (unsigned j = 0; j < k + m; j++) {
			rows[j] = calloc(1, LEN);
			if (j < k)
				fill(rows[j], LEN, 1);
		}
		for (unsigned j = k; j-- > 0;)
			rs_add_row(rs, j, rows[j], LEN, rows + k);
		memcpy(want, rows[k / 2], LEN);
		/* As many as can be, that one among them. */
		lost[k / 2] = true;
		memset(rows[k / 2], 0, LEN);
		for (unsigned n = 1; n < m;) {
			unsigned j = below(k + m);
			if (lost[j])
				continue;
			lost[j] = true;
			n++;
			if (j >= k)
				memset(rows[j], 0x55, LEN);
		}
		OK(rs_recover(rs, rows, lost, LEN, e));
		assert_memory_equal(rows[k / 2], want, LEN);
		for (unsigned j = 0; j < k + m; j++)
			if (!lost[j]) {
				lost[j] = true;
				break;
			}
		FAILS(E_CORRUPT, rs_recover(rs, rows, lost, LEN, e));
		for (unsigned j = 0; j < k + m; j++)
			free(rows[j]);
		rs_free(rs);
	}
	struct rs *rs;
	FAILS(E_CORRUPT, rs_new(&rs, 250, 6, e));
	FAILS(E_CORRUPT, rs_new(&rs, 0, 6, e));
}

/* One run of bytes, of the whole share, anywhere. */
static void test_share(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 255, 256, 257, 5000, 70000, 262144, 300001, 2100000};
	static const unsigned percents[] = {1, 5, 20, 50};
	CLEANUP_BUF struct buf want = BUF_INIT;
	for (size_t i = 0; i < N_OF(sizes); i++)
		for (size_t p = 0; p < N_OF(percents); p++) {
			size_t share = sizes[i] * percents[p] / 100;
			bool sound;
			make(sizes[i], percents[p], &want);
			struct parity_result pr = restore();
			assert_true(!pr.none && pr.bad == 0 && pr.restored == 0);
			OK(parity_sound(s, &pack, percents[p], &sound, e));
			assert_true(sound);
			OK(parity_sound(s, &pack, percents[p] + 1, &sound, e));
			assert_false(sound);
			/* Flipped. */
			struct buf *b = stored("packs/");
			size_t n = share ? share : 1, at = below((uint32_t)(sizes[i] - n + 1));
			for (size_t k = 0; k < n; k++)
				b->p[at + k] ^= 0x41;
			pr = restore();
			assert_true(is_whole(&want) && pr.wrong_bytes == n && pr.restored == pr.bad);
			/* Cut off. */
			b = stored("packs/");
			b->len -= n;
			pr = restore();
			assert_true(is_whole(&want) && pr.wrong_bytes == n);
			/* Longer than it was: nothing of it is wrong, and check tells the size. */
		}
}

/* A few scattered flips. */
static void test_scattered(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf want = BUF_INIT;
	for (int round = 0; round < 4; round++) {
		make(2000000, 5, &want);
		struct buf *b = stored("packs/");
		for (int i = 0; i < 15; i++)
			b->p[below(2000000)] ^= 1;
		restore();
		assert_true(is_whole(&want));
	}
}

/* Far beyond: whatever is changed is changed to what it was. */
static void test_beyond(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf want = BUF_INIT;
	for (int round = 0; round < 10; round++) {
		make(500000, 5, &want);
		struct buf *b = stored("packs/");
		uint64_t wrong_before = 0, wrong_after = 0;
		for (int i = 0; i < 200 + round * 300; i++)
			b->p[below(500000)] ^= 0x80;
		for (size_t i = 0; i < want.len; i++)
			wrong_before += b->p[i] != want.p[i];
		struct parity_result pr = restore();
		b = stored("packs/");
		assert_int_equal(b->len, want.len);
		for (size_t i = 0; i < want.len; i++)
			wrong_after += b->p[i] != want.p[i];
		assert_int_equal(wrong_before - wrong_after, pr.wrong_bytes);
	}
}

static void test_damaged_parity(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf want = BUF_INIT, whole = BUF_INIT;
	bool sound;
	make(300000, 10, &want);
	struct buf *par = stored("parity/");
	OK(buf_add(&whole, par->p, par->len, e));
	/* One bit anywhere: restoring works still. */
	for (int i = 0; i < 50; i++) {
		static const size_t ends[] = {0, 3, 4, 30, 100};
		size_t at = (size_t)i < N_OF(ends)	   ? ends[i]
			    : (size_t)i < 2 * N_OF(ends) ? whole.len - 1 - ends[(size_t)i - N_OF(ends)]
							   : below((uint32_t)whole.len);
		par = stored("parity/");
		memcpy(par->p, whole.p, whole.len);
		par->p[at] ^= (uint8_t)(1u << below(8));
		memset(stored("packs/")->p + below(290000), 0, 3000);
		restore();
		assert_true(is_whole(&want));
	}
	/* Any length: refused or used, never a crash. */
	for (int i = 0; i < 30; i++) {
		par = stored("parity/");
		memcpy(par->p, whole.p, whole.len);
		par->len = below((uint32_t)whole.len);
		restore();
		OK(parity_sound(s, &pack, 1, &sound, e));
		par->len = whole.len;
	}
	assert_true(is_whole(&want));
	par = stored("parity/");
	memset(par->p, 0, par->len);
	assert_true(restore().none);
	OK(parity_sound(s, &pack, 1, &sound, e));
	assert_false(sound);
	OK(parity_remove(s, &pack, 1, e));
	OK(parity_remove(s, &pack, 1, e));
	assert_true(restore().none);
}

/* Parity of one pack does not do for another. */
static void test_swapped(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf want = BUF_INIT, other = BUF_INIT;
	make(10000, 10, &want);
	struct buf *par = stored("parity/");
	OK(buf_add(&other, par->p, par->len, e));
	memset(pack.b, 0xac, ID_BYTES);
	pack_object_key(&pack, pack_key);
	make(10000, 10, &want);
	OK(object_put(store_place(s), "parity/ac/acacacacacacacacacacacacacacacac", buf_span(&other), true, e));
	assert_true(restore().none);
}

/* A pack that is gone comes back when its parity is as much as it was: the smallest ones. Of others nothing is
 * made up. */
static void test_gone(void **state)
{
	static const struct {
		size_t n;
		unsigned percent;
		bool whole;
	} v[] = {{1, 5, true}, {256, 5, true}, {352, 5, true}, {512, 5, true}, {513, 5, false}, {352, 50, true},
		{768, 50, true}, {100000, 50, false}};
	(void)state;
	for (size_t i = 0; i < N_OF(v); i++) {
		CLEANUP_BUF struct buf want = BUF_INIT;
		make(v[i].n, v[i].percent, &want);
		OK(object_remove(store_place(s), pack_key, e));
		struct parity_result pr = restore();
		assert_int_equal(mem_place_key(place, "packs/", 0) != NULL, v[i].whole);
		assert_int_equal(pr.restored > 0, v[i].whole);
		if (!v[i].whole)
			continue;
		assert_true(is_whole(&want));
		assert_int_equal(pr.wrong_bytes, v[i].n);
		/* Not with a part of the parity gone as well. */
		struct buf *par = stored("parity/");
		OK(object_remove(store_place(s), pack_key, e));
		uint32_t header = get_le32(par->p);
		memset(par->p + 4 + header, 0, par->len - 8 - 2 * (size_t)header);
		assert_int_equal(restore().restored, 0);
		assert_null(mem_place_key(place, "packs/", 0));
	}
}

/* ---- objects with two copies ---- */

static unsigned told;

static void on_bad_copy(void *ctx, const char *key, const char *what)
{
	(void)ctx;
	(void)what;
	assert_non_null(strstr(key, "/abab"));
	told++;
}

static void get_it(const char *kind, struct buf *out)
{
	out->len = 0;
	OK(store_object_get(s, kind, &pack, out, e));
}

static int set_parity(void **state)
{
	setup(state);
	s->cfg.parity = 5;
	return 0;
}

static void try_two_copies(const char *kind, size_t n)
{
	CLEANUP_BUF struct buf want = BUF_INIT, got = BUF_INIT;
	OK(buf_resize(&want, n, e));
	fill(want.p, n, 1);
	OK(store_object_put(s, kind, &pack, buf_span(&want), true, e));
	struct buf *object = stored(kind);
	CLEANUP_BUF struct buf whole = BUF_INIT;
	OK(buf_add(&whole, object->p, object->len, e));
	/* Any byte, then any page. */
	for (size_t at = 0, i = 0; at < whole.len; at += 1 + whole.len / 300, i++) {
		object->p[at] ^= 1;
		get_it(kind, &got);
		assert_spans(buf_span(&got), buf_span(&want));
		told = 0;
		if (i % 10 == 0)
			OK(store_copies_check(s, on_bad_copy, NULL, e));
		assert_int_equal(told, i % 10 == 0); /* between the copies, too */
		object->p[at] ^= 1;
	}
	for (size_t at = 0; at < whole.len; at += 4096) {
		memset(object->p + at, 0, whole.len - at < 4096 ? whole.len - at : 4096);
		get_it(kind, &got);
		assert_spans(buf_span(&got), buf_span(&want));
		told = 0;
		OK(store_copies_check(s, on_bad_copy, NULL, e));
		assert_true(told <= 1); /* none: that page holds no copy */
		OK(store_copies_mend(s, true, on_bad_copy, NULL, e));
		object = stored(kind);
		get_it(kind, &got);
		assert_spans(buf_span(&got), buf_span(&want));
		told = 0;
		OK(store_copies_check(s, on_bad_copy, NULL, e));
		assert_int_equal(told, 0);
		whole.len = 0;
		OK(buf_add(&whole, object->p, object->len, e));
	}
	/* Both: told as damage. */
	object->p[0] ^= 1;
	object->p[object->len - 1] ^= 1;
	FAILS(E_CORRUPT, store_object_get(s, kind, &pack, &got, e));
	OK(store_copies_check(s, on_bad_copy, NULL, e));
	OK(store_object_remove(s, kind, &pack, e));
}

static void test_two_copies(void **state)
{
	static const size_t sizes[] = {0, 1, 300, 4000, 8000, 8100, 8192, 8300, 20000, 300000};
	(void)state;
	for (size_t i = 0; i < N_OF(sizes); i++) {
		try_two_copies("snapshots", sizes[i]);
		try_two_copies("forgotten", sizes[i]);
		try_two_copies("marks", sizes[i]);
	}
}

/* From before there was parity, and after it: read all the same. */
static void test_one_copy(void **state)
{
	CLEANUP_BUF struct buf got = BUF_INIT;
	(void)state;
	s->cfg.parity = 0;
	OK(store_object_put(s, "snapshots", &pack, text("something"), true, e));
	size_t once = stored("snapshots")->len;
	told = 0;
	OK(store_copies_check(s, on_bad_copy, NULL, e));
	OK(store_copies_mend(s, false, on_bad_copy, NULL, e));
	assert_int_equal(stored("snapshots")->len, once);
	OK(store_copies_mend(s, true, on_bad_copy, NULL, e));
	assert_true(stored("snapshots")->len > 8192);
	assert_int_equal(told, 0);
	get_it("snapshots", &got);
	assert_spans(buf_span(&got), text("something"));
	OK(store_copies_mend(s, false, on_bad_copy, NULL, e));
	assert_true(stored("snapshots")->len > 8192);
	/* Others have one in any case. */
	s->cfg.parity = 5;
	OK(store_object_put(s, "lost", &pack, text("something"), true, e));
	assert_int_equal(stored("lost")->len, once);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_swollen, setup, teardown_store),
		cmocka_unit_test(test_rs),
		cmocka_unit_test_setup_teardown(test_share, setup, teardown_store),
		cmocka_unit_test_setup_teardown(test_scattered, setup, teardown_store),
		cmocka_unit_test_setup_teardown(test_beyond, setup, teardown_store),
		cmocka_unit_test_setup_teardown(test_damaged_parity, setup, teardown_store),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown_store),
		cmocka_unit_test_setup_teardown(test_swapped, setup, teardown_store),
		cmocka_unit_test_setup_teardown(test_two_copies, set_parity, teardown_store),
		cmocka_unit_test_setup_teardown(test_one_copy, set_parity, teardown_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
