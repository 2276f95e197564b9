/* Huffman trees as zlib builds them.
 *
 * Many trees are optimal; which one zlib takes follows from the order in which its binary heap
 * gives out nodes of equal frequency. So the heap must be the same heap: same initial order, same
 * sift-down, same comparison (frequency, then depth; the earlier wins when both are equal). A heap
 * entry here is one word, frequency, depth and node packed, so that a comparison is one too. */
#include "engine/codec/exact_deflate_internal.h"

enum {
	NODE_BITS = 10, /* 2 * 286 + 1 nodes */
	DEPTH_BITS = 6, /* with 16,384 occurrences no tree is deeper than 22 */
	FREQ_SHIFT = NODE_BITS + DEPTH_BITS,
	NODE_MASK = (1 << NODE_BITS) - 1,
	MAX_NODES = 2 * ED_L_CODES + 1
};

const uint8_t ed_len_extra[29] = {
	0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
const uint8_t ed_dist_extra[30] = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9,
	10, 10, 11, 11, 12, 12, 13, 13};

struct heap {
	uint32_t e[ED_L_CODES + 2]; /* from 1; e[len + 1] is UINT32_MAX */
	unsigned len;
	uint16_t used[ED_L_CODES]; /* symbols with a code, ascending */
	unsigned nused;
	uint16_t sorted[MAX_NODES + 1]; /* nodes by falling rank, filled from the end */
	unsigned nsorted;
	uint16_t dad[MAX_NODES];
	uint8_t bits[MAX_NODES];
	uint16_t bl_count[ED_MAX_CODE_BITS + 1];
};

/* Is a "smaller" than b, or equal: then a still goes first. */
static inline bool goes_first(uint32_t a, uint32_t b)
{
	return a <= (b | NODE_MASK);
}

/* Put v at k and restore the order below. */
static inline void sift_down(struct heap *h, unsigned len, unsigned k, uint32_t v)
{
	for (unsigned j = 2 * k; j <= len; j *= 2) {
		j += goes_first(h->e[j + 1], h->e[j]);
		if (goes_first(v, h->e[j]))
			break;
		h->e[k] = h->e[j];
		k = j;
	}
	h->e[k] = v;
}

/* Fill the heap with the symbols in use, at least two, and return the largest. */
static int heap_fill(struct heap *h, const uint16_t *freq, unsigned elems)
{
	unsigned n = 0;
	for (unsigned i = 0; i < elems; i++) {
		h->used[n] = (uint16_t)i;
		h->e[n + 1] = (uint32_t)freq[i] << FREQ_SHIFT | i;
		n += freq[i] != 0;
	}
	int max_code = n ? h->used[n - 1] : -1;
	while (n < 2) {
		unsigned node = max_code < 2 ? (unsigned)++max_code : 0;
		h->used[n++] = (uint16_t)node;
		h->e[n] = 1u << FREQ_SHIFT | node;
	}
	if (h->used[0] > h->used[1]) { /* 0 was added behind */
		uint16_t other = h->used[0];
		h->used[0] = h->used[1];
		h->used[1] = other;
	}
	h->len = h->nused = n;
	h->e[n + 1] = UINT32_MAX;
	for (unsigned k = n / 2; k >= 1; k--)
		sift_down(h, n, k, h->e[k]);
	return max_code;
}

static inline unsigned depth_of(uint32_t e)
{
	return e >> NODE_BITS & ((1 << DEPTH_BITS) - 1);
}

/* Join the two rarest nodes until one is left. Returns the number behind the last node. */
static unsigned heap_join(struct heap *h, unsigned elems)
{
	unsigned node = elems, nsorted = 0, len = h->len;
	while (len >= 2) {
		uint32_t a = h->e[1], last = h->e[len];
		h->e[len--] = UINT32_MAX;
		sift_down(h, len, 1, last);
		uint32_t b = h->e[1];
		h->sorted[nsorted++] = a & NODE_MASK;
		h->sorted[nsorted++] = b & NODE_MASK;
		h->dad[a & NODE_MASK] = h->dad[b & NODE_MASK] = (uint16_t)node;
		uint32_t da = depth_of(a), db = depth_of(b);
		uint32_t depth = (da > db ? da : db) + 1;
		uint32_t freq = (a >> FREQ_SHIFT) + (b >> FREQ_SHIFT);
		sift_down(h, len, 1, freq << FREQ_SHIFT | depth << NODE_BITS | node);
		node++;
	}
	h->nsorted = nsorted;
	return node;
}

/* Code lengths from the tree, root first; too long ones are cut. Returns how many were, those of
 * inner nodes too. */
static int lengths_from_tree(struct heap *h, unsigned elems, unsigned nodes, unsigned max_bits)
{
	int overflow = 0;
	memset(h->bl_count, 0, sizeof h->bl_count);
	h->bits[nodes - 1] = 0;
	for (unsigned n = nodes - 1; n-- > elems;) {
		unsigned bits = h->bits[h->dad[n]] + 1u;
		overflow += bits > max_bits;
		h->bits[n] = (uint8_t)(bits > max_bits ? max_bits : bits);
	}
	for (unsigned i = 0; i < h->nused; i++) {
		unsigned n = h->used[i], bits = h->bits[h->dad[n]] + 1u;
		overflow += bits > max_bits;
		bits = bits > max_bits ? max_bits : bits;
		h->bits[n] = (uint8_t)bits;
		h->bl_count[bits]++;
	}
	return overflow;
}

/* Make room for the codes that were cut by lengthening others, then hand the lengths out anew, the
 * longest to the rarest. */
static void lengths_repair(struct heap *h, int overflow, int max_code, unsigned max_bits)
{
	do {
		unsigned bits = max_bits - 1;
		while (h->bl_count[bits] == 0)
			bits--;
		h->bl_count[bits]--;
		h->bl_count[bits + 1] = (uint16_t)(h->bl_count[bits + 1] + 2);
		h->bl_count[max_bits]--;
		overflow -= 2;
	} while (overflow > 0);
	unsigned i = 0;
	for (unsigned bits = max_bits; bits; bits--) {
		for (unsigned left = h->bl_count[bits]; left;) {
			unsigned n = h->sorted[i++];
			if ((int)n > max_code)
				continue;
			h->bits[n] = (uint8_t)bits;
			left--;
		}
	}
}

static inline unsigned reverse15(unsigned v)
{
	v = (v & 0x5555) << 1 | (v >> 1 & 0x5555);
	v = (v & 0x3333) << 2 | (v >> 2 & 0x3333);
	v = (v & 0x0f0f) << 4 | (v >> 4 & 0x0f0f);
	v = (v & 0x00ff) << 8 | (v >> 8 & 0x00ff);
	return v >> 1;
}

static void codes_from_lengths(struct ed_tree *t, const struct heap *h)
{
	unsigned next[ED_MAX_CODE_BITS + 1], code = 0;
	next[0] = 0;
	for (unsigned bits = 1; bits <= ED_MAX_CODE_BITS; bits++) {
		code = (code + h->bl_count[bits - 1]) << 1;
		next[bits] = code;
	}
	memset(t->c, 0, sizeof t->c);
	for (unsigned i = 0; i < h->nused; i++) {
		unsigned n = h->used[i], len = h->bits[n];
		t->c[n] = (struct ed_code){
			(uint16_t)(reverse15(next[len]++) >> (15 - len)), (uint16_t)len};
	}
}

static uint32_t sum(const uint16_t *freq, int from, int to)
{
	uint32_t n = 0;
	for (int i = from; i < to; i++)
		n += freq[i];
	return n;
}

/* Sizes of the block's data. A symbol that does not occur has frequency 0, even where zlib gives it
 * a code to have two of them. */
static void sizes(struct ed_tree *t, const struct heap *h, const uint16_t *freq, enum ed_alphabet a,
	int elems)
{
	uint32_t opt = 0, extra = 0, stat = 0;
	for (unsigned i = 0; i < h->nused; i++)
		opt += (uint32_t)freq[h->used[i]] * h->bits[h->used[i]];
	if (a == ED_LITLEN) {
		for (int i = 8; i < 28; i++)
			extra += (uint32_t)freq[ED_END_BLOCK + 1 + i] * ed_len_extra[i];
		stat = 8 * sum(freq, 0, 144) + 9 * sum(freq, 144, 256) + 7 * sum(freq, 256, 280) +
		       8 * sum(freq, 280, elems);
	} else if (a == ED_DIST) {
		for (int i = 4; i < ED_D_CODES; i++)
			extra += (uint32_t)freq[i] * ed_dist_extra[i];
		stat = 5 * sum(freq, 0, elems);
	} else {
		extra = 2u * freq[16] + 3u * freq[17] + 7u * freq[18];
	}
	t->opt_len = opt + extra;
	t->stat_len = stat + extra;
}

void ed_tree_build(struct ed_tree *t, const uint16_t *freq, enum ed_alphabet a)
{
	static const uint16_t elems_of[] = {ED_L_CODES, ED_D_CODES, ED_BL_CODES};
	static const uint8_t max_bits_of[] = {15, 15, 7};
	struct heap h;
	unsigned elems = elems_of[a], max_bits = max_bits_of[a];

	t->max_code = heap_fill(&h, freq, elems);
	unsigned nodes = heap_join(&h, elems);
	int overflow = lengths_from_tree(&h, elems, nodes, max_bits);
	if (overflow)
		lengths_repair(&h, overflow, t->max_code, max_bits);
	codes_from_lengths(t, &h);
	sizes(t, &h, freq, a, (int)elems);
}
