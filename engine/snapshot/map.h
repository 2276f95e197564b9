/* map.h - a large or sparse file as a list of pieces, in blobs under blobs where it is long.
 *
 * A piece is a blob or a hole. A map node: u8 'M', u8 level, var count, then level 0: var
 * (length << 1 | hole) and the blob's name unless a hole; above: var bytes below and the node's
 * name. docs/FORMAT.md, "Maps". */
#ifndef MCFS_SNAPSHOT_MAP_H
#define MCFS_SNAPSHOT_MAP_H

#include "engine/snapshot/entry.h"
#include "engine/store/store.h"

#define MAP_FANOUT 1024
#define MAP_LEVELS 6

struct map_piece {
	uint64_t off, len;
	bool hole;
	struct name name; /* unless a hole */
};

struct map_builder {
	struct store *s;
	struct coder *c;
	struct content old; /* the file's older map, a base for the new one */
	struct {
		struct buf items;
		uint64_t n, bytes;
	} level[MAP_LEVELS];
};

void map_builder_init(struct map_builder *b, struct store *s, struct coder *c,
	const struct content *old);
/* In order of offset, without gaps. */
int map_builder_add(struct map_builder *b, const struct map_piece *p, struct err *e) MUST_CHECK;
int map_builder_finish(struct map_builder *b, struct content *ret, struct err *e) MUST_CHECK;
void map_builder_free(struct map_builder *b);

/* One node by itself. While `left` is not 0: pieces at level 0, nodes above. */
struct map_node {
	struct rd rd;
	uint64_t left;
	uint8_t level;
};
int map_node_open(struct map_node *n, struct span node, uint8_t level, struct err *e) MUST_CHECK;
int map_node_item(struct map_node *n, struct name *ret, bool *ret_hole, struct err *e) MUST_CHECK;

struct map_iter {
	struct store *s;
	struct coder *c;
	int depth;
	uint64_t off;
	struct {
		struct plain *node;
		struct rd rd;
		uint64_t left;
		uint8_t level;
	} stack[MAP_LEVELS];
};

/* Start at the piece that holds byte `off`. */
int map_iter_open(struct map_iter *it, struct store *s, struct coder *c, const struct content *map,
	uint64_t off, struct err *e) MUST_CHECK;
/* 1 and the next piece, 0 at the end, or an error. */
int map_iter_next(struct map_iter *it, struct map_piece *ret, struct err *e) MUST_CHECK;
void map_iter_close(struct map_iter *it);

#endif
