/* yaml.h - a configuration file as a tree in which everything knows its file and line.
 *
 * Read with libyaml (YAML 1.1), plus what users of borgmatic write:
 * - `${NAME}`, `${NAME:-default}` in any value, from the environment; `\${` is a plain `${`. What
 *   comes from the environment is text, never YAML.
 * - `key: !include other.yaml`: the value is that file. A relative name is below the directory of
 *   the file that includes.
 * - `<<: !include other.yaml` (or a list of files): its keys join this map. What is written here
 *   wins; maps join key by key at every depth, lists are appended to the included ones. `!retain`
 *   before a map or list here: instead of, not joined. `!omit` before an item of a list here: that
 *   item is taken out of the included list.
 * - `<<: *alias`: as YAML says, shallow.
 *
 * Refused, always with "FILE:LINE: ..": a key twice in one map, keys that are not plain text, unknown tags,
 * several documents, an anchor within itself, and whatever exceeds the limits below. The limits hold for the tree
 * with all aliases written out, so walking it is cheap whatever the file says.
 *
 * A tree never changes after loading and may be read by several threads. All strings are NUL-terminated, hold no NUL, and
 * live as long as the tree. */
#ifndef MCFS_CONFIG_YAML_H
#define MCFS_CONFIG_YAML_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"

#define YAML_FILE_MAX ((size_t)1 << 20) /* bytes of one file */
#define YAML_NODES_MAX 10000		/* with aliases written out and includes */
#define YAML_DEPTH_MAX 32		/* of maps and lists in each other */
#define YAML_INCLUDE_MAX 8		/* files within files */
#define YAML_FILES_MAX 64		/* files in all */

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node;

/* A pair of a map, or an item of a list (key NULL). */
struct yaml_entry {
	const char *key;
	const char *file; /* where the key (the item) stands */
	unsigned line;
	const struct yaml_node *value; /* never NULL */
};

struct yaml_node {
	enum yaml_kind kind;
	const char *file; /* as it was opened */
	unsigned line;	  /* from 1 */
	const char *text; /* scalar: its text; else NULL */
	bool plain;	  /* scalar: without quotes, so that null, true and 7 are more than text */
	size_t n;	  /* map, list: how many */
	const struct yaml_entry *v;
	/* For yaml*.c alone. */
	unsigned weight, height;
	uint8_t mark;
};

struct ydoc;

/* A variable that is not set and has no default; or (name NULL) a line that was mended. */
struct yaml_note {
	const char *name, *file;
	unsigned line;
};

struct yaml_options {
	/* How to look up a variable; NULL: getenv(). Returns NULL when it is not set. */
	const char *(*env)(void *ctx, const char *name);
	void *ctx;
	/* Leave `${NAME}` of unset variables as it is written and list it, instead of failing:
	 * for who only checks a file. */
	bool allow_unset;
};

/* Load a file with all it includes. `opt` may be NULL. E_NOTFOUND, E_IO; E_USAGE: what it says
 * makes no sense, "FILE:LINE: what". *ret is set only on success. */
int ydoc_load(struct ydoc **ret, const char *path, const struct yaml_options *opt,
	struct err *e) MUST_CHECK;
/* The same from memory. `name` stands for the file in messages and in finding relative includes. */
int ydoc_parse(struct ydoc **ret, struct span text, const char *name,
	const struct yaml_options *opt, struct err *e) MUST_CHECK;
void ydoc_free(struct ydoc *y); /* NULL is fine */

/* An empty file is an empty map. */
const struct yaml_node *ydoc_root(const struct ydoc *y);
/* Lines that are not YAML as they stand, but a list item with a command in it: - echo "failed: x". They
 * were read as if the whole item stood in quotes. */
const struct yaml_note *ydoc_mended(const struct ydoc *y, size_t *ret_n);
const struct yaml_note *ydoc_unset(const struct ydoc *y, size_t *ret_n);

/* The value of a key; NULL when the map (or NULL, or another kind) has no such key. */
const struct yaml_node *ydoc_get(const struct yaml_node *map, const char *key);
/* True for NULL, and for a plain `null`, `~` or nothing. */
bool ydoc_is_null(const struct yaml_node *n);

/* Values. Each fails with E_USAGE and the line when the node is of another kind. `what` is how messages
 * call it ("keep_daily"). */
int ydoc_want(const struct yaml_node *n, enum yaml_kind kind, const char *what,
	struct err *e) MUST_CHECK;
int ydoc_string(const struct yaml_node *n, const char *what, const char **ret,
	struct err *e) MUST_CHECK;
/* true, false, yes, no, on, off. */
int ydoc_bool(const struct yaml_node *n, const char *what, bool *ret, struct err *e) MUST_CHECK;
/* A decimal number from `least` to `most`. */
int ydoc_int(const struct yaml_node *n, const char *what, int64_t least, int64_t most, int64_t *ret,
	struct err *e) MUST_CHECK;

/* Record a failure that names the node's place: "FILE:LINE: message". Returns E_USAGE. */
int ydoc_err(struct err *e, const struct yaml_node *n, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int ydoc_err_at(struct err *e, const char *file, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The word of the list (NULL-terminated) that is nearest to one that is none of them, for "did you mean"; NULL when
 * none is near. */
const char *ydoc_nearest(const char *word, const char *const *known);

#endif
