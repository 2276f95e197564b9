/* tree.h - directories of a snapshot: sorted entries in leaf blobs of bounded size, under inner
 * blobs where there is more than one leaf. Cuts depend on a keyed hash of the name, so that a new
 * name changes one leaf. The entries of a small directory are nested: they stand behind its own entry, in
 * the leaf of the directory above, so that a change down there is one new blob and not one a directory.
 * docs/FORMAT.md, "Trees".
 *
 * Nothing is loaded up front: reading costs the leaves that are looked at. */
#ifndef MCFS_SNAPSHOT_TREE_H
#define MCFS_SNAPSHOT_TREE_H

#include "engine/snapshot/entry.h"
#include "engine/store/store.h"

#define TREE_LEVELS 8

/* Where an entry stands: the leaf that holds it and its number there. Together they name it for as
 * long as the leaf exists, which never changes. */
struct tree_place {
	struct name leaf;
	uint32_t index;
};

/* Walks a directory in name order. */
struct tree_iter {
	struct store *s;
	struct coder *c;
	int depth; /* of the stack; -1: nothing left */
	struct tree_place place; /* of the entry that was given last */
	struct tree_level {
		struct plain *node;
		struct name name;
		struct rd rd;
		uint64_t left; /* items not read yet */
		uint32_t index; /* of the next item */
		uint32_t below; /* items to pass over: they are nested in the one that was given last */
		uint8_t level;
	} stack[TREE_LEVELS];
};

/* Start at the entry number `skip` (0: the first). `dir` is a directory's content. */
int tree_iter_open(struct tree_iter *it, struct store *s, struct coder *c,
	const struct content *dir, uint64_t skip, struct err *e) MUST_CHECK;
/* 1 and the next entry (valid until the next call), 0 at the end, or an error. */
int tree_iter_next(struct tree_iter *it, struct entry *ret, struct err *e) MUST_CHECK;
void tree_iter_close(struct tree_iter *it);

/* One node by itself, for those who walk nodes and not directories. While `left` is not 0: entries at
 * level 0, those of nested directories among them, children above. Valid as long as the bytes are. */
struct tree_node {
	struct rd rd;
	uint64_t left;
};
int tree_node_open(struct tree_node *n, struct span node, uint8_t level, struct err *e) MUST_CHECK;
int tree_node_entry(struct tree_node *n, struct entry *ret, struct err *e) MUST_CHECK;
int tree_node_child(struct tree_node *n, struct name *ret, struct err *e) MUST_CHECK;

/* Find one name. The entry points into *ret_hold, which the caller unrefs. E_NOTFOUND. */
int tree_lookup(struct store *s, struct coder *c, const struct content *dir, struct span name,
	struct entry *ret, struct plain **ret_hold, struct err *e) MUST_CHECK;

/* The same, and where the entry stands. */
int tree_find(struct store *s, struct coder *c, const struct content *dir, struct span name,
	struct entry *ret, struct plain **ret_hold, struct tree_place *ret_place,
	struct err *e) MUST_CHECK;
/* The entry at a place that was told before. */
int tree_entry_at(struct store *s, struct coder *c, const struct tree_place *place,
	struct entry *ret, struct plain **ret_hold, struct err *e) MUST_CHECK;

/* Builds a directory from entries added in strictly ascending name order. `old` (or NULL) is the
 * same directory in an older snapshot: its leaves are bases for differences. */
struct tree_builder;
int tree_builder_new(struct tree_builder **ret, struct store *s, struct coder *c,
	const struct content *old, struct err *e) MUST_CHECK;
int tree_builder_add(struct tree_builder *b, const struct entry *en, struct err *e) MUST_CHECK;
/* The builder is gone either way. A small directory is not stored: *ret is CONTENT_NESTED then, and its
 * bytes, for the entry that is added above, are in *nested, which was empty. NULL: it has nothing above it,
 * and is stored in any case. */
int tree_builder_finish(struct tree_builder *b, struct buf *nested, struct content *ret,
	struct err *e) MUST_CHECK;
void tree_builder_free(struct tree_builder *b);

#endif
