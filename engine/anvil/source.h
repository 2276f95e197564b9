/* source.h - where a world's chunks come from: a live directory, or a snapshot.
 *
 * Two layers. `struct source_ops` is what an implementation gives: listing directories and reading
 * files below the root. Everything that knows region files (names, headers, records, .mcc files, and
 * reading beside a running server) is built on that here, once, so that queries, maps, prune and
 * chunk views work on every source alike.
 *
 *   source_dir_open()       engine/anvil/source_dir.c        a directory of the file system, live
 *   source_snapshot_open()  engine/snapshot/source_snap.h    a directory of a snapshot
 *
 * Paths are below the root, parts joined by "/", without a slash at either end; "" is the root.
 *
 * A running server never writes a chunk in place: new sectors, then the header, and only then may
 * the old sectors be used again. So a record is one that the server wrote whole when its header
 * entry is the same before and after it was read (shared notes 3.1). source_chunk_read() keeps to
 * that on live sources; nothing is locked and nothing is written.
 *
 * Threads: a source may be used by any number of threads at once; an open region, and a struct
 * source_chunk, by one at a time. Everything opened is closed before its source. */
#ifndef MCFS_ANVIL_SOURCE_H
#define MCFS_ANVIL_SOURCE_H

#include <stdbool.h>

#include "engine/anvil/region.h"
#include "engine/anvil/worlds.h"
#include "engine/base/wire.h"

enum source_kind { SOURCE_REGION, SOURCE_ENTITIES, SOURCE_POI, SOURCE_KINDS };
extern const char *const source_kind_name[SOURCE_KINDS]; /* "region", "entities", "poi" */

/* What a chunk's NBT may have at most, and its .mcc file. */
#define SOURCE_NBT_MAX ((size_t)256 << 20)
#define SOURCE_EXTERNAL_MAX ((size_t)64 << 20)

struct source_stat {
	uint64_t size;
	uint64_t disk; /* bytes taken on the disk; of a snapshot: its size */
	int64_t mtime;
	uint32_t mtime_ns;
};

/* ---- what an implementation gives ---- */

struct source_file {
	struct source *source;
};

struct source_ops {
	/* As in worlds.h. Links are followed. A name that is neither file nor directory is a file. */
	int (*list)(struct source *s, const char *dir, world_each fn, void *ctx, struct err *e);
	/* A regular file; E_NOTFOUND when there is none, a directory included. */
	int (*open)(struct source *s, const char *path, struct source_file **ret,
		struct source_stat *ret_stat, struct err *e);
	/* *ret_n < n only at the end of the file. */
	int (*pread)(struct source_file *f, uint64_t off, void *p, size_t n, size_t *ret_n,
		struct err *e);
	void (*close_file)(struct source_file *f);
	void (*close)(struct source *s);
	/* NULL where files are bytes and nothing else. Of a region file: a chunk's type byte and its NBT
	 * (*ret_plain) or its stream, appended, without the pains of making the stream anew. E_NOTFOUND:
	 * the bytes are to be read. */
	int (*chunk)(struct source_file *f, unsigned slot, uint8_t *ret_type, bool *ret_plain,
		struct buf *out, struct err *e);
};

struct source {
	const struct source_ops *ops;
	bool live; /* what is read may change meanwhile */
};

/* A directory; kept open, so that it may be renamed or mounted over. E_NOTFOUND, E_IO. */
int source_dir_open(struct source **ret, const char *path, struct err *e) MUST_CHECK;
void source_close(struct source *s); /* NULL is fine */
static inline void cleanup_sourcep(struct source **s)
{
	source_close(*s);
}
#define CLEANUP_SOURCE __attribute__((cleanup(cleanup_sourcep)))

/* ---- what is in it ---- */

/* The dimensions below the root: worlds_find() of this source. The caller calls worlds_free(). A
 * source opened on one world's folder has them all with an empty `world`. */
int source_worlds(struct source *s, struct worlds *ret, struct err *e) MUST_CHECK;
int source_list(struct source *s, const char *dir, world_each fn, void *ctx,
	struct err *e) MUST_CHECK;
/* Append a whole file. E_NOTFOUND; E_FORMAT when it has more than `max` bytes. */
int source_read_file(struct source *s, const char *path, size_t max, struct buf *out,
	struct err *e) MUST_CHECK;

/* A dimension's region files: one for each r.X.Z that any of its kinds has, sorted by x, then z.
 * Only names spelt the way the game does count. */
struct source_regions {
	struct source_region_name {
		int32_t x, z;
		unsigned kinds; /* 1 << SOURCE_REGION and so on */
	} *v;
	size_t n;
};
int source_regions(struct source *s, const struct world_dim *dim, struct source_regions *ret,
	struct err *e) MUST_CHECK;
void source_regions_free(struct source_regions *r);

/* ---- one region file ---- */

struct source_region {
	struct source_file *file;
	struct source_stat st; /* when it was opened */
	bool has_header;       /* false: shorter than that, so no chunks; `header` is zero */
	int32_t x, z;
	char *folder; /* of the file: for the .mcc files beside it */
	uint8_t header[REGION_HEADER]; /* as it was when opened, or since renewed by a read */
};

/* E_NOTFOUND when the dimension has no such file. */
int source_region_open(struct source *s, const struct world_dim *dim, enum source_kind kind,
	int32_t x, int32_t z, struct source_region **ret, struct err *e) MUST_CHECK;
void source_region_close(struct source_region *r); /* NULL is fine */
static inline void cleanup_source_regionp(struct source_region **r)
{
	source_region_close(*r);
}
#define CLEANUP_SOURCE_REGION __attribute__((cleanup(cleanup_source_regionp)))

/* Does the header name a chunk, whole or damaged? */
static inline bool source_has_chunk(const struct source_region *r, unsigned slot)
{
	return get_be32(r->header + 4 * slot) != 0;
}

/* A chunk's record as it stands. A zeroed struct is an empty one; its buffers are used again by the
 * next read. */
struct source_chunk {
	struct region_entry entry; /* at the moment of reading */
	uint8_t type;		   /* enum chunk_type, without CHUNK_EXTERNAL */
	bool external;		   /* the stream is in the .mcc file */
	struct buf record;	   /* length, type, stream, as in the file */
	struct buf outside;	   /* the .mcc file */
	struct span stream;	   /* points into one of the two */
	bool plain;		   /* `stream` is the NBT (source_chunk_look()) */
};
void source_chunk_free(struct source_chunk *c);
#define CLEANUP_SOURCE_CHUNK __attribute__((cleanup(source_chunk_free)))

/* Read a chunk's record and, if it is external, its .mcc file. E_NOTFOUND: the header has no such
 * chunk. E_FORMAT: damaged, and the message says how: the entry names no whole record within the
 * file and the sectors it claims, or the .mcc is missing or larger than SOURCE_EXTERNAL_MAX;
 * c->entry is valid. E_CHANGED: it did not hold still. Whether the stream decodes is not looked at.
 * On live sources the slot's entry in r->header is renewed when it has changed. */
int source_chunk_read(struct source_region *r, unsigned slot, struct source_chunk *c,
	struct err *e) MUST_CHECK;
/* The same for those who only want the NBT: where it is at hand without its stream, `plain` is set and
 * there is no record. Then decode it. */
int source_chunk_look(struct source_region *r, unsigned slot, struct source_chunk *c,
	struct err *e) MUST_CHECK;
/* Append what chunk_decode() makes of a chunk that was read, at most SOURCE_NBT_MAX bytes. */
int source_chunk_decode(const struct source_chunk *c, struct buf *nbt, struct err *e) MUST_CHECK;
/* Both, and checked: appends the NBT to *nbt. E_FORMAT also when the stream does not decode to one
 * whole NBT compound. */
int source_chunk_nbt(struct source_region *r, unsigned slot, struct source_chunk *c,
	struct buf *nbt, struct err *e) MUST_CHECK;

#endif
