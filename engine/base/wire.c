#include "engine/base/wire.h"

#include <stdlib.h>
#include <string.h>

int put_u8(struct buf *b, uint8_t v, struct err *e)
{
	return buf_add(b, &v, 1, e);
}

int put_u32(struct buf *b, uint32_t v, struct err *e)
{
	uint8_t t[4];
	set_le32(t, v);
	return buf_add(b, t, sizeof t, e);
}

int put_u64(struct buf *b, uint64_t v, struct err *e)
{
	uint8_t t[8];
	set_le64(t, v);
	return buf_add(b, t, sizeof t, e);
}

int put_var(struct buf *b, uint64_t v, struct err *e)
{
	uint8_t t[10];
	size_t n = 0;
	while (v >= 0x80) {
		t[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	t[n++] = (uint8_t)v;
	return buf_add(b, t, n, e);
}

int put_svar(struct buf *b, int64_t v, struct err *e)
{
	return put_var(b, (uint64_t)v << 1 ^ (uint64_t)(v >> 63), e);
}

int put_bytes(struct buf *b, struct span s, struct err *e)
{
	int r = put_var(b, s.n, e);
	return r < 0 ? r : buf_add(b, s.p, s.n, e);
}

int put_str(struct buf *b, const char *s, struct err *e)
{
	return put_bytes(b, span_of(s, strlen(s)), e);
}

struct span rd_raw(struct rd *r, size_t n)
{
	if (r->bad || n > rd_left(r)) {
		r->bad = true;
		return (struct span){r->end, 0};
	}
	struct span s = {r->p, n};
	r->p += n;
	return s;
}

uint8_t rd_u8(struct rd *r)
{
	struct span s = rd_raw(r, 1);
	return s.n ? s.p[0] : 0;
}

uint32_t rd_u32(struct rd *r)
{
	struct span s = rd_raw(r, 4);
	return s.n ? get_le32(s.p) : 0;
}

uint64_t rd_u64(struct rd *r)
{
	struct span s = rd_raw(r, 8);
	return s.n ? get_le64(s.p) : 0;
}

uint64_t rd_var(struct rd *r)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t c = rd_u8(r);
		if (r->bad)
			return 0;
		if ((shift == 63 && c > 1) || (shift && c == 0))
			break; /* too large, or not the shortest form */
		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return v;
	}
	r->bad = true;
	return 0;
}

int64_t rd_svar(struct rd *r)
{
	uint64_t v = rd_var(r);
	return (int64_t)(v >> 1 ^ (~(v & 1) + 1));
}

uint64_t rd_var_max(struct rd *r, uint64_t max)
{
	uint64_t v = rd_var(r);
	if (v > max) {
		r->bad = true;
		return 0;
	}
	return v;
}

uint64_t rd_count(struct rd *r, size_t each)
{
	return rd_var_max(r, rd_left(r) / (each ? each : 1));
}

struct span rd_bytes(struct rd *r)
{
	uint64_t n = rd_var(r);
	if (n > rd_left(r)) {
		r->bad = true;
		n = 0;
	}
	return rd_raw(r, (size_t)n);
}

char *rd_strdup(struct rd *r)
{
	struct span s = rd_bytes(r);
	char *c = NULL;
	if (!r->bad && !memchr(s.p, 0, s.n))
		c = malloc(s.n + 1);
	if (!c) {
		r->bad = true;
		return NULL;
	}
	memcpy(c, s.p, s.n);
	c[s.n] = 0;
	return c;
}

int rd_done(const struct rd *r, const char *what, struct err *e)
{
	if (r->bad || r->p != r->end)
		return err_set(e, E_CORRUPT, 0, "%s is not well formed", what);
	return 0;
}
