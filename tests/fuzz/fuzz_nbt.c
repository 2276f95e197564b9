/* nbt and chunk_info_read, for libFuzzer: reading by steps and by skipping agree on any bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/anvil/nbt.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct span doc = {p, n};
	struct nbt_reader r;
	struct nbt_tag t;
	struct chunk_info info;
	int rc;
	nbt_open(&r, doc);
	while ((rc = nbt_next(&r, &t, NULL)) == 1)
		if ((t.name.n && (t.name.p < p || t.name.p + t.name.n > p + n)) ||
			(t.raw.n && (t.raw.p < p || t.raw.p + t.raw.n > p + n)) ||
			t.depth >= NBT_DEPTH)
			abort();
	if (rc == 0 && nbt_left(&r))
		rc = E_FORMAT;
	if (nbt_check(doc, NULL) != rc)
		abort();
	int ri = chunk_info_read(doc, &info, NULL);
	if ((rc == 0 && ri != 0) || memchr(info.status, 0, sizeof info.status) == NULL)
		abort();
	/* Against itself with another byte somewhere. */
	if (n && n < 65536) {
		uint8_t *other = malloc(n);
		if (!other)
			return 0;
		memcpy(other, p, n);
		other[n / 2] ^= 1;
		chunk_equal_but_times(doc, span_of(other, n));
		free(other);
		if (!chunk_equal_but_times(doc, doc))
			abort();
	}
	return 0;
}
