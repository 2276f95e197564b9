#include "engine/snapshot/cut.h"

#define WINDOW 64			       /* bytes that a 64-bit gear hash remembers */
#define CANDIDATE_MASK ((uint64_t)0xfff << 52) /* one position in 4096; the oldest bits mix best */
#define DECIDE_MASK 63			       /* one candidate in 64 */

void cutter_init(struct cutter *c, const struct keys *k)
{
	c->k = k;
	for (unsigned i = 0; i < 256; i++) {
		uint8_t seed[9] = {'g', 'e', 'a', 'r', ' ', 't', 'a', 'b', (uint8_t)i};
		c->gear[i] = keyed_cut(k, span_of(seed, sizeof seed));
	}
}

size_t cutter_next(const struct cutter *c, struct span s)
{
	uint64_t h = 0;
	size_t max = s.n < CUT_MAX ? s.n : CUT_MAX;
	if (s.n <= CUT_MIN)
		return s.n;
	for (size_t i = CUT_MIN - WINDOW; i < max; i++) {
		h = (h << 1) + c->gear[s.p[i]];
		if (i < CUT_MIN || (h & CANDIDATE_MASK))
			continue;
		if ((keyed_cut(c->k, span_of(s.p + i + 1 - WINDOW, WINDOW)) & DECIDE_MASK) == 0)
			return i + 1;
	}
	return max;
}
