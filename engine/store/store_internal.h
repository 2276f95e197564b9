/* store_internal.h - what store.c (reading, objects) and store_write.c (transactions) share. */
#ifndef MCFS_STORE_STORE_INTERNAL_H
#define MCFS_STORE_STORE_INTERNAL_H

#include <pthread.h>

#include "engine/store/doomed.h"
#include "engine/store/index.h"
#include "engine/store/lock.h"
#include "engine/store/pending.h"
#include "engine/store/store.h"

struct txn;

struct store {
	struct object_place *place;
	struct store_config cfg;
	struct keys *keys;
	struct index *index;
	struct plain_cache *cache;
	struct log log;
	pthread_mutex_t m; /* guards txn and all in it */
	struct txn *txn;   /* a transaction under way, or NULL */
	struct store_lock *lock; /* held from the begin of a transaction on, or by compact */
	struct doomed doomed;	 /* when the lock was taken: not to be relied on */
	char what[33];
	unsigned lock_interval_ms;
	pthread_mutex_t refresh_m; /* one refresh at a time; guards what follows */
	uint64_t refreshes;
	struct store_stats stats;
	pthread_mutex_t lost_m;	 /* guards the two below */
	struct nameset lost;	 /* what repair gave up; may have come back since */
	bool lost_known;
	bool lost_packs; /* at the begin of the transaction, packs of the index were missing */
	bool left_out;	 /* index objects name packs that are not there */
};

/* Under the lock: forget and learn again what is doomed; the index must be refreshed after it. */
int learn_doomed(struct store *s, struct err *e) MUST_CHECK;
/* The lists of lost blobs have changed. */
void store_forget_lost(struct store *s);
/* "kind/id" */
char *store_object_key(const char *kind, const struct id *id, char out[64]);
/* How often the index was brought up to date, to be asked before something is looked up; */
uint64_t count_refreshes(struct store *s);
/* and when it was not found: true when it is worth looking again, since the index was or now is newer. */
bool look_again(struct store *s, uint64_t before, bool first);
/* Is there a copy that can be decoded? The index may have differences whose base is gone: compact removes what
 * nobody needs, and those are as good as not there (CRASH-SAFETY.md, "Compact"). `lasting`: copies in doomed
 * packs, and what rests on them, do not count. `inflated`: kept ones do not. *ret_others: there are copies
 * that do not count. */
int find_sound(struct store *s, const struct name *name, bool lasting, bool inflated, bool *ret_there,
	bool *ret_others, struct err *e) MUST_CHECK;
/* The base with these first bytes, of which there is a copy that may be relied on, and no kept one; else
 * E_NOTFOUND. */
int find_base_kept(struct store *s, const uint8_t base[BASE_BYTES], struct name *ret,
	struct err *e) MUST_CHECK;

/* Put an index object under a fresh id, while the lock of the store (if it holds one) is held: E_LOCKED, and
 * no object, when it is lost. The packs may be gone then, and must not come back into the index. */
int put_index_object(struct store *s, struct span content, struct id *ret, struct err *e) MUST_CHECK;

/* Enter pack records into the index cache. A cache that cannot be written is given up for one in
 * memory: it is no authority. `id` NULL: the records come from footers, not from an index object. */
int add_to_index(struct store *s, const struct id *id, const struct span *records, size_t n,
	struct err *e) MUST_CHECK;
/* Take packs out of the index that are not in the store, so that their blobs are stored again. */
int forget_missing_packs(struct store *s, struct err *e) MUST_CHECK;

/* Find a blob that is written but not indexed yet. With `sealed`, its frame is read back from the
 * open pack where it is in there (then *ret_read is set). E_NOTFOUND when there is none. */
int txn_find(struct store *s, const struct name *name, struct blob_loc *ret, struct buf *sealed,
	bool *ret_read, struct err *e) MUST_CHECK;
int txn_find_base(struct store *s, const uint8_t base[BASE_BYTES], struct name *ret,
	struct err *e) MUST_CHECK;
/* A frame's packed bytes, in c->packed; what it decompresses to, appended. */
int read_frame_of(struct store *s, struct coder *c, const struct blob_loc *l,
	struct err *e) MUST_CHECK;
int decode_frame_of(struct store *s, struct coder *c, const struct blob_loc *l, struct buf *out,
	struct err *e) MUST_CHECK;
/* What a plain form is for. A blob may be there twice, kept as it is and inflated: a difference is
 * only ever taken against the inflated one. */
enum want {
	WANT_TABLE, /* any copy; a kept one as form_wrap() makes it */
	WANT_BASE,  /* one that is not kept, else E_CORRUPT */
	WANT_CANON  /* any copy; a kept one bare, with its own form */
};
/* Plain forms of blobs, by location; `depth` bounds the bases that are followed. */
int read_plain(struct store *s, struct coder *c, const struct name *name, enum want want,
	unsigned depth, struct plain **ret, struct err *e) MUST_CHECK;
/* The canonical bytes behind *out, which is left as it was when they are not those of the name. */
int decode_named(struct store *s, struct coder *c, const struct name *name, const struct plain *p,
	struct buf *out, struct err *e) MUST_CHECK;

#endif
