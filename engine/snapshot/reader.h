/* reader.h - random and sequential access to the bytes of one file of a snapshot.
 *
 * Keeps the blobs it looked at last, decoded, up to a number of bytes. One thread at a time. */
#ifndef MCFS_SNAPSHOT_READER_H
#define MCFS_SNAPSHOT_READER_H

#include "engine/snapshot/entry.h"
#include "engine/store/store.h"

struct reader;

/* `content` is copied. `cache_bytes` 0: a default. */
int reader_open(struct reader **ret, struct store *s, struct coder *c,
	const struct content *content, uint64_t size, size_t cache_bytes, struct err *e) MUST_CHECK;
void reader_close(struct reader *r);
/* Read up to n bytes at `off`; *ret_n < n only at the end of the file. */
int reader_pread(struct reader *r, struct coder *c, uint64_t off, void *p, size_t n,
	size_t *ret_n, struct err *e) MUST_CHECK;
/* The chunk of a slot of a region file, without making its compressed stream again: its record's type
 * byte, and either its NBT (*ret_plain), or the rest of the record as it stands there. Appended. E_NOTFOUND:
 * it is no region file that was taken apart, or has no whole record there; its bytes tell. */
int reader_chunk(struct reader *r, struct coder *c, unsigned slot, uint8_t *ret_type, bool *ret_plain,
	struct buf *out, struct err *e) MUST_CHECK;
/* The next byte at or after `off` that is data (`hole` false) or in a hole (true); the file's size
 * when there is none. */
int reader_seek(struct reader *r, struct coder *c, uint64_t off, bool hole, uint64_t *ret,
	struct err *e) MUST_CHECK;

#endif
