/* zstd: round trips with and without a prefix; damage is told, never believed. */
#include "tests/unit/support.h"

#include "engine/codec/zstd.h"

static struct zs *z;

static int setup(void **state)
{
	(void)state;
	return zs_new(&z, NULL);
}

static int teardown(void **state)
{
	(void)state;
	zs_free(z);
	zs_free(NULL);
	return 0;
}

static size_t roundtrip(struct span prefix, struct span in, int level)
{
	CLEANUP_BUF struct buf packed = BUF_INIT;
	CLEANUP_BUF struct buf got = BUF_INIT;
	OK(zs_compress(z, level, prefix, in, &packed, e));
	OK(buf_add(&got, "x", 1, e));
	OK(zs_decompress(z, prefix, buf_span(&packed), in.n, &got, e));
	assert_spans(span_sub(buf_span(&got), 1, SIZE_MAX), in);
	return packed.len;
}

static void test_sizes_and_kinds(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 100, 4096, 131072, 131073, 1000000};
	CLEANUP_BUF struct buf b = BUF_INIT;
	for (size_t i = 0; i < N_OF(sizes); i++)
		for (int kind = 0; kind < 4; kind++) {
			OK(buf_resize(&b, sizes[i], e));
			fill(b.p, sizes[i], kind);
			roundtrip((struct span){NULL, 0}, buf_span(&b), 3);
			roundtrip(text("minecraft:stone air"), buf_span(&b), 3);
		}
}

/* A large prefix is used over its whole length: what repeats it far away costs nearly nothing. */
static void test_prefix(void **state)
{
	(void)state;
	static const size_t sizes[] = {10000, 1000000, 12000000};
	CLEANUP_BUF struct buf old = BUF_INIT;
	CLEANUP_BUF struct buf new = BUF_INIT;
	for (size_t i = 0; i < N_OF(sizes); i++) {
		OK(buf_resize(&old, sizes[i], e));
		fill(old.p, old.len, 1);
		new.len = 0;
		OK(buf_add(&new, old.p, old.len, e));
		for (int k = 0; k < 10; k++)
			new.p[below((uint32_t)new.len)] ^= 0x55;
		size_t n = roundtrip(buf_span(&old), buf_span(&new), 6);
		if (n > sizes[i] / 10 && n > 2000)
			fail_msg("a difference of ten bytes in %zu takes %zu", sizes[i], n);
	}
}

static void test_wrong_prefix(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf old = BUF_INIT;
	CLEANUP_BUF struct buf packed = BUF_INIT;
	CLEANUP_BUF struct buf got = BUF_INIT;
	OK(buf_resize(&old, 50000, e));
	fill(old.p, old.len, 1);
	OK(zs_compress(z, 6, buf_span(&old), buf_span(&old), &packed, e));
	struct err err = ERR_INIT;
	int r = zs_decompress(z, (struct span){NULL, 0}, buf_span(&packed), old.len, &got, &err);
	/* Without a checksum of its own it may decode to something else; never run over. */
	if (r < 0)
		assert_int_equal(r, E_CORRUPT);
	else
		assert_int_equal(got.len, old.len);
}

static void test_wrong_length(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf packed = BUF_INIT;
	CLEANUP_BUF struct buf got = BUF_INIT;
	OK(zs_compress(z, 3, (struct span){NULL, 0}, text("hello hello hello hello"), &packed, e));
	FAILS(E_CORRUPT, zs_decompress(z, (struct span){NULL, 0}, buf_span(&packed), 22, &got, e));
	FAILS(E_CORRUPT, zs_decompress(z, (struct span){NULL, 0}, buf_span(&packed), 24, &got, e));
	FAILS(E_CORRUPT, zs_decompress(z, (struct span){NULL, 0}, buf_span(&packed), 0, &got, e));
	assert_int_equal(got.len, 0);
}

static void test_damage(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	CLEANUP_BUF struct buf packed = BUF_INIT;
	OK(buf_resize(&plain, 3000, e));
	fill(plain.p, plain.len, 2);
	OK(zs_compress(z, 3, (struct span){NULL, 0}, buf_span(&plain), &packed, e));
	for (size_t i = 0; i < packed.len; i++) {
		CLEANUP_BUF struct buf got = BUF_INIT;
		struct err err = ERR_INIT;
		packed.p[i] ^= (uint8_t)(1u << i % 8);
		int r = zs_decompress(z, (struct span){NULL, 0}, buf_span(&packed), plain.len, &got,
			&err);
		if (r < 0)
			assert_int_equal(r, E_CORRUPT);
		else
			assert_int_equal(got.len, plain.len);
		packed.p[i] ^= (uint8_t)(1u << i % 8);
		FAILS(E_CORRUPT, zs_decompress(z, (struct span){NULL, 0}, span_of(packed.p, i),
					 plain.len, &got, e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_and_kinds),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_wrong_prefix),
		cmocka_unit_test(test_wrong_length),
		cmocka_unit_test(test_damage),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
