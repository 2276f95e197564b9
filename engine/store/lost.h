/* lost.h - blobs that check --repair had to give up: sealed lists in lost/.
 *
 * Their names still stand in snapshots. A reader that meets one says so (E_LOST) instead of taking the
 * store for damaged; a snapshot reads files again that would rely on one; and when the same content
 * comes by once more, it is stored under the same name, and everything that has the name is whole
 * again. docs/FORMAT.md, "Lost blobs". Not thread-safe, but for store_is_lost(). */
#ifndef MCFS_STORE_LOST_H
#define MCFS_STORE_LOST_H

#include "engine/store/nameset.h"
#include "engine/store/store.h"

/* Add all lists to *set. Lists that cannot be read are told to the log and left out. */
int lost_load(struct store *s, struct nameset *set, struct err *e) MUST_CHECK;
/* Write down, durably, that these are lost. */
int lost_put(struct store *s, const struct nameset *set, struct err *e) MUST_CHECK;
/* Drop from the lists what is in the store again, and lists that cannot be read; durable. */
int lost_tidy(struct store *s, struct err *e) MUST_CHECK;

#endif
