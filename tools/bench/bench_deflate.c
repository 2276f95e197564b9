/* bench_deflate - zlib's deflate against exact_deflate on the chunks of region files.
 *
 * usage: bench_deflate [-l LEVEL] [-r ROUNDS] [-m MIN] [-x MAX] [-o zlib|exact] FILE.mca...
 *
 * All chunks are inflated first. Then every round goes over all of them in slices of 64, each first
 * by one, then by the other, so that both meet the same disturbances; processor time is counted, and
 * the medians over the rounds are printed. The first round compares every byte. -m and -x keep only chunks of so many inflated bytes; -o runs one of the two
 * alone, once, for profilers. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libdeflate.h>
#include <zlib.h>

#include "engine/base/cleanup.h"
#include "engine/codec/exact_deflate.h"

enum { SLICE = 64, MAX_ROUNDS = 101, MAX_RAW = 64 << 20 };

static struct {
	struct span *v;
	size_t n, cap, bytes;
} chunks;

static int level = 6;
static size_t min_raw, max_raw = SIZE_MAX;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_deflate: %s\n", what);
	exit(1);
}

static void add_chunk(struct libdeflate_decompressor *inflater, uint8_t *scratch, struct span z)
{
	size_t n;
	if (libdeflate_zlib_decompress(inflater, z.p, z.n, scratch, MAX_RAW, &n) != 0)
		return; /* damaged or without an end: not a matter of speed */
	if (n < min_raw || n > max_raw)
		return;
	if (chunks.n == chunks.cap) {
		chunks.cap = chunks.cap ? 2 * chunks.cap : 1024;
		chunks.v = realloc(chunks.v, chunks.cap * sizeof *chunks.v);
		if (!chunks.v)
			die("no memory");
	}
	uint8_t *p = malloc(n + 1);
	if (!p)
		die("no memory");
	memcpy(p, scratch, n);
	chunks.v[chunks.n++] = span_of(p, n);
	chunks.bytes += n;
}

static void add_region(struct libdeflate_decompressor *inflater, uint8_t *scratch, struct span f)
{
	const uint8_t *p = f.p;
	for (size_t i = 0; i < 1024 && f.n >= 8192; i++) {
		size_t at = ((size_t)p[4 * i] << 16 | (size_t)p[4 * i + 1] << 8 | p[4 * i + 2]) *
			    4096;
		if (at < 8192 || at + 5 > f.n)
			continue;
		size_t len = (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 |
			     (size_t)p[at + 2] << 8 | p[at + 3];
		if (p[at + 4] == 2 && len >= 2 && len - 1 <= f.n - at - 5)
			add_chunk(inflater, scratch, span_of(p + at + 5, len - 1));
	}
}

static void add_file(struct libdeflate_decompressor *inflater, uint8_t *scratch, const char *path)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	FILE *f = fopen(path, "rb");
	if (!f)
		die(path);
	size_t got;
	do {
		if (buf_reserve(&b, 1 << 20, NULL) < 0)
			die("no memory");
		got = fread(b.p + b.len, 1, b.cap - b.len, f);
		b.len += got;
	} while (got);
	fclose(f);
	add_region(inflater, scratch, buf_span(&b));
}

static void run_zlib(z_stream *z, struct span in, struct buf *out)
{
	deflateReset(z);
	if (buf_reserve(out, deflateBound(z, in.n), NULL) < 0)
		die("no memory");
	z->next_in = (Bytef *)(uintptr_t)in.p;
	z->avail_in = (uInt)in.n;
	z->next_out = out->p + out->len;
	z->avail_out = (uInt)(out->cap - out->len);
	if (deflate(z, Z_FINISH) != Z_STREAM_END)
		die("zlib failed");
	out->len += z->total_out;
}

static void run_exact(struct exact_deflate *d, struct span in, struct buf *out)
{
	struct err e = ERR_INIT;
	if (exact_deflate(d, level, EXACT_ZLIB, in, out, &e) < 0)
		die(e.msg);
}

static void compare_all(z_stream *z, struct exact_deflate *d)
{
	CLEANUP_BUF struct buf a = BUF_INIT, b = BUF_INIT;
	size_t packed = 0;
	for (size_t i = 0; i < chunks.n; i++) {
		a.len = b.len = 0;
		run_zlib(z, chunks.v[i], &a);
		run_exact(d, chunks.v[i], &b);
		if (a.len != b.len || memcmp(a.p, b.p, a.len) != 0)
			die("THE OUTPUT DIFFERS FROM ZLIB'S");
		packed += a.len;
	}
	printf("%zu chunks, %.1f MB inflated, %.1f MB deflated: every byte equal\n", chunks.n,
		(double)chunks.bytes / 1e6, (double)packed / 1e6);
}

/* One pass over chunks; the seconds it took. */
__attribute__((noinline)) static double pass(
	z_stream *z, struct exact_deflate *d, size_t from, size_t to, struct buf *out)
{
	double t = now();
	for (size_t i = from; i < to && i < chunks.n; i++) {
		out->len = 0;
		if (z)
			run_zlib(z, chunks.v[i], out);
		else
			run_exact(d, chunks.v[i], out);
	}
	return now() - t;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void rounds(z_stream *z, struct exact_deflate *d, int n)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	double tz[MAX_ROUNDS], te[MAX_ROUNDS], ratio[MAX_ROUNDS];
	for (int i = 0; i < n; i++) {
		tz[i] = te[i] = 0;
		for (size_t k = 0; k < chunks.n; k += SLICE) {
			tz[i] += pass(z, d, k, k + SLICE, &out);
			te[i] += pass(NULL, d, k, k + SLICE, &out);
		}
		ratio[i] = tz[i] / te[i];
	}
	double mb = (double)chunks.bytes / 1e6;
	double mz = median(tz, n), me = median(te, n); /* sorts */
	printf("level %d, %d rounds, one thread   zlib %s %6.1f MB/s   exact %6.1f MB/s   "
	       "ratio %.2f (medians)   %.2f (best times)\n",
		level, n, zlibVersion(), mb / mz, mb / me, median(ratio, n), tz[0] / te[0]);
}

static void usage(void)
{
	fprintf(stderr, "usage: bench_deflate [-l LEVEL] [-r ROUNDS] [-m MIN] [-x MAX] "
			"[-o zlib|exact] FILE.mca...\n");
	exit(2);
}

int main(int argc, char **argv)
{
	int opt, n = 7;
	const char *only = NULL;
	while ((opt = getopt(argc, argv, "l:r:m:x:o:")) != -1) {
		switch (opt) {
		case 'l':
			level = atoi(optarg);
			break;
		case 'r':
			n = atoi(optarg);
			break;
		case 'm':
			min_raw = strtoul(optarg, NULL, 10);
			break;
		case 'x':
			max_raw = strtoul(optarg, NULL, 10);
			break;
		case 'o':
			only = optarg;
			break;
		default:
			usage();
		}
	}
	if (optind == argc || n < 1 || n > MAX_ROUNDS || level < 0 || level > 9)
		usage();

	struct libdeflate_decompressor *inflater = libdeflate_alloc_decompressor();
	CLEANUP_FREE uint8_t *scratch = malloc(MAX_RAW);
	if (!inflater || !scratch)
		die("no memory");
	for (int i = optind; i < argc; i++)
		add_file(inflater, scratch, argv[i]);
	libdeflate_free_decompressor(inflater);
	if (chunks.n == 0)
		die("no chunks in these files");

	struct exact_deflate *d;
	z_stream z = {0};
	if (exact_deflate_new(&d, NULL) < 0 || deflateInit(&z, level) != Z_OK)
		die("no memory");
	if (only) {
		CLEANUP_BUF struct buf out = BUF_INIT;
		pass(strcmp(only, "zlib") == 0 ? &z : NULL, d, 0, chunks.n, &out);
		printf("%zu bytes in\n", chunks.bytes);
	} else {
		compare_all(&z, d);
		rounds(&z, d, n);
	}
	deflateEnd(&z);
	exact_deflate_free(d);
	for (size_t i = 0; i < chunks.n; i++)
		free((void *)(uintptr_t)chunks.v[i].p);
	free(chunks.v);
	return 0;
}
