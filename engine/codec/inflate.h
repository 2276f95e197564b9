/* inflate.h - from deflate streams to bytes: fast for whole streams, lenient for broken ones.
 *
 * Sources: RFC 1950, 1951, 1952. Output is bounded by `max` in every call. */
#ifndef MCFS_CODEC_INFLATE_H
#define MCFS_CODEC_INFLATE_H

#include <stdbool.h>

#include "engine/base/buf.h"

enum stream_wrap { WRAP_RAW, WRAP_ZLIB, WRAP_GZIP };

struct inflater; /* one thread's working memory */
int inflater_new(struct inflater **ret, struct err *e) MUST_CHECK;
void inflater_free(struct inflater *f);

/* Inflate one whole stream with its checksum; appended to *out. *ret_used is the stream's length,
 * which may be less than in.n. E_FORMAT when it is damaged, cut short or inflates to more than
 * `max`; *out is then as it was. */
int inflate_whole(struct inflater *f, enum stream_wrap wrap, struct span in, size_t max,
	struct buf *out, size_t *ret_used, struct err *e) MUST_CHECK;

/* Inflate what can be had of a stream that may lack its end or checksum: appends all bytes up to
 * the first that cannot be decoded. E_FORMAT only when not one byte came out. */
int inflate_lenient(enum stream_wrap wrap, struct span in, size_t max, struct buf *out,
	struct err *e) MUST_CHECK;

/* Inflate a stream step by step, for who may know enough before its end. One stream at a time; the
 * memory is kept for the next. */
struct inflate_steps;
int inflate_steps_new(struct inflate_steps **ret, struct err *e) MUST_CHECK;
void inflate_steps_free(struct inflate_steps *s);
/* Begin another stream, which must stay until it is no longer read. */
int inflate_steps_begin(struct inflate_steps *s, enum stream_wrap wrap, struct span in,
	struct err *e) MUST_CHECK;
/* Append up to `more` bytes. *ret_end: the stream came to its end and its checksum is right.
 * E_FORMAT: damaged or cut short, at the latest when no byte can be had any more. */
int inflate_steps_more(struct inflate_steps *s, size_t more, struct buf *out, bool *ret_end,
	struct err *e) MUST_CHECK;
/* How many bytes of the stream it took so far. */
size_t inflate_steps_used(const struct inflate_steps *s);

#endif
