/* regions.h - the region files of a snapshot and the chunks in them. Only for fs/. */
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
/* A sorted array of them, as a piece. */
int region_names(struct call *cl, const struct world_place *p, struct piece **ret) MUST_CHECK;

/* One region file. */
struct region {
	struct entry en;
	struct plain *hold; /* what `en` points into */
	struct file *file;  /* when it is kept in groups */
	const struct content *folder;
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
bool region_has_chunk(const struct region *r, unsigned slot);

#endif
