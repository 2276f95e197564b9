/* map: pieces and holes in order, from any offset, whatever their number. */
#include "tests/unit/support.h"

#include "engine/base/wire.h"
#include "engine/snapshot/map.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/one_coder.h"
#include "tests/unit/one_store.h"

static struct map_piece piece_no(unsigned i, uint64_t off)
{
	struct map_piece p = {.off = off, .len = 1 + i % 7 * 1000, .hole = i % 5 == 2};
	if (p.hole)
		p.len = i % 3 ? 4096 : (uint64_t)100 << 30;
	else
		set_le32(p.name.b, i + 1);
	return p;
}

static struct content build(unsigned n, const struct content *old, uint64_t *ret_size)
{
	struct map_builder b;
	struct content ret;
	uint64_t off = 0;
	map_builder_init(&b, s, &c, old);
	for (unsigned i = 0; i < n; i++) {
		struct map_piece p = piece_no(i, off);
		OK(map_builder_add(&b, &p, e));
		off += p.len;
	}
	OK(map_builder_finish(&b, &ret, e));
	map_builder_free(&b);
	*ret_size = off;
	return ret;
}

/* From `from` on; `first` is the piece that holds it. */
static void check_from(const struct content *map, unsigned n, uint64_t from, unsigned first,
	uint64_t first_off)
{
	struct map_iter it;
	struct map_piece p;
	uint64_t off = first_off;
	OK(map_iter_open(&it, s, &c, map, from, e));
	struct err err = ERR_INIT;
	for (unsigned i = first; i < n && i < first + 3000; i++) {
		struct map_piece want = piece_no(i, off);
		if (map_iter_next(&it, &p, &err) != 1)
			fail_msg("piece %u of %u: '%s'", i, n, err.msg);
		assert_true(p.off == want.off && p.len == want.len && p.hole == want.hole);
		if (!p.hole)
			assert_int_equal(name_cmp(&p.name, &want.name), 0);
		off += want.len;
	}
	if (n < first + 3000)
		assert_int_equal(map_iter_next(&it, &p, &err), 0);
	map_iter_close(&it);
}

static void test_sizes(void **state)
{
	(void)state;
	static const unsigned sizes[] = {1, 2, 1023, 1024, 1025, 2048, 5000};
	for (size_t k = 0; k < N_OF(sizes); k++) {
		uint64_t size, off = 0;
		OK(store_begin(s, 1, e));
		struct content map = build(sizes[k], NULL, &size);
		OK(store_commit(s, &c, e));
		assert_int_equal(map.kind, CONTENT_MAP);
		if (sizes[k] > MAP_FANOUT)
			assert_true(map.level > 0);
		check_from(&map, sizes[k], 0, 0, 0);
		for (unsigned i = 0; i < sizes[k]; i++) {
			uint64_t len = piece_no(i, 0).len;
			if (i % (1 + sizes[k] / 50) == 0 || i + 1 == sizes[k]) {
				check_from(&map, sizes[k], off, i, off);
				check_from(&map, sizes[k], off + len - 1, i, off);
			}
			off += len;
		}
		check_from(&map, sizes[k], size, sizes[k], size);
		check_from(&map, sizes[k], UINT64_MAX, sizes[k], size);
	}
}

static void test_empty(void **state)
{
	(void)state;
	uint64_t size;
	struct map_iter it;
	struct map_piece p;
	OK(store_begin(s, 1, e));
	struct content map = build(0, NULL, &size);
	OK(store_commit(s, &c, e));
	assert_int_equal(map.kind, CONTENT_EMPTY);
	OK(map_iter_open(&it, s, &c, &map, 0, e));
	assert_int_equal(map_iter_next(&it, &p, NULL), 0);
	map_iter_close(&it);
}

static void try_node(struct span node, uint8_t level)
{
	struct content map = {.kind = CONTENT_MAP, .level = level};
	struct map_iter it;
	struct map_piece p;
	struct err err = ERR_INIT;
	OK(store_begin(s, 1, e));
	OK(store_put(s, &c, FORM_RAW, node, NULL, &map.name, e));
	OK(store_commit(s, &c, e));
	int r = map_iter_open(&it, s, &c, &map, 100, &err);
	for (int i = 0; r >= 0 && i < 100; i++)
		if ((r = map_iter_next(&it, &p, &err)) == 0)
			break;
	assert_int_equal(r, E_CORRUPT);
	map_iter_close(&it);
}

static void test_hostile(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b = BUF_INIT;
	struct name none = {{5}};
	try_node(text(""), 0);
	try_node(text("M"), 0);
	try_node(text("T\x01\x01"), 1);
	try_node(span_of("M\0\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11), 0);
	try_node(span_of("M\0\2\1", 4), 0); /* says two pieces, holds one */
	/* Lengths that add up to more than a file can have. */
	OK(buf_add(&b, "M\0\3", 3, e));
	for (int i = 0; i < 3; i++)
		OK(put_var(&b, ((uint64_t)INT64_MAX / 2) << 1 | 1, e));
	try_node(buf_span(&b), 0);
	/* An inner node whose child is not there, and whose level is not the one asked for. */
	b.len = 0;
	OK(buf_add(&b, "M\1\1", 3, e));
	OK(put_var(&b, 1000, e));
	OK(buf_add(&b, none.b, NAME_BYTES, e));
	try_node(buf_span(&b), 1);
	try_node(buf_span(&b), 2);
	try_node(buf_span(&b), MAP_LEVELS);
	try_node(buf_span(&b), 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_hostile),
	};
	return cmocka_run_group_tests(tests, setup_coder_and_store, teardown_coder_and_store);
}
