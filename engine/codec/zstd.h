/* zstd.h - compression of plain blobs, alone or against a prefix that the reader has as well.
 *
 * Frames carry no magic, size or checksum: lengths stand in the pack's footer and the seal around
 * the frame authenticates. A `struct zs` is one thread's working memory. Source: RFC 8878. */
#ifndef MCFS_CODEC_ZSTD_H
#define MCFS_CODEC_ZSTD_H

#include "engine/base/buf.h"

struct zs;
int zs_new(struct zs **ret, struct err *e) MUST_CHECK;
void zs_free(struct zs *z);

/* Append the compressed form of `in`. `prefix` may be empty. */
int zs_compress(struct zs *z, int level, struct span prefix, struct span in, struct buf *out,
	struct err *e) MUST_CHECK;
/* Append exactly `n` bytes, or E_CORRUPT. The same prefix as when it was compressed. */
int zs_decompress(struct zs *z, struct span prefix, struct span in, size_t n, struct buf *out,
	struct err *e) MUST_CHECK;

#endif
