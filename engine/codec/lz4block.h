/* lz4block.h - the framing of lz4-java's LZ4BlockOutputStream, which chunks of type 4 have. It is
 * not the LZ4 frame format.
 *
 * A block: "LZ4Block", a token (high half 0x10 raw, 0x20 LZ4; low half: blocks are at most
 * 1 << (10 + it) bytes), then little-endian u32 each: length as stored, length of the data, and
 * xxHash32(data, 0x9747b28c) & 0x0fffffff. A block of 0 bytes ends the stream.
 * Source: net.jpountz.lz4.LZ4BlockInputStream; shared notes 3.1. */
#ifndef MCFS_CODEC_LZ4BLOCK_H
#define MCFS_CODEC_LZ4BLOCK_H

#include <stdbool.h>

#include "engine/base/buf.h"

/* Append what the blocks hold, every block checked, up to the first that is damaged, cut short or
 * would bring the output over `max` bytes. *ret_whole: the stream came to its end mark; bytes
 * behind that are not looked at. E_FORMAT only when not one byte came out, E_NOMEM; *out then has
 * its old length. Never reserves more than 255 times the input. Any thread. */
int lz4block_decode(struct span in, size_t max, struct buf *out, bool *ret_whole,
	struct err *e) MUST_CHECK;

#endif
