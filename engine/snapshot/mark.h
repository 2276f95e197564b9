/* mark.h - which blobs do the snapshots need? Walks every directory, list of pieces and layout once,
 * however many snapshots share it. Memory: the table (blobtab.h) and the directories that are still to
 * be looked at. Not thread-safe. */
#ifndef MCFS_SNAPSHOT_MARK_H
#define MCFS_SNAPSHOT_MARK_H

#include <signal.h>

#include "engine/snapshot/snapobj.h"
#include "engine/store/blobtab.h"
#include "engine/store/nameset.h"

struct marker {
	struct store *s;
	struct coder *c;
	struct blobtab *tab;
	const volatile sig_atomic_t *cancel;
	void (*on_progress)(void *ctx, uint64_t roots, uint64_t nodes);
	void *ctx;
	struct nameset done;	/* ids of snapshots that were walked */
	struct nameset strange; /* walked nodes that are newer than the table */
	struct mark_todo *todo;
	size_t n_todo, cap_todo;
	uint64_t roots, nodes;
};

/* The snapshots alone. */
int mark_snapshots(struct marker *m, uint64_t *ret_new, struct err *e) MUST_CHECK;
/* Walk all snapshots, and all that were forgotten and not released, that were not walked before. *ret_new:
 * how many those were. Flags what they name as live and needed. E_CORRUPT when anything is missing or
 * unreadable: then nothing may be concluded. Blobs that are newer than the table are only looked
 * for. */
int mark_all(struct marker *m, uint64_t *ret_new, struct err *e) MUST_CHECK;
void marker_free(struct marker *m);

#endif
