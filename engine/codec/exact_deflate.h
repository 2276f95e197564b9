/* exact_deflate.h - deflate whose output is, byte for byte, that of zlib, several times faster.
 *
 * The bytes are those of zlib 1.2.x and 1.3.x for deflateInit2(level, Z_DEFLATED, 15 or -15 or 31,
 * memLevel 8, Z_DEFAULT_STRATEGY) followed by one deflate(Z_FINISH) that sees the whole input.
 * How, why it is the same, and what it gains: docs/EXACT-DEFLATE.md.
 *
 * Threads: a `struct exact_deflate` is working memory for one call at a time; give each thread its
 * own. Its contents never influence the output. 1.3 MiB, whatever the size of the input. */
#ifndef MCFS_CODEC_EXACT_DEFLATE_H
#define MCFS_CODEC_EXACT_DEFLATE_H

#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct exact_deflate;

enum exact_wrap {
	EXACT_RAW,  /* the bare deflate stream                                          */
	EXACT_ZLIB, /* two header bytes, Adler-32 behind                                */
	EXACT_GZIP  /* zlib's default header (no name, time 0, system 3), CRC-32, length */
};

/* Make working memory; *ret is set on success only. E_NOMEM. */
int exact_deflate_new(struct exact_deflate **ret, struct err *e) MUST_CHECK;
/* NULL is fine. */
void exact_deflate_free(struct exact_deflate *d);

/* No output for an input of n bytes is longer, whatever the level and wrapping. */
size_t exact_deflate_bound(size_t n);

/* Append the compressed form of `in` to `out`. Levels 0 to 9. On failure `out` has its old length:
 * E_NOMEM; E_USAGE for a level or wrapping that does not exist; E_UNSUPPORTED for 2 GiB and more.
 * `in` must not point into `out`. O(in.n), as zlib is. */
int exact_deflate(struct exact_deflate *d, int level, enum exact_wrap wrap, struct span in,
	struct buf *out, struct err *e) MUST_CHECK;

#endif
