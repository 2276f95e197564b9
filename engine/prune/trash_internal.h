/* trash_internal.h - rows of the trash, for what changes worlds (prune*.c). All calls but those that say
 * so are for who holds t->m; changes are for between trash_begin() and trash_end(). */
#ifndef MCFS_PRUNE_TRASH_INTERNAL_H
#define MCFS_PRUNE_TRASH_INTERNAL_H

#include <pthread.h>

#include "engine/crypto/crypto.h"
#include "engine/db/db.h"
#include "engine/prune/trash.h"

struct trash {
	pthread_mutex_t m;
	struct db *db;
	char *path;
	struct world_facts world;
	struct log log;
	int lock; /* shared, as long as it is open; -1: none */
};

/* ---- databases as files ---- */

extern const struct db_options trash_db_options;
/* STATE/trash/<name>-<hash of the path>.db; NULL without memory. */
char *trash_file_name(const char *state_dir, const char *world);
/* The paths and seeds that a database knows. */
int trash_load_meta(struct db *db, struct world_facts *ret, struct err *e) MUST_CHECK;
/* Lock a database by its path: shared for who uses it, exclusive for who moves it. E_LOCKED when another is
 * in the way: at once when exclusive, else in the end. *ret is -1 where nothing can be locked. */
int trash_lock(const char *file, bool exclusive, int *ret, struct err *e) MUST_CHECK;

/* Take the lock and begin a transaction. */
int trash_begin(struct trash *t, struct err *e) MUST_CHECK;
/* End both: commit, or undo all of it and return `r` when that is a failure. */
int trash_end(struct trash *t, int r, struct err *e) MUST_CHECK;

/* FLAG_COPY: it came from a snapshot; when it cannot be put in it need not stay. */
enum { FLAG_DAMAGED = 1, FLAG_REPLACE = 2, FLAG_COPY = 4 };

/* A row to be, or one that is. */
struct new_item {
	enum trash_state state;
	const char *dimension, *folder;
	int32_t x, z;
	const char *why, *who;
	unsigned flags;
};
/* With payload, unless the state is PRUNE_WAITS: then only entries and digests. */
int trash_add(struct trash *t, const struct new_item *it, const struct chunk_parts *parts,
	int64_t *ret_id, struct err *e) MUST_CHECK;
int trash_set_state(struct trash *t, int64_t id, enum trash_state state, struct err *e) MUST_CHECK;
int trash_set_replace(struct trash *t, int64_t id, struct err *e) MUST_CHECK;
int trash_set_folder(struct trash *t, int64_t id, const char *folder, struct err *e) MUST_CHECK;
int trash_delete(struct trash *t, int64_t id, struct err *e) MUST_CHECK;
/* PRUNE_WAITS becomes PRUNING: the payload comes in. */
int trash_fill(struct trash *t, int64_t id, const struct chunk_parts *parts,
	struct err *e) MUST_CHECK;
/* What is known of the parts of an item that waits: are these the same? */
int trash_matches(struct trash *t, int64_t id, const struct chunk_parts *parts, bool *ret,
	struct err *e) MUST_CHECK;
int trash_load(struct trash *t, int64_t id, struct chunk_parts *ret, struct err *e) MUST_CHECK;
/* One part; !present when it has none. */
int trash_load_part(struct trash *t, int64_t id, int kind, struct chunk_part *ret,
	struct err *e) MUST_CHECK;
int trash_load_item(struct trash *t, int64_t id, struct trash_item *ret, struct err *e) MUST_CHECK;
/* Delete or re-label what waits for a chunk: PRUNE_WAITS rows go, RESTORE_WAITS rows become KEPT. */
int trash_drop_waiting(struct trash *t, const char *dimension, int32_t x, int32_t z,
	uint64_t *ret_prune, uint64_t *ret_restore, struct err *e) MUST_CHECK;

/* Delete copies (FLAG_COPY) that wait to be put in a chunk's place. */
int trash_drop_copies(struct trash *t, const char *dimension, int32_t x, int32_t z,
	struct err *e) MUST_CHECK;

/* Ids of rows. */
struct row_ids {
	int64_t *v;
	size_t n, cap;
};
int row_ids_add(struct row_ids *l, int64_t id, struct err *e) MUST_CHECK;
void row_ids_free(struct row_ids *l);
#define CLEANUP_ROW_IDS __attribute__((cleanup(row_ids_free)))

/* A region of a dimension's folder. */
struct region_key {
	char *dimension, *folder;
	int32_t rx, rz;
};
void region_key_free(struct region_key *k);
#define CLEANUP_KEY __attribute__((cleanup(region_key_free)))
/* The first region behind `after` (all zero: of all) that has items in this state, and these items, oldest
 * first. *ret->folder is NULL when there is none. */
int trash_first_region(struct trash *t, enum trash_state state, const struct region_key *after,
	struct region_key *ret, struct row_ids *ids, struct err *e) MUST_CHECK;
int trash_count(struct trash *t, unsigned states, uint64_t *ret, struct err *e) MUST_CHECK;

/* A region file that was removed when its last chunk went. */
struct gone_file {
	bool found;
	uint8_t header[REGION_HEADER];
	struct stat st; /* size, owner, mode */
};
int trash_note_file(struct trash *t, const char *folder, enum source_kind kind, int32_t rx, int32_t rz,
	const struct gone_file *f, struct err *e) MUST_CHECK;
int trash_find_file(struct trash *t, const char *folder, enum source_kind kind, int32_t rx, int32_t rz,
	struct gone_file *ret, struct err *e) MUST_CHECK;
int trash_forget_file(struct trash *t, const char *folder, enum source_kind kind, int32_t rx,
	int32_t rz, struct err *e) MUST_CHECK;

/* A row of `SELECT CHUNK_COLUMNS FROM chunk`. */
#define CHUNK_COLUMNS                                                                              \
	"id, dim, folder, x, z, state, when_s, when_ns, why, who, bytes, stamp, flags"
int trash_read_item(struct db_stmt *s, struct trash_item *ret, struct err *e) MUST_CHECK;

#endif
