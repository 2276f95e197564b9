/* coder.h - one thread's working memory for reading and writing blobs. */
#ifndef MCFS_STORE_CODER_H
#define MCFS_STORE_CODER_H

#include <stdbool.h>

#include "engine/codec/restream.h"
#include "engine/codec/zstd.h"

struct coder {
	struct zs *zs;
	struct restreamer *rs;
	bool missing; /* the last read failed since a blob or a pack was not there */
	struct buf packed, sealed, canon; /* scratch, contents undefined between calls */
};

int coder_init(struct coder *c, struct err *e) MUST_CHECK;
void coder_free(struct coder *c);

#endif
