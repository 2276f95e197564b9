/* blobs.h - blobs of the store as pieces in the mount's cache. Only for fs/. */
#ifndef MCFS_FS_BLOBS_H
#define MCFS_FS_BLOBS_H

#include "fs/fs.h"

/* The canonical bytes. Their name was recomputed, or they are one slice of a sealed frame. */
int blob_whole(struct call *cl, const struct name *name, struct piece **ret) MUST_CHECK;
bool blob_is_here(struct fs *fs, const struct name *name);

/* Copy from a group's canonical bytes, making only the records that are touched. */
int blob_group_copy(struct call *cl, const struct name *name, uint32_t at, uint8_t *p,
	size_t n) MUST_CHECK;

/* What a group says about its 32 chunks. */
enum chunk_state {
	CHUNK_ABSENT = 0,
	CHUNK_FINE = 1,	   /* decodes to `size` bytes */
	CHUNK_OUTSIDE = 2, /* the stream is in a .mcc file */
	CHUNK_DAMAGED = 3  /* a record that does not decode */
};
struct chunk_slot {
	uint32_t size;
	uint8_t state, type;
	uint16_t unused;
};
int blob_table(struct call *cl, const struct name *name, struct piece **ret) MUST_CHECK;
static inline const struct chunk_slot *table_slots(const struct piece *p)
{
	return (const struct chunk_slot *)(const void *)p->data.p;
}
/* A chunk's NBT. */
int blob_nbt(struct call *cl, const struct name *name, unsigned slot,
	struct piece **ret) MUST_CHECK;
/* The state and length of one record's payload, decoded by the way. */
int chunk_judge(struct span record, struct chunk_slot *ret, struct buf *scratch,
	struct err *e) MUST_CHECK;

/* Ask helpers for a piece that will be wanted soon: PIECE_WHOLE or PIECE_TABLE. */
void blob_ahead(struct fs *fs, const struct name *name, uint32_t what);
/* What helpers run. */
void blob_ahead_run(void *fs, struct coder *c, const struct name *name, uint32_t what);

#define CHUNK_NBT_MAX ((size_t)256 << 20)

#endif
