#include "engine/base/buf.h"

#include <stdlib.h>
#include <string.h>

static int grow(struct buf *b, size_t cap, struct err *e)
{
	uint8_t *p = realloc(b->p, cap);
	if (!p)
		return err_set(e, E_NOMEM, 0, "no memory for %zu bytes", cap);
	b->p = p;
	b->cap = cap;
	return 0;
}

int buf_reserve(struct buf *b, size_t more, struct err *e)
{
	if (more > SIZE_MAX / 2 - b->len)
		return err_set(e, E_NOMEM, 0, "a buffer of %zu more bytes is too large", more);
	size_t need = b->len + more;
	if (need <= b->cap)
		return 0;
	size_t cap = b->cap + b->cap / 2;
	if (cap < need)
		cap = need;
	if (cap < 64)
		cap = 64;
	return grow(b, cap, e);
}

int buf_reserve_exact(struct buf *b, size_t cap, struct err *e)
{
	return cap <= b->cap ? 0 : grow(b, cap, e);
}

int buf_add(struct buf *b, const void *p, size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	int r = buf_reserve(b, n, e);
	if (r < 0)
		return r;
	memcpy(b->p + b->len, p, n);
	b->len += n;
	return 0;
}

int buf_add_zero(struct buf *b, size_t n, struct err *e)
{
	int r = buf_reserve(b, n, e);
	if (r < 0)
		return r;
	if (n)
		memset(b->p + b->len, 0, n);
	b->len += n;
	return 0;
}

int buf_resize(struct buf *b, size_t n, struct err *e)
{
	if (n > b->len) {
		int r = buf_reserve(b, n - b->len, e);
		if (r < 0)
			return r;
	}
	b->len = n;
	return 0;
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = BUF_INIT;
}
