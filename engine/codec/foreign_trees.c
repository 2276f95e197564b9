/* Code lengths as known writers give them out, and how they spell them in a header.
 *
 * Among the many optimal trees zlib's follows from the order in which its binary heap gives out
 * nodes of equal frequency ("by heap"). libdeflate, zopfli and others sort the symbols by
 * frequency and hand the lengths out in that order ("by rank"). */
#include "engine/codec/foreign_internal.h"

enum { MAX_NODES = 2 * FO_LIT_CODES };

struct heap {
	uint32_t freq[MAX_NODES];
	uint8_t depth[MAX_NODES];
	uint16_t dad[MAX_NODES], e[MAX_NODES + 1]; /* e: from 1 */
	unsigned len;
	uint16_t sorted[MAX_NODES]; /* nodes as they left the heap: the rarest first */
	unsigned nsorted;
	uint8_t bits[MAX_NODES];
	unsigned count[FO_MAX_BITS + 2];
};

static inline bool goes_first(const struct heap *h, unsigned a, unsigned b)
{
	return h->freq[a] < h->freq[b] || (h->freq[a] == h->freq[b] && h->depth[a] <= h->depth[b]);
}

static void sift_down(struct heap *h, unsigned k)
{
	uint16_t v = h->e[k];
	for (unsigned j = 2 * k; j <= h->len; j *= 2) {
		if (j < h->len && goes_first(h, h->e[j + 1], h->e[j]))
			j++;
		if (goes_first(h, v, h->e[j]))
			break;
		h->e[k] = h->e[j];
		k = j;
	}
	h->e[k] = v;
}

/* Fill the heap; zlib wants two symbols at least. Returns the largest. */
static int heap_fill(struct heap *h, const uint32_t *freq, unsigned n)
{
	int max = -1;
	memset(h, 0, sizeof *h);
	for (unsigned i = 0; i < n; i++) {
		if (freq[i] == 0)
			continue;
		h->freq[i] = freq[i];
		h->e[++h->len] = (uint16_t)i;
		max = (int)i;
	}
	while (h->len < 2) {
		unsigned node = max < 2 ? (unsigned)++max : 0;
		h->freq[node] = 1;
		h->e[++h->len] = (uint16_t)node;
	}
	for (unsigned k = h->len / 2; k >= 1; k--)
		sift_down(h, k);
	return max;
}

static void heap_join(struct heap *h, unsigned n)
{
	for (unsigned node = n; h->len >= 2; node++) {
		unsigned a = h->e[1];
		h->e[1] = h->e[h->len--];
		sift_down(h, 1);
		unsigned b = h->e[1];
		h->sorted[h->nsorted++] = (uint16_t)a;
		h->sorted[h->nsorted++] = (uint16_t)b;
		h->freq[node] = h->freq[a] + h->freq[b];
		h->depth[node] = (uint8_t)((h->depth[a] > h->depth[b] ? h->depth[a] : h->depth[b]) +
					   1);
		h->dad[a] = h->dad[b] = (uint16_t)node;
		h->e[1] = (uint16_t)node;
		sift_down(h, 1);
	}
	h->sorted[h->nsorted++] = h->e[1];
}

/* Lengths that became too long are cut; room is made for them by lengthening others, and the
 * lengths are handed out anew, the longest to the rarest. */
static void heap_cut(struct heap *h, int overflow, int max_code, unsigned max_bits)
{
	for (; overflow > 0; overflow -= 2) {
		unsigned bits = max_bits - 1;
		while (bits && h->count[bits] == 0)
			bits--;
		h->count[bits]--;
		h->count[bits + 1] += 2;
		h->count[max_bits]--;
	}
	unsigned i = 0;
	for (unsigned bits = max_bits; bits; bits--) {
		for (unsigned left = h->count[bits]; left && i < h->nsorted;) {
			unsigned node = h->sorted[i++];
			if ((int)node > max_code)
				continue;
			h->bits[node] = (uint8_t)bits;
			left--;
		}
	}
}

static void lengths_by_heap(const uint32_t *freq, unsigned n, unsigned max_bits, uint8_t *len)
{
	struct heap h;
	int max_code = heap_fill(&h, freq, n), overflow = 0;
	heap_join(&h, n);
	for (unsigned i = h.nsorted - 1; i-- > 0;) {
		unsigned node = h.sorted[i], bits = h.bits[h.dad[node]] + 1u;
		if (bits > max_bits) {
			bits = max_bits;
			overflow++;
		}
		h.bits[node] = (uint8_t)bits;
		if ((int)node <= max_code)
			h.count[bits]++;
	}
	if (overflow)
		heap_cut(&h, overflow, max_code, max_bits);
	memcpy(len, h.bits, n);
}

/* Symbols in use by frequency, then by number. Returns how many. */
static unsigned rank(const uint32_t *freq, unsigned n, uint16_t *sym)
{
	unsigned used = 0;
	for (unsigned i = 0; i < n; i++) {
		if (freq[i] == 0)
			continue;
		unsigned k = used++;
		for (; k && freq[sym[k - 1]] > freq[i]; k--)
			sym[k] = sym[k - 1];
		sym[k] = (uint16_t)i;
	}
	return used;
}

/* How many codes of each length: Huffman's tree by two queues; leaves before joined nodes of the
 * same frequency. Too long ones push shorter ones down. */
static void ranked_counts(const uint32_t *freq, const uint16_t *sym, unsigned used,
	unsigned max_bits, unsigned *count)
{
	uint32_t sum[FO_LIT_CODES];
	uint16_t dad[2 * FO_LIT_CODES];
	uint8_t depth[FO_LIT_CODES];
	unsigned leaf = 0, node = 0, made = 0;
	for (; made < used - 1; made++) {
		sum[made] = 0;
		for (int k = 0; k < 2; k++) {
			if (leaf < used && (node == made || freq[sym[leaf]] <= sum[node])) {
				sum[made] += freq[sym[leaf++]];
			} else {
				sum[made] += sum[node];
				dad[node++] = (uint16_t)made;
			}
		}
	}
	count[1] = 2;
	depth[made - 1] = 0;
	for (unsigned i = made - 1; i-- > 0;) {
		depth[i] = (uint8_t)(depth[dad[i]] + 1);
		unsigned d = depth[i];
		if (d >= max_bits) {
			d = max_bits - 1;
			while (count[d] == 0)
				d--;
		}
		count[d]--;
		count[d + 1] += 2;
	}
}

static void lengths_by_rank(const uint32_t *freq, unsigned n, unsigned max_bits, uint8_t *len)
{
	uint16_t sym[FO_LIT_CODES];
	unsigned count[FO_MAX_BITS + 2] = {0}, used = rank(freq, n, sym);
	memset(len, 0, n);
	if (used < 2) {
		unsigned only = used ? sym[0] : 0;
		len[0] = len[only ? only : 1] = 1;
		return;
	}
	ranked_counts(freq, sym, used, max_bits, count);
	unsigned i = 0;
	for (unsigned bits = max_bits; bits; bits--)
		for (unsigned left = count[bits]; left && i < used; left--)
			len[sym[i++]] = (uint8_t)bits;
}

void fo_lengths(
	enum fo_lengths who, const uint32_t *freq, unsigned n, unsigned max_bits, uint8_t *len)
{
	if (who == FO_BY_RANK)
		lengths_by_rank(freq, n, max_bits, len);
	else
		lengths_by_heap(freq, n, max_bits, len);
}

void fo_predict_lengths(enum fo_lengths who, const struct fo_freq *f, uint8_t *lit, uint8_t *dist)
{
	/* libdeflate keeps to 14 bits for speed; zlib's 15 are hardly ever reached. */
	unsigned lit_bits = who == FO_BY_RANK ? 14 : 15;
	memset(lit, 0, FO_LIT_CODES);
	memset(dist, 0, FO_DIST_CODES);
	fo_lengths(who, f->lit, 286, lit_bits, lit);
	fo_lengths(who, f->dist, 30, 15, dist);
}

static unsigned length_at(const struct fo_header *h, unsigned at)
{
	return at < h->nlit ? h->lit[at] : h->dist[at - h->nlit];
}

struct fo_step fo_predict_step(const struct fo_header *h, bool joined, unsigned at)
{
	unsigned total = h->nlit + h->ndist;
	unsigned begin = at < h->nlit || joined ? 0 : h->nlit;
	unsigned end = at < h->nlit && !joined ? h->nlit : total;
	unsigned len = length_at(h, at), run = 1;
	while (run < 138 && at + run < end && length_at(h, at + run) == len)
		run++;
	if (len == 0 && run >= 11)
		return (struct fo_step){18, (uint8_t)(run - 11)};
	if (len == 0 && run >= 3)
		return (struct fo_step){17, (uint8_t)(run - 3)};
	if (len && run >= 3 && at > begin && length_at(h, at - 1) == len)
		return (struct fo_step){16, (uint8_t)((run < 6 ? run : 6) - 3)};
	return (struct fo_step){(uint8_t)len, 0};
}
