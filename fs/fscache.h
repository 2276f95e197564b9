/* fscache.h - decoded pieces of files, shared by all threads of a mount, up to a number of bytes.
 *
 * A piece is made once even when several threads ask for it at the same time: the others wait. It
 * never changes; whoever holds one has a reference. The cache is split into shards by name, each
 * with a lock and an order of use of its own; the limit in bytes is one for all. */
#ifndef MCFS_FS_FSCACHE_H
#define MCFS_FS_FSCACHE_H

#include <stdbool.h>

#include "engine/store/store.h"

struct piece {
	struct span data; /* into `own` or `plain` */
	struct buf own;
	struct plain *plain;
	_Atomic unsigned refs;
};

/* What is kept under a blob's name: its canonical bytes, or something made of them. */
enum piece_what {
	PIECE_WHOLE = 0,	/* canonical bytes */
	PIECE_RECORD = 0x100,	/* + slot of a group: one record, as it stands in the region file */
	PIECE_TABLE = 0x200,	/* of a group: which chunks can be read, how long they are */
	PIECE_NBT = 0x300,	/* + slot of a group: inflated */
	PIECE_FILE_TABLE = 0x400, /* of a region file that is not kept in groups */
	PIECE_FILE_NBT = 0x1000,  /* + slot of such a file */
	PIECE_EXTERNAL = 0x2000,  /* + type: NBT of a .mcc file */
	PIECE_REGIONS = 0x3000,	  /* the region files of a dimension */
	PIECE_LIVE_NBT = 0x4000,  /* of a live world's chunk */
	PIECE_TRASH = 0x4001	  /* a part of a chunk in the trash */
};

struct piece_key {
	struct name name;
	uint32_t what;
};

struct fscache;
int fscache_new(struct fscache **ret, size_t bytes, struct err *e) MUST_CHECK;
void fscache_free(struct fscache *fc);

/* Fill p->own or p->plain, and p->data. May ask the cache for other pieces. */
typedef int (*piece_make)(void *ctx, struct coder *c, struct piece *p, struct err *e);
int fscache_get(struct fscache *fc, struct coder *c, const struct piece_key *key, piece_make make,
	void *ctx, struct piece **ret, struct err *e) MUST_CHECK;
/* There, or being made. */
bool fscache_has(struct fscache *fc, const struct piece_key *key);

/* Bytes that are in no cache, as a piece; takes them over. NULL without memory. */
struct piece *piece_of(struct buf *b);
struct piece *piece_ref(struct piece *p);
void piece_unref(struct piece *p); /* NULL is fine */
static inline void cleanup_piecep(struct piece **p)
{
	piece_unref(*p);
}
#define CLEANUP_PIECE __attribute__((cleanup(cleanup_piecep)))

struct fscache_stats {
	uint64_t hits, misses, bytes;
};
void fscache_stats(struct fscache *fc, struct fscache_stats *ret);

#endif
