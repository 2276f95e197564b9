/* pack.h - packs: immutable objects of sealed frames with a sealed footer that lists them.
 * docs/FORMAT.md, "Packs".
 *
 * A frame is compressed bytes under one seal; it holds one blob or, when solid, several small
 * ones. A "pack record" is the list of a pack's frames and blobs: it stands in the pack's footer
 * and again in an index object. */
#ifndef MCFS_STORE_PACK_H
#define MCFS_STORE_PACK_H

#include "engine/crypto/crypto.h"
#include "engine/object/object.h"

enum method {
	METHOD_STORE = 0, /* as it is */
	METHOD_ZSTD = 1,
	METHOD_DELTA = 2 /* zstd with the base's plain form as prefix; one blob a frame */
};

#define BASE_BYTES 16 /* of the base's name: enough to find it, the rest is checked by decoding */
#define DEPTH_MAX 16  /* how many bases a reader follows at the most */

/* Where a blob is and what is needed to read it. */
struct blob_loc {
	struct id pack;
	uint64_t offset;      /* of the sealed frame in the pack */
	uint32_t place;	      /* the frame's number */
	uint32_t sealed_len;
	uint32_t frame_plain; /* what the frame decompresses to */
	uint32_t blob_off;    /* the blob's plain form within that */
	uint32_t plain_len, canon_len;
	uint8_t method, form, depth;
	uint8_t base[BASE_BYTES]; /* METHOD_DELTA */
};

/* Encoding of a location for the index cache. */
int blob_loc_put(struct buf *b, const struct blob_loc *l, struct err *e) MUST_CHECK;
int blob_loc_get(struct span s, struct blob_loc *l, struct err *e) MUST_CHECK;

/* One blob of a frame that is being added. */
struct pack_blob {
	struct name name;
	uint8_t form, depth;
	uint32_t plain_len, canon_len;
	uint8_t base[BASE_BYTES];
};

struct pack_writer;
int pack_begin(struct pack_writer **ret, struct object_place *place, const struct keys *k,
	struct err *e) MUST_CHECK;
void pack_abort(struct pack_writer *w);
uint64_t pack_bytes(const struct pack_writer *w);
const struct id *pack_id(const struct pack_writer *w);
/* Seal and append a frame. *ret is the location of its first blob. After a failure the writer can
 * only be aborted. */
int pack_add(struct pack_writer *w, enum method method, struct span packed, uint32_t frame_plain,
	const struct pack_blob *blobs, size_t n_blobs, struct blob_loc *ret,
	struct err *e) MUST_CHECK;
/* Read back a frame of an unfinished pack (sealed). */
int pack_read_back(struct pack_writer *w, const struct blob_loc *l, struct buf *out,
	struct err *e) MUST_CHECK;
/* Write the footer, pad, make durable. The pack's record is appended to *record. The writer is
 * gone either way. */
int pack_finish(struct pack_writer *w, struct buf *record, struct err *e) MUST_CHECK;

/* Walk a record. The location's pack is set. Non-zero from `fn` stops. */
struct pack_summary {
	struct id id;
	uint64_t size;
	uint64_t frames, blobs;
};
typedef int (*pack_each)(void *ctx, const struct name *name, const struct blob_loc *l,
	struct err *e);
int pack_record_read(struct span record, struct pack_summary *sum, pack_each fn, void *ctx,
	struct err *e) MUST_CHECK;

/* Read the record from the pack itself. E_CORRUPT when the footer is damaged or cut off. */
int pack_read_footer(struct object_place *place, const struct keys *k, const struct id *id,
	struct buf *record, struct err *e) MUST_CHECK;

/* The key of a pack: "packs/ab/<id>". */
#define PACK_KEY_CHARS (9 + 2 * ID_BYTES + 1)
char *pack_object_key(const struct id *id, char out[PACK_KEY_CHARS]);
/* Every object where packs lie, foreign ones too; otherwise as object_list(), or without `sizes` as
 * object_list_names(). */
int pack_list(struct object_place *place, bool sizes, object_each fn, void *ctx,
	struct err *e) MUST_CHECK;

/* The next size that tells little about the true one: PADME, at most 12 % more. */
uint64_t padded_size(uint64_t n);

#endif
