/* Layouts of region files: an accepted one describes every byte exactly once. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/snapshot/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(const struct layout *l)
{
	struct extent *x = NULL;
	struct err e = ERR_INIT;
	size_t k = 0;
	uint64_t at = 0;
	if (layout_extents(l, &x, &k, &e) < 0)
		return;
	for (size_t i = 0; i < k; i++) {
		if (x[i].off != at || x[i].kind > EXTENT_HEADER)
			abort();
		if (x[i].kind == EXTENT_BLOB && (x[i].source >= l->n_sources ||
				(x[i].source < LAYOUT_GROUPS && !l->has_group[x[i].source])))
			abort();
		at += x[i].len;
	}
	if (at != l->size)
		abort();
	free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct layout l;
	struct err e = ERR_INIT;
	if (layout_get(span_of(p, n), &l, &e) == 0)
		check(&l);
	layout_free(&l);
	return 0;
}
