/* selection_parse, for libFuzzer: what was understood is written and read again as the same set. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/prune/selection.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct selection *s, *again;
	struct buf b = BUF_INIT, c = BUF_INIT;
	struct err e = ERR_INIT;
	int r = selection_parse(&s, (struct span){p, n}, &e);
	if (r < 0) {
		if ((r != E_USAGE && r != E_NOMEM) || !e.msg[0])
			abort();
		return 0;
	}
	if (selection_format(s, &b, NULL) < 0 || selection_parse(&again, buf_span(&b), NULL) < 0)
		abort();
	if (selection_format(again, &c, NULL) < 0 || b.len != c.len ||
		(b.len && memcmp(b.p, c.p, b.len) != 0) ||
		selection_count(s) != selection_count(again))
		abort();
	selection_free(s);
	selection_free(again);
	buf_free(&b);
	buf_free(&c);
	return 0;
}
