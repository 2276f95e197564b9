/* bench_foreign - what deflate streams cost as descriptions (engine/codec/foreign.h).
 *
 * usage: bench_foreign [-v] [-l NAME] FILE...
 *
 * A FILE is a region file, whose zlib chunks are taken, or one zlib stream (.zlib, .mcc). Prints a
 * line: name, streams, plain bytes, stream bytes, side bytes, ratio, largest side, MB/s of plain
 * bytes for describing and for making. -v: one line for each stream on stderr. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/cleanup.h"
#include "engine/codec/foreign.h"
#include "engine/codec/inflate.h"

enum { MAX_PLAIN = 64 << 20 };

static struct {
	size_t n, failed, plain, stream, side, largest;
	double describe, make;
} sum;

static bool verbose;
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

static void add_stream(struct span z)
{
	CLEANUP_BUF struct buf plain = BUF_INIT, side = BUF_INIT, out = BUF_INIT;
	struct err e = ERR_INIT;
	size_t used;
	if (z.n < 8 || inflate_whole(inflater, WRAP_ZLIB, z, MAX_PLAIN, &plain, &used, NULL) < 0)
		return; /* damaged or without an end */
	struct span raw = {z.p + 2, used - 6};
	double t0 = now();
	int r = foreign_describe(work, raw, buf_span(&plain), &side, &e);
	double t1 = now();
	if (r == 0)
		r = foreign_make(work, buf_span(&side), buf_span(&plain), raw.n, &out, &e);
	double t2 = now();
	sum.n++;
	sum.stream += raw.n;
	sum.plain += plain.len;
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
		fprintf(stderr, "%zu plain %zu stream %zu side, dialect %02x %02x\n", plain.len, raw.n,
			side.len, side.p[1], side.p[2]);
}

static void add_region(struct span f)
{
	const uint8_t *p = f.p;
	for (size_t i = 0; i < 1024 && f.n >= 8192; i++) {
		size_t at = ((size_t)p[4 * i] << 16 | (size_t)p[4 * i + 1] << 8 | p[4 * i + 2]) * 4096;
		if (at < 8192 || at + 5 > f.n)
			continue;
		size_t len = (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 |
			p[at + 3];
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

int main(int argc, char **argv)
{
	const char *name = "streams";
	for (int c; (c = getopt(argc, argv, "vl:")) != -1;) {
		if (c == 'v')
			verbose = true;
		else if (c == 'l')
			name = optarg;
		else
			return 2;
	}
	if (foreign_new(&work, NULL) < 0 || inflater_new(&inflater, NULL) < 0)
		die("no memory");
	for (int i = optind; i < argc; i++)
		add_file(argv[i]);
	if (sum.n)
		printf("%-24s %7zu %11zu %10zu %9zu %7.4f %7zu %7.1f %7.1f%s\n", name, sum.n, sum.plain,
			sum.stream, sum.side, (double)sum.side / (double)sum.stream, sum.largest,
			(double)sum.plain / 1e6 / sum.describe, (double)sum.plain / 1e6 / sum.make,
			sum.failed ? " (some could not be described)" : "");
	foreign_free(work);
	inflater_free(inflater);
	return 0;
}
