/* restream.h - compressed streams as the bytes inside them and how to get the very stream back.
 *
 * A "recipe" names a way to make the stream from its plain bytes. It is only ever handed out after
 * the stream was made again and compared, to the last bit. Recipes are part of the store's format
 * (docs/FORMAT.md, "Recipes"); the list is open at its end, and a recipe never changes meaning.
 *
 *   0          none: the stream itself is the plain form
 *   0x11..0x19 zlib stream, deflate as zlib makes it at level 1..9
 *   0x21..0x29 gzip stream, the same; the plain form starts with the 10 header bytes
 *   0x31       zlib stream of another writer: its 2 header bytes and what foreign.h tells of it are
 *              kept beside the plain form, as its "side"
 *   0x32       gzip stream of another writer, the same; the 10 header bytes are in the plain form
 */
#ifndef MCFS_CODEC_RESTREAM_H
#define MCFS_CODEC_RESTREAM_H

#include <stdbool.h>

#include "engine/codec/inflate.h"

#define RECIPE_NONE 0u

struct restreamer; /* one thread's working memory */
int restreamer_new(struct restreamer **ret, struct err *e) MUST_CHECK;
void restreamer_free(struct restreamer *rs);

/* Inflate `stream` (all of it must be one stream) into *plain (appended) and tell which recipe
 * could make it again, without proof. RECIPE_NONE, and *plain as it was, when it is not a stream
 * of this kind or inflates to more than `max`. */
int restream_open(struct restreamer *rs, enum stream_wrap wrap, struct span stream, size_t max,
	struct buf *plain, unsigned *ret_recipe, struct err *e) MUST_CHECK;
/* Find the recipe that makes `stream` from `plain`, of the kind that `guess` is of, the likely ones first;
 * RECIPE_NONE if none. What the recipe needs beside the plain form is appended to *side: nothing for classic zlib. */
int restream_prove(struct restreamer *rs, unsigned guess, struct span stream, struct span plain,
	unsigned *ret_recipe, struct buf *side, struct err *e) MUST_CHECK;
/* Make the stream, at most `max` bytes: appended to *out. E_UNSUPPORTED for a recipe this version
 * does not know, E_CORRUPT for a side that does not fit. */
int restream_make(struct restreamer *rs, unsigned recipe, struct span side, struct span plain,
	size_t max, struct buf *out, struct err *e) MUST_CHECK;
/* What makes classic streams. The library's own deflate proved each recipe when it was written; should a
 * later version of it disagree with what a store holds, zlib itself is the second opinion. */
enum restream_by {
	RESTREAM_EXACT, /* the default */
	RESTREAM_ZLIB,
	RESTREAM_WRONG /* as the default, with a bit changed: for tests */
};
/* Returns what it was. */
enum restream_by restreamer_by(struct restreamer *rs, enum restream_by by);
enum restream_by restreamer_by_now(const struct restreamer *rs);
/* Does the recipe come with a side? */
bool restream_has_side(unsigned recipe);

#endif
