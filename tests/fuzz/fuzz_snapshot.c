/* Snapshot objects, as somebody with the key could make them, through the list of snapshots. */
#include <stdint.h>
#include <stdlib.h>

#include "engine/snapshot/snapobj.h"
#include "tests/unit/mem_place.h"
#include "tests/unit/support.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct object_place *volatile place; /* keeps it reachable */
	static struct store *s;
	static const struct id id = {{1}};
	struct err e = ERR_INIT;
	struct snapshot_list l;
	if (!s) {
		place = new_place_with_store(SLACK_EXACT);
		s = open_store(place);
	}
	if (store_object_put(s, "snapshots", &id, span_of(p, n), true, &e) < 0)
		abort();
	if (snapshot_list_load(&l, s, &e) == 0) {
		if (l.n + l.damaged != 1)
			abort();
		for (size_t i = 0; i < l.n; i++)
			for (size_t k = 0; k < l.v[i].n_sources; k++)
				if (!l.v[i].sources[k].path || !l.v[i].sources[k].name)
					abort();
		snapshot_list_free(&l);
	}
	return 0;
}
