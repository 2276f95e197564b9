/* bench_foreign - what deflate streams cost as descriptions (engine/codec/foreign.h).
 *
 * usage: bench_foreign [-v] [-l NAME] [-w zlib:LEVEL|libdeflate:LEVEL] [-x FOLDER] FILE...
 *
 * A FILE is a region file, whose zlib chunks are taken, or one zlib stream (.zlib, .mcc). Prints a
 * line: name, streams, plain bytes, stream bytes, side bytes, ratio, largest side, MB/s of plain
 * bytes (processor time) for describing and for making.
 *   -w   deflate the plain bytes anew by this writer, and take those streams
 *   -x   only write the plain bytes to FOLDER/N.raw, for other writers
 *   -v   a line for each stream on stderr */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libdeflate.h>
#include <zlib.h>

#include "engine/base/cleanup.h"
#include "engine/codec/foreign.h"
#include "engine/codec/inflate.h"

enum { MAX_PLAIN = 64 << 20 };

static struct {
	size_t n, failed, plain, stream, side, largest;
	double describe, make;
} sum;

static bool verbose;
static const char *extract_to;
static int zlib_level = -1;
static struct libdeflate_compressor *by_libdeflate;
static struct foreign *work;
static struct inflater *inflater;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_foreign: %s\n", what);
	exit(1);
}

static void extract(struct span plain)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%06zu.raw", extract_to, sum.n++);
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(plain.p, 1, plain.n, f) != plain.n || fclose(f) != 0)
		die("cannot write the plain bytes");
}

/* The bytes as the chosen writer deflates them, as a zlib stream. */
static void deflate_anew(struct span plain, struct buf *z)
{
	uLongf n = compressBound(plain.n) + 64;
	if (buf_reserve(z, n, NULL) < 0)
		die("no memory");
	if (by_libdeflate)
		n = libdeflate_zlib_compress(by_libdeflate, plain.p, plain.n, z->p, n);
	else if (compress2(z->p, &n, plain.p, plain.n, zlib_level) != Z_OK)
		n = 0;
	if (n == 0)
		die("cannot deflate");
	z->len = n;
}

static void measure(struct span raw, struct span plain)
{
	CLEANUP_BUF struct buf side = BUF_INIT, out = BUF_INIT;
	struct err e = ERR_INIT;
	double t0 = now();
	int r = foreign_describe(work, raw, plain, &side, &e);
	double t1 = now();
	if (r == 0)
		r = foreign_make(work, buf_span(&side), plain, raw.n, &out, &e);
	double t2 = now();
	sum.n++;
	sum.stream += raw.n;
	sum.plain += plain.n;
	if (r < 0) {
		sum.failed++;
		sum.side += raw.n;
		fprintf(stderr, "bench_foreign: %s\n", e.msg);
		return;
	}
	if (out.len != raw.n || memcmp(out.p, raw.p, raw.n) != 0)
		die("a stream came out differently");
	sum.side += side.len;
	sum.largest = side.len > sum.largest ? side.len : sum.largest;
	sum.describe += t1 - t0;
	sum.make += t2 - t1;
	if (verbose)
		fprintf(stderr, "%zu plain %zu stream %zu side, dialect %02x %02x\n", plain.n,
			raw.n, side.len, side.p[1], side.p[2]);
}

static void add_stream(struct span z)
{
	CLEANUP_BUF struct buf plain = BUF_INIT, anew = BUF_INIT;
	size_t used;
	if (z.n < 8 || inflate_whole(inflater, WRAP_ZLIB, z, MAX_PLAIN, &plain, &used, NULL) < 0)
		return; /* damaged or without an end */
	if (extract_to) {
		extract(buf_span(&plain));
		return;
	}
	if (by_libdeflate || zlib_level >= 0) {
		deflate_anew(buf_span(&plain), &anew);
		z = buf_span(&anew);
		used = z.n;
	}
	measure(span_of(z.p + 2, used - 6), buf_span(&plain));
}

static void add_region(struct span f)
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
			add_stream(span_of(p + at + 5, len - 1));
	}
}

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n >= m && strcmp(s + n - m, end) == 0;
}

static void add_file(const char *path)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	uint8_t part[65536];
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		exit(1);
	}
	for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
		if (buf_add(&b, part, n, NULL) < 0)
			die("no memory");
	fclose(f);
	if (ends_in(path, ".zlib") || ends_in(path, ".mcc"))
		add_stream(buf_span(&b));
	else
		add_region(buf_span(&b));
}

static bool writer_is(const char *s)
{
	if (strncmp(s, "zlib:", 5) == 0) {
		zlib_level = atoi(s + 5);
		return true;
	}
	if (strncmp(s, "libdeflate:", 11) == 0)
		by_libdeflate = libdeflate_alloc_compressor(atoi(s + 11));
	return by_libdeflate != NULL;
}

static void print(const char *name)
{
	printf("%-24s %7zu %11zu %10zu %9zu %7.4f %7zu %7.1f %7.1f%s\n", name, sum.n, sum.plain,
		sum.stream, sum.side, (double)sum.side / (double)sum.stream, sum.largest,
		(double)sum.plain / 1e6 / sum.describe, (double)sum.plain / 1e6 / sum.make,
		sum.failed ? " (some could not be described)" : "");
}

int main(int argc, char **argv)
{
	const char *name = "streams";
	for (int c; (c = getopt(argc, argv, "vl:w:x:")) != -1;) {
		if (c == 'v')
			verbose = true;
		else if (c == 'l')
			name = optarg;
		else if (c == 'x')
			extract_to = optarg;
		else if (c != 'w' || !writer_is(optarg))
			return 2;
	}
	if (foreign_new(&work, NULL) < 0 || inflater_new(&inflater, NULL) < 0)
		die("no memory");
	for (int i = optind; i < argc; i++)
		add_file(argv[i]);
	if (sum.n && !extract_to)
		print(name);
	foreign_free(work);
	inflater_free(inflater);
	libdeflate_free_compressor(by_libdeflate);
	return 0;
}
