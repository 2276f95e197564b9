/* Answers of a server's console: packets within the bytes that came, or a refusal. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/server/rcon.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct span in = span_of(p, n);
	struct rcon_packet k;
	struct err e = ERR_INIT;
	size_t used;
	while (rcon_parse(in, &k, &used, &e) == 1) {
		if (used < 14 || used > in.n || k.text.p != in.p + 12 || k.text.n != used - 14 ||
			rcon_units(k.text) > k.text.n + k.text.n / 2 + 2)
			abort();
		in = span_sub(in, used, SIZE_MAX);
	}
	return 0;
}
