/* prune_internal.h - what prune*.c share. */
#ifndef MCFS_PRUNE_PRUNE_INTERNAL_H
#define MCFS_PRUNE_PRUNE_INTERNAL_H

#include "engine/anvil/session_lock.h"
#include "engine/anvil/source.h"
#include "engine/prune/prune.h"
#include "engine/prune/trash_internal.h"

struct prune {
	pthread_mutex_t m;
	char *world; /* canonical path */
	struct trash *trash;
	struct worlds dims;
	struct prune_options opt; /* state_dir and world are not kept */
	struct log log;
	char who[64];	    /* of this process */
	bool cleaned;	    /* temporary files of a crash were looked for */
	struct session_lock *lock;
	struct prune_result *res; /* of the call under way */
	struct err corrupt; /* the first item of the call under way whose payload is damaged; code 0: none */
};

/* ---- prune.c ---- */

/* Count an outcome and tell it. */
void prune_tell(struct prune *p, const char *dimension, int32_t x, int32_t z, enum prune_outcome o,
	const char *detail);
bool prune_cancelled(const struct prune *p);
int prune_no_memory(struct err *e);
static inline unsigned slot_of(int32_t x, int32_t z)
{
	return (unsigned)(x & 31) + (unsigned)(z & 31) * 32;
}

/* Set states of many in one transaction. */
int prune_set_states(struct prune *p, const struct row_ids *ids, enum trash_state state,
	struct err *e) MUST_CHECK;
/* A dimension by name, looked for again when it is not known; E_NOTFOUND. */
int prune_dimension(struct prune *p, const char *name, const struct world_dim **ret,
	struct err *e) MUST_CHECK;
/* Lock the world and settle what a crash left. *ret_free false, without failure: somebody uses it, and it
 * is to be noted for later. prune_leave() in any case. */
int prune_enter(struct prune *p, enum when_running when, bool *ret_free, struct err *e) MUST_CHECK;
void prune_leave(struct prune *p);

/* ---- prune_files.c: the three region files of one region ---- */

struct region_files {
	struct region_folder folder[SOURCE_KINDS]; /* path NULL: not open */
	struct region_edit *edit[SOURCE_KINDS];    /* NULL: there is no such file */
	int32_t rx, rz;
};
/* What is missing is left NULL. */
int region_files_open(struct prune *p, const char *folder, int32_t rx, int32_t rz, bool write,
	struct region_files *ret, struct err *e) MUST_CHECK;
void region_files_close(struct region_files *f);
#define CLEANUP_FILES __attribute__((cleanup(region_files_close)))
int region_files_read(struct region_files *f, unsigned slot, struct chunk_parts *ret,
	struct err *e) MUST_CHECK;
bool parts_present(const struct chunk_parts *c);
/* Anything but the place is the same: what a restored chunk is like. */
bool part_same(const struct chunk_part *a, const struct chunk_part *b);
/* 0, or E_FORMAT. */
int parts_check(const struct chunk_parts *c, int32_t x, int32_t z, struct err *e) MUST_CHECK;

/* What is to be emptied. Large: on the heap. */
struct clearing {
	bool slots[SOURCE_KINDS][REGION_SLOTS];
	bool touched[SOURCE_KINDS]; /* the file goes when it has no entries */
	struct region_entry was[SOURCE_KINDS][2 * REGION_SLOTS];
	size_t n[SOURCE_KINDS];
};
void clearing_add(struct clearing *c, int kind, unsigned slot, const struct region_entry *en);
/* Within a transaction: remember files that will have no entries left. */
int clearing_note_files(struct prune *p, struct region_files *f, const struct clearing *c,
	const char *folder, int32_t rx, int32_t rz, struct err *e) MUST_CHECK;
/* Steps 3 to 6 of docs/PRUNE.md. */
int clearing_apply(struct prune *p, struct region_files *f, const struct clearing *c, bool punch,
	struct err *e) MUST_CHECK;

/* Open the file of one kind, made when missing: as it was when it went, if that is known. *ret_made. */
int region_files_make(struct prune *p, struct region_files *f, int kind, const char *folder,
	bool *ret_made, struct err *e) MUST_CHECK;

/* ---- prune_restore.c ---- */

/* Put back items of one region; those in other states than KEPT, RESTORE_WAITS and RESTORING are passed
 * over. The session lock is held. ids are in ascending order. */
int restore_region(struct prune *p, const struct region_key *key, const struct row_ids *ids,
	const struct prune_how *how, struct err *e) MUST_CHECK;

/* ---- prune_settle.c ---- */

/* Recovery: docs/PRUNE.md, 5. */
int prune_settle(struct prune *p, struct err *e) MUST_CHECK;

#endif
