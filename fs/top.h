/* top.h - the snapshots of the store as they are now.
 *
 * A `struct snap` is one snapshot for as long as anything refers to it, also after it was
 * forgotten; its number is given once in the life of a mount. A `struct top_list` is the list at
 * one moment: snapshots, tags, hosts. A new one is made when the store's directory of snapshots
 * has changed. */
#ifndef MCFS_FS_TOP_H
#define MCFS_FS_TOP_H

#include <time.h>

#include "engine/snapshot/snapobj.h"

struct snap {
	_Atomic unsigned refs;
	uint32_t number; /* from 1 */
	struct id id;
	char name[SNAPSHOT_NAME_CHARS];
	struct timestamp begin;
	struct content root;
	bool xattrs, acls; /* has any entry some? */
};
struct snap *snap_ref(struct snap *s); /* NULL is fine */
void snap_unref(struct snap *s);

struct top_list {
	_Atomic unsigned refs;
	struct snapshot_list list;
	struct snap **snap; /* as many, in the same order: oldest first */
	size_t *by_name, *by_number; /* the same, each as its place in that order */
	struct timespec mtime;
};
void top_list_unref(struct top_list *l);
/* The place of the snapshot of this name; `n` of the list when there is none. */
size_t top_list_find(const struct top_list *l, struct span name);
/* Where in by_number those begin whose number is at least `from`. */
size_t top_list_from(const struct top_list *l, uint64_t from);
static inline void cleanup_top_listp(struct top_list **l)
{
	top_list_unref(*l);
}
#define CLEANUP_TOP_LIST __attribute__((cleanup(cleanup_top_listp)))

struct top;
/* Without a store (NULL) the list is empty and stays so. `dir` is the store's directory where it is a local one, to notice changes; NULL: look every
 * second. The first list is loaded here. */
int top_new(struct top **ret, struct store *s, const char *dir, struct err *e) MUST_CHECK;
void top_free(struct top *t);
/* A reference to the list. */
struct top_list *top_get(struct top *t);
/* Has an entry of any snapshot extended attributes, or ACLs? Of those that were ever in the list: they may be
 * in use still. */
bool top_has_xattrs(struct top *t);
bool top_has_acls(struct top *t);
/* Has something changed since the list was loaded? Cheap. */
bool top_stale(struct top *t);
/* Load again: index and list. No blob may be read meanwhile. After a failure the old list stays,
 * and the next try is after a while. */
int top_reload(struct top *t, struct err *e) MUST_CHECK;

/* Tags and hosts by number, for inode numbers: the same text has the same number for as long as
 * the mount lives. -1 without memory. */
int top_word(struct top *t, const char *text);
const char *top_word_text(struct top *t, int word); /* NULL: there is none */

#endif
