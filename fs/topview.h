/* topview.h - the fixed directories of a mount and the faces of a snapshot. Only for fs/. */
#ifndef MCFS_FS_TOPVIEW_H
#define MCFS_FS_TOPVIEW_H

#include "fs/fs.h"

/* Slots of SHELF_TOP. */
enum {
	TOP_ROOT = 1, /* what the kernel wants it to be */
	TOP_SNAPSHOTS,
	TOP_BY_TAG,
	TOP_BY_HOST,
	TOP_CHUNKS,
	TOP_EDIT,
	TOP_LIVE, /* only with live worlds, as the others below */
	TOP_PRUNABLE,
	TOP_TRASH,
	TOP_TAG_BASE = 0x1000, /* + number of a word */
	TOP_HOST_BASE = 0x80000
};

/* Slots of SHELF_SNAP. */
enum {
	FACE_TREE,   /* snapshots/NAME */
	FACE_CHUNKS, /* chunks/NAME */
	FACE_LATEST, /* snapshots/latest, chunks/latest */
	FACE_LINK,   /* by-tag/TAG/NAME, by-host/HOST/NAME */
	FACE_EDIT    /* worldedit/NAME */
};

/* The shelf of a snapshot, with a reference. NULL without memory. */
struct shelf *top_shelf(struct fs *fs, struct snap *sn);

#endif
