/* entry.h - one name in a directory of a snapshot: what it is, its metadata, where its bytes are.
 *
 * An entry read from a tree points into the tree's bytes (spans); it is valid as long as they are.
 * docs/FORMAT.md, "Trees". */
#ifndef MCFS_SNAPSHOT_ENTRY_H
#define MCFS_SNAPSHOT_ENTRY_H

#include <stdbool.h>
#include <sys/stat.h>

#include "engine/base/wire.h"
#include "engine/crypto/crypto.h"

enum node_type {
	NODE_FILE = 1,
	NODE_DIR = 2,
	NODE_SYMLINK = 3,
	NODE_FIFO = 4,
	NODE_CHAR = 5,
	NODE_BLOCK = 6,
	NODE_SOCKET = 7
};

/* Where a file's bytes, or a directory's entries, are. */
enum content_kind {
	CONTENT_EMPTY = 0,  /* no bytes */
	CONTENT_INLINE = 1, /* here */
	CONTENT_BLOB = 2,   /* one blob */
	CONTENT_MAP = 3,    /* pieces in order: a map blob, or a tree of them (level) */
	CONTENT_REGION = 4, /* a region file: a layout blob */
	CONTENT_TREE = 5,   /* a directory: a tree blob, or a tree of them (level) */
	CONTENT_NESTED = 6  /* a small directory: its entries follow it in the leaf it stands in */
};

#define INLINE_MAX 64
/* Directories in directories: deeper ones are refused, so that recursion is bounded. */
#define TREE_DEPTH_MAX 4096

struct content {
	uint8_t kind, level;
	struct name name;	 /* BLOB, MAP, REGION, TREE; NESTED, once read: the leaf */
	struct name whole;	 /* REGION: keyed hash of the file's bytes (form 0) */
	struct span inline_data; /* INLINE; NESTED, to be written: the entries */
	uint32_t below;		 /* NESTED: how many entries follow, at all depths */
	uint32_t index, at;	 /* NESTED, once read: number of the first of them, its place in the leaf */
};

struct timestamp {
	int64_t s;
	uint32_t ns;
};

struct entry {
	struct span name; /* 1..255 bytes; no '/', no NUL, not "." or ".." */
	uint8_t type;
	bool damaged; /* could not be read whole when the snapshot was made */
	bool partial; /* a directory that has more in it than the snapshot: left out, not entered */
	uint32_t mode;	 /* 07777 */
	uint32_t uid, gid;
	struct timestamp mtime;
	struct timestamp ctime; /* zero: too fresh to be trusted, read the file again */
	uint64_t ino, dev; /* of the source; they tell unchanged files and hard links */
	uint32_t nlink;
	uint64_t size;
	uint32_t rdev_major, rdev_minor;
	struct span target; /* symlink */
	struct span xattrs; /* encoded list, sorted by name: bytes name, bytes value, ... */
	struct content content;
};

int entry_put(struct buf *b, const struct entry *en, struct err *e) MUST_CHECK;
/* Sets r->bad for anything that is not well formed, names that could leave a directory included. */
void entry_get(struct rd *r, struct entry *en);
/* Order of entries in a directory: by bytes. */
int entry_name_cmp(struct span a, struct span b);
bool entry_name_ok(struct span name);

void entry_from_stat(struct entry *en, const struct stat *st);
/* The file type bits of a mode. */
mode_t entry_mode_bits(const struct entry *en);
bool content_equal(const struct content *a, const struct content *b);
static inline bool time_equal(struct timestamp a, struct timestamp b)
{
	return a.s == b.s && a.ns == b.ns;
}

#endif
