/* The adaptive arithmetic coder: carry-propagating, 32 bits of range, as in LZMA; probabilities
 * that learn fast at first and slowly later, down to 1 in 65536, so that what is always as
 * predicted costs next to nothing. */
#include "engine/codec/foreign_internal.h"

enum { COUNT_MASK = 1023, COUNT_LIMIT = 255 };

void fo_probs_init(fo_prob *p, size_t n, fo_prob v)
{
	for (size_t i = 0; i < n; i++)
		p[i] = v;
}

void fo_encoder_init(struct fo_coder *c, struct buf *out)
{
	*c = (struct fo_coder){.range = UINT32_MAX, .out = out};
}

static uint8_t next_byte(struct fo_coder *c)
{
	return c->p < c->end ? *c->p++ : 0;
}

void fo_decoder_init(struct fo_coder *c, struct span in)
{
	*c = (struct fo_coder){.decode = true, .range = UINT32_MAX, .p = in.p, .end = span_end(in)};
	for (int i = 0; i < 4; i++)
		c->code = c->code << 8 | next_byte(c);
}

static void put_byte(struct fo_coder *c, unsigned v)
{
	uint8_t byte = (uint8_t)v;
	if (!c->failed)
		c->failed = buf_add(c->out, &byte, 1, NULL);
}

/* Move the top byte of `low` out; bytes of 0xff wait for a carry. The very first byte is always 0
 * and takes no carry, so it is left out. */
static void shift_low(struct fo_coder *c)
{
	unsigned carry = (unsigned)(c->low >> 32);
	if ((uint32_t)c->low < 0xff000000u || carry) {
		if (c->began)
			put_byte(c, c->cache + carry);
		c->began = true;
		for (; c->held; c->held--)
			put_byte(c, 0xff + carry);
		c->cache = (uint8_t)(c->low >> 24);
	} else {
		c->held++;
	}
	c->low = (c->low & 0x00ffffff) << 8;
}

static inline void normalize(struct fo_coder *c)
{
	while (c->range < 1u << 24) {
		c->range <<= 8;
		if (c->decode)
			c->code = c->code << 8 | next_byte(c);
		else
			shift_low(c);
	}
}

/* Split the range: the lower `bound` of it is a 0. */
static inline unsigned split(struct fo_coder *c, uint32_t bound, unsigned bit)
{
	if (c->decode)
		bit = c->code >= bound;
	if (bit) {
		if (c->decode)
			c->code -= bound;
		else
			c->low += bound;
		c->range -= bound;
	} else {
		c->range = bound;
	}
	normalize(c);
	return bit;
}

unsigned fo_bit(struct fo_coder *c, fo_prob *p, unsigned bit)
{
	uint32_t p16 = *p >> 16, n = *p & COUNT_MASK;
	p16 += p16 == 0; /* neither is ever impossible: at most 65535 by its type */
	bit = split(c, (uint32_t)((uint64_t)c->range * p16 >> 16), bit);
	int64_t target = bit ? 0 : (1 << 22) - 1, v = *p >> 10;
	v += (target - v) * 2 / (2 * (int64_t)n + 3);
	*p = (uint32_t)v << 10 | (n < COUNT_LIMIT ? n + 1 : n);
	return bit;
}

unsigned fo_raw(struct fo_coder *c, unsigned nbits, unsigned v)
{
	unsigned r = 0;
	while (nbits--)
		r = r << 1 | split(c, c->range >> 1, v >> nbits & 1);
	return r;
}

unsigned fo_tree(struct fo_coder *c, fo_prob *p, unsigned nbits, unsigned v)
{
	unsigned node = 1;
	for (unsigned i = nbits; i-- > 0;)
		node = node << 1 | fo_bit(c, &p[node], v >> i & 1);
	return node - (1u << nbits);
}

/* How many bits v + 1 has, in unary; then the bits below its first, of which the upper two learn.
 */
uint32_t fo_number(struct fo_coder *c, struct fo_number *m, uint32_t v)
{
	unsigned size = 0, want = 0;
	if (!c->decode)
		want = 31 - (unsigned)__builtin_clz(v + 1);
	while (size < 31 && fo_bit(c, &m->size[size], size < want))
		size++;
	unsigned learnt = size < 2 ? size : 2, rest = size - learnt;
	uint32_t low = v + 1 - (1u << size);
	uint32_t r = 1u << learnt | fo_tree(c, m->top[size], learnt, low >> rest & 3);
	r = r << rest | fo_raw(c, rest, low & ((1u << rest) - 1));
	return r - 1;
}

int fo_encoder_done(struct fo_coder *c, struct err *e)
{
	/* Of all numbers in the range the one with the most zeros at its end: those are not sent.
	 */
	uint64_t v = c->low;
	for (unsigned zeros = 31; zeros; zeros--) {
		uint64_t up = (c->low + (1u << zeros) - 1) >> zeros << zeros;
		if (up < c->low + c->range) {
			v = up;
			break;
		}
	}
	c->low = v;
	for (int i = 0; i < 5; i++)
		shift_low(c);
	if (c->failed)
		return err_set(e, E_NOMEM, 0, "no memory to describe a stream");
	return 0;
}

bool fo_decoder_done(const struct fo_coder *c)
{
	return c->p == c->end;
}
