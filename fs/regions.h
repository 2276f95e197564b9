/* regions.h - the region files of a snapshot or a live world, and the chunks in them. Only for
 * fs/. */
#ifndef MCFS_FS_REGIONS_H
#define MCFS_FS_REGIONS_H

#include "engine/anvil/region.h"
#include "fs/file.h"
#include "fs/worldview.h"

/* Which region files a dimension has: one for each r.X.Z that any of its kinds has. */
struct region_name {
	int32_t x, z;
	uint32_t kinds; /* a bit for each */
};
/* Sort them and join those of one region. */
void region_names_sort(struct buf *b);
/* A sorted array of them, as a piece. */
int region_names(struct call *cl, const struct world_place *p, struct piece **ret) MUST_CHECK;

/* One region file. */
struct region {
	struct entry en;
	struct plain *hold; /* what `en` points into */
	struct file *file;  /* when it is kept in groups */
	const struct content *folder;
	/* Of a live world; the three above are not set. */
	const struct world_place *place;
	struct source_region *live; /* NULL: no file, chunks that wait to come back only */
	int kind;
	int64_t *shown; /* by slot: the item in the trash that waits to come back, or 0 */
	struct name live_name; /* which file */
	int32_t x, z;
	bool has_header;
	uint8_t header[REGION_HEADER];
};
/* E_NOTFOUND when the dimension has no such file. */
int region_load(struct call *cl, const struct world_place *p, int kind, int32_t x, int32_t z,
	struct region *ret) MUST_CHECK;
void region_unload(struct call *cl, struct region *r);
/* Attributes are asked for all of its chunks: have helpers begin. */
void region_ahead_tables(struct call *cl, const struct region *r);

/* A chunk: fine (plain NBT of `size` bytes), or damaged (size bytes of the file at `off`). */
struct region_chunk {
	bool fine;
	uint64_t size, off;
	uint32_t mtime;
	char problem[160]; /* why it is damaged */
};
/* E_NOTFOUND when the header names none. */
int region_chunk(struct call *cl, const struct region *r, unsigned slot,
	struct region_chunk *ret) MUST_CHECK;
int region_chunk_nbt(struct call *cl, const struct region *r, unsigned slot,
	struct piece **ret) MUST_CHECK;
/* n bytes of the file at `off`, as far as there are any. */
int region_raw(struct call *cl, const struct region *r, uint64_t off, size_t n,
	struct reading *ret) MUST_CHECK;
/* A chunk's record as it stands in the file (length, type, stream), and its .mcc file; appended.
 * E_FORMAT when there is no whole record. */
int region_record(struct call *cl, const struct region *r, unsigned slot, struct buf *record,
	struct buf *mcc, bool *ret_mcc) MUST_CHECK;
bool region_has_chunk(const struct region *r, unsigned slot);

#endif
