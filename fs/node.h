/* node.h - from inode numbers of the kernel to what they stand for, without a table of inodes.
 *
 * A node's number is (number of a shelf << 20) | slot. A shelf is a group of siblings that can be
 * found again from a short key: the entries of one leaf of a snapshot's tree (some 150 names on
 * average), the chunks of one region, the faces of one snapshot. So a directory of a million
 * entries takes some 7,000 shelves of about 130 bytes, and reading 20,000 small directories 20,000
 * of them; the kernel itself needs about a kilobyte for each inode it knows.
 *
 * A shelf counts what the kernel knows of it (the sum of the lookup counts of its nodes) and the
 * shelves below it, and goes when the kernel has forgotten all; so the table is never larger than
 * what the kernel's own caches hold. Numbers of shelves are never used twice.
 *
 * The key holds the directory: equal directories in different places (the same leaf blob) are
 * different shelves, so directories never alias. st_ino is another matter: views make it from
 * names (or, for hard links, from the source's inode), so it is the same at every mount.
 *
 * Threads: all calls may come from any thread. */
#ifndef MCFS_FS_NODE_H
#define MCFS_FS_NODE_H

#include "fs/top.h"

#define SLOT_BITS 20
#define SLOT_MAX ((1u << SLOT_BITS) - 1)

enum shelf_kind {
	SHELF_TOP,    /* the fixed directories, and those of tags and hosts: shelf number 0 */
	SHELF_SNAP,   /* the faces of one snapshot */
	SHELF_LEAF,   /* entries of one leaf of a snapshot's tree */
	SHELF_WORLDS, /* directories of worlds and dimensions in the chunk view */
	SHELF_REGION, /* one r.X.Z of the chunk view */
	SHELF_EDIT,   /* worlds in the shape WorldEdit expects */
	SHELF_LIVE,   /* one file or directory of a live world: slot 0 */
	SHELF_TRASH,  /* trash/: directories of worlds and dimensions */
	SHELF_TRASHED, /* chunks in the trash: some of a dimension's */
	SHELF_RULES,  /* prunable/: directories of worlds, rules and dimensions */
	SHELF_PRUNE   /* chunks that a rule would prune: those of one region */
};

struct shelf_key {
	uint32_t kind;
	uint32_t dim;	   /* REGION: number of the dimension's node; LIVE: of the world */
	uint64_t dir;	   /* inode number of the directory; 0 where the snapshot says it all;
			    * WORLDS and REGION without a snapshot, TRASH, RULES: the tree's age */
	struct snap *snap; /* NULL: TOP, or of a live world */
	struct name leaf;  /* LEAF; LIVE: of the file's name */
	int32_t x, z;	   /* REGION, PRUNE */
};

struct shelf {
	uint64_t number;
	struct shelf_key key;
	uint64_t dir_ino; /* st_ino of the directory its nodes are in */
	char *name;	  /* LIVE: of the file; else NULL */
	struct shelf *parent; /* of the directory; holds a reference */
	uint64_t refs;
	_Atomic bool no_xattrs; /* known: no entry of this leaf has any */
	struct shelf *next_by_number, *next_by_key;
};

struct nodes;
int nodes_new(struct nodes **ret, struct err *e) MUST_CHECK;
void nodes_free(struct nodes *n);

/* The shelf of a key, made when it is new; a reference for the caller. Holds references to the
 * snapshot and the parent. NULL without memory. */
struct shelf *nodes_get(struct nodes *n, const struct shelf_key *key, uint64_t dir_ino,
	struct shelf *parent);
/* The same for one named file; the key's leaf is made of the name. */
struct shelf *nodes_get_named(struct nodes *n, const struct shelf_key *key, uint64_t dir_ino,
	struct shelf *parent, struct span name);
/* By number; a reference for the caller, or NULL. */
struct shelf *nodes_find(struct nodes *n, uint64_t number);
struct shelf *nodes_ref(struct nodes *n, struct shelf *s);
void nodes_put(struct nodes *n, struct shelf *s, uint64_t count); /* NULL is fine */
uint64_t nodes_count(struct nodes *n);

static inline uint64_t node_id(const struct shelf *s, uint32_t slot)
{
	return s->number << SLOT_BITS | slot;
}

#endif
