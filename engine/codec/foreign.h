/* foreign.h - deflate streams that classic zlib would not have written, as what is foreign in them.
 *
 * A deflate stream is its plain bytes plus choices: where blocks end, which matches were taken,
 * which code lengths were given out, how the headers spell them. A "side" holds these choices as
 * differences from what a known writer (a "dialect") would have chosen, through an adaptive
 * arithmetic coder. A dialect that is met exactly costs some ten bytes a stream; one that is met
 * roughly a twentieth to a fifth of the stream. The bytes: docs/FOREIGN-STREAMS.md.
 *
 * Only bare deflate streams (RFC 1951) are known here; wrappers are the caller's.
 *
 * Threads: a `struct foreign` is working memory for one call at a time; give each thread its own.
 * Its contents never influence results. About 1 MiB, plus 4 bytes for each symbol of the largest
 * block seen. */
#ifndef MCFS_CODEC_FOREIGN_H
#define MCFS_CODEC_FOREIGN_H

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct foreign;

/* *ret is set on success only. E_NOMEM. */
int foreign_new(struct foreign **ret, struct err *e) MUST_CHECK;
/* NULL is fine. */
void foreign_free(struct foreign *f);

/* Describe a deflate stream whose inflated bytes are `plain`: appended to *side is what, together
 * with `plain`, makes the very stream again; this was done and compared before success is told.
 * E_FORMAT when `stream` is not one whole deflate stream that inflates to exactly `plain`; E_NOMEM.
 * After failure *side is as it was. Whether the side is small enough is for the caller to say. */
int foreign_describe(struct foreign *f, struct span stream, struct span plain, struct buf *side,
	struct err *e) MUST_CHECK;

/* Make the stream: appended to *out, never more than `max` bytes. E_CORRUPT for a side that is not
 * well formed, does not fit `plain`, or makes more than `max`; E_UNSUPPORTED for one of a later
 * version; E_NOMEM. After failure *out is as it was. Time and memory are bounded by the lengths of
 * `plain` and `max`, whatever the side holds. A side that was changed may well make some other
 * stream: telling so is the caller's, who knows the stream's name. */
int foreign_make(struct foreign *f, struct span side, struct span plain, size_t max,
	struct buf *out, struct err *e) MUST_CHECK;

#endif
