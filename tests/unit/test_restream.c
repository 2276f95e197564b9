/* inflate and restream: streams that zlib makes come back to the last bit; others are said not to. */
#include "tests/unit/support.h"

#include <zlib.h>

#include "engine/base/cleanup.h"
#include "engine/codec/restream.h"

/* Classic recipes, which have no side. */
static int prove(struct restreamer *rs, unsigned guess, struct span stream, struct span plain,
	unsigned *ret, struct err *e)
{
	CLEANUP_BUF struct buf side = BUF_INIT;
	int r = restream_prove(rs, guess, stream, plain, ret, &side, e);
	/* A stream of another writer has one: these tests are about the others. */
	if (r == 0 && restream_has_side(*ret))
		*ret = RECIPE_NONE;
	return r;
}

static int remake(struct restreamer *rs, unsigned recipe, struct span plain, struct buf *out,
	struct err *e)
{
	return restream_make(rs, recipe, (struct span){NULL, 0}, plain, (size_t)1 << 30, out, e);
}

static struct restreamer *rs;
static struct inflater *inf;

static int setup(void **state)
{
	(void)state;
	return restreamer_new(&rs, NULL) < 0 ? -1 : inflater_new(&inf, NULL);
}

static int teardown(void **state)
{
	(void)state;
	restreamer_free(rs);
	inflater_free(inf);
	restreamer_free(NULL);
	inflater_free(NULL);
	return 0;
}

static void make(struct buf *out, struct span in, int level, int window_bits, int mem, int strategy)
{
	z_stream s = {0};
	assert_int_equal(deflateInit2(&s, level, Z_DEFLATED, window_bits, mem, strategy), Z_OK);
	out->len = 0;
	OK(buf_reserve(out, deflateBound(&s, in.n) + 100, e));
	s.next_in = (Bytef *)(uintptr_t)in.p;
	s.avail_in = (uInt)in.n;
	s.next_out = out->p;
	s.avail_out = (uInt)out->cap;
	assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
	out->len = s.total_out;
	deflateEnd(&s);
}

static unsigned find_recipe(enum stream_wrap wrap, struct span stream, struct buf *plain)
{
	unsigned guess = 99, recipe = RECIPE_NONE;
	plain->len = 0;
	OK(restream_open(rs, wrap, stream, 1 << 24, plain, &guess, e));
	if (guess == RECIPE_NONE) {
		assert_int_equal(plain->len, 0);
		return RECIPE_NONE;
	}
	OK(prove(rs, guess, stream, buf_span(plain), &recipe, e));
	return recipe;
}

static void test_levels(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 50, 5000, 70000, 300000};
	CLEANUP_BUF struct buf in = BUF_INIT;
	CLEANUP_BUF struct buf stream = BUF_INIT;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	for (size_t i = 0; i < N_OF(sizes); i++)
		for (int level = 1; level <= 9; level++)
			for (int gzip = 0; gzip < 2; gzip++) {
				OK(buf_resize(&in, sizes[i], e));
				fill(in.p, in.len, 1 + (int)below(3));
				make(&stream, buf_span(&in), level, gzip ? 31 : 15, 8,
					Z_DEFAULT_STRATEGY);
				unsigned recipe = find_recipe(gzip ? WRAP_GZIP : WRAP_ZLIB,
					buf_span(&stream), &plain);
				/* gzip's header does not tell the level: only likely ones are tried. */
				if (recipe == RECIPE_NONE && gzip && level != 1 && level != 6 &&
					level != 9)
					continue;
				if (recipe == RECIPE_NONE)
					fail_msg("no recipe for %zu bytes, level %d, gzip %d",
						sizes[i], level, gzip);
				assert_int_equal(recipe & ~15u, gzip ? 0x20 : 0x10);
				struct span got = span_sub(buf_span(&plain), gzip ? 10 : 0, SIZE_MAX);
				assert_spans(got, buf_span(&in));
				CLEANUP_BUF struct buf again = BUF_INIT;
				OK(buf_add(&again, "x", 1, e));
				OK(remake(rs, recipe, buf_span(&plain), &again, e));
				assert_spans(span_sub(buf_span(&again), 1, SIZE_MAX),
					buf_span(&stream));
			}
}

/* As Java writes gzip: system byte 0 or 255, and a time. */
static void test_gzip_headers(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf stream = BUF_INIT;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	uint8_t in[3000];
	fill(in, sizeof in, 3);
	make(&stream, span_of(in, sizeof in), 6, 31, 8, Z_DEFAULT_STRATEGY);
	for (int i = 0; i < 8; i++) {
		for (int at = 4; at < 10; at++)
			stream.p[at] = (uint8_t)rnd();
		unsigned recipe = find_recipe(WRAP_GZIP, buf_span(&stream), &plain);
		assert_int_equal(recipe, 0x26);
		CLEANUP_BUF struct buf again = BUF_INIT;
		OK(remake(rs, recipe, buf_span(&plain), &again, e));
		assert_spans(buf_span(&again), buf_span(&stream));
	}
}

static void must_be_foreign(enum stream_wrap wrap, struct span stream)
{
	CLEANUP_BUF struct buf plain = BUF_INIT;
	assert_int_equal(find_recipe(wrap, stream, &plain), RECIPE_NONE);
}

/* Streams of other writers, cut, damaged, with something behind them: no recipe. */
static void test_foreign(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf s = BUF_INIT;
	CLEANUP_BUF struct buf in = BUF_INIT;
	OK(buf_resize(&in, 60000, e));
	fill(in.p, in.len, 2);
	make(&s, buf_span(&in), 6, 15, 8, Z_FIXED);
	must_be_foreign(WRAP_ZLIB, buf_span(&s));
	make(&s, buf_span(&in), 6, 15, 8, Z_HUFFMAN_ONLY);
	must_be_foreign(WRAP_ZLIB, buf_span(&s));
	make(&s, buf_span(&in), 6, 15, 1, Z_DEFAULT_STRATEGY);
	must_be_foreign(WRAP_ZLIB, buf_span(&s));
	make(&s, buf_span(&in), 6, 9, 8, Z_DEFAULT_STRATEGY);
	must_be_foreign(WRAP_ZLIB, buf_span(&s));
	make(&s, buf_span(&in), 6, 15, 8, Z_DEFAULT_STRATEGY);
	for (size_t cut = 1; cut < 20; cut++)
		must_be_foreign(WRAP_ZLIB, span_of(s.p, s.len - cut));
	must_be_foreign(WRAP_GZIP, buf_span(&s));
	s.p[s.len - 1] ^= 1; /* the checksum */
	must_be_foreign(WRAP_ZLIB, buf_span(&s));
	s.p[s.len - 1] ^= 1;
	OK(buf_add_zero(&s, 1, e));
	must_be_foreign(WRAP_ZLIB, buf_span(&s));
	must_be_foreign(WRAP_ZLIB, (struct span){NULL, 0});
	must_be_foreign(WRAP_GZIP, text("\x1f\x8b\x08"));
}

/* No flipped bit leads to a recipe that would give other bytes. */
static void test_flipped_bits(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf s = BUF_INIT;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	uint8_t in[700];
	fill(in, sizeof in, 2);
	for (int gzip = 0; gzip < 2; gzip++) {
		make(&s, span_of(in, sizeof in), 6, gzip ? 31 : 15, 8, Z_DEFAULT_STRATEGY);
		for (size_t bit = 0; bit < 8 * s.len; bit++) {
			s.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
			unsigned recipe = find_recipe(gzip ? WRAP_GZIP : WRAP_ZLIB, buf_span(&s),
				&plain);
			if (recipe != RECIPE_NONE) {
				CLEANUP_BUF struct buf again = BUF_INIT;
				OK(remake(rs, recipe, buf_span(&plain), &again, e));
				assert_spans(buf_span(&again), buf_span(&s));
			}
			s.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
	}
}

/* A bomb: what inflates to more than the bound is no stream of ours. */
static void test_bound(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf in = BUF_INIT;
	CLEANUP_BUF struct buf s = BUF_INIT;
	CLEANUP_BUF struct buf plain = BUF_INIT;
	unsigned guess;
	size_t used;
	OK(buf_add_zero(&in, 1 << 20, e));
	make(&s, buf_span(&in), 9, 15, 8, Z_DEFAULT_STRATEGY);
	OK(restream_open(rs, WRAP_ZLIB, buf_span(&s), (1 << 20) - 1, &plain, &guess, e));
	assert_int_equal(guess, RECIPE_NONE);
	assert_int_equal(plain.len, 0);
	assert_true(plain.cap < (size_t)8 << 20);
	OK(restream_open(rs, WRAP_ZLIB, buf_span(&s), 1 << 20, &plain, &guess, e));
	assert_int_not_equal(guess, RECIPE_NONE);
	plain.len = 0;
	FAILS(E_FORMAT, inflate_whole(inf, WRAP_ZLIB, buf_span(&s), (1 << 20) - 1, &plain, &used, e));
	assert_int_equal(plain.len, 0);
}

static void test_unknown_recipes(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf out = BUF_INIT;
	for (unsigned recipe = 0; recipe < 256; recipe++) {
		bool known = (recipe >> 4 == 1 || recipe >> 4 == 2) && (recipe & 15) >= 1 &&
			     (recipe & 15) <= 9;
		known |= restream_has_side(recipe);
		if (!known)
			FAILS(E_UNSUPPORTED, remake(rs, recipe, text("some plain bytes..."), &out, e));
	}
	/* gzip's plain form must hold a header. */
	FAILS(E_CORRUPT, remake(rs, 0x26, text("short"), &out, e));
	assert_int_equal(out.len, 0);
}

static void test_inflate(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf s = BUF_INIT;
	CLEANUP_BUF struct buf got = BUF_INIT;
	uint8_t in[5000];
	size_t used;
	static const int bits[] = {-15, 15, 31};
	static const enum stream_wrap wraps[] = {WRAP_RAW, WRAP_ZLIB, WRAP_GZIP};
	fill(in, sizeof in, 2);
	for (size_t i = 0; i < 3; i++) {
		make(&s, span_of(in, sizeof in), 6, bits[i], 8, Z_DEFAULT_STRATEGY);
		size_t n = s.len;
		OK(buf_add(&s, "behind", 6, e));
		got.len = 0;
		OK(inflate_whole(inf, wraps[i], buf_span(&s), sizeof in, &got, &used, e));
		assert_int_equal(used, n);
		assert_spans(buf_span(&got), span_of(in, sizeof in));
		/* Without its end: a whole stream it is not, but what can be had comes. */
		got.len = 0;
		FAILS(E_FORMAT, inflate_whole(inf, wraps[i], span_of(s.p, n / 2), 1 << 20, &got, &used, e));
		assert_int_equal(got.len, 0);
		OK(inflate_lenient(wraps[i], span_of(s.p, n / 2), 1 << 20, &got, e));
		assert_in_range(got.len, 100, sizeof in);
		assert_memory_equal(got.p, in, got.len);
		got.len = 0;
		FAILS(E_FORMAT, inflate_lenient(wraps[i], span_of(s.p, 1), 1 << 20, &got, e));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_gzip_headers),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_unknown_recipes),
		cmocka_unit_test(test_inflate),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
