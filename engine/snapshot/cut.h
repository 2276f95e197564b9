/* cut.h - where to cut large files into pieces, so that an insertion changes few of them.
 *
 * A rolling gear hash over a keyed table proposes candidates; a keyed pseudo-random function of
 * the 64 bytes before a candidate decides. So cut points depend on the key through a function
 * that chosen contents cannot probe; see docs/THREAT-MODEL.md. Pieces of 64 KiB to 1 MiB, 310 KiB
 * on average: of a mounted file a single read decodes one, docs/MOUNT.md. */
#ifndef MCFS_SNAPSHOT_CUT_H
#define MCFS_SNAPSHOT_CUT_H

#include "engine/crypto/crypto.h"

#define CUT_MIN ((size_t)64 << 10)
#define CUT_MAX ((size_t)1 << 20)

struct cutter {
	const struct keys *k;
	uint64_t gear[256];
};

void cutter_init(struct cutter *c, const struct keys *k);
/* The length of the first piece of `s`; s.n when there is no cut in it (or s.n <= CUT_MIN). Give it
 * CUT_MAX bytes unless the data ends. */
size_t cutter_next(const struct cutter *c, struct span s);

#endif
