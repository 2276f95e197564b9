/* buf.h - bytes: a growing buffer that owns them, a span that only points at them.
 *
 * A zeroed `struct buf` is an empty one. Growing fails with E_NOMEM and leaves the buffer as it
 * was. Not safe to share between threads. */
#ifndef MCFS_BASE_BUF_H
#define MCFS_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct span {
	const uint8_t *p;
	size_t n;
};

struct buf {
	uint8_t *p;
	size_t len, cap;
};

#define BUF_INIT ((struct buf){0})

/* Make room for `more` bytes behind what is there. Amortised O(1) a byte. */
int buf_reserve(struct buf *b, size_t more, struct err *e) MUST_CHECK;
/* Make room for exactly `cap` bytes in all, for buffers whose size is known. */
int buf_reserve_exact(struct buf *b, size_t cap, struct err *e) MUST_CHECK;
int buf_add(struct buf *b, const void *p, size_t n, struct err *e) MUST_CHECK;
int buf_add_zero(struct buf *b, size_t n, struct err *e) MUST_CHECK;
/* Set the length; new bytes are undefined. */
int buf_resize(struct buf *b, size_t n, struct err *e) MUST_CHECK;
/* Release the memory; the buffer is empty and usable again. */
void buf_free(struct buf *b);

static inline struct span buf_span(const struct buf *b)
{
	return (struct span){b->p, b->len};
}

static inline struct span span_of(const void *p, size_t n)
{
	return (struct span){(const uint8_t *)p, n};
}

/* One after its last byte. An empty span may be NULL, to which C lets nobody add even 0. */
static inline const uint8_t *span_end(struct span s)
{
	return s.n ? s.p + s.n : s.p;
}

/* The part of a span from `off`, at most `n` bytes; empty when out of range. */
static inline struct span span_sub(struct span s, size_t off, size_t n)
{
	if (off >= s.n)
		return (struct span){off == s.n ? span_end(s) : s.p, 0};
	if (n > s.n - off)
		n = s.n - off;
	return (struct span){s.p + off, n};
}

#endif
