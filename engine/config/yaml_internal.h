/* yaml_internal.h - what yaml*.c share: the arena and the state of a load. */
#ifndef MCFS_CONFIG_YAML_INTERNAL_H
#define MCFS_CONFIG_YAML_INTERNAL_H

#include "engine/config/yaml.h"

/* yaml_node.mark */
#define MARK_RETAIN 1
#define MARK_OMIT 2
#define MARK_INCLUDED 4 /* a value that came with !include: merged deeply */

struct ydoc {
	void **blocks; /* everything the tree is made of */
	size_t n_blocks;
	const struct yaml_node *root;
	struct yaml_note *unset, *mended;
	size_t n_unset, n_mended;
	/* While loading. */
	struct yaml_options opt;
	unsigned n_files, weight;
	const char *stack[YAML_INCLUDE_MAX + 1]; /* files being read, real names */
	unsigned depth;
};

/* Memory that lives as long as the tree; zeroed. */
void *ydoc_alloc(struct ydoc *y, size_t n, struct err *e);
char *ydoc_strndup(struct ydoc *y, const char *s, size_t n, struct err *e);

/* Parse one file's text into a tree. */
int ydoc_read(struct ydoc *y, struct span text, const char *name, struct yaml_node **ret,
	struct err *e) MUST_CHECK;
/* The file (or list of files) that an !include names, as one node. */
int ydoc_include(struct ydoc *y, const char *from, unsigned line, const char *path,
	struct yaml_node **ret, struct err *e) MUST_CHECK;
/* Count nodes against the limit; `n` is where. */
int ydoc_charge(struct ydoc *y, unsigned weight, const char *file, unsigned line,
	struct err *e) MUST_CHECK;
/* Variables in a scalar. Returns the text itself when there are none. */
int ydoc_expand(struct ydoc *y, const char *text, const char *file, unsigned line,
	const char **ret, struct err *e) MUST_CHECK;
/* Put list items that hold an open quote at a ": " in quotes as a whole. Tells the lines of the first
 * `most` of them; the others stay. */
int ydoc_mend(struct span text, struct buf *out, unsigned *lines, size_t most, size_t *ret_n,
	struct err *e) MUST_CHECK;
/* Append to a list of notes. */
int ydoc_note(struct yaml_note **v, size_t *n, struct yaml_note note, struct err *e) MUST_CHECK;
/* Make a map of its own pairs and what stands under `<<`. */
int ydoc_merge_keys(struct ydoc *y, struct yaml_node *map, struct err *e) MUST_CHECK;

#endif
