/* The list of a pack's frames, and lines of the index cache. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/store/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int each(void *ctx, const struct name *name, const struct blob_loc *l, struct err *e)
{
	(void)name;
	(void)e;
	/* What a reader relies on. */
	if ((uint64_t)l->blob_off + l->plain_len > l->frame_plain)
		abort();
	++*(uint64_t *)ctx;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct pack_summary sum;
	struct blob_loc l = {0};
	struct err e = ERR_INIT;
	uint64_t blobs = 0;
	if (pack_record_read(span_of(p, n), &sum, each, &blobs, &e) == 0 && blobs != sum.blobs)
		abort();
	/* No list can hold more than its bytes. */
	if (blobs > n)
		abort();
	(void)!blob_loc_get(span_of(p, n), &l, &e);
	return 0;
}
