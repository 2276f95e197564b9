/* make_region.h - region files for tests, well formed and not; made from the support's numbers. */
#ifndef TEST_MAKE_REGION_H
#define TEST_MAKE_REGION_H

#include "engine/base/buf.h"

enum region_flaw {
	FLAW_STALE = 1,	   /* free sectors with old bytes in them, and slack that is not zero */
	FLAW_UNPADDED = 2, /* the last chunk ends the file */
	FLAW_PAST_EOF = 4, /* entries that point behind the end */
	FLAW_OVERLAP = 8,  /* entries on the same sectors, and into the header */
	FLAW_CUT = 16,	   /* streams without an end, lengths that lie */
	FLAW_TYPES = 32,   /* gzip, none and unknown types; foreign zlib streams */
	FLAW_LATE_STAMP = 64, /* time stamps without a chunk */
	FLAW_EXTERNAL = 128   /* chunks whose stream is in a .mcc file, which is not there */
};
#define FLAW_ALL 255u

/* Append a region file with about so many chunks. */
void make_region(struct buf *out, unsigned chunks, unsigned flaws);
/* Change some chunks as a server does: new sectors, new stamps, the old bytes stay. */
void play_region(struct buf *file, unsigned chunks);
/* Append a chunk's record: length, type, stream of n plain bytes. */
void make_record(struct buf *out, size_t n, unsigned type, int level, unsigned seed);

#endif
