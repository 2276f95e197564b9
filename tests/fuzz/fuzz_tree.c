/* Entries of directories and their extended attributes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/snapshot/entry.h"
#include "engine/snapshot/xattrs.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* An entry that was accepted keeps the rules, and is written again as it was. */
static void check(const struct entry *en, struct span from)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	if (!entry_name_ok(en->name) || en->mode > 07777 || en->type < NODE_FILE ||
		en->type > NODE_SOCKET || entry_mode_bits(en) == 0)
		abort();
	struct rd x = rd_of(en->xattrs);
	for (struct span name, value; xattrs_next(&x, &name, &value);)
		if (name.n > from.n || value.n > from.n)
			abort();
	if (entry_put(&b, en, &e) < 0)
		abort();
	struct rd r = rd_of(buf_span(&b));
	struct entry again;
	entry_get(&r, &again);
	if (r.bad || rd_left(&r))
		abort();
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct rd r = rd_of(span_of(p, n));
	for (size_t i = 0; i <= n && !r.bad && rd_left(&r); i++) {
		struct entry en;
		entry_get(&r, &en);
		if (!r.bad)
			check(&en, span_of(p, n));
	}
	return 0;
}
