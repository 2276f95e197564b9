/* lz4block and the other streams of chunks, for libFuzzer. Byte 0: the type; the rest: the stream.
 * Outputs never exceed their bound, and a failure leaves the buffer as it was. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/anvil/chunk.h"
#include "engine/base/cleanup.h"
#include "engine/codec/lz4block.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define MAX ((size_t)1 << 18)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	CLEANUP_BUF struct buf out = BUF_INIT;
	bool whole;
	if (n == 0 || buf_add(&out, "kept", 4, NULL) < 0)
		return 0;
	struct span in = {p + 1, n - 1};
	int r = lz4block_decode(in, MAX, &out, &whole, NULL);
	if (out.len < 4 || out.len - 4 > MAX || (r < 0) != (out.len == 4) ||
		memcmp(out.p, "kept", 4) != 0)
		abort();
	out.len = 4;
	r = chunk_decode(p[0] & 127, in, MAX, &out, NULL);
	if (out.len < 4 || out.len - 4 > MAX || (r < 0 && out.len != 4) ||
		memcmp(out.p, "kept", 4) != 0)
		abort();
	return 0;
}
