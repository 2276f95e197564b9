/* png.h - pictures to PNG. The only includer of spng. */
#ifndef MCFS_CODEC_PNG_H
#define MCFS_CODEC_PNG_H

#include "engine/base/buf.h"

/* Append a PNG of width * height pixels of 3 bytes (red, green, blue), rows from the top. E_NOMEM;
 * E_USAGE when there is no pixel, or too many. Any thread. */
int png_encode(struct span rgb, uint32_t width, uint32_t height, struct buf *out,
	struct err *e) MUST_CHECK;

#endif
