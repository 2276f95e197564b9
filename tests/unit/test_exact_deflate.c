/* exact_deflate against zlib: every byte, on generated data around every boundary of the format
 * and of zlib's buffers, on mutations of it, and on all chunks of real worlds where they are at
 * hand (environment MCFS_WORLDS, else ../shared/worlds beside the source tree). */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <xxhash.h>
#include <zlib.h>

#include "engine/base/cleanup.h"
#include "engine/codec/exact_deflate_internal.h"

#ifndef MCFS_SOURCE_ROOT
#define MCFS_SOURCE_ROOT "."
#endif

static struct exact_deflate *work;
static const char *const wrap_name[] = {"raw", "zlib", "gzip"};

/* xorshift: the same data on every machine. */
static uint64_t rng_state = 88172645463325252u;

static uint32_t rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return (uint32_t)(rng_state >> 16);
}

static uint32_t below(uint32_t n)
{
	return rnd() % n;
}

static void deflate_by_zlib(struct span in, int level, enum exact_wrap wrap, struct buf *out)
{
	static const int window_bits[] = {-15, 15, 31};
	z_stream z = {0};
	assert_int_equal(
		deflateInit2(&z, level, Z_DEFLATED, window_bits[wrap], 8, Z_DEFAULT_STRATEGY),
		Z_OK);
	out->len = 0;
	assert_int_equal(buf_reserve(out, deflateBound(&z, in.n) + 64, NULL), 0);
	z.next_in = (Bytef *)(uintptr_t)in.p;
	z.avail_in = (uInt)in.n;
	z.next_out = out->p;
	z.avail_out = (uInt)out->cap;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	out->len = z.total_out;
	deflateEnd(&z);
}

/* Keep what differed, so that it can be looked at. */
static void save_failure(struct span in)
{
	FILE *f = fopen("exact_deflate.failed", "wb");
	if (!f)
		return;
	fwrite(in.p, 1, in.n, f);
	fclose(f);
}

static void check(struct span in, int level, enum exact_wrap wrap, const char *what)
{
#ifdef __x86_64__
	/* In turns with and without AVX2. */
	static bool plain;
	plain = !plain;
	work->index.avx2 = !plain && __builtin_cpu_supports("avx2");
#endif
	CLEANUP_BUF struct buf want = BUF_INIT, got = BUF_INIT;
	struct err e = ERR_INIT;
	/* A copy of exactly this size lets a sanitizer see reads beyond it. */
	CLEANUP_FREE uint8_t *copy = malloc(in.n ? in.n : 1);
	assert_non_null(copy);
	if (in.n)
		memcpy(copy, in.p, in.n);

	deflate_by_zlib(in, level, wrap, &want);
	if (exact_deflate(work, level, wrap, span_of(copy, in.n), &got, &e) < 0)
		fail_msg("%s: %s", what, e.msg);
	size_t i = 0;
	while (i < want.len && i < got.len && want.p[i] == got.p[i])
		i++;
	if (want.len != got.len || i != want.len) {
		save_failure(in);
		fail_msg("%s, %zu bytes, level %d, %s: %zu bytes instead of %zu, first "
			 "difference at %zu",
			what, in.n, level, wrap_name[wrap], got.len, want.len, i);
	}
	assert_true(got.len <= exact_deflate_bound(in.n));
}

static void check_levels(struct span in, const char *what)
{
	for (int level = 1; level <= 9; level++)
		check(in, level, EXACT_RAW, what);
}

/* The lazy levels, and one of the others by turns: for the larger inputs. */
static void check_some_levels(struct span in, const char *what)
{
	static const int others[] = {4, 1, 5, 2, 7, 3, 8, 9};
	static unsigned turn;
	check(in, 6, EXACT_RAW, what);
	check(in, others[turn++ % 8], EXACT_RAW, what);
}

/* ---- data ---- */

static void gen_random(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)rnd();
}

static void gen_zero(uint8_t *p, size_t n)
{
	memset(p, 0, n);
}

static void gen_few(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)("\0\1ab"[below(4)]);
}

static void gen_bits(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)below(2);
}

/* Runs of all lengths of few values, some of them next to the limits of a match. */
static void gen_runs(uint8_t *p, size_t n)
{
	static const unsigned len[] = {1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 31, 32, 127, 128, 129,
		130, 257, 258, 259, 260, 516, 700};
	for (size_t i = 0; i < n;) {
		size_t run = below(4) ? len[below(sizeof len / sizeof *len)] : 1 + below(300);
		uint8_t v = (uint8_t)(below(5) ? below(3) : below(256));
		for (; run && i < n; run--)
			p[i++] = v;
	}
}

/* Runs far apart in noise that has the same three-byte hash as the runs now and then. */
static void gen_sparse_runs(uint8_t *p, size_t n)
{
	gen_random(p, n);
	for (size_t i = 0; i + 400 < n; i += 20 + below(3000)) {
		memset(p + i, (int)below(2) * 255, 3 + below(260));
		if (below(3) == 0) {
			uint8_t *q = p + i + below(100);
			q[0] = (uint8_t)(below(8) << 5); /* hashes like three zeros */
			q[1] = q[2] = 0;
		}
	}
}

static void gen_text(uint8_t *p, size_t n)
{
	static const char *const words[] = {"minecraft:", "stone", "deepslate", "air", "the ",
		"Palette", "block_states", "data", "Name", "Properties", "false", "true", "axis",
		"y", "x", "lit", "\n", " ", "water", "bedrock", "tuff"};
	for (size_t i = 0; i < n;) {
		const char *w = words[below(sizeof words / sizeof *words)];
		while (*w && i < n)
			p[i++] = (uint8_t)*w++;
		if (below(20) == 0 && i < n)
			p[i++] = (uint8_t)rnd();
	}
}

/* Palette names, then longs of packed indexes that repeat mostly, then light. */
static void gen_nbt(uint8_t *p, size_t n)
{
	size_t i = 0;
	while (i < n) {
		size_t names = 200 + below(600);
		size_t end = i + names < n ? i + names : n;
		gen_text(p + i, end - i);
		i = end;
		uint8_t word[8] = {0};
		for (unsigned k = below(700); k && i + 8 <= n; k--, i += 8) {
			if (below(5) == 0)
				word[below(8)] = (uint8_t)(below(4) * 17);
			memcpy(p + i, word, 8);
		}
		for (unsigned k = below(2048); k && i < n; k--)
			p[i++] = (uint8_t)(below(40) ? 0xff : below(256));
		for (unsigned k = below(2048); k && i < n; k--)
			p[i++] = 0;
	}
}

static size_t period;

static void gen_periodic(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = i < period ? (uint8_t)rnd() : p[i - period];
}

/* Periodic with a wrong byte here and there. */
static void gen_nearly_periodic(uint8_t *p, size_t n)
{
	gen_periodic(p, n);
	for (size_t i = 0; i < n / 300; i++)
		p[below((uint32_t)n)] = (uint8_t)rnd();
}

/* Copies of earlier pieces from all distances, those near the window's limit preferred. */
static void gen_copies(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t len = below(3) ? 3 + below(12) : 1 + below(300);
		size_t dist = below(4) == 0 ? 32500 + below(12)
			      : below(2)    ? 1 + below(4200)
					    : 1 + below(33000);
		if (dist > i || below(8) == 0) {
			len = 1 + below(6);
			dist = 0;
		}
		for (; len && i < n; len--, i++)
			p[i] = dist ? p[i - dist] : (uint8_t)rnd();
	}
}

/* Many 3-byte strings of few hashes: chains at their limits. */
static void gen_chains(uint8_t *p, size_t n)
{
	static const uint8_t head[][3] = {{1, 2, 3}, {33, 2, 3}, {65, 2, 3}, {1, 2, 4}, {1, 34, 3}};
	for (size_t i = 0; i < n;) {
		const uint8_t *h = head[below(below(4) ? 2 : 5)];
		for (unsigned k = 0; k < 3 && i < n; k++)
			p[i++] = h[k];
		for (unsigned k = below(3); k && i < n; k--)
			p[i++] = (uint8_t)below(6);
	}
}

static const struct {
	const char *name;
	void (*gen)(uint8_t *p, size_t n);
} kinds[] = {{"zero", gen_zero}, {"random", gen_random}, {"few", gen_few}, {"bits", gen_bits},
	{"runs", gen_runs}, {"sparse runs", gen_sparse_runs}, {"text", gen_text}, {"nbt", gen_nbt},
	{"periodic", gen_periodic}, {"nearly periodic", gen_nearly_periodic},
	{"copies", gen_copies}, {"chains", gen_chains}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static uint8_t *fill(unsigned kind, size_t n)
{
	uint8_t *p = malloc(n + 1);
	assert_non_null(p);
	kinds[kind].gen(p, n);
	return p;
}

static void mutate(uint8_t *p, size_t n)
{
	for (unsigned k = 1 + below(8); k && n; k--) {
		size_t at = below((uint32_t)n), from = below((uint32_t)n);
		size_t len = 1 + below(60);
		if (len > n - (at > from ? at : from))
			len = n - (at > from ? at : from);
		if (below(2))
			memmove(p + at, p + from, len);
		else
			memset(p + at, (int)below(3), len);
	}
}

/* ---- tests ---- */

static void test_small_sizes(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 600; n++) {
		for (unsigned k = 0; k < KINDS; k++) {
			period = 1 + n % 11;
			CLEANUP_FREE uint8_t *p = fill(k, n);
			check(span_of(p, n), 6, (enum exact_wrap)(n % 3), kinds[k].name);
			check(span_of(p, n), (int)(1 + (n + k) % 9), EXACT_RAW, kinds[k].name);
		}
	}
}

static void test_boundaries(void **state)
{
	(void)state;
	static const size_t at[] = {258, 4096, 16383, 32506, 32768, 49152, 65274, 65535,
		65536 + 258, 98304, 131072 - 262};
	for (size_t a = 0; a < sizeof at / sizeof *at; a++) {
		for (int off = -4; off <= 4; off++) {
			size_t n = (size_t)((int)at[a] + off);
			period = 3 + below(300);
			unsigned k = below(KINDS);
			CLEANUP_FREE uint8_t *p = fill(k, n);
			check_levels(span_of(p, n), kinds[k].name);
		}
	}
}

static void test_kinds_at_sizes(void **state)
{
	(void)state;
	for (unsigned k = 0; k < KINDS; k++) {
		for (unsigned i = 0; i < 60; i++) {
			size_t n = below(i % 2 ? 70000 : 9000);
			period = 3 + below(300);
			CLEANUP_FREE uint8_t *p = fill(k, n);
			check_some_levels(span_of(p, n), kinds[k].name);
			mutate(p, n);
			check_some_levels(span_of(p, n), "mutated");
		}
	}
}

static void test_periods_near_the_window(void **state)
{
	(void)state;
	for (period = 32490; period <= 32775; period += period > 32500 && period < 32512 ? 1 : 13) {
		for (unsigned i = 0; i < 4; i++) {
			size_t n = period + below(70000);
			CLEANUP_FREE uint8_t *p = fill(i % 2 ? 8 : 9, n);
			check_some_levels(span_of(p, n), "long period");
		}
	}
}

/* A match from offset 0 of the window, at the only distance where the slide can be seen. */
static void test_window_start(void **state)
{
	(void)state;
	for (unsigned base = 0; base < 3; base++) {
		for (size_t tail = 3; tail<300; tail += tail> 250 && tail < 270 ? 1 : 9) {
			size_t first = 32768u * base, n = first + 32506 + tail;
			CLEANUP_FREE uint8_t *p = fill(base % 2 ? 2 : 1, n);
			memcpy(p + first + 32506, p + first, tail < 20 ? tail : 20);
			check_levels(span_of(p, n), "window start");
		}
	}
}

/* A run longer than a window, whose end is 65,536 positions behind the nearer of two matches that
 * are searched just before the run: what is entered for its end must not take the place of that
 * one. */
static void test_long_run(void **state)
{
	(void)state;
	enum { START = 40000, BEHIND = 5000, OLD = 1000 };
	for (size_t run = 27000; run < 66000; run += 250) {
		size_t n = START + run + BEHIND;
		CLEANUP_FREE uint8_t *p = fill(1, n);
		memset(p + START, 0, run);
		memcpy(p + START - 50, "ABCDEFGHIJ", 10);
		for (size_t off = 0; off < 5; off++) {
			size_t near = START + run - 65536 - 4 + off;
			if (near > START) /* no such place: it would be before the input */
				near = 20000;
			if (near < OLD || near > START - 100)
				continue;
			memcpy(p + near - OLD, "ABCDEFGHIJ", 10);
			memcpy(p + near, "ABCDzzy", 7);
			check(span_of(p, n), 6, EXACT_RAW, "long run");
			gen_random(p + near - OLD, 10);
			gen_random(p + near, 7);
		}
		check(span_of(p, n), 9, EXACT_RAW, "long run");
	}
}

/* Ordinals are counted modulo 65,536: a run of more than that, then the same byte again. */
static void test_run_of_all_ordinals(void **state)
{
	(void)state;
	for (size_t run = 65500; run < 65600; run += 3) {
		size_t n = 70000 + run;
		CLEANUP_FREE uint8_t *p = fill(2, n);
		memset(p + 3000, 3, run);
		for (size_t again = 4; again < 400; again *= 2)
			memset(p + 3000 + run + 40 * again, 3, again);
		check_levels(span_of(p, n), "run of all ordinals");
	}
}

static void test_all_wraps_and_levels(void **state)
{
	(void)state;
	size_t n = 50000;
	CLEANUP_FREE uint8_t *p = fill(7, n);
	for (int level = 0; level <= 9; level++)
		for (int w = EXACT_RAW; w <= EXACT_GZIP; w++)
			check(span_of(p, n), level, (enum exact_wrap)w, "wraps");
	check(span_of(NULL, 0), 6, EXACT_ZLIB, "nothing");
}

static void test_mixed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 150; i++) {
		size_t n = 1 + below(i % 10 ? 120000 : 400000), at = 0;
		CLEANUP_FREE uint8_t *p = malloc(n);
		assert_non_null(p);
		while (at < n) {
			size_t len = 1 + below(30000);
			if (len > n - at)
				len = n - at;
			period = 3 + below(300);
			kinds[below(KINDS)].gen(p + at, len);
			at += len;
		}
		check_some_levels(span_of(p, n), "mixed");
	}
}

/* Positions count on from call to call: whatever their offset, tables that age must not be seen. */
static void test_state_between_calls(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 1500; i++) {
		static const unsigned dense[] = {2, 3, 4, 11};
		unsigned k = dense[below(4)];
		size_t n = 4000 + below(i % 16 ? 3000 : 40000);
		CLEANUP_FREE uint8_t *p = fill(k, n);
		check(span_of(p, n), i % 5 ? 6 : 4, EXACT_RAW, kinds[k].name);
	}
}

/* Fibonacci frequencies make the deepest trees: code lengths that must be cut. */
static void test_deep_trees(void **state)
{
	(void)state;
	CLEANUP_FREE uint8_t *p = malloc(40000);
	assert_non_null(p);
	for (unsigned limit = 5; limit < 19; limit++) {
		size_t n = 0;
		for (unsigned s = 0, a = 1, b = 1; s < limit; s++) {
			for (unsigned k = 0; k < a && n < 16000; k++)
				p[n++] = (uint8_t)(s * 13);
			unsigned c = a + b;
			a = b;
			b = c;
		}
		for (size_t i = n; i > 1; i--) { /* shuffle, so that literals remain */
			size_t j = below((uint32_t)i);
			uint8_t t = p[i - 1];
			p[i - 1] = p[j];
			p[j] = t;
		}
		check_levels(span_of(p, n), "deep trees");
	}
}

static void test_large(void **state)
{
	(void)state;
	for (unsigned k = 0; k < KINDS; k++) {
		size_t n = k % 4 == 3 ? 16u << 20 : (1u << 20) + below(3u << 20);
		period = 3 + below(40000);
		CLEANUP_FREE uint8_t *p = fill(k, n);
		check(span_of(p, n), 6, EXACT_ZLIB, kinds[k].name);
		if (k != 0 && k != 3)
			check(span_of(p, 1u << 20), (int)(1 + k % 9), EXACT_RAW, kinds[k].name);
	}
}

static void test_appends_and_refuses(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf out = BUF_INIT;
	struct err e = ERR_INIT;
	assert_int_equal(buf_add(&out, "before", 6, &e), 0);
	assert_int_equal(exact_deflate(work, 10, EXACT_RAW, span_of("x", 1), &out, &e), E_USAGE);
	assert_int_equal(exact_deflate(work, -1, EXACT_RAW, span_of("x", 1), &out, &e), E_USAGE);
	assert_int_equal(
		exact_deflate(work, 6, (enum exact_wrap)7, span_of("x", 1), &out, &e), E_USAGE);
	assert_int_equal(out.len, 6);
	assert_int_equal(exact_deflate(work, 6, EXACT_RAW, span_of("x", 1), &out, &e), 0);
	assert_memory_equal(out.p, "before\xab\0\0", 9);
	exact_deflate_free(NULL);
}

/* ---- real chunks ---- */

enum { MAX_SEEN = 1 << 20 };

/* Moments of one world share most of their chunks, and the same stream again proves nothing:
 * `hashes` is an open table of the streams that were checked. */
static struct {
	size_t chunks, again, bytes, files;
	uint64_t hashes[MAX_SEEN];
} seen;

/* When the table is full everything is new. */
static bool is_new(const uint8_t *p, size_t n)
{
	uint64_t h = XXH3_64bits(p, n) | 1;
	if (seen.chunks >= MAX_SEEN / 2)
		return true;
	size_t i = h / 2 % MAX_SEEN;
	for (; seen.hashes[i]; i = (i + 1) % MAX_SEEN)
		if (seen.hashes[i] == h)
			return false;
	seen.hashes[i] = h;
	return true;
}

static void check_chunk(const uint8_t *p, size_t n)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	z_stream z = {0};
	if (inflateInit(&z) != Z_OK)
		return;
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (uInt)n;
	int r = Z_OK;
	while (r == Z_OK && raw.len < 32u << 20) {
		assert_int_equal(buf_reserve(&raw, raw.len + 65536, NULL), 0);
		z.next_out = raw.p + raw.len;
		z.avail_out = (uInt)(raw.cap - raw.len);
		r = inflate(&z, Z_SYNC_FLUSH);
		raw.len = z.total_out;
	}
	inflateEnd(&z);
	if (raw.len == 0)
		return;
	check(buf_span(&raw), 6, EXACT_ZLIB, "chunk");
	if (seen.chunks % 8 == 0)
		check(buf_span(&raw), 1 + (int)(seen.chunks / 8 % 9), EXACT_RAW, "chunk");
	seen.chunks++;
	seen.bytes += raw.len;
}

static void check_region(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < 1024 && n >= 8192; i++) {
		size_t at = ((size_t)p[4 * i] << 16 | (size_t)p[4 * i + 1] << 8 | p[4 * i + 2]) *
			    4096;
		if (at < 8192 || at + 5 > n)
			continue;
		size_t len = (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 |
			     (size_t)p[at + 2] << 8 | p[at + 3];
		if (p[at + 4] != 2 || len < 2 || len - 1 > n - at - 5)
			continue;
		if (is_new(p + at + 5, len - 1))
			check_chunk(p + at + 5, len - 1);
		else
			seen.again++;
	}
	seen.files++;
}

static void check_file(const char *path, size_t n)
{
	CLEANUP_FREE uint8_t *p = malloc(n + 1);
	FILE *f = fopen(path, "rb");
	if (f && p && fread(p, 1, n, f) == n)
		check_region(p, n);
	if (f)
		fclose(f);
}

static void walk(const char *dir)
{
	CLEANUP_DIR DIR *d = opendir(dir);
	const struct dirent *de;
	while (d && (de = readdir(d))) {
		char path[4096];
		struct stat st;
		size_t len = strlen(de->d_name);
		if (de->d_name[0] == '.' ||
			snprintf(path, sizeof path, "%s/%s", dir, de->d_name) >= (int)sizeof path ||
			lstat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode))
			walk(path);
		else if (S_ISREG(st.st_mode) && len > 4 &&
			 strcmp(de->d_name + len - 4, ".mca") == 0)
			check_file(path, (size_t)st.st_size);
	}
}

static void test_real_chunks(void **state)
{
	(void)state;
	const char *worlds = getenv("MCFS_WORLDS");
	if (!worlds || !*worlds)
		worlds = MCFS_SOURCE_ROOT "/../shared/worlds";
	walk(worlds);
	if (seen.files == 0) {
		print_message("skipped: no region files under '%s' (set MCFS_WORLDS)\n", worlds);
		skip();
	}
	print_message("%zu chunks, %zu bytes inflated, of %zu files: all equal (and %zu chunks "
		      "that were there before)\n",
		seen.chunks, seen.bytes, seen.files, seen.again);
}

static int setup(void **state)
{
	(void)state;
	return exact_deflate_new(&work, NULL);
}

static int teardown(void **state)
{
	(void)state;
	exact_deflate_free(work);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends_and_refuses),
		cmocka_unit_test(test_small_sizes),
		cmocka_unit_test(test_boundaries),
		cmocka_unit_test(test_kinds_at_sizes),
		cmocka_unit_test(test_all_wraps_and_levels),
		cmocka_unit_test(test_state_between_calls),
		cmocka_unit_test(test_deep_trees),
		cmocka_unit_test(test_window_start),
		cmocka_unit_test(test_long_run),
		cmocka_unit_test(test_run_of_all_ordinals),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_periods_near_the_window),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_real_chunks),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
