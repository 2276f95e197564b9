/* wire.h - the encoding of everything mcfs writes down: little, deterministic, bounded.
 *
 * Integers are LEB128 varints (at most 10 bytes, shortest form required) or fixed little-endian;
 * byte strings carry their length in front. A reader never runs past its end: after the first
 * violation it is `bad`, every later read gives 0 or an empty span, and the caller asks once, at
 * the end, with rd_done(). Every length is checked against what is left before it is used. */
#ifndef MCFS_BASE_WIRE_H
#define MCFS_BASE_WIRE_H

#include <stdbool.h>

#include "engine/base/buf.h"

int put_u8(struct buf *b, uint8_t v, struct err *e) MUST_CHECK;
int put_u32(struct buf *b, uint32_t v, struct err *e) MUST_CHECK;
int put_u64(struct buf *b, uint64_t v, struct err *e) MUST_CHECK;
int put_var(struct buf *b, uint64_t v, struct err *e) MUST_CHECK;
/* Zigzag: small numbers of either sign are short. */
int put_svar(struct buf *b, int64_t v, struct err *e) MUST_CHECK;
int put_bytes(struct buf *b, struct span s, struct err *e) MUST_CHECK;
int put_str(struct buf *b, const char *s, struct err *e) MUST_CHECK;

struct rd {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct rd rd_of(struct span s)
{
	return (struct rd){s.p, span_end(s), false};
}
static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}

uint8_t rd_u8(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
uint64_t rd_var(struct rd *r);
int64_t rd_svar(struct rd *r);
/* A varint that must not exceed `max`. */
uint64_t rd_var_max(struct rd *r, uint64_t max);
/* A number of things of which each takes at least `each` more bytes: never more than can follow. */
uint64_t rd_count(struct rd *r, size_t each);
/* `n` bytes in place; the span points into what is read. */
struct span rd_raw(struct rd *r, size_t n);
/* A length and that many bytes. */
struct span rd_bytes(struct rd *r);
/* A length and that many bytes, none of them 0, as a new string; NULL when bad or without memory
 * (then bad is set as well). */
char *rd_strdup(struct rd *r);
/* E_CORRUPT unless everything was read and nothing was bad. `what` names the thing. */
int rd_done(const struct rd *r, const char *what, struct err *e) MUST_CHECK;

static inline uint32_t get_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline void set_be32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}
static inline uint32_t get_le32(const uint8_t *p)
{
	return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}
static inline void set_le32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
	p[2] = (uint8_t)(v >> 16);
	p[3] = (uint8_t)(v >> 24);
}
static inline void set_le64(uint8_t *p, uint64_t v)
{
	set_le32(p, (uint32_t)v);
	set_le32(p + 4, (uint32_t)(v >> 32));
}
static inline uint64_t get_le64(const uint8_t *p)
{
	return (uint64_t)get_le32(p + 4) << 32 | get_le32(p);
}

#endif
