/* layout.h - a region file as a map: which bytes come from which blob.
 *
 * The layout blob holds the 8 KiB header, the length of every chunk's record, the names of the 32
 * groups that hold the records, and for every byte in between an extent: zero, hole, or a part of
 * a source blob. A source is a blob of literal bytes, or a group of an older version of the file,
 * for bytes that were a chunk once and are stale now. Every source is named directly: no version
 * of a file depends on another version's layout. docs/FORMAT.md, "Region files". */
#ifndef MCFS_SNAPSHOT_LAYOUT_H
#define MCFS_SNAPSHOT_LAYOUT_H

#include "engine/anvil/region.h"
#include "engine/crypto/crypto.h"
#include "engine/store/form.h"

#define LAYOUT_GROUPS (REGION_SLOTS / GROUP_SLOTS)
#define LAYOUT_FILE_MAX ((uint64_t)256 << 20) /* larger "region files" are kept as plain files */
#define LAYOUT_SOURCES_MAX 4096

enum extent_kind { EXTENT_ZERO = 0, EXTENT_HOLE = 1, EXTENT_BLOB = 2, EXTENT_HEADER = 3 };

struct extent {
	uint64_t off;  /* in the file */
	uint32_t len;
	uint32_t source; /* EXTENT_BLOB: index into sources */
	uint32_t at;	 /* in the source's canonical bytes */
	uint8_t kind;
};

struct layout_source {
	struct name name;
	uint8_t group; /* its form is FORM_GROUP */
};

struct layout {
	uint64_t size;
	uint8_t header[REGION_HEADER];
	uint32_t rec_len[REGION_SLOTS]; /* of the record that the header's location names; 0: none */
	/* Sources: first the LAYOUT_GROUPS groups (`has_group`), then the others. */
	bool has_group[LAYOUT_GROUPS];
	struct layout_source *sources;
	size_t n_sources; /* at least LAYOUT_GROUPS */
	struct extent *gaps; /* ascending; cover exactly what is neither header nor record */
	size_t n_gaps;
};

int layout_init(struct layout *l, struct err *e) MUST_CHECK;
void layout_free(struct layout *l);
/* A source behind the groups; the same one is added once. */
int layout_add_source(struct layout *l, const struct name *name, bool group, uint32_t *ret,
	struct err *e) MUST_CHECK;
int layout_add_gap(struct layout *l, const struct extent *x, struct err *e) MUST_CHECK;

/* Where a slot's record starts in the file, and in its group's canonical bytes. */
uint64_t layout_record_off(const struct layout *l, unsigned slot);
uint32_t layout_record_at(const struct layout *l, unsigned slot);

int layout_put(const struct layout *l, struct buf *out, struct err *e) MUST_CHECK;
/* E_CORRUPT unless the extents cover the file exactly. Free *l in any case. */
int layout_get(struct span s, struct layout *l, struct err *e) MUST_CHECK;

/* All extents of the file in order, header and records included. */
int layout_extents(const struct layout *l, struct extent **ret, size_t *ret_n,
	struct err *e) MUST_CHECK;

#endif
