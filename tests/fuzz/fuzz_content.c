/* content_step, for libFuzzer: a chunk looked at in pieces, as it is inflated, tells what it tells as a whole. The
 * first byte chooses the pieces. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/prune/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int read_in(struct facts *f, const uint8_t *p, size_t n, size_t step)
{
	struct content_reading c = {0};
	size_t have = 0;
	int r = CONTENT_MORE;
	content_begin(&c, f, FACT_BIT(FACTS) - 1, false);
	do {
		if (r == CONTENT_MORE)
			have = n - have < step ? n : have + step;
		/* Another place each time, so that nothing can point into an old one. */
		uint8_t *copy = malloc(have ? have : 1);
		if (!copy)
			abort();
		memcpy(copy, p, have);
		r = content_step(&c, (struct span){copy, have}, have == n, NULL);
		free(copy);
		if (r == CONTENT_MORE && have == n)
			abort();
	} while (r == CONTENT_MORE || r == CONTENT_NEWS);
	content_free(&c);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct query_names names = {0};
	struct facts a, b;
	uint32_t number;
	if (n < 2 || n > 20000)
		return 0;
	if (names_add(&names, NAMES_BLOCK, "stone", &number, NULL) < 0 ||
		names_add(&names, NAMES_BIOME, "plains", &number, NULL) < 0 ||
		names_add(&names, NAMES_TILE, "chest", &number, NULL) < 0 ||
		names_add(&names, NAMES_STRUCTURE, "village", &number, NULL) < 0 ||
		facts_init(&a, &names, NULL) < 0 || facts_init(&b, &names, NULL) < 0)
		abort();
	int ra = read_in(&a, p + 1, n - 1, n);
	int rb = read_in(&b, p + 1, n - 1, (size_t)p[0] + 1);
	if (ra != rb || a.known != b.known || a.none != b.none ||
		memcmp(a.number, b.number, sizeof a.number) != 0 || strcmp(a.status, b.status) != 0)
		abort();
	for (int k = 0; k < NAMES_CLASSES; k++)
		if (a.seen[k].other != b.seen[k].other || a.seen[k].bits[0] != b.seen[k].bits[0])
			abort();
	facts_free(&a);
	facts_free(&b);
	query_names_free(&names);
	return 0;
}
