#include "engine/codec/zstd.h"

#include <stdlib.h>
#define ZSTD_STATIC_LINKING_ONLY /* for the format without magic */
#include <zstd.h>

#define WINDOW_LOG_MAX 27

struct zs {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
};

int zs_new(struct zs **ret, struct err *e)
{
	struct zs *z = calloc(1, sizeof *z);
	if (z) {
		z->c = ZSTD_createCCtx();
		z->d = ZSTD_createDCtx();
	}
	if (!z || !z->c || !z->d) {
		zs_free(z);
		return err_set(e, E_NOMEM, 0, "no memory for compression");
	}
	*ret = z;
	return 0;
}

void zs_free(struct zs *z)
{
	if (!z)
		return;
	ZSTD_freeCCtx(z->c);
	ZSTD_freeDCtx(z->d);
	free(z);
}

static unsigned window_log(size_t n)
{
	unsigned w = 10;
	while (w < WINDOW_LOG_MAX && ((size_t)1 << w) < n)
		w++;
	return w;
}

int zs_compress(struct zs *z, int level, struct span prefix, struct span in, struct buf *out,
	struct err *e)
{
	size_t bound = ZSTD_compressBound(in.n);
	int r = buf_reserve(out, bound, e);
	if (r < 0)
		return r;
	ZSTD_CCtx_reset(z->c, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setParameter(z->c, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(z->c, ZSTD_c_format, ZSTD_f_zstd1_magicless);
	ZSTD_CCtx_setParameter(z->c, ZSTD_c_contentSizeFlag, 0);
	if (prefix.n) {
		/* The window must reach from the end of the input to the start of the prefix; the
		 * long-distance matcher finds the parts that stayed, at any distance, cheaply. */
		ZSTD_CCtx_setParameter(z->c, ZSTD_c_windowLog,
			(int)window_log(prefix.n + in.n));
		if (prefix.n + in.n > 64 * 1024)
			ZSTD_CCtx_setParameter(z->c, ZSTD_c_enableLongDistanceMatching, 1);
		ZSTD_CCtx_refPrefix(z->c, prefix.p, prefix.n);
	}
	size_t n = ZSTD_compress2(z->c, out->p + out->len, bound, in.p, in.n);
	if (ZSTD_isError(n))
		return err_set(e, E_NOMEM, 0, "compress %zu bytes: %s", in.n, ZSTD_getErrorName(n));
	out->len += n;
	return 0;
}

int zs_decompress(struct zs *z, struct span prefix, struct span in, size_t n, struct buf *out,
	struct err *e)
{
	int r = buf_reserve(out, n + 1, e);
	if (r < 0)
		return r;
	ZSTD_DCtx_reset(z->d, ZSTD_reset_session_and_parameters);
	ZSTD_DCtx_setParameter(z->d, ZSTD_d_format, ZSTD_f_zstd1_magicless);
	ZSTD_DCtx_setParameter(z->d, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	if (prefix.n)
		ZSTD_DCtx_refPrefix(z->d, prefix.p, prefix.n);
	size_t got = ZSTD_decompressDCtx(z->d, out->p + out->len, n, in.p, in.n);
	if (ZSTD_isError(got))
		return err_set(e, E_CORRUPT, 0, "decompress: %s", ZSTD_getErrorName(got));
	if (got != n)
		return err_set(e, E_CORRUPT, 0, "decompressed %zu bytes where %zu were expected",
			got, n);
	out->len += n;
	return 0;
}
