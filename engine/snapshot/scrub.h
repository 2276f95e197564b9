/* scrub.h - which packs were read when, so that reading a part of the store each time covers all of it.
 *
 * Kept in STATE_DIR/<store>/checked: a line "<pack id> <epoch seconds>" a pack. It is a convenience:
 * without it, or on another machine, one starts afresh. Not thread-safe. */
#ifndef MCFS_SNAPSHOT_SCRUB_H
#define MCFS_SNAPSHOT_SCRUB_H

#include "engine/store/store.h"

struct scrub;
/* `state_dir` NULL: no memory. An unreadable file counts as none. */
int scrub_open(struct scrub **ret, struct store *s, const char *state_dir, struct err *e) MUST_CHECK;
void scrub_free(struct scrub *sc);
/* When a pack was read last; 0: never. */
int64_t scrub_last(const struct scrub *sc, const struct id *pack);
int scrub_note(struct scrub *sc, const struct id *pack, int64_t when, struct err *e) MUST_CHECK;
/* Write the file with the packs of this list that were ever read. Failure is told to the log only. */
void scrub_save(struct scrub *sc, const struct id *packs, size_t n);

#endif
